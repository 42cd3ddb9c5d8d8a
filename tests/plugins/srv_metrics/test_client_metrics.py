"""Metrics that models keep with prometheus_client, at /metrics, through the kit alone: all in one process here."""

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Exemplar, Sample

from srv import Runtime
from srv.testing import model

MODULE = """\
import numpy as np
from prometheus_client import {imports}
from srv import Runtime

{metrics}

class Model(Runtime):
    def predict(self, x: np.ndarray) -> np.ndarray:
        {predict}
        return x
"""


class Custom:
    """A collector that a model makes by itself."""

    def __init__(self, *families):
        self._families = families

    def collect(self):
        for family in self._families:
            if isinstance(family, BaseException):
                raise family
            yield family


class Registered(Runtime):
    """Has a registry of its own, with a metric and a collector."""

    def load(self) -> None:
        self.registry = CollectorRegistry()
        self._rows = Counter("own_rows", "Rows.", ["model"], registry=self.registry)
        self.registry.register(Custom(GaugeMetricFamily("own_depth", "Depth.", value=4)))

    def predict(self, x: list[str]) -> list[str]:
        self._rows.labels(self.name).inc(len(x))
        return x


@pytest.fixture(autouse=True)
def restored_registry():
    """Leave prometheus_client's registry as it was, because all tests of this process have the same."""
    before = {*REGISTRY._collector_to_names}
    yield
    for collector in {*REGISTRY._collector_to_names} - before:
        REGISTRY.unregister(collector)
    vars(REGISTRY).pop("register", None)


@pytest.fixture
def serve(srv_client, isolated_plugins):
    isolated_plugins()
    return srv_client


def samples(client):
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(client.get("/metrics").body.decode())
        for sample in family.samples
        if not sample.name.startswith(("srv_", "process_")) and not sample.name.endswith("_created")
    }


def write(folder, name="m", *, metrics="ROWS = Counter('my_rows', 'Rows.', ['model'])", imports="Counter", predict=""):
    place = folder / name
    place.mkdir(exist_ok=True)
    (place / "model-settings.json").write_text('{"implementation": "models.Model"}')
    predict = predict or "ROWS.labels(self.name).inc(len(x))"
    (place / "models.py").write_text(MODULE.format(imports=imports, metrics=metrics, predict=predict))


def infer(client, name="m", rows=3):
    assert client.infer(name, {"x": ["a"] * rows}).status == 200


def reload(client, name="m"):
    assert client.post(f"/v2/repository/models/{name}/load", b"").status == 200


def test_a_counter_of_a_models_module_is_shown_and_what_the_library_shows_of_itself_is_not(serve, tmp_path):
    write(tmp_path)
    client = serve(tmp_path)
    infer(client)

    assert samples(client) == {("my_rows_total", "m"): 3}


def test_a_reload_registers_the_same_metric_again_and_counts_on(serve, tmp_path):
    metrics = (
        "ROWS = Counter('my_rows', 'Rows.', ['model'])\nSIZE = Histogram('my_size', 'Size.', buckets=(2,))\n"
        "LEVEL = Gauge('my_level', 'Level.')"
    )
    write(
        tmp_path,
        metrics=metrics,
        imports="Counter, Gauge, Histogram",
        predict="ROWS.labels('m').inc(len(x)); SIZE.observe(len(x)); LEVEL.set(len(x))",
    )
    client = serve(tmp_path)
    infer(client)
    before = client.assembled.registry.find("m").runtime
    reload(client)
    infer(client, rows=1)
    before.predict(["a", "b"])  # a request that still runs in the instance before

    assert samples(client) == {
        ("my_rows_total", "m"): 6,
        ("my_size_bucket", "2.0"): 2,
        ("my_size_bucket", "+Inf"): 3,
        ("my_size_count",): 3,
        ("my_size_sum",): 6,
        ("my_level",): 2,
    }


def test_a_load_that_failed_after_it_registered_a_metric_can_be_tried_again(serve, tmp_path):
    write(tmp_path, metrics="ROWS = Counter('my_rows', 'Rows.', ['model'])\nraise RuntimeError('not yet')")
    (tmp_path / "settings.json").write_text('{"on_load_error": "continue"}')
    client = serve(tmp_path)
    write(tmp_path)

    reload(client)

    infer(client)
    assert samples(client) == {("my_rows_total", "m"): 3}


def test_two_models_that_share_a_metric_count_in_one(serve, tmp_path):
    for name in ("a", "b"):
        write(tmp_path, name)
    client = serve(tmp_path)
    infer(client, "a")
    infer(client, "b", rows=1)

    assert samples(client) == {("my_rows_total", "a"): 3, ("my_rows_total", "b"): 1}


def test_a_metric_that_was_edited_takes_the_place_of_the_one_before_and_the_log_says_so(serve, tmp_path, caplog):
    write(tmp_path)
    client = serve(tmp_path)
    infer(client)
    write(
        tmp_path,
        metrics="ROWS = Gauge('my_rows_total', 'Rows.', ['colour'])",
        imports="Gauge",
        predict="ROWS.labels('red').set(1)",
    )
    reload(client)
    infer(client)

    assert samples(client) == {("my_rows_total", "red"): 1}
    assert "The metric gauge:my_rows_total is registered with another kind" in caplog.text


def test_a_registry_of_a_model_is_shown_with_its_own_collectors(serve):
    client = serve(model(Registered, name="a"), model(Registered, name="b"))
    infer(client, "a")
    infer(client, "b", rows=1)

    assert samples(client) == {("own_rows_total", "a"): 3, ("own_rows_total", "b"): 1, ("own_depth",): 4}


def test_a_registry_is_shown_no_longer_when_its_model_is_unloaded(serve):
    client = serve(model(Registered, name="a"))
    client.post("/v2/repository/models/a/unload", b"")

    assert samples(client) == {}


def test_a_runtime_may_have_a_registry_that_is_something_else(serve):
    class Other(Runtime):
        @property
        def registry(self):
            raise LookupError

        def predict(self, x: list[str]) -> list[str]:
            return x

    class Rubbish:
        collected = False

        def collect(self):
            self.collected = True
            return ()

    class Another(Runtime):
        registry = Rubbish()

        def predict(self, x: list[str]) -> list[str]:
            return x

    client = serve(model(Other, name="a"), model(Another, name="b"), model(Registered, name="c"))

    assert samples(client) == {("own_depth",): 4}
    assert not Another.registry.collected


def test_a_broken_collector_costs_what_it_would_have_shown_and_is_told_once(serve, caplog):
    class Broken(Runtime):
        registry = CollectorRegistry()

        def predict(self, x: list[str]) -> list[str]:
            return x

    good = GaugeMetricFamily("good", "Good.", value=1)
    text = GaugeMetricFamily("text", "Text.", labels=["x"])
    text.add_metric(["\ud800"], 1)
    nothing = GaugeMetricFamily("nothing", "Nothing.", labels=["x"])
    nothing.add_metric(["a"], None)
    ours = GaugeMetricFamily("srv_models", "Taken.", value=1)
    later = GaugeMetricFamily("later", "Later.", labels=["x"])
    later.add_metric(["a"], 1, timestamp="tomorrow")
    huge = GaugeMetricFamily("huge", "Huge.", labels=["x"])
    huge.add_metric(["a"], 10**400)
    ever = GaugeMetricFamily("ever", "Ever.", labels=["x"])
    ever.add_metric(["a"], 1, timestamp=float("inf"))
    other = GaugeMetricFamily("other", "Of another name.")
    other.add_sample("srv_requests_total", {"model": "m"}, 1)
    example = GaugeMetricFamily("example", "With an exemplar.")
    example.samples.append(Sample("example", {}, 1, None, Exemplar({"trace": "a"}, 1.0)))
    row = GaugeMetricFamily("row", "No sample.")
    row.samples.append(("row", {}, 1))
    Broken.registry.register(
        Custom(good, text, nothing, huge, later, ever, other, example, row, 7, ours, RuntimeError("no database"))
    )
    client = serve(model(Broken, name="m"))

    assert [samples(client) for _ in range(2)] == [{("good",): 1}] * 2

    lines = [record.getMessage() for record in caplog.records if record.name.startswith("srv_metrics")]
    assert lines == [
        "The metric 'text' of a model or plugin is not shown: it has samples that cannot be written.",
        "The metric 'nothing' of a model or plugin is not shown: it has samples that cannot be written.",
        "The metric 'huge' of a model or plugin is not shown: it has samples that cannot be written.",
        "The metric 'later' of a model or plugin is not shown: it has samples that cannot be written.",
        "The metric 'ever' of a model or plugin is not shown: it has samples that cannot be written.",
        "The metric 'other' of a model or plugin is not shown: it has samples that cannot be written.",
        "The metric 'example' of a model or plugin is not shown: it has samples that cannot be written.",
        "The metric 'row' of a model or plugin is not shown: it has samples that cannot be written.",
        "What a collector of a model or plugin gives, a int, is not shown: it is no Metric of prometheus_client with a name.",
        "The metric 'srv_models' of a model or plugin is not shown: srv has one of that name.",
        "Some metrics of models or plugins are not shown: RuntimeError: no database.",
    ]
    assert client.get("/metrics").body.count(b"# TYPE srv_models ") == 1


@pytest.mark.parametrize("raised", [SystemExit(3), KeyboardInterrupt()], ids=repr)
def test_a_collector_that_ends_its_thread_costs_no_other_metric(serve, raised):
    class Ends(Runtime):
        registry = CollectorRegistry()

        def predict(self, x: list[str]) -> list[str]:
            return x

    Ends.registry.register(Custom(GaugeMetricFamily("good", "Good.", value=1), raised))

    assert samples(serve(model(Ends, name="m"))) == {("good",): 1}
