"""A server of one Python with models of another, whose environments were made as people make them: by pip and venv-pack."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from process_servers import write
from python_environments import OTHER_NUMPY
from servers import running

pytestmark = [pytest.mark.installed, pytest.mark.timeout(900)]

FIND_PYTHON = Path(__file__).parents[2] / "scripts" / "find-python"
CODE = """
import sys

import numpy as np
from srv import Runtime


class Model(Runtime):
    def predict(self, x: np.ndarray) -> dict[str, list[str]]:
        return {"python": [f"3.{sys.version_info[1]}"], "numpy": [np.__version__], "sum": [str(float(x.sum()))]}
"""


def other_python():
    """A Python of another version than the one that runs the tests, newest first; None where there is none."""
    for minor in range(14, 10, -1):
        asked = {**os.environ, "PYTHON": f"python3.{minor}"}
        found = subprocess.run([FIND_PYTHON], env=asked, capture_output=True, text=True, check=False)
        if minor != sys.version_info[1] and found.returncode == 0:
            return found.stdout.strip(), f"3.{minor}"
    return None


@pytest.fixture(scope="module")
def other(srv_wheel, tmp_path_factory):
    """The folder of an environment of another Python with srv and another NumPy, an archive of it, and its version."""
    found = other_python()
    if found is None:
        pytest.skip("There is no other Python of 3.11 or newer here.")
    python, version = found
    folder = tmp_path_factory.mktemp("other") / "venv"
    subprocess.run([python, "-m", "venv", folder], check=True)
    pip = [folder / "bin" / "python", "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--no-compile"]
    subprocess.run([*pip, srv_wheel, f"numpy=={OTHER_NUMPY}", "venv-pack", "setuptools<81"], check=True)
    archive = folder.with_name("env.tar.gz")
    subprocess.run([folder / "bin" / "venv-pack", "-q", "-p", folder, "-o", archive], check=True)
    return folder, archive, version


def test_models_of_another_python_and_numpy_answer_right(only_srv, other, tmp_path):
    environment, archive, version = other
    write(tmp_path / "models", "here", CODE)
    write(tmp_path / "models", "folder", CODE, process={"environment": str(environment)})
    write(tmp_path / "models", "packed", CODE, process={"environment": str(archive)})
    environ = {"SRV_CACHE_DIR": str(tmp_path / "cache")}
    body = {"inputs": [{"name": "x", "datatype": "FP64", "shape": [3], "data": [1.5, 2.5, -1.0]}]}

    with running(tmp_path / "models", environ=environ, python=only_srv.bin / "python") as server:
        answers = {name: server.post(f"/v2/models/{name}/infer", body).json for name in ("here", "folder", "packed")}

    said = {
        name: {output["name"]: output["data"][0] for output in answer["outputs"]} for name, answer in answers.items()
    }
    numpy = only_srv.run("python", "-c", "import numpy; print(numpy.__version__)").stdout.strip()
    assert said["here"] == {"python": f"3.{sys.version_info[1]}", "numpy": numpy, "sum": "3.0"}
    assert said["folder"] == said["packed"] == {"python": version, "numpy": OTHER_NUMPY, "sum": "3.0"}
