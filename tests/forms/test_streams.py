"""Streams in every form: the answers one after the other, and what goes wrong before the first and after it."""

import numpy as np
import pytest

from srv import InferenceRequest, Tensor

pytestmark = pytest.mark.e2e


@pytest.fixture
def stream(form, line):
    def ask(model, *values, **said):
        return form.stream(line, model, InferenceRequest([Tensor("x", np.array(values, np.float64))], **said))

    return ask


def test_the_answers_come_one_after_the_other_each_with_the_requests_id(stream):
    answers = [heard.good for heard in stream("streams", 1.5, 2.5, 3.5, id="seven")]
    assert [answer["y"].tolist() for answer in answers] == [[1.5], [2.5], [3.5]]
    assert [answer.parameters["place"] for answer in answers] == [0, 1, 2]
    assert {(answer.id, answer.model_name) for answer in answers} == {("seven", "streams")}


def test_a_stream_may_be_empty(stream):
    assert stream("streams") == []


@pytest.mark.parametrize(
    "how, sentence",
    [
        ("invalid", "Too small for us."),
        ("unavailable", "Come back later."),
        ("bug", "Model 'streams' raised ValueError; the server's log says more."),
    ],
)
@pytest.mark.parametrize("values", [(1.5, 2.5), ()], ids=["after answers", "before the first"])
def test_what_goes_wrong_is_told_after_the_answers_that_came(stream, how, sentence, values):
    *answers, last = stream("streams", *values, parameters={"how": how})
    assert [heard.good["y"].tolist() for heard in answers] == [[value] for value in values]
    assert last.error == sentence


def test_a_stream_of_an_unknown_model_is_refused(stream):
    (heard,) = stream("streems", 1.5)
    assert heard.error == "No model is called 'streems'. Did you mean 'streams'?"


@pytest.mark.parametrize("model", ["plain", "plainsync"])
def test_context_variables_and_task_groups_hold_over_a_whole_stream(stream, model):
    answers = [heard.good for heard in stream(model, 1.5, 2.5, 3.5)]

    assert [answer["y"].tolist() for answer in answers] == [[1.5], [2.5], [3.5]]
    assert [answer["var"].tolist() for answer in answers] == 3 * [[b"kept"]]
    assert len({answer["task"][0] for answer in answers}) == 1


def test_a_streams_own_timeout_fires_and_is_told_after_the_answers_that_came(stream):
    *answers, last = stream("plain", 1.5, parameters={"seconds": 0.05})

    assert [heard.good["y"].tolist() for heard in answers] == [[1.5], [-1.0]]
    assert last.error == "Model 'plain' raised TimeoutError; the server's log says more."
