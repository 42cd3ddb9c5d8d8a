"""Files of dead workers' rows are folded into one, and no sum changes, whatever happens meanwhile."""

import fcntl
import gc
import threading

import pytest

from srv.metrics_types import Kind, Stages
from srv.model_settings import ModelSettings
from srv.planes import model_metrics, row_files
from srv.planes.ledger import Ledger
from srv.planes.model_metrics import ModelMetrics
from srv.runtime import Runtime

KINDS = [Kind("m", "1", "rest", "ok"), Kind("m", None, "grpc", "INVALID_INPUT")]


def count(ledger, times=1):
    for kind in KINDS:
        for _ in range(times):
            ledger.record(kind, Stages(queue=1000, infer=2), 2_000_000, elements=4, executions=1)
    ledger.record_batch("m", "1", 3, Stages(infer=5))


def dead(folder, workers=5):
    """Workers that have counted and are gone."""
    for worker in range(workers):
        count(Ledger(folder, str(worker)), worker + 1)


def all_of(ledger):
    return ledger.sums(), ledger.batches()


def files(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != "lock")


@pytest.fixture
def folder(tmp_path):
    dead(tmp_path)
    return tmp_path


def test_one_file_stands_for_all_dead_workers_and_none_for_the_living(folder):
    living = Ledger(folder, "living")
    count(living)
    before = all_of(living)

    for _ in range(3):
        living.fold_dead()
        assert all_of(living) == all_of(Ledger(folder, "reader")) == before
        dead(folder, workers=0)

    names = files(folder)
    assert [name for name in names if not name.startswith("folded-")] == ["living.kinds", "living.rows"]
    assert len(names) == 4
    count(living)
    assert living.sums()[KINDS[0]].count == before[0][KINDS[0]].count + 1


def test_a_worker_that_dies_later_is_folded_into_what_is_there(folder):
    Ledger(folder, "reader").fold_dead()
    dead(folder)
    before = all_of(Ledger(folder, "reader"))

    Ledger(folder, "reader").fold_dead()

    assert all_of(Ledger(folder, "reader")) == before
    assert before[0][KINDS[0]].count == 2 * 15
    assert len(files(folder)) == 2


def test_the_last_inference_is_the_last_of_all(folder, monkeypatch):
    monkeypatch.setattr("srv.planes.ledger.time.time", lambda: 9e9)
    count(Ledger(folder, "early"))
    monkeypatch.undo()

    Ledger(folder, "reader").fold_dead()

    assert Ledger(folder, "reader").sums()[KINDS[0]].last == int(9e12)


def test_a_worker_that_is_killed_while_it_folds_changes_no_sum(folder, monkeypatch):
    before = all_of(Ledger(folder, "reader"))
    monkeypatch.setattr(row_files, "_remove", lambda names: 1 / 0)
    with pytest.raises(ZeroDivisionError):  # when the new file is there, and the old ones are too
        Ledger(folder, "killed").fold_dead()
    monkeypatch.undo()
    assert len(files(folder)) == 12
    assert all_of(Ledger(folder, "reader")) == before

    Ledger(folder, "reader").fold_dead()

    assert all_of(Ledger(folder, "reader")) == before
    assert len(files(folder)) == 2


def test_where_the_disk_takes_no_more_all_stays_as_it_is(folder, monkeypatch):
    before, names = all_of(Ledger(folder, "reader")), files(folder)

    def full(file, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(row_files, "_write", full)
    Ledger(folder, "reader").fold_dead()

    assert files(folder) == names
    assert all_of(Ledger(folder, "reader")) == before


def test_nothing_is_folded_while_somebody_reads(folder, monkeypatch):
    monkeypatch.setattr(row_files, "_PATIENCE", 0.1)
    names = files(folder)
    with row_files.nothing_folded(folder):
        Ledger(folder, "reader").fold_dead()
        assert files(folder) == names

    Ledger(folder, "reader").fold_dead()
    assert len(files(folder)) == 2


def test_who_reads_or_begins_to_count_waits_for_one_who_folds_but_not_for_ever(folder, monkeypatch):
    monkeypatch.setattr(row_files, "_PATIENCE", 0.1)
    before = all_of(Ledger(folder, "reader"))
    done = []

    def read_and_count():
        done.append(all_of(Ledger(folder, "reader")))
        count(Ledger(folder, "beginner"))

    thread = threading.Thread(target=read_and_count)
    with (folder / "lock").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # as by a worker that was stopped
        thread.start()
        thread.join(60)
        assert not thread.is_alive()
    assert done == [before]


def test_counters_and_histograms_of_models_are_folded_and_gauges_of_dead_workers_go(tmp_path, monkeypatch):
    for worker, bounds in ((1, (5,)), (2, (1, 2)), (3, (1, 2))):
        monkeypatch.setattr(model_metrics.time, "time", lambda worker=worker: float(worker))
        runtime = Runtime(ModelSettings(name="m"))
        metrics = ModelMetrics(tmp_path, str(worker))
        runtime.metric_reporter = metrics.reporter("m", "1")
        runtime.metric("rows", 2, kind="counter", colour="red")
        runtime.metric("size", 2, kind="histogram", buckets=bounds)
        runtime.metric("level", 1)
        del runtime, metrics
        gc.collect()  # so that the file is open no longer, as when a worker has died
    before = ModelMetrics(tmp_path, "reader").series([])
    assert [(each.name, each.value) for each in before] == [("rows", 6), ("size", 4)]

    ModelMetrics(tmp_path, "reader").fold_dead()

    assert ModelMetrics(tmp_path, "reader").series([1, 2, 3]) == before
    assert len(files(tmp_path)) == 2
