import subprocess

import pytest
from packing import SITE, pack, venv
from python_environments import make

from srv.environments import __main__ as program
from srv.environments.extraction import extract
from srv.environments.packed import examine_archive


@pytest.fixture
def usable(monkeypatch):
    """Let an environment be usable whose srv has nothing to import, because packing a whole one takes long."""
    monkeypatch.setattr(program, "interpreter_in", lambda folder: folder)


@pytest.mark.parametrize("top", ["", "old/"], ids=["flat", "in a folder"])
def test_an_environment_takes_the_place_of_its_archive(tmp_path, usable, top):
    script = "import pathlib; here = pathlib.Path(__file__).parents[1]; (here / 'place').write_text(str(here))"
    archive = pack(tmp_path / "env.tar.gz", venv(top) | {f"{top}bin/conda-unpack": script})

    assert program.main([str(archive)]) == 0

    assert [path.name for path in tmp_path.iterdir()] == ["env.tar.gz"]
    assert (archive / "place").read_text() == str(archive)
    said = subprocess.run(
        [archive / "bin" / "python", "-I", "-c", "import colours; print(colours.RED)"], capture_output=True, check=True
    )
    assert said.stdout == b"1\n"


def test_an_archive_that_does_not_fit_is_the_last_line_and_stays(tmp_path, capsys):
    archive = pack(tmp_path / "env.tar", venv(version="3.8"))
    assert program.main([str(archive)]) == 1
    assert capsys.readouterr().err.endswith(
        "env.tar has Python 3.8, and srv needs 3.11 or newer there. Make it again with a newer one.\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["env.tar"]


def test_what_was_made_by_hand_is_examined_as_any_other(tmp_path):
    folder = make(tmp_path / "env")
    assert (folder / SITE / "srv.pth").exists()
    done = subprocess.run(
        [folder / "bin" / "python", "-I", "-c", "import srv.modelprocess"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_member_is_told_before_it_is_extracted(tmp_path):
    archive = pack(tmp_path / "env.tar", venv())
    told = []
    extract(archive, examine_archive(archive), tmp_path / "env", lambda: told.append(1))
    assert len(told) == len(venv())
