"""A runtime that says `any_input_name` takes its only input under any name."""

from typing import Annotated

import numpy as np
import pytest
from numpy.typing import NDArray

from srv.inference.request_validation import InputTwice, UnknownInput, WrongDatatype, WrongShape
from srv.messages import InferenceRequest, InferenceResponse, MissingInput
from srv.model_settings import Spec
from srv.runtime import Runtime
from srv.tensors import Tensor

ROWS = np.ones((2, 3))


class ByRequest(Runtime):
    """Declares its input itself, as runtimes of a package do."""

    any_input_name = True

    def load(self) -> None:
        self.inputs = self.inputs or [Spec("FP64", (-1, 3), name="rows")]

    def predict(self, request: InferenceRequest) -> InferenceResponse:
        return InferenceResponse([Tensor("sum", request[self.inputs[0].name].sum(axis=1))])


class OfSettings(ByRequest):
    """Leaves it to the settings what is told, and looks for the input under a name of its own."""

    def load(self) -> None:
        self.inputs = [Spec("FP64", (-1, 3), name="rows")]

    def predict(self, request: InferenceRequest) -> InferenceResponse:
        return InferenceResponse([Tensor("sum", request["rows"].sum(axis=1))])


class BySignature(Runtime):
    any_input_name = True

    def predict(self, rows: Annotated[NDArray[np.float64], Spec(shape=(-1, 3))]) -> dict[str, NDArray[np.float64]]:
        return {"sum": rows.sum(axis=1)}


class OfAnyArray(Runtime):
    any_input_name = True

    def predict(self, rows: np.ndarray):
        return {"sum": rows.sum(axis=1)}


class BesideTheRequest(Runtime):
    """Takes the request too, for its parameters."""

    any_input_name = True

    def predict(self, rows: Annotated[NDArray[np.float64], Spec(shape=(-1, 3))], request: InferenceRequest):
        return {"sum": rows.sum(axis=1) * request.parameters.get("factor", 1)}


class Streams(Runtime):
    any_input_name = True

    def predict_stream(self, rows: NDArray[np.float64]):
        yield {"sum": rows.sum(axis=1)}


ALL = [ByRequest, OfSettings, BySignature, OfAnyArray, BesideTheRequest]
NAMED = (Spec("FP64", (-1, 3), name="predict"),)


def ask(model, *tensors, **said):
    return model.answer(InferenceRequest(list(tensors), **said), None, None)


@pytest.mark.parametrize("name", ["rows", "input-0", "predict", "x", "f" * 300, "größe"])
@pytest.mark.parametrize("runtime", ALL)
def test_the_only_input_may_have_any_name(serve, runtime, name):
    response = ask(serve(runtime), Tensor(name, ROWS))

    assert response["sum"].tolist() == [3, 3]


def test_a_stream_takes_it_under_any_name_too(serve):
    model = serve(Streams)

    responses = list(model.stream(InferenceRequest([Tensor("input-0", ROWS)]), None, None))

    assert [response["sum"].tolist() for response in responses] == [[3, 3]]


@pytest.mark.parametrize("runtime", ALL)
@pytest.mark.parametrize(
    "names, error",
    [
        (["a", "b"], UnknownInput),
        (["rows", "b"], UnknownInput),
        (["rows", "rows"], InputTwice),
        (["b", "b"], InputTwice),
        ([], MissingInput),
    ],
)
def test_two_inputs_or_none_are_refused_as_ever(serve, runtime, names, error):
    with pytest.raises(error):
        ask(serve(runtime), *(Tensor(name, ROWS) for name in names))


@pytest.mark.parametrize("runtime", ALL)
def test_what_the_settings_declare_of_the_only_input_holds_whatever_it_is_called(serve, runtime):
    model = serve(runtime, inputs=(Spec("FP64", (-1, 3), name="rows"),))

    with pytest.raises(WrongDatatype, match=r"Input 'input-0' is FP32; the model takes FP64\."):
        ask(model, Tensor("input-0", ROWS.astype(np.float32)))
    with pytest.raises(WrongShape, match=r"Input 'input-0' has shape \[3\]; the model takes \[-1, 3\]"):
        ask(model, Tensor("input-0", ROWS[0]))


def test_what_the_signature_declares_holds_whatever_it_is_called(serve):
    with pytest.raises(WrongDatatype):
        ask(serve(BySignature), Tensor("input-0", ROWS.astype(np.float32)))


@pytest.mark.parametrize("runtime", ALL)
@pytest.mark.parametrize("name", ["predict", "rows", "x"])
def test_settings_may_call_the_input_otherwise_than_the_runtime_does(serve, runtime, name):
    model = serve(runtime, inputs=NAMED)

    assert ask(model, Tensor(name, ROWS))["sum"].tolist() == [3, 3]
    assert [spec.name for spec in model.metadata.inputs] == ["predict"]


def test_what_settings_leave_open_is_told_by_the_runtime(serve):
    model = serve(OfSettings, inputs=(Spec(name="predict"),))

    assert [(spec.datatype, spec.shape, spec.name) for spec in model.metadata.inputs] == [("FP64", (-1, 3), "predict")]
    assert ask(model, Tensor("x", ROWS.astype(np.float32)))["sum"].tolist() == [3, 3]


def test_the_content_type_that_settings_declare_holds_whatever_the_input_is_called(serve):
    class Words(Runtime):
        any_input_name = True

        def load(self) -> None:
            self.inputs = [Spec("BYTES", (-1,), name="words")]

        def predict(self, request: InferenceRequest) -> list[str]:
            return [word.upper() for word in request.decode("words")]

    model = serve(Words, inputs=(Spec("BYTES", (-1,), name="text", parameters={"content_type": "str"}),))

    assert ask(model, Tensor("x", ["a"]))["output"].tolist() == [b"A"]


def test_parameters_of_the_input_stay_with_it(serve):
    class Echo(Runtime):
        any_input_name = True

        def predict(self, request: InferenceRequest) -> InferenceResponse:
            return InferenceResponse([request.tensor("x")])

    model = serve(Echo, inputs=(Spec(name="x"),))

    [tensor] = ask(model, Tensor("y", [1.5], parameters={"a": 1})).outputs

    assert (tensor.name, tensor.data.tolist(), tensor.parameters) == ("x", [1.5], {"a": 1})


def test_requests_that_call_it_otherwise_run_as_one_batch(serve):
    model = serve(BySignature, max_batch_size=8)

    assert ask(model, Tensor("y", ROWS))["sum"].tolist() == [3, 3]


def test_a_runtime_with_several_inputs_takes_each_under_its_name_only(serve):
    class Two(Runtime):
        any_input_name = True

        def predict(self, x: NDArray[np.float64], y: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
            return x

    with pytest.raises(UnknownInput):
        ask(serve(Two), Tensor("z", ROWS))


def test_other_runtimes_take_their_input_under_its_name_only(serve):
    class Strict(BySignature):
        any_input_name = False

    with pytest.raises(UnknownInput, match="Input 'input-0' is unknown; the model takes rows"):
        ask(serve(Strict), Tensor("input-0", ROWS))
