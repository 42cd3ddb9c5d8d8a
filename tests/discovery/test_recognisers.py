import os
from pathlib import Path

import pytest

from srv.discovery.recognisers import Recognisers

RUNTIME = """
from srv import Runtime

class Mine(Runtime):
    {}
    def recognise(cls, path):
        {}
"""


@pytest.fixture
def refusal_of(site, tmp_path):
    """Return how a runtime refuses a file whose text is `yes`, or whatever `make` leaves at a path."""

    def ask(body, decorator="@classmethod", make=lambda path: path.write_text("yes")):
        source = RUNTIME.format(decorator, body) if body else "from srv import Runtime\nclass Mine(Runtime): ...\n"
        site.add("srv-mine", "[srv.runtimes]\nmine = srv_mine:Mine [model.x]\n", modules={"srv_mine": source})
        path = tmp_path / "model.x"
        make(path)
        recognisers = Recognisers(site.discover())
        return [recognisers.refusal("mine", path) for _ in range(2)][-1]

    return ask


@pytest.mark.parametrize(
    "body, how",
    [
        ("", ""),
        ("return path.read_text() == 'yes'", ""),
        ("return path.read_text() == 'no'", "it says no; the file begins with 'yes'"),
        ("return 1 / 0", "it raised ZeroDivisionError when asked"),
        ("raise SystemExit", "it raised SystemExit when asked"),
        ("return path", "it answered with a PosixPath, not with True or False"),
        ("from srv import InvalidInput; raise InvalidInput('It begins with a y.')", "it says no: It begins with a y"),
        ("raise PermissionError(13, 'Permission denied', path)", "it cannot be read (Permission denied)"),
    ],
    ids=["the default", "yes", "no", "raises", "exits", "neither", "why not", "cannot read"],
)
def test_a_runtime_says_whether_a_file_is_its_own(refusal_of, body, how):
    assert refusal_of(body) == how


READS = "return path.read_bytes().startswith(b'yes')"


@pytest.mark.parametrize(
    "make, body, how",
    [
        (Path.mkdir, READS, "it is a folder, not a file"),
        (Path.mkdir, "return False", "it is a folder, not a file"),
        (Path.mkdir, "return {}[path]", "it is a folder, not a file"),
        (Path.mkdir, "return path.is_dir()", ""),
        (Path.touch, READS, "it is empty"),
        (
            lambda path: path.write_bytes(b"\x80\0<html>" * 99),
            READS,
            "it says no; the file begins with '\ufffd\ufffd<html>\ufffd\ufffd<html>\ufffd\ufffd<html>'",
        ),
        (os.mkfifo, READS, "it is neither a file nor a folder"),
        (lambda path: path.symlink_to("nothing"), READS, "it cannot be read (No such file or directory)"),
    ],
    ids=["folder", "folder, no", "folder, raises", "folder, yes", "empty", "something else", "pipe", "gone"],
)
def test_what_is_no_readable_file_is_refused_in_words_and_without_a_traceback(refusal_of, caplog, make, body, how):
    assert refusal_of(body, make=make) == how
    assert not caplog.records


def test_a_runtime_that_fails_when_asked_is_logged_once_with_its_name(refusal_of, caplog):
    refusal_of("return 1 / 0")

    [record] = caplog.records
    assert record.getMessage().startswith("Runtime 'mine' raised ZeroDivisionError when asked whether it can serve ")
    assert record.exc_info


def test_a_recognise_that_needs_an_instance_refuses_and_is_logged(refusal_of, caplog):
    assert refusal_of("return True", decorator="# no class method") == "it raised TypeError when asked"
    assert "missing 1 required positional argument: 'path'" in caplog.text


def test_a_runtime_that_cannot_be_imported_refuses_and_is_logged(site, tmp_path, caplog):
    site.add("srv-mine", "[srv.runtimes]\nmine = srv_mine:Mine [model.x]\n", modules={"srv_mine": "import not_there"})

    assert Recognisers(site.discover()).refusal("mine", tmp_path / "model.x") == "it cannot be imported"
    assert "Runtime 'mine' could not be asked" in caplog.text
