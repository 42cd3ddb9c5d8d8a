"""Pairs of files: NAME.http is what came, NAME.json is what must be said. A new case is a new pair, not new code."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from falcon import testing

from srv.discovery import discover
from srv.serve.assembly import assemble
from srv.settings import ServerSettings

HERE = Path(__file__).parent
GOOD = "good/echo-one-float"


@dataclass(frozen=True)
class Came:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


def came(name: str) -> Came:
    """A request as its file says: the request line, headers, an empty line, the body without the file's last newline."""
    head, _, body = (HERE / f"{name}.http").read_bytes().partition(b"\n\n")
    first, *lines = head.decode().split("\n")
    method, _, path = first.partition(" ")
    headers = dict(line.split(": ", 1) for line in lines)
    return Came(method, path, headers, body.removesuffix(b"\n"))


def names(folder: str) -> list[str]:
    return sorted(f"{folder}/{file.stem}" for file in (HERE / folder).glob("*.http"))


@pytest.fixture(scope="module")
def client():
    server = assemble(
        ServerSettings(folder=HERE / "models", max_body_size=100_000, access_log=False, model_control=False), discover()
    )
    server.load_models(lambda _: None, server.wanted())
    yield testing.TestClient(server.app)
    server.close()


def said(answer) -> dict[str, object]:
    """What an answer says, in the form of the files; binary data, which stand behind the JSON, as hexadecimal."""
    length = answer.headers.get("inference-header-content-length")
    if length is None:
        return {"status": answer.status_code, "body": answer.json if answer.content else None}
    assert int(length) % 8 == 0  # because a typed array of JavaScript begins at no other place
    text, binary = answer.content[: int(length)], answer.content[int(length) :]
    return {"status": answer.status_code, "body": json.loads(text), "binary": binary.hex()}


def send(client, request: Came):
    path, _, query = request.path.partition("?")
    return client.simulate_request(
        request.method, path, headers=request.headers, body=request.body, query_string=query or None
    )


@pytest.mark.parametrize("name", names("good"))
def test_what_came_is_answered_as_its_file_says(client, name):
    expected = json.loads((HERE / f"{name}.json").read_text())

    answer = send(client, came(name))

    assert said(answer) == expected


@pytest.mark.parametrize("name", names("bad"))
def test_what_came_is_refused_as_its_file_says_and_a_good_request_is_answered_after_it(client, name):
    expected = json.loads((HERE / f"{name}.json").read_text())

    answer = send(client, came(name))
    after = send(client, came(GOOD))

    headers = {header: answer.headers.get(header.lower()) for header in expected.get("headers", {})}
    assert answer.json == expected["body"]
    assert answer.status_code == expected["status"]
    assert headers == expected.get("headers", {})
    assert answer.headers["x-request-id"]
    assert after.status_code == 200


def test_there_are_enough_bad_requests():
    assert len(names("bad")) >= 240
    assert len([name for name in names("bad") if name.startswith("bad/binary-")]) >= 60
