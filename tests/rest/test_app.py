import gzip
import json
import zlib

import pytest
from falcon import testing

from srv.discovery import discover
from srv.serve.assembly import assemble
from srv.settings import CorsSettings, ServerSettings

CODE = """
import numpy as np
from srv import InferenceRequest, InferenceResponse, Runtime
class Model(Runtime):
    def predict(self, request: InferenceRequest):
        if "answer" in request.parameters:
            return InferenceResponse([], headers={"X-Request-Id": "the model's", "Set-Cookie": "a=b", "X-Mine": "yes"})
        return {"headers": [json_of(request.headers)], "many": np.zeros(1000)}
def json_of(headers):
    import json
    return json.dumps(dict(headers))
"""
INFER = "/v2/models/m/infer"
BODY = json.dumps({"inputs": [], "outputs": [{"name": "headers"}]})
MANY = json.dumps({"inputs": [], "outputs": [{"name": "many"}]})


@pytest.fixture
def client(tmp_path):
    made = []

    def make(**settings):
        (tmp_path / "m").mkdir()
        (tmp_path / "m" / "models.py").write_text(CODE)
        (tmp_path / "m" / "model-settings.json").write_text('{"implementation": "models.Model"}')
        server = assemble(ServerSettings(folder=tmp_path, access_log=False, **settings), discover())
        server.load_models(lambda _: None, server.wanted())
        made.append(server)
        return testing.TestClient(server.app)

    yield make
    for server in made:
        server.close()


# -- compression -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "accepted, coding",
    [
        ("gzip", "gzip"),
        ("deflate", "deflate"),
        ("gzip, deflate, br", "gzip"),
        ("gzip;q=0.1, deflate;q=0.5", "deflate"),
        ("*", "gzip"),
        ("*, gzip;q=0", "deflate"),
        ("br", None),
        ("identity", None),
        ("gzip;q=0", None),
        ("gzip;q=nonsense", None),
        ("gzip;q=2, deflate;q=0.1", "deflate"),
        ("gzip;q=-1", None),
        ("gzip;q=nan", None),
        ("gzip;q=inf", None),
        ("x-gzip", "gzip"),
        ("x-gzip, *;q=0.5", "gzip"),
        ("x-gzip;q=0, *;q=0.5", "deflate"),
        ("x-gzip;q=0.1, deflate", "deflate"),
        ("notgzip, *;q=0.5", "gzip"),
        ("gzip-stream", None),
        ("mydeflate, gzip;q=0, *;q=0.1", "deflate"),
        ("*;q=0", None),
        ("*;q=0, gzip", "gzip"),
        ("gzip, identity;q=0", "gzip"),
        ("identity;q=0", None),
        ("identity, gzip;q=0.5", None),
        ("identity;q=0.5, gzip;q=0.5", "gzip"),
        ("gzip;q=0.1, deflate;q=0.1, *", None),
        ("GZIP", "gzip"),
        ("Deflate ; Q=1.000 ,\tGzip\t;\tq=0.001", "deflate"),
        (", ,gzip,", "gzip"),
        (",", None),
        ("", None),
    ],
)
def test_a_large_answer_is_packed_as_the_client_likes_best(client, accepted, coding):
    unpack = {"gzip": gzip.decompress, "deflate": zlib.decompress, None: bytes}

    answer = client(gzip_enabled=True).simulate_post(INFER, body=MANY, headers={"Accept-Encoding": accepted})

    assert answer.headers.get("content-encoding") == coding
    assert len(json.loads(unpack[coding](answer.content))["outputs"][0]["data"]) == 1000
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert (
        answer.headers["vary"] == "Accept-Encoding"
    )  # also of one that is not packed, because another client's would be


def test_binary_answers_are_packed_too(client):
    wish = json.dumps({"inputs": [], "outputs": [{"name": "many", "parameters": {"binary_data": True}}]})

    answer = client(gzip_enabled=True).simulate_post(INFER, body=wish, headers={"Accept-Encoding": "gzip"})

    length = int(answer.headers["inference-header-content-length"])
    assert len(gzip.decompress(answer.content)) == length + 8000


def test_a_small_answer_is_not_packed(client):
    answer = client(gzip_enabled=True).simulate_get("/v2", headers={"Accept-Encoding": "gzip"})

    assert "content-encoding" not in answer.headers
    assert "vary" not in answer.headers


def test_a_client_that_names_no_coding_gets_a_large_answer_as_it_is_and_caches_know_why(client):
    answer = client(gzip_enabled=True).simulate_post(INFER, body=MANY)

    assert "content-encoding" not in answer.headers
    assert answer.headers["vary"] == "Accept-Encoding"


def test_compression_can_be_turned_off(client):
    answer = client(gzip_enabled=False).simulate_post(INFER, body=MANY, headers={"Accept-Encoding": "gzip"})

    assert "content-encoding" not in answer.headers
    assert "vary" not in answer.headers


# -- origins -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "allowed, origin, status",
    [
        (None, None, 200),
        (None, "http://localhost", 200),
        (None, "http://localhost:80", 200),
        (None, "http://localhost:81", 403),
        (None, "https://localhost:80", 403),
        (None, "http://[", 403),
        (None, "http://]", 403),
        (None, "http://[::1", 403),
        (None, "http://localhost@evil.example", 403),
        (None, "http://localhost/", 403),
        (None, "localhost", 403),
        (None, "", 403),
        (None, "https://page.example", 403),
        (None, "null", 403),
        (("https://page.example",), "https://page.example", 200),
        (("https://page.example",), "https://other.example", 403),
        (("*",), "https://other.example", 200),
    ],
)
def test_a_page_may_post_from_its_own_origin_or_an_allowed_one(client, allowed, origin, status):
    cors = None if allowed is None else CorsSettings(allow_origins=allowed)

    headers = {"Host": "localhost"} | ({} if origin is None else {"Origin": origin})

    answer = client(cors_settings=cors).simulate_post(INFER, body=BODY, headers=headers)

    assert answer.status_code == status
    if status == 403:
        assert answer.json == {
            "error": f"A page of '{origin}' may not send requests here; cors_settings.allow_origins says who may.",
            "code": "FORBIDDEN",
        }


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_a_foreign_page_may_change_nothing_by_another_method_either(client, method):
    foreign = {"Origin": "https://page.example", "Host": "localhost"}
    own = {"Origin": "http://localhost", "Host": "localhost"}

    client = client()

    assert client.simulate_request(method, INFER, headers=foreign).json["code"] == "FORBIDDEN"
    assert client.simulate_request(method, INFER, headers=own).status_code == 405


def test_a_foreign_page_may_still_get(client):
    headers = {"Origin": "https://page.example", "Host": "localhost"}

    assert client().simulate_get("/v2", headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/v2", "/nowhere", "/v2/models/nobody/infer"])
def test_no_browser_may_guess_another_content_type(client, path):
    assert client().simulate_get(path).headers["x-content-type-options"] == "nosniff"


def test_memory_that_ends_while_a_request_is_read_is_a_503_that_blames_no_limit(client, monkeypatch):
    def no_memory(*_, **__):
        raise MemoryError

    monkeypatch.setattr("srv.rest.infer.read_envelope", no_memory)

    answer = client().simulate_post(INFER, body=BODY)

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert answer.json == {
        "error": "The server has no memory left for this request. Try again later, or send less at once.",
        "code": "UNAVAILABLE",
    }


REBOUND = "evil.example"


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize(
    "settings, host, refused",
    [
        ({}, REBOUND, True),
        ({}, f"{REBOUND}:8080", True),
        ({}, "192.0.2.1", True),
        ({}, "localhost.evil.example", True),
        ({}, "127.0.0.1.evil.example", True),
        ({"host": "localhost"}, REBOUND, True),
        ({"host": "::1"}, REBOUND, True),
        ({}, "localhost:8080", False),
        ({}, "LOCALHOST.", False),
        ({}, "app.localhost", False),
        ({}, "127.0.0.2:8080", False),
        ({}, "[::1]:8080", False),
        ({"host": "0.0.0.0"}, REBOUND, False),
        ({"host": "unix:/tmp/srv.sock"}, REBOUND, False),
        ({"allowed_hosts": ("api.example",)}, REBOUND, True),
        ({"allowed_hosts": (), "host": "0.0.0.0"}, REBOUND, True),
        ({"allowed_hosts": (".example",)}, "example", True),
        ({"allowed_hosts": ("api.example",)}, "API.example:80", False),
        ({"allowed_hosts": (".example",)}, "api.v1.example", False),
        ({"allowed_hosts": ("api.example",)}, "localhost", False),
        ({"allowed_hosts": ("2001:db8::1",)}, "[2001:db8::1]:80", False),
        ({"allowed_hosts": ("*",)}, REBOUND, False),
    ],
)
def test_a_page_reaches_the_server_by_an_allowed_host_only(client, settings, host, refused, method):
    headers = {"Host": host, "Origin": f"http://{host}"}

    answer = client(**settings).simulate_request(method, "/v2", headers=headers)

    if refused:
        assert (answer.status_code, answer.json["code"]) == (403, "FORBIDDEN")
        assert f"'{host}'; the setting allowed_hosts says" in answer.json["error"]
    else:
        assert answer.status_code in (200, 405)


def test_an_origin_that_settings_allow_reaches_the_server_by_any_host(client):
    cors = CorsSettings(allow_origins=("https://page.example",))
    headers = {"Host": "box.example", "Origin": "https://page.example"}

    assert client(cors_settings=cors).simulate_post(INFER, body=BODY, headers=headers).status_code == 200


def test_without_an_origin_any_host_reaches_a_server_that_lists_none(client):
    assert client().simulate_get("/v2", headers={"Host": REBOUND}).status_code == 200


def test_without_an_origin_a_host_that_is_not_listed_is_refused_but_for_health(client):
    listed = client(allowed_hosts=("api.example",))
    assert listed.simulate_get("/v2", headers={"Host": REBOUND}).status_code == 403
    assert listed.simulate_get("/v2/health/ready", headers={"Host": REBOUND}).status_code == 200


def test_a_browser_is_told_what_an_allowed_origin_may_do(client):
    cors = CorsSettings(
        allow_origins=("https://page.example",), allow_credentials=True, expose_headers=("X-Mine", "X-Request-Id")
    )
    asked = {
        "Origin": "https://page.example",
        "Access-Control-Request-Method": "POST",
    }  # by any host, because it is allowed

    answer = client(cors_settings=cors).simulate_options(INFER, headers=asked)

    assert answer.headers["access-control-allow-origin"] == "https://page.example"
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-credentials"] == "true"
    exposed = "Inference-Header-Content-Length, X-Request-Id, Retry-After, X-Mine"
    assert answer.headers["access-control-expose-headers"] == exposed


@pytest.mark.parametrize("origins", [("https://page.example",), ("*",)], ids=["named", "any"])
@pytest.mark.parametrize("origin", [None, "https://page.example", "https://other.example"])
def test_an_answer_says_to_caches_that_it_depends_on_the_origin(client, origins, origin):
    headers = {"Accept-Encoding": "gzip"} | ({"Origin": origin} if origin else {})

    answer = client(cors_settings=CorsSettings(allow_origins=origins)).simulate_get("/v2", headers=headers)

    assert "Origin" in answer.headers["vary"].split(", ")


@pytest.mark.parametrize("cors", [None, CorsSettings(allow_origins=("https://page.example",))], ids=["none", "another"])
def test_a_preflight_of_a_page_that_may_not_is_a_403_that_the_log_tells(client, cors, caplog):
    headers = {"Origin": "https://other.example", "Host": "localhost", "Access-Control-Request-Method": "POST"}

    answer = client(cors_settings=cors).simulate_options(INFER, headers=headers)

    assert (answer.status_code, answer.json["code"]) == (403, "FORBIDDEN")
    assert "access-control-allow-origin" not in answer.headers
    sentence = "A page of 'https://other.example' may not send requests here; cors_settings.allow_origins says who may."
    assert answer.json["error"] == sentence
    assert f"The preflight of a browser for '{INFER}' is refused: {sentence}" in caplog.text


def test_a_preflight_of_a_page_of_the_same_origin_is_none_of_ours(client):
    headers = {"Origin": "http://localhost", "Host": "localhost", "Access-Control-Request-Method": "PUT"}
    assert client().simulate_options(INFER, headers=headers).status_code == 200


# -- headers -----------------------------------------------------------------------------------------------------------

CREDENTIALS = {
    "Authorization": "Bearer secret",
    "Proxy-Authorization": "secret",
    "Cookie": "a=b",
    "X-Api-Key": "secret",
}


def seen(answer):
    return json.loads(answer.json["outputs"][0]["data"][0])


def test_runtimes_see_headers_without_credentials(client):
    answer = client().simulate_post(INFER, body=BODY, headers={**CREDENTIALS, "X-Mine": "yes"})

    assert seen(answer)["x-mine"] == "yes"
    assert not {name.lower() for name in CREDENTIALS} & set(seen(answer))


def test_pass_headers_names_credentials_that_runtimes_may_see(client):
    answer = client(pass_headers=("Authorization",)).simulate_post(INFER, body=BODY, headers=CREDENTIALS)

    assert seen(answer)["authorization"] == "Bearer secret"
    assert "cookie" not in seen(answer)


@pytest.mark.parametrize("given, kept", [("my-id.1", True), ("two words", False), ("x" * 129, False), ("ü", False)])
def test_every_answer_carries_the_clients_request_id_or_a_new_one(client, given, kept):
    given = given.encode().decode("latin-1")

    answer = client().simulate_get("/nowhere", headers={"X-Request-Id": given})

    assert (answer.headers["x-request-id"] == given) is kept
    assert answer.headers["x-request-id"]


# -- paths -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/below/here/v2", "/v2", "/below/here/", "/below/here"])
def test_below_the_root_path_and_without_it_the_routes_are_the_same(client, path):
    assert client(root_path="/below/here").simulate_get(path).status_code == 200


@pytest.mark.parametrize(
    "root_path, path, health",
    [
        ("", "/", "/v2/health/ready"),
        ("/below/here", "/", "/below/here/v2/health/ready"),
        ("/below/here", "/below/here/", "/below/here/v2/health/ready"),
    ],
)
def test_the_first_page_names_the_readiness_probe_as_clients_reach_it(client, root_path, path, health):
    answering = client(root_path=root_path)

    assert answering.simulate_get(path).json["health"] == health
    assert answering.simulate_get(health).status_code in (200, 503)


@pytest.mark.parametrize("path", ["/below/herev2", "/below/hereafter/v2", "/below/v2"])
def test_what_only_begins_like_the_root_path_is_not_below_it(client, path):
    assert client(root_path="/below/here").simulate_get(path).status_code == 404


@pytest.mark.parametrize("path", ["/", "/v2", "/v2/health/live", "/v2/health/ready", "/v2/models", "/v2/models/m"])
def test_head_is_answered_like_get(client, path):
    served = client()
    get, head = served.simulate_get(path), served.simulate_head(path)

    assert head.status_code == get.status_code == 200
    assert head.content == b""
    assert head.headers["content-length"] == get.headers["content-length"]


@pytest.mark.parametrize(
    "path, methods",
    [("/v2/models/m", "GET, HEAD, OPTIONS"), (INFER, "POST, OPTIONS"), ("/v2/repository/index", "POST, OPTIONS")],
)
def test_options_names_the_methods_that_a_route_has(client, path, methods):
    app = client()
    answer = app.simulate_options(path)
    assert (answer.status_code, answer.headers["allow"], answer.content) == (200, methods, b"")
    assert app.simulate_put(path).headers["allow"] == methods
    assert app.simulate_options("/nothing").status_code == 404


def test_options_of_the_whole_server_names_every_method(client):
    environ = testing.create_environ("/", method="OPTIONS") | {"PATH_INFO": "*"}
    answered = testing.StartResponseMock()
    assert b"".join(client().app(environ, answered)) == b""
    assert answered.status == "200 OK"
    assert answered.headers_dict["allow"] == "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"


def test_only_what_cannot_block_is_said_not_to_block(client):
    app = client().app

    assert app.srv_nonblocking("GET", "/v2/health/ready")
    assert app.srv_nonblocking("GET", "/v2/models/m")
    assert not app.srv_nonblocking("POST", INFER)
    assert not app.srv_nonblocking("GET", "/metrics")
    assert not app.srv_nonblocking("GET", "/v2/models/stats")
    assert not app.srv_nonblocking("GET", "/v2/models/m/versions/1/docs/dataplane.json")


@pytest.mark.parametrize("says", [True, False], ids=["never waits", "says nothing"])
def test_a_route_of_a_plugins_below_the_models_blocks_unless_it_says_that_it_does_not(client, says):
    class Explanation:
        def on_get(self, req, resp, model):
            resp.media = {}

    if says:
        Explanation.srv_nonblocking = True
    app = client().app
    app.add_route("/v2/models/{model}/explanation", Explanation())

    assert app.srv_nonblocking("GET", "/v2/models/m/explanation") == says
    assert app.srv_nonblocking("HEAD", "/v2/models/m/explanation") == says
    assert not app.srv_nonblocking("POST", "/v2/models/m/explanation")


# -- headers of a response ---------------------------------------------------------------------------------------------


def test_a_models_headers_go_out_and_leave_the_id_of_the_request_alone(client):
    body = json.dumps({"inputs": [], "parameters": {"answer": "with headers"}})

    answer = client().simulate_post(INFER, body=body, headers={"X-Request-Id": "mine"})

    assert answer.status_code == 200
    assert answer.headers["x-request-id"] == "mine"
    assert answer.headers["x-mine"] == "yes"
    assert answer.headers["set-cookie"] == "a=b"


def test_every_output_with_an_infinite_value_says_so(client, tmp_path):
    served = client()
    code = (
        "import numpy as np\nfrom srv import InferenceRequest, Runtime\nclass Model(Runtime):\n"
        "    def predict(self, request: InferenceRequest):\n"
        "        return {'a': np.array([np.inf]), 'b': np.array([np.nan]), 'c': np.array([-np.inf], np.float32), "
        "'d': np.ones(1), 'e': ['null']}\n"
    )
    (tmp_path / "m" / "models.py").write_text(code)
    assert served.simulate_post("/v2/repository/models/m/load").status_code == 200

    outputs = served.simulate_post(INFER, body='{"inputs": []}').json["outputs"]

    assert [output["data"] for output in outputs] == [[None], [None], [None], [1.0], ["null"]]
    assert [output["parameters"].get("non_finite", False) for output in outputs] == [True, False, True, False, False]


V1 = {
    "/v1/models/x:predict": "that is a path of the V1 protocol, and this is V2: POST /v2/models/x/infer",
    "/v1/models/x/versions/1:predict": "and this is V2: POST /v2/models/x/infer",
    "/v1/models/x": "and this is V2: GET /v2/models/x/ready",
    "/v1/models": "and this is V2: GET /v2/models.",
    "/v1/completions": "predictions are asked for by the V2 protocol: POST /v2/models/NAME/infer",
    "/invocations": "predictions are asked for by the V2 protocol: POST /v2/models/NAME/infer",
    "/elsewhere": "the models are listed at /v2/models.",
}


@pytest.mark.parametrize("path, hint", V1.items(), ids=V1)
def test_a_path_of_another_protocol_is_404_with_the_path_of_v2(client, path, hint):
    answer = client().simulate_post(path, body=b"{}")
    assert answer.status_code == 404
    assert hint in answer.json["error"]


FOREIGN_BODIES = {
    '{"instances": [[1, 2]]}': "inputs is missing, and 'instances' is a field of the V1 protocol. This is V2, which takes",
    '{"dataframe_split": {}}': "'dataframe_split' is a field of MLflow's protocol",
    '{"dataframe_records": []}': "'dataframe_records' is a field of MLflow's protocol",
    '{"other": 1}': "inputs is missing.",
    '{"inputs": [], "parameters": {"a": 1, "b": [1]}}': "parameters['b']: expected",
    '{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": [1], "parameters": {"q": {}}}]}': (
        "inputs[0].parameters['q']: expected"
    ),
    '{"inputs": [], "outputs": [{"name": "y", "parameters": {"z": [1]}}]}': "outputs[0].parameters['z']: expected",
}


@pytest.mark.parametrize("body, hint", FOREIGN_BODIES.items(), ids=FOREIGN_BODIES)
def test_a_body_that_is_not_v2s_is_400_and_says_what_is_meant(client, body, hint):
    answer = client().simulate_post(INFER, body=body.encode())
    assert answer.status_code == 400
    assert hint in answer.json["error"]
