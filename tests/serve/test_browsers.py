"""What a page in a browser gets of a server whose worker refuses a request without the app."""

import json

import pytest
from servers import numbers, running, write_model

PAGE = "https://page.example"
LARGE = json.dumps(numbers(*range(3000))).encode()


def asked(server, body, origin):
    connection = server.connect()
    headers = {"Content-Type": "application/json"} | ({"Origin": origin} if origin else {})
    try:
        connection.request("POST", "/v2/models/double/infer", body=body, headers=headers)
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write_model(folder)
    settings = {"max_body_size": 1000, "cors_settings": {"allow_origins": [PAGE], "allow_credentials": True}}
    (folder / "settings.json").write_text(json.dumps(settings))
    with running(folder) as server:
        yield server


@pytest.mark.e2e
@pytest.mark.parametrize("body", [LARGE, [LARGE[:600], LARGE[600:]]], ids=["announced", "chunked"])
def test_a_page_that_may_send_reads_that_its_body_is_too_large(server, body):
    status, headers, answer = asked(server, body, PAGE)

    assert (status, json.loads(answer)["code"]) == (413, "TOO_LARGE")
    assert headers["Access-Control-Allow-Origin"] == PAGE
    assert headers["Access-Control-Allow-Credentials"] == "true"
    assert "X-Request-Id" in headers["Access-Control-Expose-Headers"]
    assert headers["Vary"] == "Origin"


@pytest.mark.e2e
@pytest.mark.parametrize("origin", [None, "https://other.example", "https://ünknown.example".encode("latin-1")])
def test_a_page_that_may_not_send_does_not_read_it(server, origin):
    status, headers, _ = asked(server, LARGE, origin)

    assert status == 413
    assert "Access-Control-Allow-Origin" not in headers
    assert headers["Vary"] == "Origin"
