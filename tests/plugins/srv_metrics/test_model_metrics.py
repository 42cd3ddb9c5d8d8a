"""Metrics that models report with `self.metric`, at /metrics, through the kit alone."""

import json
import os
import threading
from collections.abc import AsyncIterator, Iterator

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from srv import Runtime
from srv.testing import model

HERE = str(os.getpid())


class Everywhere(Runtime):
    def load(self) -> None:
        self.metric("calls", 1, kind="counter", place="load")

    def predict(self, x: list[str]) -> list[str]:
        self.metric("calls", 1, kind="counter", place="predict")
        thread = threading.Thread(target=self.metric, args=("calls", 1, "counter"), kwargs={"place": "thread"})
        thread.start()
        thread.join()
        return x

    def predict_stream(self, x: list[str]) -> Iterator[list[str]]:
        for each in x:
            self.metric("calls", 1, kind="counter", place="predict_stream")
            yield [each]

    def unload(self) -> None:
        self.metric("calls", 1, kind="counter", place="unload")


class Async(Runtime):
    async def load(self) -> None:
        self.metric("calls", 1, kind="counter", place="async load")

    async def predict(self, x: list[str]) -> list[str]:
        self.metric("calls", 1, kind="counter", place="async predict")
        return x

    async def predict_stream(self, x: list[str]) -> AsyncIterator[list[str]]:
        for each in x:
            self.metric("calls", 1, kind="counter", place="async predict_stream")
            yield [each]


class Batched(Runtime):
    def predict(self, x: list[str]) -> list[str]:
        self.metric("batch", len(x), kind="histogram", buckets=(1, 2))
        return x


class Told(Runtime):
    """Reports what the request says."""

    def predict(self, x: list[str]) -> list[str]:
        self.metric(**json.loads(x[0]))
        return x


def samples(answer, families=text_string_to_metric_families):
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families(answer.body.decode())
        for sample in family.samples
        if sample.name.startswith("srv_model_") and not sample.name.startswith("srv_model_queue")
    }


def tell(client, to, /, **report):
    """Have a model of the class Told report this."""
    return client.infer(to, {"x": [json.dumps(report)]})


@pytest.fixture
def serve(srv_client, isolated_plugins):
    isolated_plugins()
    return srv_client


def test_a_model_reports_from_each_of_its_methods_and_from_threads_of_its_own(serve):
    client = serve(model(Everywhere, name="m"), model(Async, name="a"))
    for name in ("m", "a"):
        client.infer(name, {"x": ["1"]})
        client.stream(name, {"x": ["1", "2"]})
    client.post("/v2/repository/models/m/unload", b"")

    told = samples(client.get("/metrics"))

    assert told == {
        ("srv_model_calls_total", "m", "load", "1"): 1,
        ("srv_model_calls_total", "m", "predict", "1"): 1,
        ("srv_model_calls_total", "m", "thread", "1"): 1,
        ("srv_model_calls_total", "m", "predict_stream", "1"): 2,
        ("srv_model_calls_total", "m", "unload", "1"): 1,
        ("srv_model_calls_total", "a", "async load", "1"): 1,
        ("srv_model_calls_total", "a", "async predict", "1"): 1,
        ("srv_model_calls_total", "a", "async predict_stream", "1"): 2,
    }


def test_a_model_that_batches_reports_for_each_of_its_runs(serve):
    client = serve(model(Batched, name="m", max_batch_size=4))
    for rows in (["a"], ["a", "b", "c"]):
        client.infer("m", {"x": rows})

    told = samples(client.get("/metrics"))

    assert told == {
        ("srv_model_batch_bucket", "1.0", "m", "1"): 1,
        ("srv_model_batch_bucket", "2.0", "m", "1"): 1,
        ("srv_model_batch_bucket", "+Inf", "m", "1"): 2,
        ("srv_model_batch_count", "m", "1"): 2,
        ("srv_model_batch_sum", "m", "1"): 4,
    }


def test_a_gauge_tells_its_worker_and_goes_with_its_model(serve):
    client = serve(model(Told, name="m"))
    tell(client, "m", name="level", value=0.5, part='a"b\n\\')
    assert samples(client.get("/metrics")) == {("srv_model_level", "m", 'a"b\n\\', "1", HERE): 0.5}

    client.post("/v2/repository/models/m/unload", b"")

    assert samples(client.get("/metrics")) == {}


def test_openmetrics_has_the_same_metrics(serve):
    client = serve(model(Batched, name="m", max_batch_size=4), model(Told, name="t"))
    client.infer("m", {"x": ["a"]})
    tell(client, "t", name="rows_total", value=2, kind="counter")

    told = samples(client.get("/metrics", headers={"Accept": "application/openmetrics-text"}), openmetrics_families)

    assert told == samples(client.get("/metrics"))
    assert told["srv_model_rows_total", "t", "1"] == 2


def test_a_report_that_is_wrong_is_an_error_of_the_model_that_the_log_explains(serve, caplog):
    client = serve(model(Told, name="m"))

    answer = tell(client, "m", name="no name", value=1)

    assert (answer.status, answer.json["code"]) == (500, "MODEL_ERROR")
    assert "BadMetric: 'no name' is no name of a metric" in caplog.text


def test_of_models_that_report_one_name_in_two_ways_the_first_is_shown_and_the_log_names_the_other(serve, caplog):
    client = serve(model(Told, name="a"), model(Told, name="b"), model(Told, name="c"))
    tell(client, "b", name="rows", value=1)
    tell(client, "a", name="rows", value=1, kind="histogram", buckets=[1])
    tell(client, "c", name="rows_count", value=1)

    told = [samples(client.get("/metrics")) for _ in range(2)]

    assert {key[-2] for key in told[0] if key[0] != "srv_model_rows_bucket"} == {"a"}
    assert told[0] == told[1]
    lines = [record.getMessage() for record in caplog.records if "is not shown" in record.getMessage()]
    assert [line.partition(", is not shown")[0] for line in lines] == [
        "The metric 'rows' of model 'b', a gauge",
        "The metric 'rows_count' of model 'c', a gauge",
    ]
