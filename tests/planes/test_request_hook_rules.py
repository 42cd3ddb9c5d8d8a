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
from srv.testing import Client, isolated_plugins, model

BOTH = pytest.mark.parametrize("form", ["json", "grpc"])


class Echo(Runtime):
    def predict(self, request):
        if request.parameters.get("fail"):
            raise InvalidInput("The model refuses.")
        return {"x": request["x"]}

    def predict_stream(self, request):
        yield {"x": request["x"]}


class Plugin:
    """A plugin that a test may give something to do; it notes each of its calls, and what it was told at the end."""

    def __init__(self, name, notes, **order):
        def srv_before_infer(request):
            if not self.takes_part:
                return None
            notes.append(f"{name} before")
            return self.before(request)

        def srv_after_infer(request, response, error):
            if self.takes_part:
                notes.append((f"{name} after", request["x"].tolist(), response is None, str(error)))
                self.after()

        self.srv_before_infer = hookimpl(srv_before_infer, **order)
        self.srv_after_infer = hookimpl(srv_after_infer, **order)
        self.leave()

    def leave(self):
        self.takes_part = False

    def take_part(self, before=lambda request: None, after=lambda: None):
        self.takes_part, self.before, self.after = True, before, after


@pytest.fixture(scope="module")
def served():
    """One server of four plugins, of which `z` is asked first."""
    notes = []
    plugins = {name: Plugin(name, notes) for name in "abc"} | {"z": Plugin("z", notes, tryfirst=True)}
    with isolated_plugins(hooks=plugins), Client.of(model(Echo, name="echo")) as client:
        yield SimpleNamespace(client=client, notes=notes, **plugins)


@pytest.fixture
def server(served):
    served.notes.clear()
    for name in "abcz":
        getattr(served, name).leave()
    return served


def raises(error):
    def call(*_):
        raise error

    return call


def ask(server, form="json", **said):
    return server.client.infer("echo", {"x": [1.0]}, form=form, **said)


def other(request):
    return InferenceRequest([Tensor("x", [7.0])])


def early(request):
    return InferenceResponse([Tensor("x", [9.0])])


@pytest.mark.parametrize("answer, x", [(other, 7.0), (early, 9.0)], ids=["request", "response"])
@BOTH
def test_the_first_answer_wins_and_the_plugins_that_come_after_are_not_asked(server, form, answer, x):
    server.a.take_part()
    server.b.take_part(answer)
    server.c.take_part(other)
    server.z.take_part()

    assert ask(server, form)["x"].tolist() == [x]

    seen = [7.0] if answer is other else [1.0]  # at the end each plugin finds the request that the model got
    assert server.notes == [
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
def test_what_srv_before_infer_raises_is_the_answer_and_every_plugin_hears_of_it(server, form, error, status):
    server.a.take_part(raises(error))
    server.b.take_part()

    answer = ask(server, form)

    assert answer.status == status
    assert "secret" not in answer.error
    *before, after_a, after_b = server.notes
    assert before == ["a before"]
    assert after_a[1:] == after_b[1:] == ([1.0], True, answer.error)


@BOTH
def test_an_error_of_the_model_is_told_to_every_plugin(server, form):
    server.a.take_part()
    server.b.take_part()

    answer = ask(server, form, parameters={"fail": True})

    assert answer.error == "The model refuses."
    assert server.notes[2:] == [(f"{name} after", [1.0], True, "The model refuses.") for name in "ab"]


@pytest.mark.parametrize(
    "error, status", [(Forbidden("Too late."), 403), (KeyError("secret"), 500)], ids=["own", "any"]
)
@BOTH
def test_what_srv_after_infer_raises_is_the_answer_and_ends_the_calls(server, form, error, status):
    server.a.take_part(after=raises(error))
    server.b.take_part()

    answer = ask(server, form)

    assert answer.status == status
    assert "secret" not in answer.error
    assert [note[0] for note in server.notes[2:]] == ["a after"]


@BOTH
def test_what_srv_after_infer_raises_for_a_stream_is_told_after_its_responses(server, form):
    server.a.take_part(after=raises(Forbidden("Too late.")))

    good, bad = server.client.stream("echo", {"x": [1.0]}, form=form)

    assert (good["x"].tolist(), bad.error) == ([1.0], "Too late.")


@BOTH
def test_a_request_that_is_not_well_formed_reaches_no_hook(server, form):
    server.a.take_part()

    assert server.client.infer("nobody", {"x": [1.0]}, form=form).status == 404
    assert server.client.post("/v2/models/echo/infer", {"inputs": "none"}).status == 400
    assert server.notes == []
