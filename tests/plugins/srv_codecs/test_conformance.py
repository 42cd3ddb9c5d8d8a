"""np and str are held to what every codec must do, as a stranger's would be."""

import numpy as np
import pytest

from srv import InferenceRequest, Tensor
from srv.tensors import DTYPES
from srv.testing import assert_codec_round_trips

NUMBERS = [name for name in DTYPES if name not in ("BYTES", "BF16")]


@pytest.mark.parametrize("datatype", NUMBERS)
def test_np_conforms_with_every_datatype(datatype):
    arrays = [np.ones((2, 3)), np.zeros((0, 2)), np.array(1), np.array([[1]])]
    assert_codec_round_trips("np", [array.astype(DTYPES[datatype]) for array in arrays])


def test_np_conforms_with_text_bytes_and_what_is_no_number():
    values = [
        np.array([["a", "ü"], ["", "\0"]], object),
        np.array([b"\xff", b"\0"], object),
        np.array([np.nan, np.inf, -np.inf]),
    ]
    as_sent = [np.array([word.encode() for word in values[0].reshape(-1)], object).reshape(2, 2), *values[1:]]
    assert_codec_round_trips("np", as_sent, wrong=[InferenceRequest([Tensor("x", [1]), Tensor("y", [1])])])


def test_str_conforms():
    wrong = [
        Tensor("x", [b"\xff"]),
        Tensor("x", [1]),
        Tensor("x", [["a", "b"]]),
        Tensor("x", "a"),
        InferenceRequest([]),
        InferenceRequest([Tensor("x", ["a"]), Tensor("y", ["b"])]),
    ]
    assert_codec_round_trips("str", [["a", "ü", "", "\0", "a" * 10_000], ["one"], []], wrong=wrong)
