"""Strangers' routes and hooks beside srv's own: a bad one is named, and the server answers."""

import re
import sys
from types import SimpleNamespace

import pytest

from srv import InferenceResponse, Runtime, hookimpl
from srv.discovery import PluginKind, PluginsNotWhole, PluginState, discover
from srv.discovery.plugin_states import ROUTES_OF_CORE, is_of_core
from srv.serve.assembly import assemble
from srv.settings import PluginSettings, ServerSettings


class Echo(Runtime):
    def predict(self, x):
        return x["x"]


class Page:
    def on_get(self, req, resp):
        resp.media = "a stranger's"


def bringing(*paths):
    @hookimpl
    def srv_http_routes():
        return [(path, Page()) for path in paths]

    return SimpleNamespace(srv_http_routes=srv_http_routes)


def test_core_knows_the_names_of_its_own_routes(tmp_path, isolated_plugins):
    isolated_plugins()
    server = assemble(ServerSettings(folder=tmp_path, metrics_endpoint=None), discover(disable=["srv-inference"]))
    try:
        assert {re.sub(r"\{\w+\}", "{}", path) for path, _ in server.app.routes} == ROUTES_OF_CORE
    finally:
        server.close()


@pytest.mark.parametrize("path", ["/v2/models", "/", "/v2/models/{any}/infer", "/v2/models/{m}/versions/{v}"])
def test_a_route_of_srv_stays_srvs(srv_client, isolated_plugins, caplog, path):
    isolated_plugins(hooks={"taker": bringing(path, "/mine")})

    client = srv_client(Echo)

    assert is_of_core(PluginKind.ROUTE, path)
    assert client.get("/v2/models").json == {"models": ["Echo"]}
    assert client.get("/mine").json == "a stranger's"
    assert f"The route {path} of given-to-the-test is not served: the name '{path}' is srv's own." in caplog.text


@pytest.mark.parametrize("path", ["/two words", "/v2/models/{other}/page", "/{no-name}"])
def test_a_route_that_cannot_stand_beside_the_others_is_quarantined_alone(srv_client, isolated_plugins, caplog, path):
    isolated_plugins(hooks={"clumsy": bringing(path, "/mine")})

    client = srv_client(Echo)

    assert client.get("/mine").json == "a stranger's"
    assert f"The route '{path}' of given-to-the-test 0 (" in caplog.text
    assert "Everything else goes on without it." in caplog.text


def test_a_route_that_cannot_stand_ends_a_strict_start(tmp_path, isolated_plugins):
    plugins = isolated_plugins(hooks={"clumsy": bringing("/two words")})

    with pytest.raises(PluginsNotWhole, match="the route '/two words' of given-to-the-test 0 is quarantined"):
        assemble(ServerSettings(folder=tmp_path, plugins=PluginSettings(strict=True)), plugins)
    assert [row.state for row in plugins.rows if row.kind is PluginKind.ROUTE and not row.ours] == [
        PluginState.QUARANTINED
    ]


@pytest.mark.parametrize("hook", ["srv_before_infer", "srv_after_infer"])
def test_a_hook_that_leaves_the_process_is_an_error_that_names_the_plugin_in_the_log(
    srv_client, isolated_plugins, caplog, hook
):
    isolated_plugins(hooks={"leaver": SimpleNamespace(**{hook: hookimpl(lambda: sys.exit(4), specname=hook)})})

    answer = srv_client(Echo).post("/v2/models/Echo/infer", ONE)

    assert (answer.status, answer.json["code"]) == (500, "INTERNAL")
    assert f"Plugin 'leaver' raised in {hook}." in caplog.text


def test_a_hook_that_answers_with_something_else_is_an_error_that_names_the_plugin_in_the_log(
    srv_client, isolated_plugins, caplog
):
    @hookimpl
    def srv_before_infer(request):
        return {"outputs": []} if request.id == "7" else InferenceResponse([])

    isolated_plugins(hooks={"odd": SimpleNamespace(srv_before_infer=srv_before_infer)})
    client = srv_client(Echo)

    assert client.post("/v2/models/Echo/infer", ONE).status == 200
    answer = client.post("/v2/models/Echo/infer", {**ONE, "id": "7"})
    assert answer.json == {
        "error": "A plugin raised TypeError in srv_before_infer; the server's log says which and why.",
        "code": "INTERNAL",
    }
    assert "Plugin 'odd' raised in srv_before_infer." in caplog.text
    assert "it returned a dict, not None, an InferenceRequest or an InferenceResponse" in caplog.text


class Guard:
    srv_nonblocking = True

    def __init__(self, method):
        setattr(self, method, self.fail)

    def fail(self, *_):
        raise KeyError("secret")


@pytest.mark.parametrize("method", ["process_request", "process_resource", "process_response"])
def test_middleware_that_raises_is_an_internal_error_that_names_the_plugin_in_the_log(
    srv_client, isolated_plugins, caplog, method
):
    bring = hookimpl(lambda: [Guard(method)], specname="srv_http_middleware")
    isolated_plugins(hooks={"guard": SimpleNamespace(srv_http_middleware=bring)})

    answer = srv_client(Echo).post("/v2/models/Echo/infer", ONE)

    assert answer.json == {
        "error": "A plugin raised KeyError in its HTTP middleware; the server's log says which and why.",
        "code": "INTERNAL",
    }
    assert "Plugin 'guard' raised in its HTTP middleware." in caplog.text
    assert caplog.text.count("KeyError: 'secret'") == 1


def test_a_route_that_raises_is_an_internal_error_that_names_the_plugin_in_the_log(
    srv_client, isolated_plugins, caplog
):
    class Page:
        def on_get(self, req, resp, name):
            raise KeyError("secret")

    bring = hookimpl(lambda: [("/pages/{name}", Page())], specname="srv_http_routes")
    isolated_plugins(hooks={"pages": SimpleNamespace(srv_http_routes=bring)})

    answer = srv_client(Echo).get("/pages/one")

    assert (answer.status, answer.json["code"]) == (500, "INTERNAL")
    assert "Plugin 'pages' raised in its route /pages/{name}." in caplog.text


def test_srv_openapi_changes_a_document_in_the_order_of_the_plugins(srv_client, isolated_plugins):
    def change(word):
        def srv_openapi(document):
            schema = document["components"]["schemas"]["Error"]
            schema["title"] = schema.get("title", "") + word

        return SimpleNamespace(srv_openapi=hookimpl(srv_openapi))

    isolated_plugins(hooks={"b": change(" two"), "a": change(" one")})
    client = srv_client(Echo)

    for _ in range(2):
        document = client.get("/v2/models/Echo/docs/dataplane.json").json
        assert document["components"]["schemas"]["Error"]["title"] == " one two"


def test_srv_openapi_that_raises_is_an_internal_error_that_names_the_plugin_in_the_log(
    srv_client, isolated_plugins, caplog
):
    @hookimpl
    def srv_openapi(document):
        raise KeyError("secret")

    isolated_plugins(hooks={"odd": SimpleNamespace(srv_openapi=srv_openapi)})

    answer = srv_client(Echo).get("/v2/docs/dataplane.json")

    assert (answer.status, answer.json["code"]) == (500, "INTERNAL")
    assert "secret" not in answer.json["error"]
    assert "Plugin 'odd' raised in srv_openapi." in caplog.text


@pytest.mark.parametrize("given", [None, "mine", "not one id"])
def test_a_hook_sees_the_id_of_every_request(srv_client, isolated_plugins, given):
    seen = []
    look = hookimpl(lambda request: seen.append(request.headers["x-request-id"]), specname="srv_before_infer")
    isolated_plugins(hooks={"look": SimpleNamespace(srv_before_infer=look)})

    headers = {} if given is None else {"X-Request-Id": given}
    answer = srv_client(Echo).post("/v2/models/Echo/infer", ONE, headers=headers)

    assert seen == [answer.headers["x-request-id"]]
    assert seen != ["not one id"]


ONE = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1.0]}]}
