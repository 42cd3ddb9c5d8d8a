"""Where a worker's threads are: one record of the log, whatever its form."""

import json
import os
import signal

import pytest
from servers import eventually, numbers, running, write_model

from srv.processes.thread_dumps import ThreadDump


def test_a_dump_is_given_when_it_has_stopped_growing_and_once():
    dump = ThreadDump()
    assert dump.take() == ""
    os.write(dump.fileno(), b"Thread 0x1\n")
    assert dump.take() == ""
    assert dump.is_growing()
    os.write(dump.fileno(), b'  File "x"\n')
    assert dump.take() == ""
    assert dump.take() == 'Thread 0x1\n  File "x"\n'
    assert not dump.is_growing()
    os.write(dump.fileno(), b"again\n")
    assert dump.take(ended=True) == "again\n"
    dump.close()


def records(server):
    """The lines of the log, each of which must be an object."""
    return [json.loads(line) for line in server.lines]


def dumps(server):
    return [
        record["stack"] for record in records(server) if record["message"].startswith("Where the threads of a worker")
    ]


@pytest.mark.e2e
def test_with_log_format_json_sigusr1_gives_one_object_for_each_worker(tmp_path):
    write_model(tmp_path)
    with running(tmp_path, "--workers", "2", "--log-format", "json") as server:
        server.send(signal.SIGUSR1)
        eventually(lambda: len(dumps(server)) == 2)
        assert all("most recent call first" in dump and "in run" in dump for dump in dumps(server))
        os.kill(server.workers()[0], signal.SIGUSR1)  # by hand
        eventually(lambda: len(dumps(server)) == 3)
        assert server.post("/v2/models/double/infer", numbers(1)).status == 200
        assert server.stop() == 0
        assert len(dumps(server)) == 3


@pytest.mark.e2e
@pytest.mark.parametrize(
    "predict, how",
    [
        ("import ctypes\nctypes.PyDLL(None).sleep(60)", "did not respond for 2 s"),
        ("import ctypes\nctypes.string_at(0)", "was killed by SIGSEGV"),
    ],
    ids=["hangs", "crashes"],
)
def test_with_log_format_json_a_worker_that_hangs_or_crashes_shows_where_in_one_object(tmp_path, predict, how):
    (tmp_path / "settings.json").write_text(json.dumps({"worker_timeout": 2}))
    write_model(tmp_path, predict=predict)
    with running(tmp_path, "--log-format", "json") as server:
        with pytest.raises(OSError):
            server.post("/v2/models/double/infer", numbers(1))
        server.wait_for(how)
        assert any("in predict" in dump for dump in dumps(server))
