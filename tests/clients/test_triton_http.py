"""Triton's HTTP clients in every mode: binary data or JSON, compressed or plain, each way."""

import gzip
import zlib

import numpy as np
import pytest
from triton import HTTP

pytestmark = [pytest.mark.e2e, pytest.mark.parametrize("name", HTTP)]
CODINGS = pytest.mark.parametrize("coding", [None, "gzip", "deflate"])
#: Enough for an answer to be worth compressing.
MANY = np.arange(2000, dtype=np.float32).reshape(2, 1000)


@pytest.mark.parametrize("answered", [True, False, None], ids=["binary-out", "json-out", "default-out"])
@pytest.mark.parametrize("asked", [True, False], ids=["binary-in", "json-in"])
@CODINGS
def test_arrays_go_and_come_in_every_mode(client, name, tensor, output, coding, asked, answered):
    answer = client.infer(
        "double",
        [tensor(MANY, "FP32", binary_data=asked)],
        outputs=None if answered is None else [output("output", binary_data=answered)],
        request_compression_algorithm=coding,
        response_compression_algorithm=coding,
    )
    assert np.array_equal(answer.as_numpy("output"), 2 * MANY)
    assert ("data" in answer.get_output("output")) is (answered is False)


@CODINGS
def test_words_go_and_come_in_every_mode(client, name, tensor, output, coding):
    words = np.array([["a", "ü"] * 400], object)
    for binary in (True, False):
        answer = client.infer(
            "echo",
            [tensor(words, "BYTES", binary_data=binary)],
            outputs=[output("x", binary_data=binary)],
            request_compression_algorithm=coding,
            response_compression_algorithm=coding,
        )
        back = [word.decode() if isinstance(word, bytes) else word for word in answer.as_numpy("x").flat]
        assert back == list(words.flat)


def test_inputs_and_outputs_may_be_mixed(client, name, tensor, output):
    answer = client.infer(
        "echo",
        [
            tensor(MANY, "FP32", name_of_input="a", binary_data=True),
            tensor(MANY[:, :3], "FP32", name_of_input="b", binary_data=False),
            tensor(MANY[:1], "FP32", name_of_input="c", binary_data=True),
        ],
        outputs=[output("c", binary_data=True), output("b", binary_data=False), output("a", binary_data=True)],
    )
    for letter, array in {"a": MANY, "b": MANY[:, :3], "c": MANY[:1]}.items():
        assert np.array_equal(answer.as_numpy(letter), array)


@pytest.mark.parametrize("coding, unpack", [("gzip", gzip.decompress), ("deflate", zlib.decompress)])
def test_what_is_asked_for_compressed_comes_and_goes_compressed(client, name, tensor, monkeypatch, coding, unpack):
    unpacked = []

    def listening(data):
        unpacked.append(unpack(data))
        return unpacked[-1]

    monkeypatch.setattr(f"{unpack.__module__}.decompress", listening)
    heard = client.infer("hears", [tensor(MANY, "FP32")], request_compression_algorithm=coding)
    assert heard.as_numpy("encoding").tolist() == [coding.encode()]
    assert unpacked == []
    client.infer("double", [tensor(MANY, "FP32")], response_compression_algorithm=coding)
    assert unpacked[0].endswith((2 * MANY).tobytes())


def test_many_requests_at_once(client, name, tensor):
    arrays = [MANY + place for place in range(20)]
    if name == "http":
        waiting = [client.async_infer("double", [tensor(array, "FP32")]) for array in arrays]
        answers = [each.get_result() for each in waiting]
    else:
        answers = client.together("infer", [("double", [tensor(array, "FP32")]) for array in arrays])
    for array, answer in zip(arrays, answers, strict=True):
        assert np.array_equal(answer.as_numpy("output"), 2 * array)
