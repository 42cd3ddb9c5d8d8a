import shutil
import subprocess
import sys
import threading

import pytest

from srv.planes.statistics import Kind, Ledger, Stages, by_model, model_statistics

HELLO = Kind("m", "1", "rest", "ok")


def count(ledger, kind=HELLO, times=1):
    for _ in range(times):
        ledger.record(kind, Stages(queue=1000, input=1, infer=2, output=3), 2_000_000, elements=4, executions=1)


def test_what_was_recorded_is_summed():
    ledger = Ledger()
    count(ledger, times=3)

    (sums,) = ledger.sums().values()

    assert (sums.count, sums.elements, sums.executions, sums.total) == (3, 12, 3, 6_000_000)
    assert sums.stages == Stages(3000, 3, 6, 9)
    assert sums.durations == [0, 0, 3, *[0] * 12]
    assert sums.last > 0


def test_threads_count_apart_and_nothing_is_lost(tmp_path):
    ledger = Ledger(tmp_path)
    threads = [threading.Thread(target=count, args=(ledger, HELLO, 500)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert ledger.sums()[HELLO].count == 4000


def test_workers_are_summed_dead_ones_too(tmp_path):
    first, second = Ledger(tmp_path, "1"), Ledger(tmp_path, "2")
    count(first, times=2)
    count(second, times=3)
    count(second, HELLO._replace(outcome="INVALID_INPUT"))
    del first

    sums = Ledger(tmp_path, "3").sums()

    assert sums[HELLO].count == 5
    assert sums[HELLO._replace(outcome="INVALID_INPUT")].count == 1


def test_the_faces_of_a_model_are_counted_together_when_asked():
    ledger = Ledger()
    count(ledger)
    count(ledger, HELLO._replace(face="grpc"), 2)

    assert by_model(ledger.sums())["m", "1"]["ok"].count == 3


def test_a_worker_with_the_process_id_of_a_dead_one_leaves_its_counts(tmp_path):
    for _ in range(2):
        count(Ledger(tmp_path, "7"))
    assert Ledger(tmp_path, "8").sums()[HELLO].count == 2


def test_a_line_that_is_half_written_is_left_for_later(tmp_path):
    ledger = Ledger(tmp_path)
    count(ledger)
    with (tmp_path / "worker.kinds").open("a") as names:
        names.write('["m", nu')

    assert list(ledger.sums()) == [HELLO]


@pytest.mark.parametrize("folder", [None, "kept"])
def test_the_rows_of_a_ledger_grow_without_end(tmp_path, folder):
    ledger = Ledger(tmp_path / folder if folder else None)
    models = [f"m{number}" for number in range(150)]

    def count_all():
        for model in models:
            count(ledger, HELLO._replace(model=model))
        barrier.wait()  # so that no thread gets the rows of one that has ended

    barrier = threading.Barrier(20)
    threads = [threading.Thread(target=count_all) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    others = [Ledger(tmp_path / folder, "2")] if folder else []
    for each in (ledger, *others):
        assert {kind.model: sums.count for kind, sums in each.sums().items()} == dict.fromkeys(models, 20)
        assert all(sums.durations[2] == 20 for sums in each.sums().values())


def test_a_thread_counts_on_in_the_rows_of_one_that_has_ended(tmp_path):
    ledger = Ledger(tmp_path)
    for _ in range(50):
        thread = threading.Thread(target=count, args=(ledger,))
        thread.start()
        thread.join()

    assert ledger.sums()[HELLO].count == 50
    assert len((tmp_path / "worker.kinds").read_text().splitlines()) == 1


def limited(folder):
    """Count in a process whose files may not grow, and give what it sums."""
    code = f"""
import resource
from pathlib import Path
from srv.planes.statistics import Kind, Ledger, Stages
ledger = Ledger(Path({str(folder)!r}), "limited")
ledger.record(Kind("before", "1", "rest", "ok"), Stages(), 1, elements=1, executions=1)
resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
for _ in range(3):
    ledger.record(Kind("after", "1", "rest", "ok"), Stages(), 1, elements=1, executions=1)
print({{kind.model: sums.count for kind, sums in ledger.sums().items()}})
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return ran.stdout.strip(), ran.stderr


def test_where_the_disk_takes_no_more_a_worker_counts_in_memory_of_its_own(tmp_path):
    told, said = limited(tmp_path)

    assert told == "{'before': 1, 'after': 3}"
    assert said.count("counted in this worker only") == 1
    assert {kind.model: sums.count for kind, sums in Ledger(tmp_path).sums().items()} == {"before": 1}


def test_counts_that_somebody_has_deleted_are_written_again(tmp_path):
    mine, other = Ledger(tmp_path / "counts", "1"), Ledger(tmp_path / "counts", "2")
    count(mine, times=2)
    shutil.rmtree(tmp_path / "counts")
    count(mine, times=3)

    mine.restore()
    count(mine)

    assert other.sums()[HELLO].count == mine.sums()[HELLO].count == 6
    assert other.sums()[HELLO].durations[2] == 6


def test_batches_are_counted_by_their_rows_over_all_workers_and_are_no_kind_of_answer(tmp_path):
    first, second = Ledger(tmp_path, "1"), Ledger(tmp_path, "2")
    for ledger, rows in ((first, 3), (first, 3), (second, 3), (second, 1)):
        ledger.record_batch("m", None, rows, Stages(infer=5, executions=1, batch=rows))

    assert first.sums() == {}
    assert {rows: (sums.count, sums.stages.infer) for rows, sums in first.batches()["m", None].items()} == {
        1: (1, 5),
        3: (3, 15),
    }
    stats = model_statistics("m", None, {}, first.batches()["m", None])["batch_stats"]
    assert [(row["batch_size"], row["compute_infer"]) for row in stats] == [
        (1, {"count": 1, "ns": 5}),
        (3, {"count": 3, "ns": 15}),
    ]
