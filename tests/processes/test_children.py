"""Model processes as the supervisor sees them start: programs that are no srv, or another one."""

import asyncio
import sys

import pytest

from srv.channels.frames import PROTOCOL
from srv.processes.children import Child, ChildProgram
from srv.processes.errors import EndedWhileLoading, OtherVersion, StartedTooSlowly


def started(tmp_path, code, *, start_timeout=30.0, memory=None):
    """Start a program in place of an interpreter's srv.modelprocess, and return how it ended and why."""
    program = tmp_path / "python"
    program.write_text(f"#!{sys.executable}\nimport os, socket, sys, time\nfd = int(sys.argv[4])\n{code}\n")
    program.chmod(0o700)

    async def run():
        over = asyncio.get_running_loop().create_future()
        child = Child(
            "model", {}, start_timeout=start_timeout, load_timeout=30.0, silence=30.0, memory=memory,
            loaded=lambda *_: None, ended=lambda _, how, failure: over.set_result((how, failure)),
        )  # fmt: skip
        child.start(ChildProgram(str(program), {}))
        return await asyncio.wait_for(over, 60)

    return asyncio.run(run())


def test_a_process_that_ends_where_its_memory_is_limited_says_so(tmp_path):
    _, failure = started(tmp_path, "sys.exit(127)", memory=1_000_000)
    assert str(failure) == (
        "process: its process ended with exit code 127 while it loaded the model. It may ask for no more than 1,000,000 bytes, "
        "which is process.memory."
    )


def test_an_srv_of_another_protocol_is_refused_with_both_numbers_and_the_command(tmp_path):
    theirs = PROTOCOL + 7
    frame = f"b'sv' + ({theirs}).to_bytes(2, 'little') + bytes(60)"
    _, failure = started(tmp_path, f"socket.socket(fileno=fd).send({frame}); time.sleep(60)")
    assert isinstance(failure, OtherVersion)
    assert f"speaks version {theirs} of the protocol" in str(failure)
    assert f"this server speaks {PROTOCOL}." in str(failure)
    assert "-m pip install 'srv-inference==" in str(failure)


@pytest.mark.parametrize(
    "code, said", [("os._exit(9)", "ended with exit code 9"), ("os.abort()", "was killed by SIGABRT")]
)
def test_a_program_that_ends_before_it_is_ready_says_how(tmp_path, code, said):
    how, failure = started(tmp_path, code)
    assert how == said
    assert isinstance(failure, EndedWhileLoading)
    assert said in str(failure)


def test_bytes_that_are_no_frame_end_the_process(tmp_path):
    how, failure = started(tmp_path, "socket.socket(fileno=fd).send(bytes(200)); time.sleep(60)")
    assert how.startswith("sent what no model process sends, and was killed")
    assert failure is not None


def test_a_program_that_says_nothing_is_given_up_after_start_timeout(tmp_path):
    how, failure = started(tmp_path, "time.sleep(60)", start_timeout=0.2)
    assert how == "was killed because it took too long to start"
    assert isinstance(failure, StartedTooSlowly)
    assert "0.2 s (start_timeout)" in str(failure)
