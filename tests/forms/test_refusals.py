"""What goes wrong has one name and one sentence, whatever the form; the status is the one of the face's table."""

from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

import numpy as np
import pytest
from speaking import STATUSES

from srv import InferenceRequest, Tensor
from srv.tensors import DTYPES

pytestmark = pytest.mark.e2e

X = np.ones((1, 2), np.float32)


def with_datatype(datatype):
    return Tensor.trusted("x", X, datatype)


def with_shape(*shape):
    tensor = Tensor("x", X)
    tensor.shape = shape
    return tensor


# -- before the model runs ---------------------------------------------------------------------------------------------


def test_an_unknown_model_is_not_found_and_the_nearest_is_named(infer, refused):
    assert refused(infer("eccho"), "NOT_FOUND") == "No model is called 'eccho'. Did you mean 'echo'?"


def test_an_unknown_version_is_not_found_and_the_known_ones_are_listed(infer, refused):
    sentence = refused(infer("versions", version="3"), "NOT_FOUND")
    assert sentence == "Model 'versions' has no version '3'; it has 1, 10, 2."


@pytest.mark.parametrize(
    "inputs, sentence",
    [
        ({"y": X}, "Input 'y' is unknown; the model takes weights, x."),
        ({"weight": X, "x": X}, "Input 'weight' is unknown; the model takes weights, x. Did you mean 'weights'?"),
        ({"weights": X}, "Input 'x' is missing; the request brings 'weights'."),
        ({"x": X.astype(np.int64)}, "Input 'x' is INT64; the model takes FP32."),
        ({"x": X.reshape(2)}, "Input 'x' has shape [2]; the model takes [-1, 2], -1 standing for any."),
        (
            {"x": np.ones((2, 3), np.float32)},
            "Input 'x' has shape [2, 3]; the model takes [-1, 2], -1 standing for any.",
        ),
        (
            {"x": with_datatype("FP128")},
            "inputs[0].datatype: 'FP128' is unknown; the protocol has " + ", ".join(sorted(DTYPES)) + ".",
        ),
        ({"x": with_shape(2**62, 2**62)}, "inputs[0].shape: it is larger than any array."),
        ({"x": with_shape(*33 * [1])}, "inputs[0].shape: it has 33 dimensions, of which 32 are possible."),
    ],
    ids=["unknown", "nearly known", "missing", "datatype", "rank", "length", "no datatype", "huge", "deep"],
)
def test_an_input_that_does_not_fit_is_named(infer, refused, inputs, sentence):
    assert refused(infer("typed", inputs), "INVALID_INPUT") == sentence


def test_an_input_that_comes_twice_is_named(form, line, refused):
    heard = form.infer(line, "typed", InferenceRequest([Tensor("x", X), Tensor("x", X)]))
    assert refused(heard, "INVALID_INPUT") == "Input 'x' is given twice."


@pytest.mark.parametrize("shape", [(2, 2), (1,), (), (0,), (-1, 2)], ids=str)
def test_data_that_do_not_fill_their_shape_are_refused(infer, refused, shape):
    assert "inputs[0]" in refused(infer("echo", {"x": with_shape(*shape)}), "INVALID_INPUT")


def test_a_content_type_that_nobody_provides_is_refused_with_those_that_are_there(infer, refused):
    named = "No codec provides the content type 'npy'; installed: base64, datetime, json, np, pd, str."
    asked = Tensor("x", [1], parameters={"content_type": "npy"})
    for heard in (infer("decodes", parameters={"content_type": "npy"}), infer("decodes", {"x": asked})):
        assert refused(heard, "INVALID_INPUT").startswith(named)


def test_a_body_larger_than_the_limit_is_refused_and_the_next_is_answered(infer, form):
    heard = infer("echo", {"x": np.zeros(1_000_001, np.uint8)})
    assert heard.status == STATUSES["TOO_LARGE"][form.face]
    assert heard.code == ("TOO_LARGE" if form.face == 0 else None)  # grpcio refuses it before srv sees it
    assert infer("echo").good["x"].tolist() == [1.5]


# -- while it runs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "how, code, sentence",
    [
        ("invalid", "INVALID_INPUT", "Too small for us."),
        ("unavailable", "UNAVAILABLE", "Come back later."),
        ("unauthenticated", "UNAUTHENTICATED", "Who are you?"),
        ("forbidden", "FORBIDDEN", "Not you."),
        ("bug", "MODEL_ERROR", "Model 'says' raised ValueError; the server's log says more."),
        ("exit", "MODEL_ERROR", "Model 'says' raised SystemExit; the server's log says more."),
    ],
)
def test_what_predict_raises_is_told(infer, refused, how, code, sentence):
    assert refused(infer("says", parameters={"how": how}), code) == sentence


@pytest.mark.parametrize(
    "how, sentence",
    [
        ("object", "predict returned object, which no installed codec can encode."),
        (
            "complex",
            "predict returned ndarray of complex128, which no installed codec can encode; send its real and its imaginary part.",
        ),
        (
            "bare tuple",
            "predict returned a bare tuple, which gives its outputs no names; return a dict, a NamedTuple or a dataclass.",
        ),
        ("two of a name", "The response has two outputs called 'y'."),
        ("null", "The response's parameter 'p' is a NoneType, which the protocol cannot carry."),
        ("list", "The response's parameter 'p' is a list, which the protocol cannot carry."),
        ("dict", "The response's parameter 'p' is a dict, which the protocol cannot carry."),
        ("nan", "The response's parameter 'p' is nan, which the protocol cannot carry."),
        ("long", "The response's parameter 'p' is an integer of more than 64 bits, which the protocol cannot carry."),
    ],
)
def test_what_predict_returns_and_nobody_can_send_is_told(infer, refused, how, sentence):
    assert refused(infer("says", parameters={"how": how}), "MODEL_ERROR") == sentence


def test_a_deadline_that_passes_is_told(infer, refused):
    assert refused(infer("slow"), "DEADLINE") == "The request was not answered within its 0.2 seconds."


def test_more_requests_than_a_models_queue_holds_are_refused_at_once_and_the_others_answered(
    form, lines, refused, tmp_path
):
    request = InferenceRequest([Tensor("x", [1.5])], parameters={"gate": str(tmp_path / "gate")})
    with ThreadPoolExecutor(3) as threads:
        asked = [threads.submit(form.infer, lines(), "narrow", request) for _ in range(3)]
        (first,) = wait(asked, 30, FIRST_COMPLETED).done
        (tmp_path / "gate").touch()
        others = [each.result(30) for each in asked if each is not first]
    sentence = "Model 'narrow' is busy and 1 requests wait for it already. Try again later."
    assert refused(first.result(), "QUEUE_FULL") == sentence
    assert [heard.good["x"].tolist() for heard in others] == [[1.5], [1.5]]


def test_an_answer_of_a_model_that_only_streams_is_unimplemented(infer, refused):
    assert refused(infer("streams"), "UNIMPLEMENTED") == "Model 'streams' answers with streams only."
