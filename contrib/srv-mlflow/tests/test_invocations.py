"""MLflow's own protocol is answered as MLflow's scoring server answers it."""

import asyncio
import base64
import json
import logging

import mlflow
import pytest
from mlflow.pyfunc.scoring_server import init

from srv.testing import Client

NAMES = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]
ROWS = [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]]
IRIS = {"dataframe_split": {"columns": NAMES, "data": ROWS}}
HOME = {"city": "Ulm", "area": None, "rooms": 3, "balcony": True}
KINDS = {
    "flag": True,
    "short": 3,
    "long": 2**40,
    "small": 1.5,
    "number": 0.1,
    "text": "Köln",
    "raw": base64.b64encode(b"\xff\0").decode(),
    "since": "2020-01-02T03:04:05",
    "list": [1.5, 2.0],
    "object": {"k": "v"},
    "map": {"a": 1},
}
JSON, CSV = "application/json", "text/csv"
TENSORS = {"p": [[1, 2]], "q": [[1, 2, 3]]}
SPLIT = {"columns": list(HOME), "data": [list(HOME.values())]}

BODIES = [
    ("iris", JSON, IRIS),
    ("iris", JSON, {"dataframe_split": {"columns": NAMES, "data": ROWS, "index": [7, 8]}}),
    ("iris", JSON, {"dataframe_records": [dict(zip(NAMES, row, strict=True)) for row in ROWS]}),
    ("iris", JSON, {"dataframe_records": [{**dict(zip(NAMES, row, strict=True)), "more": 1} for row in ROWS]}),
    ("iris", JSON, {"instances": [dict(zip(NAMES, row, strict=True)) for row in ROWS]}),
    ("iris", JSON, {"inputs": {name: [row[place] for row in ROWS] for place, name in enumerate(NAMES)}}),
    ("iris", "application/json; charset=utf-8", IRIS),
    ("iris", CSV, ",".join(NAMES) + "\n5.1,3.5,1.4,0.2\n6.3,3.3,6.0,2.5\n"),
    ("bare", JSON, {"instances": ROWS}),
    ("bare", JSON, {"inputs": ROWS}),
    ("homes", JSON, {"dataframe_records": [HOME, {**HOME, "area": 50}]}),
    ("homes", JSON, {"dataframe_split": SPLIT}),
    ("homes", CSV, "city,area,rooms,balcony\nUlm,,3,True\nBonn,70.5,2,False\n"),
    ("echo", JSON, {"dataframe_records": [KINDS]}),
    ("echo", JSON, {"dataframe_records": [KINDS, {**KINDS, "number": None, "more": "x"}]}),
    ("echo", JSON, {"inputs": [KINDS]}),
    ("tensors", JSON, {"inputs": TENSORS}),
    ("tensors", JSON, {"inputs": TENSORS, "params": {"by": 5}}),
    ("tensors", JSON, {"instances": [{"p": [1, 2], "q": [1, 2, 3]}]}),
    ("shouting", JSON, {"inputs": ["a", "b"]}),
    ("hinted", JSON, {"inputs": [{"text": "a"}, {"text": "b", "top": 5}]}),
    ("results", JSON, {"messages": [{"text": "a"}], "kind": "dict"}),
    # What MLflow makes of values that srv's own protocol refuses: it cuts off fractions, and a missing boolean is false.
    ("homes", JSON, {"dataframe_records": [{**HOME, "rooms": 2.5, "balcony": None}, HOME]}),
    ("unnamed", JSON, {"inputs": [[1.5, 2.5]]}),
    ("results", JSON, {"inputs": [1], "params": {"kind": "frame"}}),
    ("results", JSON, {"inputs": [1], "params": {"kind": "series"}}),
    ("results", JSON, {"inputs": [1], "params": {"kind": "dict"}}),
    ("results", JSON, {"inputs": [1], "params": {"kind": "scalar"}}),
    ("results", JSON, {"inputs": [1], "params": {"kind": "text"}}),
]
WRONG = [
    (
        "iris",
        JSON,
        {"dataframe_split": {"columns": NAMES[:2], "data": [row[:2] for row in ROWS]}},
        "Model is missing inputs [",
    ),
    (
        "iris",
        JSON,
        {"dataframe_split": {"columns": NAMES, "data": [[1, 2, 3, "x"]]}},
        "Invalid input. Data is not compatible",
    ),
    ("iris", JSON, {"rows": ROWS}, "The input must be a JSON dictionary with exactly one of the input fields"),
    ("iris", JSON, {"inputs": ROWS, "instances": ROWS}, "The input must be a JSON dictionary with exactly one of"),
    ("iris", JSON, [1], "Invalid input. The input must be a JSON dictionary"),
    ("iris", JSON, "{", "Invalid input. Ensure that input is a valid JSON formatted string."),
    ("iris", JSON, b"\xff", "Invalid input. Ensure that input is a valid JSON formatted string."),
    ("iris", CSV, "a,b\n1", "Model is missing inputs ["),
    (
        "homes",
        JSON,
        {"dataframe_records": [{**HOME, "rooms": None}]},
        "Invalid input. Data is not compatible with model",
    ),
    ("tensors", JSON, {"inputs": {"p": [[1, 2]]}}, "Model is missing inputs ['q']."),
    ("tensors", JSON, {"inputs": {"p": [1, 2], "q": [[1, 2, 3]]}}, "Shape of input (2,) does not match expected shape"),
    ("tensors", JSON, {"inputs": TENSORS, "params": {"by": "x"}}, "Invalid parameters found"),
    ("hinted", JSON, {"inputs": [{"text": 1}]}, ""),
    (
        "echo",
        JSON,
        {"dataframe_records": [{**KINDS, "object": {}}]},
        "Invalid input. Data is not compatible with model",
    ),
]


def as_body(body):
    return body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()


@pytest.fixture(scope="module")
def client(given):
    names = ("iris", "bare", "homes", "echo", "tensors", "shouting", "hinted", "unnamed", "results", "failing")
    with Client.of(*[given(name, name) for name in names], settings={"root_routes": ROOT}) as made:
        yield made


ROOT = {"/invocations": "iris", "/ping": "iris", "/health": "iris", "/version": "iris"}


@pytest.fixture(scope="module")
def mlflows(pyfunc):
    """Return what MLflow's own scoring server answers: the status and the body."""

    apps = {}

    def ask(name, body, content_type):
        if name not in apps:
            try:
                apps[name] = init(pyfunc(name))
            except AttributeError:
                pytest.skip("This release of MLflow is older than what this FastAPI has kept.")
        return asyncio.run(_asked(apps[name], body, content_type))

    return ask


async def _asked(app, body, content_type):
    sent = []

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": "/invocations",
        "raw_path": b"/invocations",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"content-type", content_type.encode())],
    }
    await app(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


@pytest.mark.parametrize("name, content_type, body", BODIES, ids=lambda value: str(value)[:50])
def test_a_body_is_answered_byte_by_byte_as_by_mlflows_scoring_server(client, mlflows, name, content_type, body):
    status, expected = mlflows(name, as_body(body), content_type)
    assert status == 200, expected
    answer = client.request(
        "POST", f"/v2/models/{name}/invocations", as_body(body), headers={"content-type": content_type}
    )
    assert (answer.status, answer.body) == (200, expected)
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("name, content_type, body, sentence", WRONG, ids=lambda value: str(value)[:50])
def test_a_body_that_does_not_fit_is_a_400_with_a_sentence(client, mlflows, name, content_type, body, sentence):
    status, _ = mlflows(name, as_body(body), content_type)
    answer = client.request(
        "POST", f"/v2/models/{name}/invocations", as_body(body), headers={"content-type": content_type}
    )
    assert (answer.status, answer.code, answer.error[: len(sentence)]) == (400, "INVALID_INPUT", sentence)
    assert status == 400
    assert len(answer.error) < 500


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "application/json; charset=latin-1", ""])
def test_another_content_type_is_a_415(client, content_type):
    answer = client.request(
        "POST", "/v2/models/iris/invocations", as_body(IRIS), headers={"content-type": content_type}
    )
    assert (answer.status, answer.code) == (415, "UNSUPPORTED_MEDIA")


def test_what_the_model_raises_is_a_500_and_in_the_log(client, caplog):
    with caplog.at_level(logging.ERROR):
        answer = client.post(
            "/v2/models/failing/invocations", {"inputs": {"how": ["value"]}}, headers={"content-type": JSON}
        )
    assert (answer.status, answer.code, "secret" in answer.error) == (500, "MODEL_ERROR", False)
    assert "ValueError: secret" in caplog.text


def test_the_routes_stand_at_the_root_where_settings_give_them(client):
    assert client.post("/invocations", IRIS, headers={"content-type": JSON}).json == {
        "predictions": ["setosa", "virginica"]
    }
    for path in ("/ping", "/health", "/v2/models/homes/ping", "/v2/models/homes/health"):
        answer = client.get(path)
        assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b"\n", "application/json")
    for path in ("/version", "/v2/models/homes/version"):
        assert (client.get(path).status, client.get(path).body) == (200, mlflow.__version__.encode())
