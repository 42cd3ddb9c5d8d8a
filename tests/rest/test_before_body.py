"""Middleware that decides by a request's headers alone is asked before the body is read."""

import http.client
import json
import socket

import falcon
import pytest
from falcon.testing import TestClient, create_environ
from servers import numbers, running, write_model

from srv import Unauthenticated
from srv.discovery import discover
from srv.rest.app import create_app
from srv.serve.assembly import assemble
from srv.settings import ServerSettings


class Guard:
    """Refuses whoever does not say who it is, and counts how often it was asked."""

    srv_nonblocking = True
    srv_before_body = True

    def __init__(self, error=None):
        self.asked = 0
        self._error = error or Unauthenticated("Say who you are.")

    def process_request(self, req, resp):
        self.asked += 1
        req.context.who = req.get_header("X-Who")
        if req.context.who is None:
            raise self._error


@pytest.fixture
def app_with(tmp_path):
    opened = []

    def make(*middleware, **settings):
        settings = ServerSettings(folder=tmp_path, access_log=False, **settings)
        server = assemble(settings, discover())
        opened.append(server)
        return create_app(
            server.dataplane, server.modelplane, settings, middleware=middleware, owner_of=lambda _: "given-to-the-test"
        )

    yield make
    for server in opened:
        server.close()


@pytest.mark.parametrize("root_path", ["", "/below"])
def test_a_request_that_was_refused_by_its_head_is_answered_with_that_error_without_asking_again(app_with, root_path):
    guard = Guard()
    app = app_with(guard, root_path=root_path)
    environ = create_environ(f"{root_path}/v2/models/m/infer", method="POST")

    assert app.srv_refuses_by_head(environ)
    answer = TestClient(app).simulate_post(
        f"{root_path}/v2/models/m/infer", extras={"srv.refusal": environ["srv.refusal"]}
    )

    assert (answer.status_code, answer.json["code"]) == (401, "UNAUTHENTICATED")
    assert answer.headers["x-request-id"]
    assert guard.asked == 1


def test_a_request_that_passes_by_its_head_is_asked_again_with_its_body(app_with):
    guard = Guard()
    app = app_with(guard)

    assert not app.srv_refuses_by_head(create_environ("/v2/models", headers={"X-Who": "me"}))
    assert TestClient(app).simulate_get("/v2/models", headers={"X-Who": "me"}).status_code == 200

    assert guard.asked == 2


@pytest.mark.parametrize(
    "error, status", [(KeyError("secret"), 500), (falcon.HTTPForbidden(), 403), (falcon.HTTPStatus(204), 204)]
)
def test_whatever_a_middleware_raises_before_the_body_is_the_answer(app_with, error, status):
    app = app_with(Guard(error))
    environ = create_environ("/v2/models", method="POST")

    assert app.srv_refuses_by_head(environ)
    answer = TestClient(app).simulate_post("/v2/models", extras={"srv.refusal": environ["srv.refusal"]})

    assert answer.status_code == status


def test_middleware_that_does_not_say_so_is_not_asked_before_the_body(app_with):
    guard = Guard()
    guard.srv_before_body = False

    assert not app_with(guard).srv_refuses_by_head(create_environ("/v2/models"))
    assert guard.asked == 0


def test_middleware_that_may_wait_elsewhere_may_be_asked_before_the_body(app_with):
    guard = Guard()
    guard.srv_nonblocking = False

    assert app_with(guard).srv_refuses_by_head(create_environ("/v2/models"))


def test_middleware_without_a_check_of_requests_checks_none_before_the_body(app_with):
    class Later:
        srv_nonblocking = srv_before_body = True

        def process_response(self, req, resp, resource, req_succeeded):
            resp.set_header("X-Later", "yes")

    app = app_with(Later())

    assert not app.srv_refuses_by_head(create_environ("/v2/models"))
    assert TestClient(app).simulate_get("/v2/models").headers["x-later"] == "yes"


def test_a_page_of_a_foreign_origin_is_refused_before_its_body(app_with):
    headers = {"Origin": "https://page.example", "Host": "localhost"}

    assert app_with().srv_refuses_by_head(create_environ("/v2", method="POST", headers=headers))


KEY = "correct horse battery staple"
MEBIBYTE = 1 << 20


@pytest.mark.e2e
def test_bodies_of_strangers_take_no_room_from_those_who_have_a_key(tmp_path):
    write_model(tmp_path)
    (tmp_path / "settings.json").write_text(
        json.dumps({"keys": {"me": KEY}, "max_inflight_bytes": 4 * MEBIBYTE, "body_timeout": 60})
    )
    body = json.dumps(numbers(*[1.0] * 60_000)).encode()
    assert 65536 < len(body) < MEBIBYTE
    with running(tmp_path) as server:
        port = server.connect().port
        strangers = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(3)]
        head = f"POST /v2/models/double/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {2 * MEBIBYTE}\r\n\r\n".encode()
        for stranger in strangers:
            stranger.sendall(head + bytes(60_000))

        refused = [http.client.HTTPResponse(stranger) for stranger in strangers]
        for answer in refused:
            answer.begin()
        assert [answer.status for answer in refused] == [401, 401, 401]
        connection = server.connect()
        statuses = []
        for _ in range(20):
            connection.request("POST", "/v2/models/double/infer", body, {"Authorization": f"Bearer {KEY}"})
            answered = connection.getresponse()
            answered.read()
            statuses.append(answered.status)
        assert statuses == [200] * 20
        for stranger in strangers:
            stranger.close()
        connection.close()


@pytest.mark.parametrize("root_path", ["", "/below"])
@pytest.mark.parametrize(
    "path, refused",
    [
        ("/nothing", True),
        ("/v2/models/nobody/infer", True),
        ("/v2/models/double/versions/9/infer", True),
        ("/v2/models/double/infer", False),
        ("/v2/repository/models/nobody/load", False),
    ],
)
def test_whoever_waits_for_a_word_is_told_at_once_that_nothing_is_there(tmp_path, root_path, path, refused):
    write_model(tmp_path)
    server = assemble(ServerSettings(folder=tmp_path, access_log=False, root_path=root_path), discover())
    try:
        server.load_models(lambda _: None, server.wanted())
        for prefix in {"", root_path}:
            environ = create_environ(prefix + path, method="POST", headers={"Expect": "100-continue"})
            assert server.app.srv_refuses_by_head(environ) is refused
            assert not server.app.srv_refuses_by_head(create_environ(prefix + path, method="POST"))
    finally:
        server.close()


@pytest.mark.e2e
def test_a_404_comes_instead_of_the_word_to_go_on(tmp_path):
    write_model(tmp_path)
    with running(tmp_path) as server:
        port = server.url().rpartition(":")[2]
        for path, status in (("/v2/models/nobody/infer", b"404"), ("/v2/models/double/infer", b"100")):
            with socket.create_connection(("127.0.0.1", int(port)), timeout=30) as connection:
                head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n"
                connection.sendall(head.encode())
                assert connection.recv(4096).split(b" ")[1] == status
