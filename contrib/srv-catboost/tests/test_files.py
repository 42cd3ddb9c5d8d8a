"""Files of CatBoost are told from those of others by how they begin, and nothing heavy is imported for that."""

import json
import subprocess
import sys

import pytest
from test_tables import of_homes

from srv_catboost import CatBoostRuntime


@pytest.mark.parametrize("form", ["cbm", "json"])
def test_catboosts_own_files_are_recognised(tmp_path, form):
    file = tmp_path / "model.json"
    of_homes().save_model(str(file), format=form)
    assert CatBoostRuntime.recognise(file)


def test_json_that_was_written_anew_is_recognised(tmp_path):
    file = tmp_path / "model.json"
    of_homes().save_model(str(file), format="json")
    file.write_text(json.dumps(json.loads(file.read_text())))
    assert CatBoostRuntime.recognise(file)


@pytest.mark.parametrize(
    "content", [b"", b"{}", b'{"learner":{"attributes":{}}}', b"tree\nversion=v4", b"\x80\x04", b"{L\x00\x00"]
)
def test_other_files_are_not(tmp_path, content):
    file = tmp_path / "model.json"
    file.write_bytes(content)
    assert not CatBoostRuntime.recognise(file)


def test_to_recognise_a_file_imports_neither_catboost_nor_pandas():
    program = (
        "import sys, srv_catboost, srv_catboost.image\n"
        "print(sorted({'catboost', 'pandas', 'scipy', 'matplotlib'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
