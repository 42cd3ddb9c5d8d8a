import asyncio
import json
import math
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from srv.cancellation import Caller
from srv.codec import RequestCodec
from srv.codecs import Codecs, UnknownContentType, WrongCodec
from srv.errors import DeadlinePassed, InvalidInput, ModelError, Stopped
from srv.inference.decoding import BadContentType
from srv.inference.encoding import NotAsAsked, NotAsDeclared, Unencodable, UnnamedOutputs, Unsendable
from srv.inference.execution import ModelBusy
from srv.inference.model_failures import PredictFailed
from srv.inference.pipeline import prepare
from srv.inference.request_validation import UnknownInput, UnknownOutput, WrongDatatype, WrongShape
from srv.inference.response_validation import NotSendable, UnfitParameter
from srv.inference.signatures import BadSignature
from srv.messages import InferenceRequest, InferenceResponse, MissingInput, RequestedOutput
from srv.model_settings import ModelParameters, ModelSettings, Spec
from srv.models.registry import ModelVersion
from srv.runtime import Runtime
from srv.settings import ServerSettings
from srv.tensors import Tensor
from srv.testing import isolated_plugins

AS_ARRAY = {"content_type": "np"}


def request(*tensors, **said):
    return InferenceRequest(list(tensors), **said)


def floats(name, *values):
    return Tensor(name, np.array(values, np.float32))


# -- predict by request ------------------------------------------------------------------------------------------------


class ByHint(Runtime):
    def predict(self, anything: InferenceRequest) -> InferenceResponse:
        return InferenceResponse([Tensor("y", anything["x"] * 2)])


class ByBeingAlone(Runtime):
    def predict(self, payload):
        return InferenceResponse([Tensor("y", payload["x"] * 2)])


@pytest.mark.parametrize("runtime", [ByHint, ByBeingAlone])
def test_predict_takes_the_request_whatever_its_argument_is_called(serve, runtime):
    model = serve(runtime)

    response = model.answer(request(floats("x", 1, 2)), None)

    assert response["y"].tolist() == [2, 4]


def test_a_runtime_that_asks_for_an_input_that_did_not_come_is_a_bad_request(serve):
    model = serve(ByHint)

    with pytest.raises(MissingInput, match="Input 'x' is missing; the request brings 'z'"):
        model.answer(request(floats("z", 1)), None)


# -- predict by signature ----------------------------------------------------------------------------------------------


class Typed(Runtime):
    def predict(
        self,
        x: NDArray[np.float32],
        labels: list[str] | None = None,
        shaped: Annotated[NDArray[np.int64], Spec(shape=(-1, 2))] | None = None,
        anything: np.ndarray | None = None,
    ) -> NDArray[np.float64]:
        self.seen = (x, labels, shaped, anything)
        return x.astype(np.float64)


def test_arguments_are_inputs_and_declare_what_their_hints_say(serve):
    model = serve(Typed)

    assert model.metadata.inputs == (
        Spec("FP32", None, "x", AS_ARRAY),
        Spec("BYTES", None, "labels", {"content_type": "str"}),
        Spec("INT64", (-1, 2), "shaped", AS_ARRAY),
    )
    assert model.metadata.outputs == (Spec("FP64", None, "output", AS_ARRAY),)


def test_what_load_learns_of_an_input_says_more_than_its_hint(serve):
    class Learnt(Runtime):
        def load(self):
            self.inputs = [Spec("FP64", (-1, 4), name="x")]

        def predict(self, x: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float64]:
            return x * scale

    model = serve(Learnt)
    assert model.metadata.inputs == (
        Spec("FP64", (-1, 4), "x", AS_ARRAY),
        Spec("FP64", None, "scale", AS_ARRAY),
    )


def test_an_optional_input_may_stay_away(serve):
    model = serve(Typed)

    response = model.answer(request(floats("x", 1)), None)

    assert response["output"].dtype == np.float64


def test_an_input_is_read_by_the_codec_of_its_hint(serve):
    class Words(Runtime):
        def predict(self, words: list[str]) -> list[str]:
            assert words == ["a", "ü"]
            return words

    response = serve(Words).answer(request(Tensor("words", ["a", "ü"])), None)

    assert response["output"].tolist() == [b"a", "ü".encode()]


@pytest.mark.parametrize(
    "tensors, error, sentence",
    [
        ([], MissingInput, "Input 'x' is missing"),
        ([floats("x", 1), floats("y", 1)], UnknownInput, "Input 'y' is unknown"),
        ([Tensor("x", [1.0])], WrongDatatype, "Input 'x' is FP64; the model takes FP32"),
        ([floats("x", 1), Tensor("shaped", [1, 2])], WrongShape, r"Input 'shaped' has shape \[2\]"),
        ([floats("x", 1), Tensor("shaped", [[1, 2, 3]])], WrongShape, r"takes \[-1, 2\]"),
    ],
    ids=["missing", "unknown", "datatype", "rank", "length"],
)
def test_an_input_that_does_not_fit_the_signature_is_named(serve, tensors, error, sentence):
    with pytest.raises(error, match=sentence):
        serve(Typed).answer(request(*tensors), None)


def test_a_bare_ndarray_takes_any_datatype(serve):
    model = serve(Typed)

    response = model.answer(request(floats("x", 1), Tensor("anything", ["text"])), None)

    assert response["output"].tolist() == [1]


def test_an_unhinted_argument_beside_others_is_an_input(serve):
    class Unhinted(Runtime):
        def predict(self, x, y):
            return x + y

    response = serve(Unhinted).answer(request(floats("x", 1), floats("y", 2)), None)

    assert response["output"].tolist() == [3]


def test_the_request_may_stand_beside_inputs(serve):
    class Both(Runtime):
        def predict(self, x: np.ndarray, request: InferenceRequest):
            return {"x": x, "id": [request.id]}

    response = serve(Both).answer(request(floats("x", 1), id="7"), None)

    assert response["id"].tolist() == [b"7"]


class Pair(NamedTuple):
    label: list[str]
    score: NDArray[np.float32]


@dataclass
class Record:
    label: list[str]
    score: NDArray[np.float32]


PARTS = {"label": ["a"], "score": np.ones(1, np.float32)}


@pytest.mark.parametrize("value", [PARTS, Pair(**PARTS), Record(**PARTS)], ids=["dict", "NamedTuple", "dataclass"])
def test_what_has_names_names_its_outputs(serve, value):
    class Named(Runtime):
        def predict(self, request: InferenceRequest):
            return value

    response = serve(Named).answer(request(), None)

    assert [(tensor.name, tensor.datatype) for tensor in response.outputs] == [("label", "BYTES"), ("score", "FP32")]


@pytest.mark.parametrize("kind", [Pair, Record])
def test_the_hint_of_what_is_returned_declares_the_outputs(serve, kind):
    class Named(Runtime):
        def predict(self, x: np.ndarray) -> kind: ...

    assert serve(Named).metadata.outputs == (
        Spec("BYTES", None, "label", {"content_type": "str"}),
        Spec("FP32", None, "score", AS_ARRAY),
    )


@pytest.mark.parametrize(
    "value, error, sentence",
    [
        ((1, 2), UnnamedOutputs, "a bare tuple"),
        ([np.ones(1), np.ones(2)], UnnamedOutputs, "a list of arrays"),
        (object(), Unencodable, "predict returned object, which no installed codec"),
        ({"y": object()}, Unencodable, "object for the output 'y'"),
        (None, Unencodable, "NoneType"),
        (InferenceResponse([np.ones(1)]), ModelError, "a ndarray among its outputs"),
    ],
    ids=["tuple", "list of arrays", "object", "object in a dict", "None", "array in a response"],
)
def test_what_cannot_be_sent_is_the_models_error_and_says_so(serve, value, error, sentence):
    class Returns(Runtime):
        def predict(self, request: InferenceRequest):
            return value

    with pytest.raises(error, match=sentence):
        serve(Returns).answer(request(), None)


@pytest.mark.parametrize("value", [np.float64(2.5), 2.5, np.array(2.5)], ids=["numpy scalar", "float", "0-d array"])
def test_a_scalar_is_an_output_without_dimensions(serve, value):
    class Scalar(Runtime):
        def predict(self, request: InferenceRequest):
            return value

    (output,) = serve(Scalar).answer(request(), None).outputs

    assert (output.datatype, output.shape, output.data.tolist()) == ("FP64", (), 2.5)


def test_arrays_returned_are_made_contiguous_and_native(serve):
    class Strided(Runtime):
        def predict(self, request: InferenceRequest):
            return np.arange(6, dtype=">i4").reshape(2, 3).T

    (output,) = serve(Strided).answer(request(), None).outputs

    assert output.data.flags.c_contiguous
    assert output.data.dtype.isnative
    assert output.data.tolist() == [[0, 3], [1, 4], [2, 5]]


SPEC = Spec("FP32")


@pytest.mark.parametrize(
    "predict, sentence",
    [
        (lambda self: None, "takes no argument"),
        (lambda self, *inputs: None, r"'\*inputs' has no name"),
        (lambda self, **inputs: None, r"'\*\*inputs' has no name"),
        (lambda: None, "predict takes no argument; write predict"),
        (
            lambda self, x=np.ndarray, y=1: None,
            "'x' has a type as its default; a hint stands behind a colon, as x: ndarray",
        ),
        (lambda self, x=list[str], y=1: None, r"'x' has a type as its default; .* x: list\[str\]"),
        (lambda self, x=SPEC, y=1: None, "'x' has a Spec as its default; write it into the hint"),
    ],
    ids=["nothing", "args", "kwargs", "not even self", "type", "generic", "Spec"],
)
def test_a_signature_that_no_request_can_fill_is_refused_at_load(serve, predict, sentence):
    bad = type("Bad", (Runtime,), {"predict": predict})

    with pytest.raises(BadSignature, match=sentence):
        serve(bad)


def test_a_hint_that_no_codec_reads_is_refused_at_load_and_the_readable_ones_are_listed(serve):
    class Bad(Runtime):
        def predict(self, x: complex): ...

    with pytest.raises(BadSignature, match=r"'x' is hinted with complex.*list\[str\]"):
        serve(Bad)


# -- content types -----------------------------------------------------------------------------------------------------


class Decodes(Runtime):
    def predict(self, request: InferenceRequest):
        return [type(request.decode("x")).__name__]


class Hinted(Runtime):
    def predict(self, x: list[str]):
        return [type(x).__name__]


class Unhinted(Runtime):
    def predict(self, x, other=None):
        return [type(x).__name__]


TEXT = {"content_type": "str"}
ARRAY = {"content_type": "np"}


@pytest.mark.parametrize(
    "runtime, settings, of_input, of_request, read_as",
    [
        (Decodes, {}, {}, {}, "ndarray"),
        (Decodes, {}, TEXT, {}, "list"),
        (Decodes, {}, {}, TEXT, "list"),
        (Decodes, {}, ARRAY, TEXT, "ndarray"),
        (Decodes, {"inputs": (Spec("BYTES", None, "x", TEXT),)}, {}, {}, "list"),
        (Decodes, {"inputs": (Spec("BYTES", None, "x", TEXT),)}, ARRAY, {}, "ndarray"),
        (Decodes, {"parameters": ModelParameters(content_type="str")}, {}, {}, "list"),
        (Hinted, {}, {}, {}, "list"),
        (Hinted, {}, TEXT, {}, "list"),
        (Hinted, {"inputs": (Spec("BYTES", None, "x", TEXT),)}, {}, {}, "list"),
        (Unhinted, {}, {}, {}, "ndarray"),
        (Unhinted, {}, TEXT, {}, "list"),
    ],
)
def test_the_request_decides_then_the_model_then_the_hint_then_np(
    serve, runtime, settings, of_input, of_request, read_as
):
    model = serve(runtime, **settings)

    response = model.answer(request(Tensor("x", ["a"], parameters=of_input), parameters=of_request), None)

    assert response["output"].tolist() == [read_as.encode()]


def test_a_content_type_that_no_codec_provides_is_a_bad_request_even_if_nobody_decodes(serve):
    with pytest.raises(UnknownContentType, match="'nq'; installed: base64, datetime, json, np, pd, str"):
        serve(ByHint).answer(request(Tensor("x", [1.0], parameters={"content_type": "nq"})), None)


class Columns(Runtime):
    def predict(self, table: pd.DataFrame):
        return {name: [type(value).__name__ for value in table[name]] for name in table}


@pytest.mark.parametrize(
    "of_settings, of_input, read_as",
    [({}, {}, "str"), ({"content_type": "base64"}, {}, "bytes"), ({"content_type": "base64"}, TEXT, "str")],
    ids=["nobody says", "the settings say", "the request says"],
)
def test_a_table_reads_its_columns_as_the_request_says_then_as_the_settings_do(serve, of_settings, of_input, read_as):
    model = serve(Columns, inputs=(Spec("BYTES", None, "x", of_settings),))

    response = model.answer(request(Tensor("x", ["QQ=="], parameters=of_input)), None)

    assert response["x"].tolist() == [read_as.encode()]


def test_a_content_type_of_tables_only_is_none_for_one_input(serve):
    tensor = Tensor("x", ["1"], parameters={"content_type": "pd_json"})

    assert serve(Columns).answer(request(tensor), None)["x"].tolist() == [b"int"]
    with pytest.raises(UnknownContentType, match="'pd_json'"):
        serve(Unhinted).answer(request(tensor), None)


# -- outputs -----------------------------------------------------------------------------------------------------------


class Three(Runtime):
    calls = 0

    def predict(self, request: InferenceRequest):
        type(self).calls += 1
        return {name: np.ones(1) for name in "abc"}


def test_outputs_are_chosen_and_ordered_by_the_request(serve):
    response = serve(Three).answer(request(outputs=["c", "a"]), None)

    assert [tensor.name for tensor in response.outputs] == ["c", "a"]


def test_an_unknown_output_lists_the_known_ones(serve):
    with pytest.raises(UnknownOutput, match="'d' is unknown; the model gives a, b, c"):
        serve(Three).answer(request(outputs=["d"]), None)


def test_an_output_that_the_settings_do_not_declare_is_refused_before_the_model_runs(serve):
    model = serve(Three, outputs=(Spec("FP64", (1,), "a"),))
    Three.calls = 0

    with pytest.raises(UnknownOutput):
        model.answer(request(outputs=["d"]), None)

    assert Three.calls == 0


def returning(value, hint=None):
    class Returns(Runtime):
        def predict(self, request: InferenceRequest):
            return value

    Returns.predict.__annotations__["return"] = hint
    return Returns


NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    "value, hint, content_type",
    [
        (np.ones(1), None, "np"),
        ([1, 2.5], None, "np"),
        ([[1], [2]], None, "np"),
        ("a", None, "str"),
        (["a"], None, "str"),
        ([], None, "str"),
        ([b"a"], None, "base64"),
        ([NOW], None, "datetime"),
        ([{"a": 1}], None, "json"),
        ([None], None, "json"),
        ([1, None], None, "json"),
        ([1, "a"], None, "json"),
        ([[1], [2, 3]], None, "json"),
        ([2**70], None, "json"),
        ({"output": {"a": 1}}, None, "json"),
        ([], list[bytes], "base64"),
        ([], list[datetime], "datetime"),
        ([], list[Any], "json"),
        (["a"], list[Any], "json"),
        ([1], list[Any], "json"),
        ([1], np.ndarray, "np"),
        (["a"], list[bytes], "str"),
        ([b"a"], Annotated[list[bytes], Spec(shape=(-1,))], "base64"),
        ([b"a"], list[bytes] | None, "base64"),
    ],
)
def test_an_output_is_encoded_as_its_hint_says_or_by_the_first_codec_that_takes_it(serve, value, hint, content_type):
    (output,) = serve(returning(value, hint)).answer(request(), None).outputs

    assert output.parameters == {"content_type": content_type}


@pytest.mark.parametrize(
    "hint, content_type",
    [(list[bytes], "base64"), (list[datetime], "datetime"), (list[Any], "json"), (pd.DataFrame, None), (dict, None)],
)
def test_the_hint_of_what_is_returned_declares_what_its_codec_always_makes(serve, hint, content_type):
    declared = serve(returning(None, hint)).metadata.outputs

    assert declared == (
        () if content_type is None else (Spec("BYTES", None, "output", {"content_type": content_type}),)
    )


def test_a_table_is_a_response_of_its_own(serve):
    response = serve(returning(pd.DataFrame({"a": [1], "b": ["c"]}))).answer(request(), None)

    assert response.parameters == {"content_type": "pd"}
    assert [tensor.name for tensor in response.outputs] == ["a", "b"]


class PairCodec(RequestCodec):
    content_type = "pair"
    type_hint = Pair

    def can_encode(self, value):
        return isinstance(value, Pair)

    def encode_response(self, value):
        return InferenceResponse([Tensor("pair", value.score)])


def test_a_hint_that_a_request_codec_is_for_makes_a_response_of_what_would_name_its_outputs(loop, tmp_path):
    settings = ModelSettings(name="m", implementation="m.M")
    with isolated_plugins(codecs=[PairCodec]) as plugins:
        for hint, names in [(Pair, ["pair"]), (None, ["label", "score"])]:
            model = ModelVersion(settings)
            runtime = returning(Pair(**PARTS), hint)(settings)
            prepare(model, runtime, codecs=Codecs(plugins), loop=loop, settings=ServerSettings(folder=tmp_path))

            assert [tensor.name for tensor in model.answer(request(), None).outputs] == names


@pytest.mark.parametrize(
    "value, kind",
    [
        ([object()], "list of object"),
        ([{"a": [1, 1j]}], "list of dict of list of complex"),
        ([{"a": float("nan")}], "list of dict of nan"),
        ([b"a", "a"], "list of bytes"),
        ({"y": [np.ones(1)]}, "list of ndarray of float64 for the output 'y'"),
        (np.array([1j]), "ndarray of complex128"),
    ],
)
def test_what_no_codec_takes_is_named_by_its_type(serve, value, kind):
    with pytest.raises(Unencodable, match=f"predict returned {kind}, which no installed codec can encode"):
        serve(returning(value)).answer(request(), None)


def test_what_a_codec_finds_amiss_is_the_models_error_and_says_so(serve):
    with pytest.raises(Unsendable, match="Column 'a' of type complex128 cannot be sent"):
        serve(returning(pd.DataFrame({"a": [1j]}))).answer(request(), None)
    with pytest.raises(
        Unsendable,
        match="Tensor 'output' holds a value of type int at \\[0\\], and an array of objects takes only str and bytes",
    ):
        serve(returning(np.array([1], dtype=object))).answer(request(), None)


@pytest.mark.parametrize(
    "value, content_type", [([1], "json"), (["a"], "json"), ([b"a"], "base64"), (np.ones(1), "np")]
)
def test_an_output_is_encoded_as_the_settings_declare_it(serve, value, content_type):
    model = serve(returning(value, np.ndarray), outputs=(Spec(None, None, "output", {"content_type": content_type}),))

    (output,) = model.answer(request(), None).outputs

    assert output.parameters == {"content_type": content_type}


def test_a_value_that_is_not_as_the_settings_declare_it_is_the_models_error(serve):
    model = serve(returning(["a"]), outputs=(Spec("BYTES", None, "output", {"content_type": "base64"}),))

    with pytest.raises(
        NotAsDeclared, match="returned list of str for the output 'output', which the content type 'base64'"
    ):
        model.answer(request(), None)


def test_a_content_type_of_an_output_that_nobody_provides_is_refused_at_load(serve):
    with pytest.raises(UnknownContentType):
        serve(returning(["a"]), outputs=(Spec("BYTES", None, "output", {"content_type": "nq"}),))


RAW = [b"\xff"]


@pytest.mark.parametrize(
    "value, content_type, data",
    [
        (RAW, "base64", [b"/w=="]),
        (np.array(RAW, object), "base64", [b"/w=="]),
        (InferenceResponse([Tensor("output", RAW)]), "base64", [b"/w=="]),
        (["a"], "json", [b'"a"']),
        (["a"], "np", [b"a"]),
        (np.array(["a"]), "str", [b"a"]),
        (np.array([0.5]), "json", [b"0.5"]),
        ([{"a": 1}], "str", [b'{"a":1}']),
    ],
)
def test_the_client_may_ask_for_an_output_as_another_content_type(serve, value, content_type, data):
    asked = RequestedOutput("output", {"content_type": content_type})

    (output,) = serve(returning(value)).answer(request(outputs=[asked]), None).outputs

    assert output.parameters == {"content_type": content_type}
    assert output.data.tolist() == data


@pytest.mark.parametrize(
    "content_type, error, sentence",
    [
        ("datetime", NotAsAsked, "Output 'a' cannot be encoded as content type 'datetime'"),
        ("nq", UnknownContentType, "'nq'"),
        ("pd", WrongCodec, "'pd' is not one for one tensor"),
        (1, BadContentType, "Output 'a': parameters.content_type must be a string"),
    ],
)
def test_an_output_cannot_be_asked_for_as_just_anything(serve, content_type, error, sentence):
    with pytest.raises(error, match=sentence):
        serve(Three).answer(request(outputs=[RequestedOutput("a", {"content_type": content_type})]), None)


# -- failures ----------------------------------------------------------------------------------------------------------


def test_what_predict_raises_is_told_as_its_class_only(serve, caplog):
    class Raises(Runtime):
        def predict(self, request: InferenceRequest):
            raise ValueError("a secret")

    with pytest.raises(PredictFailed) as raised:
        serve(Raises).answer(request(), None)

    assert "ValueError" in str(raised.value)
    assert "a secret" not in str(raised.value)
    assert "a secret" in caplog.text


BEYOND_EXCEPTIONS = [SystemExit(3), BaseException("a panic in Rust"), asyncio.CancelledError()]


@pytest.mark.parametrize("error", BEYOND_EXCEPTIONS)
def test_what_predict_raises_beyond_exceptions_is_a_model_error_too(serve, error):
    class Raises(Runtime):
        def predict(self, request: InferenceRequest):
            raise error

    with pytest.raises(PredictFailed, match=type(error).__name__):
        serve(Raises).answer(request(), None)


@pytest.mark.parametrize("error", BEYOND_EXCEPTIONS)
@pytest.mark.parametrize("seconds", [None, 60])
def test_what_an_async_predict_raises_beyond_exceptions_is_one_too(serve, error, seconds):
    class Raises(Runtime):
        async def predict(self, request: InferenceRequest):
            raise error

    with pytest.raises(PredictFailed, match=type(error).__name__):
        serve(Raises).answer(request(), seconds and time.monotonic() + seconds)


def test_a_keyboard_interrupt_of_the_models_own_ends_no_thread_of_the_server(serve):
    class Raises(Runtime):
        def predict(self, request: InferenceRequest):
            raise KeyboardInterrupt

    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(serve(Raises).answer, request(), None)

    with pytest.raises(PredictFailed, match="KeyboardInterrupt"):
        answer.result()


@pytest.mark.parametrize("handler, error", [("default", KeyboardInterrupt), ("stopping", Stopped)])
def test_a_signal_that_ends_the_process_is_not_the_models_error(serve, handler, error):
    def stop(*_):
        raise Stopped(0)

    class Interrupted(Runtime):
        def predict(self, request: InferenceRequest):
            signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler if handler == "default" else stop)
    try:
        with pytest.raises(error):
            serve(Interrupted).answer(request(), None)
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    "headers, problem",
    [
        ({"X A": "b"}, "the header 'X A', which is no header's name"),
        ({"X-A\r\nX-B": "b"}, "which is no header's name"),
        ({1: "b"}, "the header '1', which is no header's name"),
        ({"X-A": "a\r\nX-Evil: 1"}, "the header 'X-A' with a value"),
        ({"X-A": "☃"}, "the header 'X-A' with a value"),
        ({"X-A": 3}, "the header 'X-A' with a value"),
        ([("X-A", "b")], "headers that are a list, not a dict"),
        (None, "headers that are a NoneType, not a dict"),
    ],
)
def test_headers_that_would_break_the_answer_are_a_model_error(serve, headers, problem):
    class Returns(Runtime):
        def predict(self, request: InferenceRequest):
            return InferenceResponse([], headers=headers)

    with pytest.raises(NotSendable, match=problem):
        serve(Returns).answer(request(), None)


@pytest.mark.parametrize(
    "response, problem",
    [
        (lambda: InferenceResponse([floats("y", 1), floats("y", 2)]), "two outputs called 'y'"),
        (lambda: InferenceResponse([{"y": 1}]), "a dict among its outputs; they must be Tensors"),
        (lambda: InferenceResponse([floats(3, 1)]), "an output with '3' for its name, which is no text"),
        (lambda: InferenceResponse([floats("\ud800", 1)]), "an output with '\ufffd' for its name, which is no text"),
        (lambda: InferenceResponse([], [("a", 1)]), "parameters that are a list, not a dict"),
        (lambda: InferenceResponse([], {1: 1}), "a parameter with '1' for its name, which is no text"),
    ],
)
def test_a_response_that_no_face_can_send_is_a_model_error(serve, response, problem):
    class Returns(Runtime):
        def predict(self, request: InferenceRequest):
            return response()

    with pytest.raises(NotSendable, match=f"The response has {problem}."):
        serve(Returns).answer(request(), None)


@pytest.mark.parametrize(
    "value, why",
    [
        (None, "a NoneType"),
        ([1], "a list"),
        (b"x", "a bytes"),
        (np.zeros(()), "a ndarray"),
        (2**64, "an integer of more than 64 bits"),
        (-(2**63) - 1, "an integer of more than 64 bits"),
        (float("nan"), "nan"),
        (np.float32("-inf"), "-inf"),
        ("\ud800", "text with half a character in it"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("of", ["response", "output"])
def test_a_parameter_that_is_no_text_number_or_boolean_is_a_model_error(serve, value, why, of):
    class Returns(Runtime):
        def predict(self, request: InferenceRequest):
            if of == "response":
                return InferenceResponse([], {"p": value})
            return Tensor("y", [1], parameters={"p": value})

    with pytest.raises(UnfitParameter, match=f"The response's parameter 'p' is {why}, which the protocol cannot carry"):
        serve(Returns).answer(request(), None)


@pytest.mark.parametrize("value", [True, 2**64 - 1, -(2**63), 0.5, "é", np.float32(0.5), np.bool_(True), np.int8(3)])
def test_a_parameter_of_any_other_kind_is_sent(serve, value):
    class Returns(Runtime):
        def predict(self, request: InferenceRequest):
            return InferenceResponse([], {"p": value})

    assert serve(Returns).answer(request(), None).parameters == {"p": value}


def test_what_predict_says_to_the_client_is_said(serve):
    class Refuses(Runtime):
        def predict(self, request: InferenceRequest):
            raise InvalidInput("x must be positive.")

    with pytest.raises(InvalidInput, match="x must be positive"):
        serve(Refuses).answer(request(), None)


def test_inputs_are_read_only_unless_the_runtime_asks_for_copies(serve):
    class Writes(Runtime):
        def predict(self, x: np.ndarray):
            x += 1
            return x

    class MayWrite(Writes):
        writable_inputs = True

    tensor = floats("x", 1)
    tensor.data.flags.writeable = False

    with pytest.raises(PredictFailed):
        serve(Writes).answer(request(tensor), None)
    assert serve(MayWrite).answer(request(tensor), None)["output"].tolist() == [2]
    assert tensor.data.tolist() == [1]


# -- running -----------------------------------------------------------------------------------------------------------


class Async(Runtime):
    async def predict(self, x: np.ndarray):
        await asyncio.sleep(0)
        return x + 1


def test_an_async_predict_is_awaited(serve):
    assert serve(Async).answer(request(floats("x", 1)), None)["output"].tolist() == [2]


class Gate(Runtime):
    """Waits in predict until it is let go, and knows how many wait there."""

    def load(self):
        self.open = threading.Event()
        self.entered = threading.Semaphore(0)
        self.inside = 0
        self.most = 0
        self.counting = threading.Lock()

    def predict(self, request: InferenceRequest):
        with self.counting:
            self.inside += 1
            self.most = max(self.most, self.inside)
        self.entered.release()
        self.open.wait(10)
        with self.counting:
            self.inside -= 1
        return np.ones(1)


class OneAtATime(Gate):
    concurrency = 1


def runtime_of(model):
    return model.answer._predict.call.__self__  # the test opens the gate from outside


def in_threads(model, count, deadline=None):
    outcomes = []

    def run():
        try:
            outcomes.append(model.answer(request(), deadline))
        except Exception as error:  # noqa: BLE001  it is what the test looks at
            outcomes.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads, outcomes


def test_several_predicts_run_at_once(serve):
    model = serve(Gate)
    threads, outcomes = in_threads(model, 3)
    for _ in range(3):
        assert runtime_of(model).entered.acquire(timeout=5)
    runtime_of(model).open.set()
    for thread in threads:
        thread.join()

    assert runtime_of(model).most == 3
    assert len(outcomes) == 3


@pytest.mark.parametrize("runtime, settings", [(OneAtATime, {}), (Gate, {"concurrency": 1})])
def test_concurrency_of_one_is_one_at_a_time(serve, runtime, settings):
    model = serve(runtime, **settings)
    threads, outcomes = in_threads(model, 3)
    assert runtime_of(model).entered.acquire(timeout=5)
    runtime_of(model).open.set()
    for thread in threads:
        thread.join()

    assert runtime_of(model).most == 1
    assert all(isinstance(outcome, InferenceResponse) for outcome in outcomes)


def test_more_requests_than_the_models_queue_holds_are_refused_at_once(serve):
    model = serve(OneAtATime, max_queue=0)
    threads, _ = in_threads(model, 1)
    assert runtime_of(model).entered.acquire(timeout=5)

    with pytest.raises(ModelBusy):
        model.answer(request(), None)

    runtime_of(model).open.set()
    threads[0].join()


def test_a_request_that_waits_for_its_turn_past_its_deadline_never_runs(serve):
    model = serve(OneAtATime)
    threads, _ = in_threads(model, 1)
    assert runtime_of(model).entered.acquire(timeout=5)

    with pytest.raises(DeadlinePassed):
        model.answer(request(), time.monotonic() + 0.01)

    runtime_of(model).open.set()
    threads[0].join()
    assert not runtime_of(model).entered.acquire(blocking=False)


def test_an_async_predict_past_its_deadline_is_cancelled(serve):
    cancelled = threading.Event()

    class Sleeps(Runtime):
        async def predict(self, request: InferenceRequest):
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                cancelled.set()
                raise

    with pytest.raises(DeadlinePassed):
        serve(Sleeps).answer(request(), time.monotonic() + 0.5)  # in which it begins

    assert cancelled.wait(5)


def test_a_sync_predict_past_its_deadline_loses_its_answer(serve):
    class Slow(Runtime):
        def predict(self, request: InferenceRequest):
            return np.ones(1)

    with pytest.raises(DeadlinePassed):
        serve(Slow).answer(request(), time.monotonic() - 1)


def test_a_timeout_of_the_runtimes_own_is_the_models_error(serve):
    class TimesOut(Runtime):
        async def predict(self, request: InferenceRequest):
            raise TimeoutError("the database")

    with pytest.raises(PredictFailed, match="TimeoutError"):
        serve(TimesOut).answer(request(), time.monotonic() + 30)


def test_parameters_are_a_dict_also_where_the_client_sent_none(serve):
    class Says(Runtime):
        def predict(self, request: InferenceRequest):
            return [json.dumps(request.parameters)]

    assert serve(Says).answer(request(), None)["output"].tolist() == [b"{}"]


# -- what a face may ask of a request ----------------------------------------------------------------------------------


class Streams(Runtime):
    def predict(self, x: np.ndarray) -> np.ndarray:
        return 2 * x

    def predict_stream(self, x: np.ndarray):
        yield x
        yield x


def test_a_request_says_which_model_it_asks_and_when_its_answer_is_due(serve):
    asked = request(floats("x", 1.0))
    asked.caller = Caller()
    serve(Streams).answer(asked, 12345678.0)
    assert (asked.caller.model, asked.caller.due) == ("m", 12345678.0)


def test_a_stream_that_has_begun_has_all_the_time(serve):
    asked = request(floats("x", 1.0))
    asked.caller = Caller()
    responses = serve(Streams).stream(asked, 12345678.0)
    next(responses)
    assert (asked.caller.model, asked.caller.due) == ("m", math.inf)
