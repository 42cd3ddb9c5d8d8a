import copy
import enum
import math
import os
import pickle
import shutil
import threading

import numpy as np
import pytest

from srv.metrics_types import BOUNDS
from srv.model_settings import ModelSettings
from srv.planes import model_metrics
from srv.planes.metric_definitions import BadMetric
from srv.planes.model_metrics import ModelMetrics
from srv.runtime import Runtime


def runtime(metrics, name="m", version="1"):
    made = Runtime(ModelSettings(name=name))
    made.metric_reporter = metrics.reporter(name, version)
    return made


def values(metrics, workers=()):
    """Values by name and labels, and for a gauge by worker."""
    return {
        (each.name, *dict(each.labels).values(), *([each.worker] if each.worker else [])): each.value
        for each in metrics.series(workers)
    }


@pytest.fixture
def metrics():
    return ModelMetrics()


@pytest.fixture
def model(metrics):
    return runtime(metrics)


def test_a_counter_adds_up_and_a_gauge_has_its_last_value(metrics, model):
    for number in (17, 3.5, np.float32(2), np.int64(1), True):
        model.metric("tokens", number, kind="counter")
        model.metric("temperature", number)

    assert values(metrics) == {("tokens",): 24.5, ("temperature", os.getpid()): 1.0}


def test_a_series_names_its_model_and_its_version(metrics):
    runtime(metrics, "a", "2").metric("rows", 1, kind="counter")

    (series,) = metrics.series([])

    assert (series.model, series.version, series.kind, series.labels) == ("a", "2", "counter", ())


def test_a_histogram_counts_in_buckets_of_srv_or_of_its_own(metrics, model):
    for size in (1, 10, 11, 1000):
        model.metric("size", size, kind="histogram", buckets=[1, 10, 100])
        model.metric("seconds", size / 1000, kind="histogram")

    seconds, size = metrics.series([])

    assert size.buckets == ((1, 1), (10, 1), (100, 1), (math.inf, 1))
    assert size.value == 1022
    assert [bound for bound, _ in seconds.buckets] == [*BOUNDS, math.inf]
    assert dict(seconds.buckets)[0.001] == 1


def test_each_set_of_labels_is_a_series_in_whatever_order_they_come(metrics, model):
    model.metric("rows", 1, kind="counter", colour="red", size="s")
    model.metric("rows", 2, kind="counter", size="s", colour="red")
    model.metric("rows", 4, kind="counter", size="m", colour="red")

    assert values(metrics) == {("rows", "red", "s"): 3, ("rows", "red", "m"): 4}


def test_labels_that_are_no_text_are_told_apart_by_what_they_print(metrics, model):
    colour = enum.StrEnum("Colour", ["RED"])
    for label in (1, True, 1.0, "1", None, colour.RED, "red"):
        model.metric("rows", 1, kind="counter", label=label)

    assert values(metrics) == {
        ("rows", "1"): 2,
        ("rows", "True"): 1,
        ("rows", "1.0"): 1,
        ("rows", "None"): 1,
        ("rows", "red"): 2,
    }


@pytest.mark.parametrize("label, shown", [("x" * 200, "x" * 127 + "…"), ("a\ud800b", "a?b"), ("Zoë", "Zoë")])
def test_a_label_is_cut_and_made_text_that_can_be_sent(metrics, model, label, shown):
    model.metric("rows", 1, label=label)

    assert [*values(metrics)] == [("rows", shown, os.getpid())]


@pytest.mark.parametrize(
    "arguments, said",
    [
        ({"name": "has space"}, "'has space' is no name of a metric"),
        ({"name": "1st"}, "'1st' is no name of a metric"),
        ({"name": "é"}, "is no name of a metric"),
        ({"name": ""}, "is no name of a metric"),
        ({"name": "x" * 101}, "is no name of a metric"),
        ({"name": ["x"]}, "is no name of a metric"),
        ({"name": "queue_requests"}, "a name of srv's own"),
        ({"name": "metrics_dropped_total", "kind": "counter"}, "a name of srv's own"),
        ({"kind": "count"}, "it must be counter, gauge or histogram"),
        ({"kind": ["counter"]}, "it must be counter, gauge or histogram"),
        ({"model": "x"}, "a label 'model', which is srv's own"),
        ({"worker": "x"}, "a label 'worker', which is srv's own"),
        ({"le": "x"}, "a label 'le', which is srv's own"),
        ({"__x": "x"}, "a label called '__x'"),
        ({"a-b": "x"}, "a label called 'a-b'"),
        ({f"l{number}": "x" for number in range(21)}, "21 labels: 20 are the most"),
        ({"buckets": [1]}, "is a gauge and has buckets"),
        ({"kind": "histogram", "buckets": [2, 1]}, "do not rise"),
        ({"kind": "histogram", "buckets": [1, 1]}, "do not rise"),
        ({"kind": "histogram", "buckets": []}, "not 1 to 100 finite numbers"),
        ({"kind": "histogram", "buckets": [math.nan]}, "not 1 to 100 finite numbers"),
        ({"kind": "histogram", "buckets": 5}, "no list of numbers"),
        ({"kind": "histogram", "buckets": ["a"]}, "no list of numbers"),
        ({"value": "3"}, "takes a number, and is given a str"),
        ({"value": None}, "takes a number, and is given a NoneType"),
        ({"value": [1, 2], "kind": "counter"}, "takes a number, and is given a list"),
    ],
    ids=str,
)
def test_a_call_that_is_wrong_whatever_the_value_is_says_so(metrics, model, arguments, said):
    with pytest.raises(BadMetric, match=said):
        model.metric(**{"name": "rows", "value": 1, **arguments})

    assert all(value == 0 for value in values(metrics).values())


@pytest.mark.parametrize(
    "arguments, said",
    [
        ({"kind": "gauge"}, "is a counter, and is reported as a gauge"),
        ({"kind": "counter"}, "has the labels colour, and is reported with none"),
        ({"kind": "counter", "size": "m", "colour": "x"}, "and is reported with colour, size"),
    ],
)
def test_a_metric_keeps_its_kind_and_its_labels(model, arguments, said):
    model.metric("rows", 1, kind="counter", colour="red")

    with pytest.raises(BadMetric, match=said):
        model.metric("rows", 1, **arguments)


def test_a_histogram_keeps_its_buckets_and_needs_to_name_them_once(metrics, model):
    model.metric("size", 1, kind="histogram", buckets=(1, 2))
    model.metric("size", 1, kind="histogram")

    with pytest.raises(BadMetric, match="other ones are given here"):
        model.metric("size", 1, kind="histogram", buckets=(1, 3))
    assert metrics.series([])[0].buckets == ((1, 2), (2, 0), (math.inf, 0))


def test_values_that_a_kind_cannot_take_are_dropped_counted_and_told_once(metrics, model, caplog):
    for value in (1, -1, math.nan, math.inf, 10**400):
        model.metric("rows", value, kind="counter")
        model.metric("size", value, kind="histogram", buckets=[1])

    told = values(metrics)

    assert told["rows",] == 1
    assert told["size",] == 0  # 1 and -1 were taken
    assert told["metrics_dropped", "value"] == 4 + 3
    (record,) = caplog.records
    assert record.getMessage().startswith("Model 'm' reports the metric 'rows' with the value '-1', which is dropped: ")


@pytest.mark.parametrize("value", [-1, math.inf])
def test_a_gauge_takes_any_number(metrics, model, value):
    model.metric("level", value)
    assert [*values(metrics).values()] == [value]


def test_series_beyond_the_limit_are_dropped_counted_and_told_once(metrics, model, caplog):
    limit = model_metrics.MOST_SERIES
    for number in range(limit + 50):
        model.metric("rows", 1, kind="counter", user=str(number))
    model.metric("rows", 1, kind="counter", user="0")

    told = values(metrics)

    assert told["rows", "0"] == 2
    assert len([name for name in told if name[0] == "rows"]) == limit
    assert told["metrics_dropped", "series"] == 50
    assert len(caplog.records) == 1
    runtime(metrics, "other").metric("rows", 1, kind="counter")
    assert values(metrics)["rows",] == 1


def test_labels_in_other_orders_do_not_grow_what_a_worker_keeps(metrics, model, monkeypatch):
    monkeypatch.setattr(model_metrics, "MOST_SERIES", 2)
    for number in range(50):
        model.metric("rows", 1, kind="counter", **({"a": "1", "b": "2"} if number % 2 else {"b": "2", "a": "1"}))
        model.metric(f"rows_{number % 2}", 1)

    assert len(model.metric_reporter._known) <= 8
    assert values(metrics)["rows", "1", "2"] == 50


def test_threads_that_report_at_once_lose_nothing(metrics, model):
    def report():
        for number in range(2000):
            model.metric("rows", 1, kind="counter", part=str(number % 3))
            model.metric("size", 1, kind="histogram", buckets=(2,))

    threads = [threading.Thread(target=report) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(series.value for series in metrics.series([]) if series.name == "rows") == 16_000
    assert [series.buckets[0] for series in metrics.series([]) if series.name == "size"] == [(2, 16_000)]


def test_workers_are_summed_dead_ones_too_and_gauges_are_those_of_the_living(tmp_path):
    for worker in ("1", "2"):
        model = runtime(ModelMetrics(tmp_path, worker))
        model.metric("rows", 5, kind="counter")
        model.metric("size", 1, kind="histogram", buckets=(2, 4))
        model.metric("level", int(worker))

    told = ModelMetrics(tmp_path, "3").series([2])

    assert [(each.name, each.worker, each.value, each.buckets) for each in told] == [
        ("level", 2, 2, ()),
        ("rows", None, 10, ()),
        ("size", None, 2, ((2, 2), (4, 0), (math.inf, 0))),
    ]


def test_a_worker_with_the_process_id_of_a_dead_one_has_gauges_of_its_own(tmp_path):
    first = runtime(ModelMetrics(tmp_path, "7"))
    for name in ("old", "level"):
        first.metric(name, 1)
    runtime(ModelMetrics(tmp_path, "7")).metric("level", 2)

    assert values(ModelMetrics(tmp_path, "8"), [7]) == {("level", 7): 2}


def test_a_worker_whose_models_report_nothing_has_no_file(tmp_path):
    metrics = ModelMetrics(tmp_path / "metrics", "1")

    assert metrics.series([]) == []
    assert not (tmp_path / "metrics").exists()


def test_the_next_instance_of_a_model_counts_on_and_the_gauges_of_the_one_before_go(metrics):
    first = runtime(metrics)
    first.metric("rows", 1, kind="counter")
    first.metric("old", 1)
    first.metric("level", 1)
    second = runtime(metrics)
    second.metric("rows", 1, kind="counter")
    second.metric("level", 2)

    first.metric_reporter.close()
    first.metric("rows", 1, kind="counter")  # by a thread of its own that has not ended
    first.metric("level", 3)

    assert values(metrics) == {("rows",): 3, ("level", os.getpid()): 2}


def test_an_instance_whose_load_failed_leaves_the_gauges_of_the_one_that_serves(metrics):
    serving = runtime(metrics)
    serving.metric("level", 1)
    failed = runtime(metrics)
    for value in (2, 3):
        failed.metric("level", value)
        failed.metric("new", value, part="a", other="b")
        failed.metric("new", value, other="b", part="a")
    failed.metric_reporter.close()
    assert values(metrics) == {("level", os.getpid()): 1}

    reloaded = runtime(metrics)
    reloaded.metric("level", 4)
    serving.metric_reporter.close()
    assert values(metrics) == {("level", os.getpid()): 4}
    reloaded.metric_reporter.close()
    assert values(metrics) == {}


@pytest.mark.parametrize("after", [{"kind": "gauge"}, {"kind": "histogram", "buckets": (3,)}])
def test_an_edited_model_may_report_a_metric_in_another_way(tmp_path, monkeypatch, after):
    monkeypatch.setattr(model_metrics.time, "time", lambda: 1.0)
    runtime(ModelMetrics(tmp_path, "1")).metric("size", 1, kind="histogram", buckets=(2,))
    metrics = ModelMetrics(tmp_path, "2")
    monkeypatch.setattr(model_metrics.time, "time", lambda: 2.0)
    runtime(metrics).metric("size", 1, **after)

    (series,) = metrics.series([])

    assert (series.kind, [bound for bound, _ in series.buckets]) == (
        after["kind"],
        [*after["buckets"], math.inf] if "buckets" in after else [],
    )


def test_what_somebody_has_deleted_is_written_again_and_counts_on(tmp_path):
    metrics = ModelMetrics(tmp_path / "metrics", "1")
    model = runtime(metrics)
    model.metric("rows", 1, kind="counter")
    shutil.rmtree(tmp_path / "metrics")
    model.metric("rows", 1, kind="counter")

    assert values(metrics) == {("rows",): 2}
    model.metric("rows", 1, kind="counter")

    assert values(ModelMetrics(tmp_path / "metrics", "2")) == {("rows",): 3}


def test_a_file_grows_by_rows_of_any_width_and_is_read_as_it_was_written(tmp_path):
    model = runtime(ModelMetrics(tmp_path, "1"))
    for number in range(300):
        model.metric("size", number, kind="histogram", buckets=range(1, 100), part=str(number))
        model.metric("rows", number, kind="counter", part=str(number))

    told = values(ModelMetrics(tmp_path, "2"))

    assert told == {(name, str(number)): number for name in ("size", "rows") for number in range(300)}
    assert (tmp_path / "1.rows").stat().st_size > 2 * 65536


def test_copies_of_a_runtime_report_in_its_process_and_in_no_other(metrics, model):
    copy.deepcopy(model).metric("rows", 1, kind="counter")
    pickle.loads(pickle.dumps(model)).metric("rows", 1, kind="counter")

    assert values(metrics) == {("rows",): 1}


def test_a_forked_child_changes_nothing_of_its_parents(tmp_path):
    metrics = ModelMetrics(tmp_path, "1")
    model = runtime(metrics)
    model.metric("rows", 1, kind="counter")

    metrics.forked()  # as in the child
    model.metric("rows", 1, kind="counter")
    model.metric("more", 1, kind="counter")

    assert values(ModelMetrics(tmp_path, "2")) == {("rows",): 1}
