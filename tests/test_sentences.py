"""What a client reads of an error: one line that is never empty, on both faces."""

import logging

import pytest

from srv import Forbidden, InvalidInput, Runtime, Unauthenticated, Unavailable
from srv.errors import QueueFull
from srv.testing import Client, model
from srv.testing.grpc_client import call
from srv.testing.requests import as_request


class Mute(InvalidInput):
    def __str__(self):
        raise RuntimeError("this class cannot say what it is")


class Number(InvalidInput):
    def __str__(self):
        return 5


ERRORS = {
    "InvalidInput": (InvalidInput(), 400, "The request cannot be served as it stands."),
    "InvalidInput of blanks": (InvalidInput(" \n"), 400, "The request cannot be served as it stands."),
    "Unauthenticated": (Unauthenticated(), 401, "Credentials are missing or wrong."),
    "Forbidden": (Forbidden(), 403, "This is not allowed."),
    "QueueFull": (QueueFull(), 429, "Too many requests wait already. Try again later."),
    "Unavailable": (Unavailable(), 503, "The model cannot answer now. Try again in a moment."),
    "a class": (InvalidInput, 400, "The request cannot be served as it stands."),
    "a class that cannot speak": (Mute("x"), 400, "The request cannot be served as it stands."),
    "a class that speaks in numbers": (Number("x"), 400, "The request cannot be served as it stands."),
    "a KeyError": (InvalidInput(KeyError("age")), 400, "KeyError: 'age'"),
    "a KeyError's text": (InvalidInput(str(KeyError("age"))), 400, "The request cannot be served as it stands: 'age'."),
    "two arguments": (InvalidInput("Too old:", 99), 400, "Too old: 99"),
    "several lines": (InvalidInput("Too\n  old\r\nand\tgrey."), 400, "Too old and grey."),
    "control characters": (InvalidInput("\x1b[31mToo old.\x00"), 400, "�[31mToo old.�"),
    "half an emoji": (InvalidInput("Too \ud83d old."), 400, "Too � old."),
    "other alphabets": (InvalidInput("Zu alt für dies: 年齢."), 400, "Zu alt für dies: 年齢."),
    "a long text": (InvalidInput("a" * 100_000), 400, "a" * 1999 + "…"),
}


class Speaks(Runtime):
    def predict(self, x: list[str]):
        raise ERRORS[x[0]][0]


@pytest.fixture(scope="module")
def client():
    with Client.of(model(Speaks)) as client:
        yield client


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_one_line_that_is_never_empty_over_rest(client, name):
    _, status, sentence = ERRORS[name]

    answer = client.infer("Speaks", {"x": [name]})

    assert (answer.status, answer.error) == (status, sentence)


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_one_line_that_is_never_empty_over_grpc(client, name):
    _, status, sentence = ERRORS[name]

    answer = call(client.grpc_channel(), "Speaks", as_request({"x": [name]}))

    assert (answer.status, answer.error) == (status, sentence)


def test_a_long_error_of_another_alphabet_fits_into_grpcs_metadata(client):
    ERRORS["long"] = (InvalidInput("年" * 100_000), 400, "")
    try:
        answer = call(client.grpc_channel(), "Speaks", as_request({"x": ["long"]}))
    finally:
        del ERRORS["long"]

    assert (answer.status, answer.code) == (400, "INVALID_INPUT")
    assert answer.error.startswith("年" * 600)


class Loads(Runtime):
    error: BaseException = InvalidInput()

    def load(self):
        raise self.error


@pytest.mark.parametrize(
    "error, reason",
    [
        (Mute("x"), "Mute"),
        (ValueError("half \ud83d of it"), "ValueError: half � of it"),
        (KeyError("label"), "KeyError: 'label'"),
        (ValueError("two\nlines\x1b[31m"), "ValueError: two lines�[31m"),
    ],
    ids=["mute", "half an emoji", "a key", "lines"],
)
def test_why_a_load_failed_is_one_line_whatever_was_raised(monkeypatch, error, reason):
    monkeypatch.setattr(Loads, "error", error)
    monkeypatch.setattr(
        logging.getLogger("srv.models.loader"), "disabled", True
    )  # pytest-xdist cannot pass half an emoji on
    with Client.of(model(Loads), settings={"on_load_error": "continue"}) as client:
        rows = client.post("/v2/repository/index", {}).json

    assert rows[0]["reason"] == reason
