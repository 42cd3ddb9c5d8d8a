"""What a caller gives becomes the inputs that a model declares, or an error that names the input."""

import base64
import io

import numpy as np
import pandas as pd
import pytest

from srv import InferenceRequest, Spec, Tensor
from srv.client.inputs import request_of
from srv.errors import InvalidInput
from srv.messages import ModelMetadata


def model(*inputs):
    return ModelMetadata("m", ("1",), "", tuple(inputs), (), {})


def sent(given, *inputs):
    return {tensor.name: (tensor.datatype, tensor.data.tolist()) for tensor in request_of(given, model(*inputs)).inputs}


NUMBERS = Spec("FP32", (-1,), "x")
ROWS = Spec("FP64", (-1, 2), "rows")
COLUMN = Spec("INT64", (-1, 1), "n")
TEXT = Spec("BYTES", (-1,), "text")


@pytest.mark.parametrize(
    "given, spec, tensor",
    [
        pytest.param([1, 2.5], NUMBERS, ("FP32", [1.0, 2.5]), id="a list"),
        pytest.param((1, 2), NUMBERS, ("FP32", [1.0, 2.0]), id="a tuple"),
        pytest.param(3, NUMBERS, ("FP32", [3.0]), id="one number"),
        pytest.param(np.array([1, 2]), NUMBERS, ("FP32", [1.0, 2.0]), id="integers for floats"),
        pytest.param(np.array([1.0, 0.5]), NUMBERS, ("FP32", [1.0, 0.5]), id="wide floats for narrow ones"),
        pytest.param(np.array([1, 2], np.int8), COLUMN, ("INT64", [[1], [2]]), id="a list as a column"),
        pytest.param(pd.Series([1, 2]), COLUMN, ("INT64", [[1], [2]]), id="a Series"),
        pytest.param([[1, 2]], ROWS, ("FP64", [[1.0, 2.0]]), id="rows"),
        pytest.param(pd.DataFrame({"a": [1.0], "b": [2.0]}), ROWS, ("FP64", [[1.0, 2.0]]), id="a table as rows"),
        pytest.param(np.array([1, 2.5], object), NUMBERS, ("FP32", [1.0, 2.5]), id="an array of objects"),
        pytest.param(pd.Series([1, 2], dtype="Int64"), COLUMN, ("INT64", [[1], [2]]), id="a nullable Series"),
        pytest.param(
            pd.DataFrame({"a": pd.array([1, 2], "Int64"), "b": [1.0, 2.0]}),
            ROWS,
            ("FP64", [[1.0, 1.0], [2.0, 2.0]]),
            id="a table of several types as rows",
        ),
        pytest.param("ä", TEXT, ("BYTES", [b"\xc3\xa4"]), id="one text"),
        pytest.param(["a", "b"], TEXT, ("BYTES", [b"a", b"b"]), id="texts"),
        pytest.param(b"\xff", TEXT, ("BYTES", [b"\xff"]), id="bytes"),
        pytest.param(["a", None], TEXT, ("BYTES", [b"a", None]), id="a missing text"),
        pytest.param([], NUMBERS, ("FP32", []), id="nothing"),
    ],
)
def test_a_value_becomes_what_its_only_input_declares(given, spec, tensor):
    assert sent(given, spec) == {spec.name: tensor}


def test_nan_and_none_stand_for_missing_numbers():
    [tensor] = request_of([1.0, None, float("nan")], model(NUMBERS)).inputs
    assert np.isnan(tensor.data).tolist() == [False, True, True]


def test_what_a_nullable_column_lacks_is_a_missing_number_or_an_error():
    lacking = pd.Series([1, None], dtype="Int64")
    [tensor] = request_of(lacking, model(NUMBERS)).inputs
    assert np.isnan(tensor.data).tolist() == [False, True]
    with pytest.raises(InvalidInput, match="'n'"):
        request_of(lacking, model(COLUMN))


@pytest.mark.parametrize(
    "given, spec, said",
    [
        pytest.param(np.array([0.5]), COLUMN, "'n' is float64, and the model takes INT64", id="floats for integers"),
        pytest.param([0.5], COLUMN, "'n'", id="a list of floats for integers"),
        pytest.param(np.array([300]), Spec("INT8", (-1,), "n"), "do not fit into INT8", id="too large"),
        pytest.param(np.array([1e300]), NUMBERS, "do not fit into FP32", id="beyond a narrow float"),
        pytest.param(
            np.array([70000]), Spec("FP16", (-1,), "n"), "do not fit into FP16", id="an integer beyond a float"
        ),
        pytest.param(["a"], NUMBERS, "'x'", id="text for numbers"),
        pytest.param([[1, 2], [3]], ROWS, "'rows'", id="a ragged list"),
        pytest.param(np.array([1, "a"], object), COLUMN, "'n'", id="objects that are no numbers"),
        pytest.param(np.array([0.5, 1], object), COLUMN, "'n'", id="objects that are floats, for integers"),
    ],
)
def test_a_value_that_would_change_is_an_error_that_names_the_input(given, spec, said):
    with pytest.raises(InvalidInput, match=said):
        request_of(given, model(spec))


def test_values_by_name_become_an_input_each():
    assert sent({"x": [1], "text": "a"}, NUMBERS, TEXT) == {"x": ("FP32", [1.0]), "text": ("BYTES", [b"a"])}


def test_a_value_without_a_name_is_an_error_where_the_model_has_several_inputs():
    with pytest.raises(InvalidInput, match="'m' has the inputs text, x; give values by their names"):
        request_of([1], model(NUMBERS, TEXT))


def test_a_table_becomes_an_input_for_each_column():
    table = pd.DataFrame({"city": ["Bonn", None], "rooms": [3, 4]})
    request = request_of(table, model(Spec("BYTES", (-1,), "city"), Spec("INT64", (-1,), "rooms")))
    assert request.parameters["content_type"] == "pd"
    assert [tensor.name for tensor in request.inputs] == ["city", "rooms"]


def test_content_types_of_the_metadata_are_followed():
    spec = Spec("BYTES", (-1,), "when", {"content_type": "json"})
    [tensor] = request_of({"a": 1}, model(spec)).inputs
    assert tensor.data.tolist() == [b'{"a":1}']


def test_tensors_and_whole_requests_are_sent_as_they_are():
    tensor = Tensor("any", np.arange(3))
    whole = InferenceRequest([tensor], id="7")
    assert request_of(whole, None) is whole
    assert request_of([tensor], None).inputs == [tensor]
    assert request_of(tensor, None).inputs == [tensor]


def test_a_picture_of_pillow_becomes_a_file_for_an_input_of_bytes_and_an_array_for_one_of_numbers():
    image = pytest.importorskip("PIL.Image")
    picture = image.new("RGB", (2, 1), (1, 2, 3))
    for spec, read in ((TEXT, bytes), (Spec("BYTES", (-1,), "image", {"content_type": "base64"}), base64.b64decode)):
        [tensor] = request_of([picture, picture], model(spec)).inputs
        assert tensor.datatype == "BYTES"
        assert [image.open(io.BytesIO(read(file))).getpixel((1, 0)) for file in tensor.data] == [(1, 2, 3)] * 2
    assert sent(picture, Spec("UINT8", (-1, -1, 3), "x")) == {"x": ("UINT8", [[[1, 2, 3], [1, 2, 3]]])}
    with pytest.raises(InvalidInput, match=r"'text' is a picture in the mode 'CMYK'.*RGB"):
        request_of(picture.convert("CMYK"), model(TEXT))
