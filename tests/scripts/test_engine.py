"""scripts/engine answers in words; that it works is shown by the tests of images."""

import os
import subprocess
from pathlib import Path

ENGINE = Path(__file__).parents[2] / "scripts/engine"


def engine(*words, **environ):
    return subprocess.run(
        [ENGINE, *words], cwd="/", env=os.environ | environ, capture_output=True, text=True, check=False
    )


def test_it_says_how_it_is_used():
    answer = engine("--help")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout.startswith("usage: scripts/engine")


def test_a_part_that_does_not_exist_is_wrong_usage_and_changes_nothing(tmp_path):
    answer = engine("up", "dokcer", ENGINE_DIR=str(tmp_path / "state"))
    assert answer.returncode == 2
    assert "there is no part dokcer; there are docker, buildx, buildah, micromamba, registry" in answer.stderr
    assert not (tmp_path / "state").exists()


def test_an_engine_that_is_down_is_told_by_the_exit_code(tmp_path):
    answers = [engine(command, ENGINE_DIR=str(tmp_path / "state")) for command in ("status", "env")]
    assert [answer.returncode for answer in answers] == [3, 3]
    assert [answer.stdout.strip() for answer in answers] == ["", ""]
