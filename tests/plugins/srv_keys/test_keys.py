"""The plugin keys, as an author's tests would see it: through the kit alone."""

from hashlib import sha256
from types import SimpleNamespace

import pytest
from openapi_spec_validator import validate

from srv import Runtime, Unauthenticated
from srv.discovery import PluginError
from srv.testing import Client, Grpc
from srv.testing.requests import as_request

KEY = "correct horse battery staple"
OTHER = "another key that is long enough"
SETTINGS = {"keys": {"ci": KEY, "team": f"sha256:{sha256(OTHER.encode()).hexdigest()}"}}


class Doubler(Runtime):
    def predict(self, x: list[str]) -> list[str]:
        return x + x


@pytest.fixture
def client(srv_client, isolated_plugins):
    isolated_plugins()
    return srv_client(Doubler, settings=SETTINGS)


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


def test_srv_http_middleware_lets_nobody_pass_without_a_key(client):
    answer = client.infer("Doubler", {"x": ["a"]})
    assert (answer.status, answer.code) == (401, "UNAUTHENTICATED")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "headers", [bearer(KEY), bearer(OTHER), {"X-Api-Key": KEY}], ids=["bearer", "digest", "x-api-key"]
)
def test_who_brings_a_key_is_answered(client, headers):
    assert client.infer("Doubler", {"x": ["a"]}, headers=headers)["output"].tolist() == [b"a", b"a"]


@pytest.mark.parametrize(
    "headers",
    [
        bearer(KEY[:-1]),
        bearer(""),
        {"Authorization": f"Basic {KEY}"},
        {"X-Api-Key": "ci"},
        bearer(SETTINGS["keys"]["team"]),
    ],
    ids=["nearly", "empty", "basic", "name", "digest itself"],
)
def test_a_wrong_key_is_refused_and_not_repeated(client, headers):
    answer = client.infer("Doubler", {"x": ["a"]}, headers=headers)
    assert answer.status == 401
    assert KEY not in answer.error


@pytest.mark.parametrize("path", ["/v2/health/live", "/v2/health/ready", "/v2/health/ready/"])
def test_health_stays_open(client, path):
    assert client.get(path).status == 200


@pytest.mark.parametrize(
    "path", ["/", "/v2", "/v2/models", "/v2/models/Doubler/ready", "/v2/health/../models", "/nowhere"]
)
def test_everything_else_is_guarded(client, path):
    assert client.get(path).status == 401


@pytest.mark.parametrize("path", ["/v2/models/Doubler/infer", "/v2/whoami", "/nowhere"])
def test_a_preflight_is_answered_alike_for_every_path(srv_client, isolated_plugins, path):
    isolated_plugins()
    client = srv_client(Doubler, settings={**SETTINGS, "cors_settings": {"allow_origins": ["https://page.example"]}})
    asked = {
        "Origin": "https://page.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "Authorization",
    }

    answer = client.request("OPTIONS", path, headers=asked)

    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["access-control-allow-origin"] == "https://page.example"
    assert answer.headers["access-control-allow-methods"] == "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"
    assert "allow" not in answer.headers


@pytest.mark.parametrize("path", ["/v2/models/Doubler/infer", "/v2/whoami", "/nowhere"])
def test_options_without_a_key_tell_no_routes(client, path):
    answer = client.request("OPTIONS", path)

    assert (answer.status, answer.code) == (401, "UNAUTHENTICATED")
    assert "allow" not in answer.headers


def test_srv_openapi_says_how_a_key_is_sent_and_what_needs_none(client):
    whole = client.get("/v2/docs/dataplane.json", headers=bearer(KEY)).json
    one = client.get("/v2/models/Doubler/docs/dataplane.json", headers=bearer(KEY)).json

    for document in (whole, one):
        validate(document)
        assert document["components"]["securitySchemes"] == {
            "BearerKey": {"type": "http", "scheme": "bearer"},
            "HeaderKey": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
        }
        assert document["security"] == [{"BearerKey": []}, {"HeaderKey": []}]
    for path, item in whole["paths"].items():
        free = path in ("/v2/health/live", "/v2/health/ready")
        assert all((item[method].get("security") == []) is free for method in set(item) - {"parameters"}), path
        if free:
            assert client.get(path).status == 200
    assert "name" in schema_of(whole["paths"]["/v2/whoami"])["properties"]


def test_without_keys_a_document_says_that_none_is_needed(srv_client, isolated_plugins):
    isolated_plugins()
    document = srv_client(Doubler).get("/v2/docs/dataplane.json").json
    assert document["security"] == []
    assert "securitySchemes" not in document["components"]


def schema_of(item):
    return item["get"]["responses"]["200"]["content"]["application/json"]["schema"]


def test_srv_http_routes_tells_who_the_caller_is(client):
    assert client.get("/v2/whoami", headers=bearer(KEY)).json == {"name": "ci"}
    assert client.get("/v2/whoami", headers=bearer(OTHER)).json == {"name": "team"}


SERVICE = "/inference.GRPCInferenceService"


@pytest.mark.parametrize(
    "method, metadata, passes",
    [
        (f"{SERVICE}/ModelInfer", (), False),
        (f"{SERVICE}/ModelInfer", (("authorization", f"Bearer {KEY}"),), True),
        (f"{SERVICE}/ModelInfer", (("x-api-key", OTHER),), True),
        (f"{SERVICE}/ModelInfer", (("x-api-key", KEY[:-1]),), False),
        (f"{SERVICE}/ServerLive", (), True),
        (f"{SERVICE}/ServerReady", (), True),
        (f"{SERVICE}/ServerMetadata", (), False),
        ("/grpc.health.v1.Health/Check", (), True),
        ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", (), False),
    ],
)
def test_srv_grpc_interceptors_lets_no_call_pass_without_a_key(client, method, metadata, passes):
    [interceptor] = client.assembled.hooks.grpc_interceptors()
    details = SimpleNamespace(method=method, invocation_metadata=metadata)
    if passes:
        assert interceptor.intercept_service(lambda given: given, details) is details
    else:
        with pytest.raises(Unauthenticated):
            interceptor.intercept_service(lambda given: given, details)


def test_srv_settings_schema_refuses_a_key_that_is_easily_guessed_without_repeating_it(isolated_plugins):
    isolated_plugins()
    with pytest.raises(PluginError, match=r"keys\.ci: must be a key of 16 characters or more") as raised:
        Client.of(Doubler, settings={"keys": {"ci": "s3cret"}})
    assert "s3cret" not in str(raised.value)


def test_without_settings_nothing_is_asked_for(srv_client, isolated_plugins):
    isolated_plugins()
    client = srv_client(Doubler)
    assert client.infer("Doubler", {"x": ["a"]}).ok
    assert client.get("/v2/whoami").status == 404


@pytest.mark.e2e
def test_a_key_from_the_environment_guards_both_faces_of_a_real_server(srv_server):
    server = srv_server(Doubler, environ={"SRV_KEYS__CI": KEY})
    assert server.get("/v2/models").status == 401
    assert server.get("/v2/models", headers=bearer(KEY)).json == {"models": ["Doubler"]}
    assert KEY not in server.logs
    assert Grpc().infer(server, "Doubler", as_request({"x": ["a"]})).code == "UNAUTHENTICATED"
