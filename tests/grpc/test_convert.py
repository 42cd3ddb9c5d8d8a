"""Tensors, parameters and metadata go between messages and runtimes as they are."""

import math
import sys

import numpy as np
import pytest
from drawing import same, tensors
from hypothesis import given
from hypothesis import strategies as st

from srv.errors import InvalidInput
from srv.grpc.convert import is_typed, read_request, write_metadata, write_parameters, write_response
from srv.grpc.descriptors import ModelInferRequest, ModelInferResponse, message
from srv.grpc.typed_contents import FIELDS
from srv.grpc.wire_format import read_message
from srv.inference.response_validation import UnfitParameter
from srv.messages import InferenceResponse, ModelMetadata
from srv.model_settings import Spec
from srv.tensors import Tensor


def there_and_back(tensors, *, typed):
    """Through the bytes of a response, which a client sends back as a request."""
    response = InferenceResponse(tensors)
    written = ModelInferResponse.FromString(write_response(response, typed=typed))
    request = ModelInferRequest(model_name="m")
    for output in written.outputs:
        request.inputs.add().MergeFromString(output.SerializeToString())
    request.raw_input_contents.extend(written.raw_output_contents)
    asked, raw = read_message(request.SerializeToString())
    return written, read_request(asked, raw, {}).inputs


@given(st.lists(tensors(), max_size=3))
def test_every_datatype_and_shape_travels_raw(given):
    written, back = there_and_back(given, typed=False)
    assert len(written.raw_output_contents) == len(given)
    assert all(map(same, given, back))
    assert all(tensor.data.flags.aligned and not tensor.data.flags.writeable for tensor in back)


@given(st.lists(tensors(tuple(FIELDS)), max_size=3))
def test_every_datatype_but_the_short_floats_travels_typed(given):
    written, back = there_and_back(given, typed=True)
    assert not written.raw_output_contents
    assert all(map(same, given, back))
    assert not any(tensor.data.flags.writeable for tensor in back)


def test_a_typed_request_is_answered_raw_where_an_output_has_no_typed_form():
    outputs = [Tensor("a", np.ones(2, np.float32)), Tensor("b", np.ones(2, np.float16))]
    written, back = there_and_back(outputs, typed=True)
    assert len(written.raw_output_contents) == 2
    assert not any(output.HasField("contents") for output in written.outputs)
    assert all(map(same, outputs, back))


def test_large_tensors_are_views_of_the_message_where_they_are_aligned_and_copies_elsewhere():
    for offset in range(4):
        request = ModelInferRequest(model_name="m" * (8 + offset))
        request.inputs.add(name="x", datatype="FP32", shape=[10_000])
        request.raw_input_contents.append(np.arange(10_000, dtype="<f4").tobytes())
        asked, raw = read_message(request.SerializeToString())
        (tensor,) = read_request(asked, raw, {}).inputs
        assert tensor.data.flags.aligned
        assert tensor.data[-1] == 9999


def test_id_outputs_and_parameters_of_every_kind_are_read():
    asked = ModelInferRequest(id="q")
    values = {"b": True, "i": -(2**63), "s": "é", "d": 0.5, "u": 2**64 - 1}
    for target in (asked.parameters, asked.inputs.add(name="x", datatype="INT8", shape=[0]).parameters):
        write_parameters(values, target)
    write_parameters(values, asked.outputs.add(name="y").parameters)
    request = read_request(asked, [], {"h": "1"})
    assert (request.id, request.headers) == ("q", {"h": "1"})
    assert request.parameters == request.inputs[0].parameters == request.outputs[0].parameters == values
    assert {name: type(value) for name, value in request.parameters.items()} == {
        name: type(value) for name, value in values.items()
    }


def test_no_id_and_no_outputs_are_none():
    request = read_request(ModelInferRequest(), [], {})
    assert (request.id, request.outputs, request.inputs) == (None, None, [])


@pytest.mark.parametrize(
    "value, field",
    [
        (True, "bool_param"),
        (np.bool_(True), "bool_param"),
        (3, "int64_param"),
        (np.int8(3), "int64_param"),
        (2**63, "uint64_param"),
        (0.5, "double_param"),
        (np.float32(0.5), "double_param"),
        ("x", "string_param"),
    ],
    ids=str,
)
def test_a_parameter_goes_out_in_the_field_of_its_kind(value, field):
    response = ModelInferResponse.FromString(write_response(InferenceResponse([], {"p": value}), typed=True))
    assert response.parameters["p"].WhichOneof("parameter_choice") == field
    assert getattr(response.parameters["p"], field) == value


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, [1], None, {}], ids=str)
def test_a_parameter_that_the_protocol_cannot_carry_is_the_models_error(value):
    with pytest.raises(UnfitParameter, match="The response's parameter 'p' is a"):
        write_response(InferenceResponse([], {"p": value}), typed=True)


def request(datatype="INT32", shape=(1,), raw=None, **contents):
    asked = ModelInferRequest()
    tensor = asked.inputs.add(name="x", datatype=datatype, shape=shape)
    for field, values in contents.items():
        getattr(tensor.contents, field).extend(values)
    if raw is not None:
        asked.raw_input_contents.extend(raw)
    return asked


def without_value():
    asked = request(int_contents=[1])
    asked.inputs[0].parameters["p"].SetInParent()
    return asked


def with_infinity():
    asked = request(int_contents=[1])
    asked.inputs[0].parameters["p"].double_param = math.inf
    return asked


@pytest.mark.parametrize(
    "asked, sentence",
    [
        (request("FP128", fp32_contents=[1]), "inputs[0].datatype: 'FP128' is unknown; the protocol has BF16, "),
        (request("", raw=[b""]), "inputs[0].datatype: '' is unknown"),
        (request("FP16"), "inputs[0].datatype: FP16 has no typed contents; send it in raw_input_contents."),
        (request("BF16"), "inputs[0].datatype: BF16 has no typed contents"),
        (request(shape=[-1], int_contents=[1]), "inputs[0].shape: its length 0 is -1, and lengths are 0 or more."),
        (request(shape=[-1], raw=[b"1234"]), "inputs[0].shape: its length 0 is -1"),
        (request(shape=[2**62, 2**62], int_contents=[1]), "inputs[0].shape: it is larger than any array."),
        (request(shape=[0, 2**63 - 1], raw=[b""]), "inputs[0].shape: it is larger than any array."),
        (request(shape=[2**40], raw=[b"1234"]), "inputs[0]: 4 bytes were sent where its datatype and shape need "),
        (request(shape=33 * [1], int_contents=[1]), "inputs[0].shape: it has 33 dimensions, of which 32 are possible."),
        (request(), "inputs[0].contents.int_contents: 0 values do not fill the shape [1], which has 1."),
        (request(int_contents=[1, 2]), "inputs[0].contents.int_contents: 2 values do not fill the shape [1]"),
        (request(shape=[2**50], int_contents=[1]), "inputs[0].contents.int_contents: 1 value does not fill the shape"),
        (
            request("FP32", int_contents=[1]),
            "inputs[0].contents.int_contents is given, and FP32 belongs in fp32_contents.",
        ),
        (
            request("FP32", fp32_contents=[1], bool_contents=[True]),
            "inputs[0].contents.bool_contents is given, and FP32 belongs in fp32_contents.",
        ),
        (request("INT8", int_contents=[128]), "inputs[0].contents.int_contents: '128' is out of INT8's range."),
        (request("INT8", int_contents=[-129]), "inputs[0].contents.int_contents: '-129' is out of INT8's range."),
        (request("UINT16", uint_contents=[65536]), "inputs[0].contents.uint_contents: '65536' is out of UINT16's"),
        (request(raw=[b"1234", b"1234"]), "raw_input_contents: 2 are sent for 1 inputs; each input needs its own."),
        (
            request(int_contents=[1], raw=[b"1234"]),
            "inputs[0].contents is given beside raw_input_contents; send all inputs in one of the two.",
        ),
        (request(raw=[b"123"]), "inputs[0]: 3 bytes were sent where its datatype and shape need 4."),
        (request("BOOL", raw=[b"\x02"]), "inputs[0]: 2 is no boolean; BOOL is one byte, 0 or 1."),
        (request("BYTES", raw=[b"\x05\0\0\0abc"]), "inputs[0]: element 0 is said to have 5 bytes, and 3 are left."),
        (request("BYTES", shape=[2**40], raw=[b"\0\0\0\0"]), "inputs[0]: 4 bytes cannot hold 1099511627776 elements"),
        (request("BYTES", shape=[], raw=[b"\0\0\0\0x"]), "inputs[0]: 1 bytes are left after the last element."),
        (without_value(), "inputs[0].parameters['p'] has no value."),
        (with_infinity(), "inputs[0].parameters['p'] is inf, and numbers are finite."),
    ],
)
def test_a_tensor_that_does_not_add_up_is_refused_with_its_place(asked, sentence):
    read, raw = read_message(asked.SerializeToString())
    with pytest.raises(InvalidInput) as refused:
        read_request(read, raw, {})
    assert str(refused.value).startswith(sentence)


def test_a_request_is_typed_when_an_input_has_contents():
    assert is_typed(request(int_contents=[1]))
    assert not is_typed(request(raw=[b"1234"]))
    assert not is_typed(ModelInferRequest())


def test_metadata_are_told_with_open_shapes_and_the_models_parameters():
    answer = message("inference.ModelMetadataResponse")()
    specs = (Spec("FP32", (-1, 4), "x"), Spec(None, None, "y"))
    parameters = {"a": "b", "n": [1], "nan": math.inf, "none": None, "count": np.int64(3), "half": 0.5, "yes": True}
    write_metadata(ModelMetadata("m", ("1", "2"), "sklearn", specs, (), parameters), answer)
    assert [(each.name, each.datatype, list(each.shape)) for each in answer.inputs] == [
        ("x", "FP32", [-1, 4]),
        ("y", "", [-1]),
    ]
    assert (answer.name, list(answer.versions), answer.platform) == ("m", ["1", "2"], "sklearn")
    said = {name: getattr(each, each.WhichOneof("parameter_choice")) for name, each in answer.parameters.items()}
    assert said == {"a": "b", "n": "[1]", "nan": "null", "none": "null", "count": 3, "half": 0.5, "yes": True}


def test_floats_keep_their_bits_typed():
    values = np.array([math.nan, -math.inf, -0.0, sys.float_info.min], np.float64)
    _, (back,) = there_and_back([Tensor("x", values)], typed=True)
    assert back.data.tobytes() == values.tobytes()
