"""Commands and edits with models in processes: `srv check` loads there too, `--reload` takes in an edit."""

import json
import subprocess
import sys

import pytest
from process_servers import pid_of, write
from servers import eventually, running

pytestmark = pytest.mark.e2e

CODE = """
import numpy as np
from srv import Runtime


class Model(Runtime):
    def load(self):
        print("printed while loading")

    def predict(self, x: np.ndarray) -> np.ndarray:
        return 2 * x
"""


def check(folder, *flags):
    command = [sys.executable, "-m", "srv", "check", str(folder), *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_check_loads_a_model_in_its_process_and_prints_its_line_alone(tmp_path):
    write(tmp_path, "model", CODE, process=True)
    done = check(tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert (row["name"], row["ready"]) == ("model", True)
    assert "printed while loading" in done.stderr


def test_check_tells_why_a_model_cannot_be_loaded_in_its_process(tmp_path):
    write(tmp_path, "model", "raise ValueError('not today')", process=True)
    done = check(tmp_path)
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith("1 model could not be loaded. model: ValueError: not today.")


def test_a_class_that_hooks_would_adopt_is_refused_with_a_sentence(tmp_path):
    write(tmp_path, "model", "class Model:\n    pass", process=True)
    done = check(tmp_path)
    assert done.returncode == 1
    assert "AdoptedInProcess: 'models.Model' is no srv.Runtime. Classes of other libraries" in done.stderr


def test_reload_takes_in_an_edit_of_a_model_in_a_process(tmp_path):
    place = write(tmp_path, "model", CODE, process=True)
    document = {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1], "data": [1.0]}]}
    with running(tmp_path, "--reload") as server:
        before = pid_of(server)
        (place / "models.py").write_text(CODE.replace("2 * x", "3 * x"))

        def edited():
            return server.post("/v2/models/model/infer", document).json["outputs"][0]["data"] == [3.0]

        eventually(edited)
        eventually(lambda: pid_of(server) != before)
