import gzip
import json
import threading

import pytest
from falcon.testing import create_environ
from openapi_spec_validator import validate
from servers import eventually

from srv import Runtime, Unauthenticated, hookimpl
from srv.grpc.convert import write_metadata
from srv.grpc.descriptors import message
from srv.testing import Client, model

CODE = '''
import asyncio
import dataclasses
import threading

import numpy as np

import srv
from srv import InvalidInput, NotFound, RouteRequest, RouteResponse, Runtime


class Shop(Runtime):
    concurrency = 1
    routes = [
        ("POST", "explain", "explain"),
        ("GET", "items/{id}", "item"),
        ("DELETE", "items/{id}", "remove"),
        ("GET", "items/all", "everything"),
        ("GET", "told", "told"),
        ("POST", "later", "later"),
        ("POST", "count", "count"),
        ("POST", "lines", "lines"),
        ("GET", "ticks", "ticks"),
        ("POST", "give/{what}", "give"),
        ("GET", "seen", "seen"),
        ("POST", "stream/{what}", "stream"),
        ("GET", "packed", "packed"),
        ("PUT", "files/{rest:path}", "later"),
    ]
    entered = threading.Event()
    leave = threading.Event()

    def predict(self, x: np.ndarray) -> np.ndarray:
        return x

    def explain(self, request):
        """Explain an answer.

        By the weights of its inputs.
        """
        given = request.json()
        if "x" not in given:
            raise InvalidInput("Send x.")
        return {"of": np.array(given["x"]) * 2, "nan": float("nan")}

    def item(self, request):
        if request.path_parameters["id"] == "gone":
            raise NotFound("There is no such item.")
        return f"{request.path} {request.path_parameters['id']} {request.query.get('as')} {request.queries.get('as')}"

    def remove(self, request):
        return RouteResponse(status=204)

    def everything(self, request):
        return ["all"] * 1000

    def told(self, request):
        return RouteResponse(
            b"<p>No</p>", 418, "text/html", {"X-Mine": request.headers.get("x-given", "none"), "Set-Cookie": "a=b"}
        )

    async def later(self, request):
        await asyncio.sleep(0)
        return request.body[::-1]

    def count(self, request):
        to = int(request.text())
        for number in range(to):
            if number == 2:
                raise InvalidInput("Two is too much.")
            yield {"number": number}

    async def lines(self, request):
        yield RouteResponse(status=201, content_type="application/x-ndjson", headers={"X-Mine": "yes"})
        for number in range(2):
            yield {"number": number}
        yield "text"

    def ticks(self, request):
        yield "one\\ntwo"
        yield b"event: end\\ndata: 3\\n\\n"

    def stream(self, request):
        what = request.path_parameters["what"]
        if what == "late":
            yield {}
        yield {
            "none": None, "set": {1, 2}, "status": RouteResponse(status=204), "late": RouteResponse(),
            "header": RouteResponse(headers={"Connection": "close"}), "body": RouteResponse({"x": {1, 2}}),
        }[what]

    def packed(self, request):
        return RouteResponse(b"x" * 2000, headers={"Content-Encoding": "br"})

    def seen(self, request):
        return sorted(name for name in request.headers if name in ("authorization", "x-request-id"))

    def give(self, request):
        what = request.path_parameters["what"]
        if what == "wait":
            self.entered.set()
            assert self.leave.wait(60)
            return {}
        if what == "raise":
            raise ValueError("a secret")
        return {
            "none": None, "number": 7, "set": {1, 2}, "object": {"x": object()}, "tuple": (1, 2),
            "status": RouteResponse(status=700), "header": RouteResponse(headers={"X": "a\\nb"}),
            "pairs": RouteResponse(headers=[("X", "y")]), "type": RouteResponse(content_type=7),
            "length": RouteResponse(headers={"Content-Length": "3"}), "generator": (n for n in range(3)),
            "body": RouteResponse(b"x", 204), "surrogate": "\\ud800",
        }[what]
'''


@pytest.fixture(scope="module")
def client():
    shop = model(name="shop", implementation="shop.Shop", files={"shop.py": CODE})
    with Client.of(shop, settings={"max_body_size": 1000, "pass_headers": ["authorization"]}) as client:
        yield client


def ask(client, method, path, body=None, **headers):
    return client.request(method, f"/v2/models/shop/{path}", body, headers=headers)


def test_a_dict_is_json_and_arrays_in_it_are_lists(client):
    answer = ask(client, "POST", "explain", b'{"x": [1, 2]}')
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json == {"of": [2, 4], "nan": None}
    assert answer.headers["x-request-id"]


def test_the_path_may_name_the_version(client):
    assert client.request("POST", "/v2/models/shop/versions/1/explain", b'{"x": 1}').json == {"of": 2, "nan": None}
    assert client.request("POST", "/v2/models/shop/versions/2/explain", b'{"x": 1}').code == "NOT_FOUND"


def test_fields_of_the_path_and_of_the_query_are_decoded(client):
    assert ask(client, "GET", "items/a%20b?as=1&as=%C3%A4").body.decode() == "items/a b a b ä ['1', 'ä']"


def test_a_literal_path_comes_before_a_field(client):
    assert ask(client, "GET", "items/all").json[:1] == ["all"]


def test_status_type_and_headers_are_the_runtimes(client):
    answer = ask(client, "GET", "told", **{"X-Given": "7"})
    assert (answer.status, answer.headers["content-type"], answer.body) == (418, "text/html", b"<p>No</p>")
    assert (answer.headers["x-mine"], answer.headers["set-cookie"]) == ("7", "a=b")
    assert ask(client, "DELETE", "items/7").status == 204


def test_an_async_method_takes_bytes_of_any_content_type(client):
    answer = ask(client, "POST", "later", b"abc", **{"Content-Type": "image/png"})
    assert (answer.body, answer.headers["content-type"]) == (b"cba", "application/octet-stream")


def test_runtimes_see_no_credentials_unless_settings_pass_them(client):
    assert ask(client, "GET", "seen", **{"Authorization": "x", "X-Api-Key": "y"}).json == [
        "authorization",
        "x-request-id",
    ]


def test_head_is_answered_like_get_and_options_tells_the_methods(client):
    assert (ask(client, "HEAD", "items/7").status, ask(client, "HEAD", "items/7").body) == (200, b"")
    assert ask(client, "OPTIONS", "items/7").headers["allow"] == "DELETE, GET, HEAD, OPTIONS"


def test_another_method_is_a_405_that_names_those_there_are(client):
    answer = ask(client, "POST", "items/7", b"")
    assert (answer.status, answer.code) == (405, "METHOD_NOT_ALLOWED")
    assert answer.headers["allow"] == "DELETE, GET, HEAD, OPTIONS"


@pytest.mark.parametrize("path", ["nothing", "items", "items/7/8", "explain/more"])
def test_an_unknown_route_of_a_model_is_a_404_as_before(client, path):
    answer = ask(client, "POST", path, b"{}")
    assert (answer.status, answer.code) == (404, "NOT_FOUND")
    assert answer.error == f"Nothing stands at '/v2/models/shop/{path}'; the models are listed at /v2/models."


def test_what_the_method_says_to_the_client_is_answered_by_the_table(client):
    answer = ask(client, "POST", "explain", b"{}")
    assert (answer.status, answer.code, answer.error) == (400, "INVALID_INPUT", "Send x.")
    assert ask(client, "POST", "explain", b"{").error.startswith("The body is not JSON: ")
    answer = ask(client, "GET", "items/gone")
    assert (answer.status, answer.code, answer.error) == (404, "NOT_FOUND", "There is no such item.")


def test_any_other_exception_is_told_by_its_class_only(client):
    answer = ask(client, "POST", "give/raise", b"")
    assert (answer.status, answer.code) == (500, "MODEL_ERROR")
    assert answer.error == "Model 'shop' raised ValueError; the server's log says more."


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("none", "gave a value of type NoneType; it can give a dict, a list, text, bytes or an srv.RouteResponse"),
        ("number", "gave a value of type int"),
        ("set", "gave a value of type set"),
        ("tuple", "gave a value of type tuple"),
        ("generator", "gave a generator; to stream, write yield in the method itself"),
        ("object", "gave a dict that is no JSON"),
        ("status", "gave the status '700'; a status is a number from 200 to 599"),
        ("header", "gave a response that cannot be sent"),
        ("pairs", "headers that are a list, not a dict"),
        ("type", "the header 'Content-Type' with a value that is no text"),
        ("length", "gave the header 'Content-Length', which the server writes itself"),
        ("body", "gave a body with the status 204, which has none"),
        ("surrogate", "raised UnicodeEncodeError"),
    ],
)
def test_a_value_that_cannot_be_sent_is_told(client, what, said):
    answer = ask(client, "POST", f"give/{what}", b"")
    assert (answer.status, answer.code) == (500, "MODEL_ERROR")
    assert said in answer.error
    assert not answer.error.endswith("..")


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("none", "gave a value of type NoneType"),
        ("set", "gave a value of type set"),
        ("status", "gave a stream with the status 204, which has no body"),
        ("header", "gave the header 'Connection', which the server writes itself"),
        ("body", "gave a dict that is no JSON"),
    ],
)
def test_a_first_value_of_a_stream_that_cannot_be_sent_is_told(client, what, said):
    answer = ask(client, "POST", f"stream/{what}", b"")
    assert (answer.status, answer.code) == (500, "MODEL_ERROR")
    assert said in answer.error


def test_a_head_that_comes_later_than_first_is_told_in_the_stream(client):
    events = ask(client, "POST", "stream/late", b"").body.split(b"\n\n")
    assert events[0] == b"data: {}"
    assert b"gave a value of type RouteResponse" in events[1]
    assert b"MODEL_ERROR" in events[1]


def test_a_body_beyond_the_limit_is_refused_before_the_method_is_called(client):
    answer = ask(client, "POST", "give/none", b"x" * 1001)
    assert (answer.status, answer.code) == (413, "TOO_LARGE")


def test_long_answers_are_compressed(client):
    assert ask(client, "GET", "items/all", **{"Accept-Encoding": "gzip"}).headers["content-encoding"] == "gzip"


def test_what_the_runtime_has_packed_is_not_packed_again(client):
    answer = ask(client, "GET", "packed", **{"Accept-Encoding": "gzip"})
    assert (answer.headers["content-encoding"], answer.body) == ("br", b"x" * 2000)


def test_a_packed_body_is_unpacked(client):
    answer = ask(client, "POST", "later", gzip.compress(b"abc"), **{"Content-Encoding": "gzip"})
    assert answer.body == b"cba"


def test_a_generator_is_a_stream_of_events_and_an_error_is_its_last(client):
    answer = ask(client, "POST", "count", b"5")
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.body.decode().split("\n\n") == [
        'data: {"number":0}',
        'data: {"number":1}',
        'data: {"error":"Two is too much.","code":"INVALID_INPUT"}',
        "",
    ]


def test_an_error_before_the_first_value_has_its_own_status(client):
    assert ask(client, "POST", "count", b"many").status == 500
    assert ask(client, "POST", "count", b"\xff").error == "The body is not UTF-8 text."


def test_text_is_an_event_of_its_lines_and_bytes_are_events_already(client):
    assert ask(client, "GET", "ticks").body == b"data: one\ndata: two\n\nevent: end\ndata: 3\n\n"
    assert ask(client, "HEAD", "ticks").status == 405


def test_a_stream_may_begin_with_its_status_and_content_type(client):
    answer = ask(client, "POST", "lines", b"")
    assert (answer.status, answer.headers["content-type"]) == (201, "application/x-ndjson")
    assert answer.headers["x-mine"] == "yes"
    assert answer.body == b'{"number":0}\n{"number":1}\ntext'


def test_routes_are_no_inferences_and_are_counted_by_their_outcomes(client):
    before = client.assembled.running.routes()
    ask(client, "POST", "explain", b'{"x": 1}')
    ask(client, "POST", "explain", b"{}")
    ask(client, "GET", "told")
    ask(client, "POST", "count", b"1")
    counted = {
        (kind.route, kind.outcome): sums.count - (before[kind].count if kind in before else 0)
        for kind, sums in client.assembled.running.routes().items()
    }
    assert {kind: count for kind, count in counted.items() if count} == {
        ("POST explain", "ok"): 1,
        ("POST explain", "INVALID_INPUT"): 1,
        ("GET told", "418"): 1,
        ("POST count", "ok"): 1,
    }
    stats = client.get("/v2/models/shop/stats").json["model_stats"][0]
    assert (stats["inference_count"], stats["inference_stats"]["success"]["count"]) == (0, 0)
    assert stats["inference_stats"]["fail"]["count"] == 0


def test_metadata_tells_the_routes_on_both_faces(client):
    rows = client.metadata("shop").json["parameters"]["routes"]
    assert {"method": "POST", "path": "/v2/models/shop/explain", "streams": False} in rows
    assert {"method": "POST", "path": "/v2/models/shop/count", "streams": True} in rows
    answer = message("inference.ModelMetadataResponse")()
    write_metadata(client.assembled.dataplane.metadata("shop"), answer)
    assert json.loads(answer.parameters["routes"].string_param) == rows
    told = [row for row in rows if row["path"].endswith("items/{id}")]
    assert [row["method"] for row in told] == ["GET", "DELETE"]


def test_the_description_has_the_routes_with_their_docstrings(client):
    for place, path in (("", "/v2/models/shop"), ("/v2/models/shop/versions/1", "/v2/models/shop/versions/1")):
        document = client.get(f"{place or '/v2'}/docs/dataplane.json").json
        validate(document)
        described = document["paths"]
        explain = described[f"{path}/explain"]["post"]
        assert explain["summary"] == "Explain an answer."
        assert "By the weights of its inputs." in explain["description"]
        item = described[f"{path}/items/{{id}}"]
        assert {"get", "delete", "parameters"} == set(item)
        assert item["parameters"][0]["name"] == "id"
        assert [*described[f"{path}/count"]["post"]["responses"]["200"]["content"]] == ["text/event-stream"]


def test_a_route_waits_for_its_place_among_the_models_requests(client):
    runtime = type(client.assembled.registry.find("shop").runtime)
    answers = []
    first = threading.Thread(target=lambda: answers.append(ask(client, "POST", "give/wait", b"")))
    first.start()
    assert runtime.entered.wait(60)
    second = threading.Thread(target=lambda: answers.append(client.infer("shop", {"x": [1.0]})))
    second.start()
    eventually(client.assembled.registry.find("shop").waiting)
    assert answers == []
    runtime.leave.set()
    first.join(60)
    second.join(60)
    assert [answer.status for answer in answers] == [200, 200]


def test_beyond_max_queue_a_route_is_refused_as_an_inference_is():
    class Busy(Runtime):
        concurrency = 1
        routes = (("GET", "wait", "wait"),)

        def predict(self, x: list[str]) -> list[str]:
            return x

        def wait(self, request):
            entered.set()
            assert leave.wait(60)
            return {}

    entered, leave = threading.Event(), threading.Event()
    with Client.of(model(Busy, name="busy", max_queue=0)) as client:
        first = threading.Thread(target=client.call, args=("GET", "busy", "wait"))
        first.start()
        assert entered.wait(60)
        answer = client.call("GET", "busy", "wait")
        leave.set()
        first.join(60)
    assert (answer.status, answer.code, answer.headers["retry-after"]) == (429, "QUEUE_FULL", "1")
    assert answer.error == "Model 'busy' is busy and 0 requests wait for it already. Try again later."


@pytest.mark.parametrize("pieces", [0, 1])
def test_a_stream_whose_client_leaves_is_closed_and_counted_as_cancelled(client, pieces):
    def cancelled():
        routes = client.assembled.running.routes()
        return sum(sums.count for kind, sums in routes.items() if kind[2:] == ("GET ticks", "CANCELLED"))

    before = cancelled()
    body = client.assembled.app(create_environ("/v2/models/shop/ticks"), lambda *_: None)
    for _ in zip(range(pieces), body, strict=False):
        assert cancelled() == before
    body.close()
    assert cancelled() == before + 1
    assert client.call("GET", "shop", "ticks").ok, "the model runs one at a time, and its place is free again"


def test_middleware_sees_a_route_as_any_request_and_hooks_of_inference_do_not(isolated_plugins, srv_client):
    class Routed(Runtime):
        routes = (("GET", "mine", "mine"),)

        def predict(self, x: list[str]) -> list[str]:
            return x

        def mine(self, request):
            return {}

    class Guard:
        def process_resource(self, req, resp, resource, params):
            seen.append((req.uri_template, params))
            if req.get_header("X-Key") is None:
                raise Unauthenticated("Bring a key.")

    class Plugin:
        @hookimpl
        def srv_http_middleware(self):
            return [Guard()]

        @hookimpl
        def srv_before_infer(self, request):
            raise AssertionError

    seen = []
    isolated_plugins(hooks={"guard": Plugin()})
    client = srv_client(Routed)
    assert client.call("GET", "Routed", "mine").code == "UNAUTHENTICATED"
    assert client.call("GET", "Routed", "mine", version="1", headers={"X-Key": "k"}).status == 200
    assert seen == [
        ("/v2/models/{model}/mine", {"model": "Routed"}),
        ("/v2/models/{model}/versions/{version}/mine", {"model": "Routed", "version": "1"}),
    ]
