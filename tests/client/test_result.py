"""Results give arrays by name, and Python values by content type."""

import numpy as np
import pandas as pd
import pytest

from srv import InferenceResponse, Tensor
from srv.client import Result


def result(*outputs, **parameters):
    return Result(InferenceResponse(list(outputs), parameters))


def test_outputs_are_arrays_by_name():
    answer = result(Tensor("a", [1, 2]), Tensor("b", [0.5]))
    assert {name: array.tolist() for name, array in answer.items()} == {"a": [1, 2], "b": [0.5]}


def test_an_unknown_output_is_an_error_that_lists_those_there_are():
    with pytest.raises(KeyError, match="no output 'c'; it has a, b"):
        result(Tensor("a", [1]), Tensor("b", [1]))["c"]


@pytest.mark.parametrize(
    "tensor, value",
    [
        (Tensor("a", ["ä", "b"]), ["ä", "b"]),
        (Tensor("a", [["x"], ["y"]]), [["x"], ["y"]]),
        (Tensor("a", [b'{"k":1}'], parameters={"content_type": "json"}), [{"k": 1}]),
        (Tensor("a", ["x"], parameters={"content_type": "of-nobody"}), ["x"]),
    ],
)
def test_the_value_of_a_single_output_is_what_its_content_type_says(tensor, value):
    assert result(tensor).value == value


def test_bytes_that_are_no_text_stay_bytes():
    assert result(Tensor("a", [b"\xff"])).value.tolist() == [b"\xff"]


def test_several_outputs_are_values_by_name():
    assert result(Tensor("a", ["x"]), Tensor("b", ["y"])).value == {"a": ["x"], "b": ["y"]}


def test_a_response_that_is_a_table_has_a_table_for_its_value():
    answer = result(Tensor("a", np.array([1, 2])), Tensor("b", np.array([0.5, 1])), content_type="pd")
    pd.testing.assert_frame_equal(answer.value, pd.DataFrame({"a": [1, 2], "b": [0.5, 1.0]}))
    pd.testing.assert_frame_equal(answer.table(), answer.value)
