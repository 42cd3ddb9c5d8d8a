"""Values pass through codecs alike in every form: in as the request says, out as the client asks."""

import base64

import numpy as np
import pandas as pd
import pytest

from srv import InferenceRequest, Tensor
from srv.codecs import input_codec, request_codec
from srv.messages import RequestedOutput

pytestmark = pytest.mark.e2e

VALUES = {
    "np": (Tensor("x", [1, 2]), "ndarray", ["1", "2"]),
    "str": (Tensor("x", ["ü", ""]), "str", ["ü", ""]),
    "base64": (Tensor("x", [base64.b64encode(b"\xff\0")]), "bytes", ["b'\\xff\\x00'"]),
    "datetime": (Tensor("x", ["2026-01-02T03:04:05+00:00"]), "datetime", ["2026-01-02T03:04:05+00:00"]),
    "json": (Tensor("x", ['{"a": [1]}']), "dict", ["{'a': [1]}"]),
}
REFUSED = {
    "str": Tensor("x", [1, 2]),
    "base64": Tensor("x", ["not base64"]),
    "datetime": Tensor("x", ["yesterday"]),
    "json": Tensor("x", ["{"]),
}


@pytest.mark.parametrize("content_type", VALUES)
@pytest.mark.parametrize("of", ["request", "input"])
def test_an_input_is_read_as_the_request_says(infer, content_type, of):
    given, kind, value = VALUES[content_type]
    said = {"content_type": content_type}
    if of == "request":
        answer = infer("decodes", {"x": given}, parameters=said).good
    else:
        answer = infer("decodes", {"x": Tensor("x", given.data, parameters=said)}).good
    assert answer["kind"].tolist() == [kind.encode()]
    assert [each.decode() for each in answer["value"]] == value


@pytest.mark.parametrize("content_type", REFUSED)
def test_what_is_not_of_its_content_type_is_refused_and_the_input_named(infer, refused, content_type):
    sentence = refused(
        infer("decodes", {"x": REFUSED[content_type]}, parameters={"content_type": content_type}), "INVALID_INPUT"
    )
    assert "'x'" in sentence


@pytest.mark.parametrize(
    "content_type, values",
    [("str", ["ü", ""]), ("base64", [b"\xff", b""]), ("json", [{"a": [1]}, None]), ("np", np.ones((2, 1), np.int8))],
)
def test_what_a_codec_writes_for_a_client_comes_back_for_it_to_read(form, line, content_type, values):
    codec = input_codec(content_type)
    answer = form.infer(line, "echo", InferenceRequest([codec.encode("x", values)])).good
    assert answer.outputs[0].parameters["content_type"] == content_type
    read = codec.decode(answer.outputs[0])
    assert read.tolist() == values.tolist() if content_type == "np" else read == values


def test_a_table_goes_both_ways(form, line):
    codec = request_codec("pd")
    table = pd.DataFrame({"n": [1, 2], "f": [0.5, 1.5], "s": ["a", "ü"]})
    answer = form.infer(line, "tables", codec.encode_request(table)).good
    pd.testing.assert_frame_equal(codec.decode_response(answer), table.assign(kinds=["n,f,s", "n,f,s"]))


def test_an_output_comes_as_the_content_type_that_the_client_asks_for(infer, refused):
    asked = [RequestedOutput("output", {"content_type": "base64"})]
    answer = infer("words", {"text": ["ab"]}, outputs=asked).good
    assert answer["output"].tolist() == [base64.b64encode(b"AB")]

    asked = [RequestedOutput("output", {"content_type": "datetime"})]
    sentence = refused(infer("words", {"text": ["ab"]}, outputs=asked), "INVALID_INPUT")
    assert sentence == "Output 'output' cannot be encoded as content type 'datetime'."
