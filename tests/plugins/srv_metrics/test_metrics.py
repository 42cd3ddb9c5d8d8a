"""The plugin metrics, through the kit alone."""

import os
import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from srv import Runtime
from srv.testing import model


class Doubler(Runtime):
    def predict(self, x: list[str]) -> list[str]:
        if x == ["bad"]:
            raise ValueError(x)
        return x + x


class Echo(Runtime):
    def predict(self, x: list[str]) -> list[str]:
        return x


@pytest.fixture
def client(srv_client, isolated_plugins):
    isolated_plugins()
    return srv_client(model(Doubler, name="double"))


def samples(answer):
    return {
        (sample.name, *(value for name, value in sorted(sample.labels.items()) if name != "distribution")): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


def test_srv_http_routes_brings_the_page(client):
    answer = client.get("/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain")


def test_srv_openapi_names_the_forms_of_the_page(client):
    described = client.get("/v2/docs/dataplane.json").json["paths"]["/metrics"]["get"]["responses"]["200"]["content"]
    for form in described:
        assert client.get("/metrics", headers={"Accept": form}).headers["content-type"].startswith(form)
    assert len(described) == 2


def test_requests_are_counted_by_model_version_face_and_outcome(client):
    client.infer("double", {"x": ["a"]})
    client.infer("double", {"x": ["bad"]})
    client.infer("double", {"y": ["a"]})
    client.post("/v2/models/double/infer", b"{")

    told = samples(client.get("/metrics"))

    def requests(outcome):
        return told["srv_requests_total", "rest", "double", outcome, "1"]

    assert [requests(outcome) for outcome in ("ok", "MODEL_ERROR", "INVALID_INPUT")] == [1, 1, 2]
    assert told["srv_request_duration_seconds_count", "rest", "double", "1"] == 4
    assert told["srv_queue_duration_seconds_bucket", "rest", "+Inf", "double", "1"] == 4
    assert told["srv_executions_total", "double", "1"] == 1
    assert 0 < told["srv_compute_seconds_total", "double", "infer", "1"] < 60


def test_what_a_client_calls_its_model_is_no_label(client):
    client.infer("evil", {"x": ["a"]})
    assert b"evil" not in client.get("/metrics").body


def test_models_and_plugins_are_told_by_state_and_processes_by_worker(client):
    told = samples(client.get("/metrics"))
    assert told["srv_models", "READY"] == 1
    assert told["srv_models", "LOADING"] == 0
    assert told["srv_plugins", "hooks", "loaded"] >= 1
    assert told["process_resident_memory_bytes", str(os.getpid())] > 1_000_000


def test_a_client_that_wants_openmetrics_gets_them(client):
    answer = client.get("/metrics", headers={"Accept": "application/openmetrics-text"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.body.endswith(b"# EOF\n")


@pytest.mark.parametrize(
    "accepted, form",
    [
        ("text/plain;version=1.0.0;q=0.1, application/openmetrics-text;version=1.0.0", "application/openmetrics-text"),
        ("application/openmetrics-text;version=1.0.0;q=0.1, text/plain;version=1.0.0;q=0.2", "text/plain"),
        ("application/openmetrics-text;q=0, text/plain", "text/plain"),
        ("application/openmetrics-text;q=0", "text/plain"),
        ("application/json", "text/plain"),
        ("*/*", "text/plain"),
        (
            "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            "application/openmetrics-text",
        ),
        ("not a media type at all;;,/", "text/plain"),
    ],
)
def test_metrics_come_in_the_form_that_a_client_likes_best(client, accepted, form):
    answer = client.get("/metrics", headers={"Accept": accepted})

    assert answer.status == 200
    assert answer.headers["content-type"].partition(";")[0] == form


def test_the_page_stands_where_the_setting_says(srv_client, isolated_plugins):
    isolated_plugins()
    client = srv_client(model(Doubler, name="double"), settings={"metrics_endpoint": "/m"})
    assert [client.get(path).status for path in ("/m", "/metrics")] == [200, 404]


def test_null_turns_the_page_off(srv_client, isolated_plugins):
    isolated_plugins()
    client = srv_client(model(Doubler, name="double"), settings={"metrics_endpoint": None})
    assert client.get("/metrics").status == 404


def test_every_line_is_of_a_family_with_a_help_text(client):
    text = client.get("/metrics").body.decode()
    helped = set(re.findall(r"^# HELP (\w+) \S", text, re.MULTILINE))
    assert set(re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE)) == helped


def test_batches_are_counted_by_their_rows_and_queues_by_model(srv_client, isolated_plugins):
    isolated_plugins()
    client = srv_client(model(Echo, name="batched", max_batch_size=8), model(Echo, name="plain"))
    for rows in (["a"], ["a", "b", "c"], ["a", "b", "c"]):
        client.infer("batched", {"x": rows})
    client.infer("plain", {"x": ["a"]})

    told = samples(client.get("/metrics"))

    buckets = {bound: told["srv_batch_size_bucket", bound, "batched", "1"] for bound in ("1.0", "2.0", "4.0", "+Inf")}
    assert buckets == {"1.0": 1, "2.0": 1, "4.0": 3, "+Inf": 3}
    assert told["srv_batch_size_sum", "batched", "1"] == 7
    assert told["srv_model_queue_requests", "batched", "1", str(os.getpid())] == 0
    assert ("srv_model_queue_requests", "plain", "1", str(os.getpid())) not in told
    assert ("srv_batch_size_sum", "plain", "1") not in told
