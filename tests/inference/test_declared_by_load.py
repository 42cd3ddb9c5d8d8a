"""What `load` sets as `inputs` and `outputs` is the model's metadata: its content types choose codecs, its outputs are due."""

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from srv.codecs import UnknownContentType
from srv.errors import ModelError
from srv.inference.decoding import BadContentType
from srv.inference.encoding import OutputNotGiven
from srv.inference.request_validation import UnknownOutput
from srv.inference.signatures import BadSignature
from srv.messages import InferenceRequest, InferenceResponse
from srv.model_settings import ModelParameters, Spec
from srv.runtime import Runtime
from srv.tensors import Tensor

TEXT, BYTES, ARRAY = {"content_type": "str"}, {"content_type": "base64"}, {"content_type": "np"}


def ask(model, *tensors, **said):
    return model.answer(InferenceRequest(list(tensors), **said), None)


def told(specs):
    return [spec.parameters.get("content_type") for spec in specs]


def declares(runtime_class, content_type, *, name="x"):
    """A runtime whose load says a content type of its input."""

    class Declares(runtime_class):
        def load(self):
            self.inputs = [Spec("BYTES", (-1,), name, {"content_type": content_type})]

    return Declares


# -- inputs ------------------------------------------------------------------------------------------------------------


class Decodes(Runtime):
    def predict(self, request: InferenceRequest):
        return [type(request.decode("x")).__name__]


class Unhinted(Runtime):
    def predict(self, x, other=None):
        return [type(x).__name__]


class OfAnyName(Decodes):
    any_input_name = True


@pytest.mark.parametrize("runtime", [Decodes, Unhinted, OfAnyName])
@pytest.mark.parametrize(
    "settings, of_input, of_request, read_as",
    [
        ({}, {}, {}, "str"),
        ({}, BYTES, {}, "base64"),
        ({}, {}, BYTES, "base64"),
        ({"inputs": (Spec("BYTES", None, "x"),)}, {}, {}, "str"),
        ({"inputs": (Spec("BYTES", None, "x", BYTES),)}, {}, {}, "base64"),
        ({"parameters": ModelParameters(content_type="base64")}, {}, {}, "str"),
    ],
    ids=["load", "the input", "the request", "settings without one", "settings of the input", "settings of the model"],
)
def test_what_load_says_of_an_input_counts_behind_the_request_and_the_settings_of_that_input(
    serve, runtime, settings, of_input, of_request, read_as
):
    model = serve(declares(runtime, "str"), **settings)

    response = ask(model, Tensor("x", ["QQ=="], parameters=of_input), parameters=of_request)

    assert response["output"].tolist() == [b"list"]
    assert told(model.metadata.inputs) == [read_as if not (of_input or of_request) else "str"]


def test_what_the_metadata_tells_of_an_input_is_how_it_is_read(serve):
    class Shouts(Runtime):
        def predict(self, request: InferenceRequest):
            return request.decode("x")

    model = serve(declares(Shouts, "base64"))

    assert ask(model, Tensor("x", ["QQ=="]))["output"].tolist() == [b"QQ=="]  # as bytes, base64 again
    assert ask(model, Tensor("x", ["QQ=="])).outputs[0].parameters == BYTES
    assert told(model.metadata.inputs) == ["base64"]


@pytest.mark.parametrize("settings", [{}, {"inputs": (Spec("BYTES", None, "predict"),)}], ids=["", "settings' name"])
@pytest.mark.parametrize("name", ["x", "predict", "input-0"])
def test_a_content_type_of_load_holds_whatever_the_only_input_is_called(serve, name, settings):
    model = serve(declares(OfAnyName, "str"), **settings)

    assert ask(model, Tensor(name, ["a"]))["output"].tolist() == [b"list"]
    assert told(model.metadata.inputs) == ["str"]


def test_a_name_of_loads_own_for_the_only_argument_keeps_its_content_type(serve):
    class Renamed(Runtime):
        any_input_name = True

        def load(self):
            self.inputs = [Spec("BYTES", (-1,), "words", TEXT)]

        def predict(self, x):
            return [type(x).__name__]

        def predict_stream(self, x):
            yield [type(x).__name__]

    class ByArgument(Renamed):
        def predict(self, x, request: InferenceRequest):
            return [type(x).__name__]

    model = serve(ByArgument)

    assert ask(model, Tensor("anything", ["a"]))["output"].tolist() == [b"list"]
    assert [spec.name for spec in model.metadata.inputs] == ["words"]


def test_a_table_reads_its_columns_as_load_says(serve):
    class Columns(Runtime):
        def load(self):
            self.inputs = [Spec("BYTES", (-1,), "x", BYTES)]

        def predict(self, table: pd.DataFrame):
            return [type(value).__name__ for value in table["x"]]

    assert ask(serve(Columns), Tensor("x", ["QQ=="]))["output"].tolist() == [b"bytes"]
    assert ask(serve(Columns), Tensor("x", ["QQ=="], parameters=TEXT))["output"].tolist() == [b"str"]


def test_a_content_type_of_load_that_predict_does_not_take_is_refused_at_load(serve):
    class Array(Runtime):
        def predict(self, x: NDArray[np.float64]):
            return x

    with pytest.raises(
        BadSignature, match=r"self\.inputs gives input 'x' the content type 'str', which gives list\[str"
    ):
        serve(declares(Array, "str"))


@pytest.mark.parametrize(
    "content_type, error, sentence", [("nq", UnknownContentType, "'nq'"), (5, BadContentType, "Input 'x': .* a string")]
)
def test_a_content_type_of_load_that_is_none_is_refused_at_load(serve, content_type, error, sentence):
    with pytest.raises(error, match=sentence):
        serve(declares(Decodes, content_type))


# -- outputs -----------------------------------------------------------------------------------------------------------


def gives(value, *outputs):
    class Gives(Runtime):
        def load(self):
            self.outputs = list(outputs)

        def predict(self, request: InferenceRequest):
            return value

    return Gives


def test_an_output_is_encoded_as_load_declares_it_unless_the_settings_say_otherwise(serve):
    runtime = gives(["a"], Spec("BYTES", (-1,), "output", {"content_type": "json"}))

    assert ask(serve(runtime)).outputs[0].parameters == {"content_type": "json"}
    assert ask(serve(runtime, outputs=(Spec(None, None, "output", TEXT),))).outputs[0].parameters == TEXT
    assert told(serve(runtime).metadata.outputs) == ["json"]


def test_a_value_that_is_not_as_load_declares_it_goes_out_as_what_it_is(serve):
    (output,) = ask(serve(gives(np.array(["a"]), Spec("BYTES", (-1,), "output", TEXT)))).outputs

    assert (output.data.tolist(), output.parameters) == ([b"a"], ARRAY)


LACKING = InferenceResponse([Tensor("a", np.ones(1))])
A_AND_B = (Spec("FP64", (1,), "a"), Spec("FP64", (1,), "b"))


@pytest.mark.parametrize("value", [LACKING, {"a": np.ones(1)}], ids=["response", "dict"])
def test_a_declared_output_that_is_asked_for_and_not_given_is_the_models_error(serve, value, caplog):
    for model in (serve(gives(value, *A_AND_B)), serve(gives(value), outputs=A_AND_B)):
        with pytest.raises(OutputNotGiven, match="predict gave no output 'b', which the model declares"):
            ask(model, outputs=["a", "b"])

    assert "Model 'm': predict gave no output 'b'" in caplog.text
    assert issubclass(OutputNotGiven, ModelError)


def test_one_that_nobody_declares_is_unknown_and_one_that_nobody_asks_for_may_be_left_out(serve):
    model = serve(gives(LACKING, *A_AND_B))

    assert [tensor.name for tensor in ask(model).outputs] == ["a"]
    with pytest.raises(UnknownOutput, match="'c' is unknown; the model gives a, b"):
        ask(model, outputs=["c"])


def test_a_stream_says_the_same_of_its_own_method(serve):
    class Streams(Runtime):
        def load(self):
            self.outputs = list(A_AND_B)

        def predict_stream(self, request: InferenceRequest):
            yield {"a": np.ones(1), "b": np.ones(1)}
            yield {"a": np.ones(1)}

    stream = serve(Streams).stream(InferenceRequest([], outputs=["b"]), None)

    assert next(stream)["b"].tolist() == [1]
    with pytest.raises(OutputNotGiven, match="predict_stream gave no output 'b'"):
        next(stream)
