"""The rules of srv_before_infer and srv_after_infer in a server of several plugins, as docs/hooks.md has them."""

from types import SimpleNamespace

import pytest

from srv import (
    Forbidden,
    InferenceRequest,
    InferenceResponse,
    InvalidInput,
    Runtime,
    Tensor,
    Unauthenticated,
    Unavailable,
)
from srv.hookspecs import hookimpl
from srv.testing import model

BOTH = pytest.mark.parametrize("form", ["json", "grpc"])


class Echo(Runtime):
    def predict(self, request):
        if request.parameters.get("fail"):
            raise InvalidInput("The model refuses.")
        return {"x": request["x"]}

    def predict_stream(self, request):
        yield {"x": request["x"]}


def plugin(name, notes, before=lambda request: None, after=lambda: None, **order):
    """A plugin that notes each of its calls, and what it was told at the end."""

    def srv_before_infer(request):
        notes.append(f"{name} before")
        return before(request)

    def srv_after_infer(request, response, error):
        notes.append((f"{name} after", request["x"].tolist(), response is None, str(error)))
        after()

    return SimpleNamespace(
        srv_before_infer=hookimpl(srv_before_infer, **order), srv_after_infer=hookimpl(srv_after_infer, **order)
    )


@pytest.fixture
def notes():
    return []


@pytest.fixture
def serve(srv_client, isolated_plugins):
    def made(**hooks):
        isolated_plugins(hooks=hooks)
        return srv_client(model(Echo, name="echo"))

    return made


def raises(error):
    def call(*_):
        raise error

    return call


def ask(client, form="json", **said):
    return client.infer("echo", {"x": [1.0]}, form=form, **said)


def other(request):
    return InferenceRequest([Tensor("x", [7.0])])


def early(request):
    return InferenceResponse([Tensor("x", [9.0])])


@pytest.mark.parametrize("answer, x", [(other, 7.0), (early, 9.0)], ids=["request", "response"])
@BOTH
def test_the_first_answer_wins_and_the_plugins_that_come_after_are_not_asked(serve, notes, form, answer, x):
    client = serve(
        a=plugin("a", notes),
        b=plugin("b", notes, answer),
        c=plugin("c", notes, other),
        z=plugin("z", notes, tryfirst=True),
    )

    assert ask(client, form)["x"].tolist() == [x]

    seen = [7.0] if answer is other else [1.0]  # at the end each plugin finds the request that the model got
    assert notes == [
        *("z before", "a before", "b before"),
        *((f"{name} after", seen, False, "None") for name in "zabc"),
    ]


@pytest.mark.parametrize(
    "error, status",
    [
        (Unauthenticated("No."), 401),
        (Forbidden("No."), 403),
        (InvalidInput("No."), 400),
        (Unavailable("No."), 503),
        (KeyError("secret"), 500),
    ],
    ids=lambda value: type(value).__name__,
)
@BOTH
def test_what_srv_before_infer_raises_is_the_answer_and_every_plugin_hears_of_it(serve, notes, form, error, status):
    client = serve(a=plugin("a", notes, raises(error)), b=plugin("b", notes))

    answer = ask(client, form)

    assert answer.status == status
    assert "secret" not in answer.error
    *before, after_a, after_b = notes
    assert before == ["a before"]
    assert after_a[1:] == after_b[1:] == ([1.0], True, answer.error)


@BOTH
def test_an_error_of_the_model_is_told_to_every_plugin(serve, notes, form):
    client = serve(a=plugin("a", notes), b=plugin("b", notes))

    answer = ask(client, form, parameters={"fail": True})

    assert answer.error == "The model refuses."
    assert notes[2:] == [(f"{name} after", [1.0], True, "The model refuses.") for name in "ab"]


@pytest.mark.parametrize(
    "error, status", [(Forbidden("Too late."), 403), (KeyError("secret"), 500)], ids=["own", "any"]
)
@BOTH
def test_what_srv_after_infer_raises_is_the_answer_and_ends_the_calls(serve, notes, form, error, status):
    client = serve(a=plugin("a", notes, after=raises(error)), b=plugin("b", notes))

    answer = ask(client, form)

    assert answer.status == status
    assert "secret" not in answer.error
    assert [note[0] for note in notes[2:]] == ["a after"]


@BOTH
def test_what_srv_after_infer_raises_for_a_stream_is_told_after_its_responses(serve, notes, form):
    client = serve(a=plugin("a", notes, after=raises(Forbidden("Too late."))))

    good, bad = client.stream("echo", {"x": [1.0]}, form=form)

    assert (good["x"].tolist(), bad.error) == ([1.0], "Too late.")


@BOTH
def test_a_request_that_is_not_well_formed_reaches_no_hook(serve, notes, form):
    client = serve(a=plugin("a", notes))

    assert client.infer("nobody", {"x": [1.0]}, form=form).status == 404
    assert client.post("/v2/models/echo/infer", {"inputs": "none"}).status == 400
    assert notes == []
