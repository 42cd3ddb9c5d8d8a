"""Whatever tensors a form can say come back through a model that echoes them: bit for bit, or as JSON has them."""

import numpy as np
import pytest
from drawing import OCTETS, TEXTS, same, tensors
from hypothesis import given, settings
from hypothesis import strategies as st
from speaking import FORMS, Line

from srv import InferenceRequest
from srv.grpc.typed_contents import FIELDS
from srv.messages import RequestedOutput
from srv.tensors import DTYPES, Tensor

pytestmark = pytest.mark.e2e

JSON, BINARY, TYPED, RAW = FORMS
IN_JSON = tuple(datatype for datatype in DTYPES if datatype != "BF16")
NAMES = ("a", "b", "c")
bounded = settings(max_examples=100, deadline=None, database=None)


def several(*datatypes, elements=OCTETS):
    """Up to three tensors, each of another name."""
    drawn = [tensors(datatypes, name=name, elements=elements) for name in NAMES]
    return st.integers(1, len(NAMES)).flatmap(lambda count: st.tuples(*drawn[:count]))


@pytest.fixture(scope="module")
def line(server):
    line = Line(server.url, server.grpc_address)
    yield line
    line.close()


def as_json_has_it(tensor):
    """The tensor with NaN for what JSON says as null, and with what it says beside that."""
    if tensor.data.dtype.kind != "f":
        return tensor
    array = np.where(np.isfinite(tensor.data), tensor.data, np.nan).astype(tensor.data.dtype)
    return Tensor(tensor.name, array, parameters={"non_finite": True} if np.isinf(tensor.data).any() else {})


def without_infinity(tensor):
    if tensor.data.dtype.kind == "f":
        tensor.data = np.array(np.where(np.isinf(tensor.data), 0, tensor.data).astype(tensor.data.dtype))
    return as_json_has_it(tensor)


def echoed(form, line, given, **said):
    return form.infer(line, "echo", InferenceRequest(list(given), **said)).good.outputs


@pytest.mark.parametrize("form", [BINARY, RAW], ids=repr)
@bounded
@given(several(*DTYPES))
def test_every_tensor_comes_back_bit_for_bit(line, form, given):
    assert all(map(same, given, echoed(form, line, given)))


@bounded
@given(several(*FIELDS))
def test_what_has_typed_contents_comes_back_bit_for_bit(line, given):
    assert all(map(same, given, echoed(TYPED, line, given)))


@bounded
@given(several(*IN_JSON, elements=TEXTS))
def test_what_json_can_say_comes_back_equal(line, given):
    given = [without_infinity(tensor) for tensor in given]
    assert all(map(same, given, echoed(JSON, line, given)))


@bounded
@given(several(*IN_JSON, elements=TEXTS))
def test_what_comes_binary_and_goes_as_json_has_null_for_what_is_no_number(line, given):
    asked = [RequestedOutput(tensor.name, {"binary_data": False}) for tensor in given]
    outputs = echoed(BINARY, line, given, outputs=asked)
    expected = [as_json_has_it(tensor) for tensor in given]
    assert all(map(same, expected, outputs))
    assert [output.parameters for output in outputs] == [tensor.parameters for tensor in expected]


@bounded
@given(several(*DTYPES))
def test_every_tensor_is_the_same_for_a_model_however_it_came(line, given):
    said = {str(form): echoed(form, line, given) for form in FORMS if form.carries(InferenceRequest(list(given)))}
    assert {"rest-binary", "grpc-raw"} <= set(said)
    first, *others = said.values()
    for other in others:
        assert all(map(same, map(as_json_has_it, first), map(as_json_has_it, other)))
