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
        ("", None),
    ],
)
def test_a_large_answer_is_packed_as_the_client_likes_best(client, accepted, coding):
    unpack = {"gzip": gzip.decompress, "deflate": zlib.decompress, None: bytes}

    answer = client(gzip_enabled=True).simulate_post(INFER, body=MANY, headers={"Accept-Encoding": accepted})

    assert answer.headers.get("content-encoding") == coding
    assert len(json.loads(unpack[coding](answer.content))["outputs"][0]["data"]) == 1000
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.headers.get("vary") == (coding and "Accept-Encoding")


def test_binary_answers_are_packed_too(client):
    wish = json.dumps({"inputs": [], "outputs": [{"name": "many", "parameters": {"binary_data": True}}]})

    answer = client(gzip_enabled=True).simulate_post(INFER, body=wish, headers={"Accept-Encoding": "gzip"})

    length = int(answer.headers["inference-header-content-length"])
    assert len(gzip.decompress(answer.content)) == length + 8000


def test_a_small_answer_is_not_packed(client):
    answer = client(gzip_enabled=True).simulate_get("/v2", headers={"Accept-Encoding": "gzip"})

    assert "content-encoding" not in answer.headers


def test_compression_can_be_turned_off(client):
    answer = client(gzip_enabled=False).simulate_post(INFER, body=MANY, headers={"Accept-Encoding": "gzip"})

    assert "content-encoding" not in answer.headers


# -- origins -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "allowed, origin, status",
    [
        (None, None, 200),
        (None, "http://falconframework.org", 200),
        (None, "https://page.example", 403),
        (None, "null", 403),
        (("https://page.example",), "https://page.example", 200),
        (("https://page.example",), "https://other.example", 403),
        (("*",), "https://other.example", 200),
    ],
)
def test_a_page_may_post_from_its_own_origin_or_an_allowed_one(client, allowed, origin, status):
    cors = None if allowed is None else CorsSettings(allow_origins=allowed)

    answer = client(cors_settings=cors).simulate_post(INFER, body=BODY, headers={"Origin": origin} if origin else {})

    assert answer.status_code == status
    if status == 403:
        assert answer.json["code"] == "FORBIDDEN"


def test_a_foreign_page_may_still_get(client):
    assert client().simulate_get("/v2", headers={"Origin": "https://page.example"}).status_code == 200


def test_a_browser_is_told_what_an_allowed_origin_may_do(client):
    cors = CorsSettings(
        allow_origins=("https://page.example",), allow_credentials=True, expose_headers=("X-Request-Id",)
    )
    asked = {"Origin": "https://page.example", "Access-Control-Request-Method": "POST"}

    answer = client(cors_settings=cors).simulate_options(INFER, headers=asked)

    assert answer.headers["access-control-allow-origin"] == "https://page.example"
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert answer.headers["access-control-expose-headers"] == "X-Request-Id"


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


def test_only_what_cannot_block_is_said_not_to_block(client):
    app = client().app

    assert app.srv_nonblocking("GET", "/v2/health/ready")
    assert app.srv_nonblocking("GET", "/v2/models/m")
    assert not app.srv_nonblocking("POST", INFER)
    assert not app.srv_nonblocking("GET", "/metrics")


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
