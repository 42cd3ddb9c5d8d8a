"""Files of prometheus_client of processes that are gone: folded into one of each kind, and no sum changes."""

import fcntl
import os

import pytest
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector

from srv_metrics import client_files
from srv_metrics.client_files import MANY, files_in_force, fold_files_of_the_dead

#: Beyond the largest process id that Linux gives.
NOBODY = 4_194_305


def write(folder, pid, rows=1.0):
    """The files of a process that has counted and observed something, and has set a gauge."""
    written = {
        f"counter_{pid}": [("rows", "rows_total", {}, rows)],
        f"histogram_{pid}": [("size", "size_bucket", {"le": "1.0"}, 1.0), ("size", "size_sum", {}, 0.5)],
        f"gauge_all_{pid}": [("level", "level", {}, 2.0)],
    }
    for name, samples in written.items():
        values = MmapedDict(str(folder / f"{name}.db"))
        for metric, sample, labels, value in samples:
            values.write_value(mmap_key(metric, sample, [*labels], [*labels.values()], "Help."), value, 0.0)
        values.close()


def told(folder):
    with files_in_force(folder) as files:
        return {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in MultiProcessCollector.merge(files)
            for sample in family.samples
        }


@pytest.fixture
def folder(tmp_path):
    for number in range(MANY // 2):
        write(tmp_path, NOBODY + number, rows=number)
    write(tmp_path, os.getpid(), rows=100.0)
    return tmp_path


def test_files_of_processes_that_are_gone_are_folded_by_kind_and_the_others_stay(folder):
    before = told(folder)
    assert before["rows_total",] == 100 + sum(range(MANY // 2))

    for _ in range(2):
        fold_files_of_the_dead(folder)
        assert told(folder) == before

    names = sorted(file.name for file in folder.iterdir() if not file.name.startswith("gauge_"))
    assert [name.partition("_folded")[0] for name in names] == [
        f"counter_{os.getpid()}.db",
        "counter",
        f"histogram_{os.getpid()}.db",
        "histogram",
        "lock",
    ]
    assert len([*folder.glob("gauge_all_*")]) == MANY // 2 + 1


def test_a_few_files_stay_as_they_are(tmp_path):
    write(tmp_path, NOBODY)
    write(tmp_path, NOBODY + 1)

    fold_files_of_the_dead(tmp_path)

    assert len([*tmp_path.glob("*.db")]) == 6


def test_what_was_folded_before_is_folded_again(folder):
    fold_files_of_the_dead(folder)
    for number in range(MANY // 2):
        write(folder, NOBODY + number)
    before = told(folder)

    fold_files_of_the_dead(folder)

    assert told(folder) == before
    assert len([*folder.glob("counter_*")]) == 2


@pytest.mark.parametrize("step", ["unlink", "rename"])
def test_a_worker_that_is_killed_while_it_folds_changes_no_sum(folder, monkeypatch, step):
    before = told(folder)
    real = getattr(type(folder), step)

    def killed(path, *arguments, **options):
        if path.suffix != ".written":
            raise ZeroDivisionError
        return real(path, *arguments, **options)

    monkeypatch.setattr(type(folder), step, killed)
    with pytest.raises(ZeroDivisionError):
        fold_files_of_the_dead(folder)
    monkeypatch.undo()
    assert told(folder) == before

    for number in range(MANY):
        write(folder, NOBODY + 100 + number, rows=0.0)
    fold_files_of_the_dead(folder)

    assert told(folder)["rows_total",] == before["rows_total",]
    assert len([*folder.glob("counter_*")]) == 2
    assert [*folder.glob("*.part")] == [*folder.glob("*.replaces")] == []


def test_nothing_is_folded_while_somebody_reads(folder, monkeypatch):
    monkeypatch.setattr(client_files, "_PATIENCE", 0.05)
    (folder / "lock").touch()
    names = sorted(folder.iterdir())
    with files_in_force(folder):
        fold_files_of_the_dead(folder)
    assert sorted(folder.iterdir()) == names


def test_who_reads_goes_on_where_another_folds_for_ever(folder, monkeypatch):
    monkeypatch.setattr(client_files, "_PATIENCE", 0.05)
    with (folder / "lock").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert told(folder)["rows_total",] > 100


def test_a_file_that_was_just_made_is_left_for_later(folder):
    before = told(folder)
    (folder / "counter_1.db").touch()
    assert told(folder) == before
