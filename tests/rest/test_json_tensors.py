import json
import random
import subprocess
import sys

import msgspec
import numpy as np
import pytest

from srv.errors import InvalidInput
from srv.rest import flat_numbers, json_tensors
from srv.rest.json_tensors import read_data

BLANKS = " " * 300  # so much text does not go by way of a list of a few numbers
TEXTS = {
    "integers": "[1, -2, 3]",
    "zeros": "[0, -0, 0.0, -0.0]",
    "floats": "[0.1, 1e2, 1E-5, 2.5e+3, 5e-324, 1.7976931348623157e308]",
    "a float among integers": "[1, 2.0, 3]",
    "an exponent among integers": "[1, 2e3]",
    "int64": "[-9223372036854775808, 9223372036854775807]",
    "uint64": "[0, 9223372036854775808, 18446744073709551615]",
    "uint64 and a negative number": "[-1, 18446744073709551615]",
    "more than 64 bits": "[1, 18446744073709551616]",
    "less than 64 bits": "[-9223372036854775809]",
    "many digits": "[123456789012345678901234567890]",
    "not exact as a double": "[9007199254740993, 9007199254740992]",
    "beyond a double": "[1, 1e400]",
    "beyond a float": "[1, 1e39]",
    "beyond half a float": "[1, 65520]",
    "beyond a byte": "[1, 256, -129]",
    "too small for a double": "[1e-400]",
    "null": "[1, null]",
    "true": "[1, true]",
    "text": '[1, "2"]',
    "an object": '[1, {"a": 2}]',
    "nothing": "[]",
    "nothing in lists": "[[], []]",
    "nested": "[[1, 2], [3, 4]]",
    "nested deeply": "[[[1], [2]], [[3], [4]]]",
    "ragged": "[[1, 2, 3], [4]]",
    "ragged with nothing": "[[1, 2, 3, 4], []]",
    "lists and numbers": "[1, [2, [3]], 4]",
    "nested wrongly": "[[1, 2, 3, 4]]",
    "a null in a list": "[[1, 2], [3, null]]",
    "a float in a list": "[[1, 2], [3, 4.5]]",
    "a bare number": "7",
    "a bare text": '"7"',
    "blanks": "[\t1 ,\n 2\r\n]",
    "nested a thousand deep": "[" * 1000 + "1" + "]" * 1000,
}
SHAPES = [[1], [2], [3], [4], [2, 2], [2, 2, 1], [0], [2, 0], []]
DATATYPES = ["INT8", "UINT8", "INT32", "INT64", "UINT64", "FP16", "FP32", "FP64"]


def read(text, datatype, shape):
    """The array, or the sentence that says why there is none."""
    try:
        array = read_data(msgspec.Raw(text.encode()), datatype, shape, "inputs[0]")
    except InvalidInput as error:
        return str(error)
    return (array.dtype.str, array.shape, array.tobytes())


@pytest.fixture
def both(monkeypatch):
    """Read by simdjson, then by orjson."""

    def both(text, datatype, shape):
        found = []
        for way in (flat_numbers.by_simdjson, flat_numbers.by_orjson):
            monkeypatch.setattr(json_tensors, "flat_numbers", way)
            found.append(read(text, datatype, shape))
        return found

    pytest.importorskip("simdjson")
    return both


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_numbers_are_the_same_without_simdjson_and_so_are_the_errors(both, text):
    for datatype in DATATYPES:
        for shape in SHAPES:
            for given in (text, text[:1] + BLANKS + text[1:]):
                by_simdjson, by_orjson = both(given, datatype, shape)
                assert by_orjson == by_simdjson, (datatype, shape)


def test_what_is_nested_deeper_than_parsers_go_is_refused_without_simdjson_too(both):
    for sentence in both("[" * 5000 + "1" + "]" * 5000, "FP32", [1]):
        assert sentence.startswith("inputs[0].data")


def test_what_many_numbers_say_is_the_same_without_simdjson(both):
    chance = random.Random(1)
    kinds = {
        "INT64": lambda: chance.randint(-(2**63), 2**63 - 1),
        "UINT64": lambda: chance.randint(0, 2**64 - 1),
        "FP64": lambda: chance.choice([chance.random(), chance.uniform(-8e307, 8e307), chance.randint(-9, 2**64)]),
        "FP32": lambda: chance.uniform(-1e5, 1e5),
    }
    for datatype, value in kinds.items():
        rows = [[value() for _ in range(50)] for _ in range(20)]
        by_simdjson, by_orjson = both(json.dumps(rows), datatype, [20, 50])
        assert by_orjson == by_simdjson, datatype
        assert np.frombuffer(by_orjson[2], by_orjson[0]).tolist() == np.array(rows, by_orjson[0]).ravel().tolist()


def test_a_place_without_simdjson_reads_numbers_by_orjson():
    program = (
        "import sys; sys.modules['simdjson'] = None\n"
        "import msgspec; from srv.rest import flat_numbers; from srv.rest.json_tensors import read_data\n"
        "assert flat_numbers.flat_numbers is flat_numbers.by_orjson\n"
        f"text = b'[[1,2],[3,{BLANKS}4]]'\n"
        "print(read_data(msgspec.Raw(text), 'FP32', [2, 2], 'inputs[0]').tolist())"
    )

    said = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout

    assert said == "[[1.0, 2.0], [3.0, 4.0]]\n"
