"""Models in environments of their own, on devices and within limits of their own, in one server."""

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys

import pytest
from packing import pack, venv
from process_servers import write
from python_environments import OTHER_NUMPY, OTHER_PACKAGING, make, packed
from servers import eventually, running

pytestmark = pytest.mark.e2e

CODE = """
import os
import sys

import numpy as np
import packaging
from srv import Runtime


class Model(Runtime):
    def predict(self, what: list[str]) -> list[str]:
        meanings = {
            "numpy": np.__version__,
            "packaging": packaging.__version__,
            "prefix": sys.prefix,
            "cpus": str(sorted(os.sched_getaffinity(0))),
            "flags": f"{sys.flags.isolated} {sys.flags.no_user_site}",
        }
        return [meanings[each] if each in meanings else os.environ.get(each, "unset") for each in what]
"""
HUNGRY = """
import numpy as np
from srv import Runtime


class Model(Runtime):
    def predict(self, megabytes: np.ndarray) -> np.ndarray:
        return np.array([len(bytearray(int(megabytes[0]) * 1_000_000))])
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("environments")


@pytest.fixture(scope="module")
def environment(place):
    return make(place / "old", f"numpy=={OTHER_NUMPY}")


@pytest.fixture(scope="module")
def small(place):
    """An environment with a small package of another version, because large ones take long to pack."""
    return make(place / "small", f"packaging=={OTHER_PACKAGING}")


@pytest.fixture(scope="module")
def archive(place, small):
    return packed("venv-pack", small, place / "env.tar.gz", place / "tools")


@pytest.fixture(scope="module")
def conda_archive(place, small):
    """By conda-pack, of an environment that looks like conda's: with conda-meta, and a file that says where it is."""
    folder = place / "conda"
    shutil.copytree(small, folder, symlinks=True)
    (folder / "conda-meta").mkdir()
    (folder / "conda-meta" / "history").touch()
    (folder / "bin" / "tool").write_text(f"#!{folder}/bin/python\n")
    return packed("conda-pack", folder, place / "conda.tar.gz", place / "tools")


@pytest.fixture(scope="module")
def server(place, environment, archive, conda_archive):
    cpu = str(min(os.sched_getaffinity(0)))
    folder = place / "models"
    write(folder, "beside", CODE)
    write(folder, "folder", CODE, process={"environment": str(environment)})
    for name, packed_as in {"venv": archive, "conda": conda_archive}.items():
        (folder / name).mkdir()
        shutil.copy(packed_as, folder / name / "env.tar.gz")
        write(folder, name, CODE, process={"environment": "env.tar.gz"})
    write(
        folder,
        "gpus",
        CODE,
        process={"count": 2, "devices": ["cuda:0", "cuda:1"], "cpus": [cpu], "env": {"FLAVOUR": "mint"}},
    )
    write(folder, "hungry", HUNGRY, process={"memory": "500MB"})
    shutil.rmtree(place / "conda")  # so that nothing can be found where it was made
    with running(folder, environ={"SRV_CACHE_DIR": str(place / "cache"), "PYTHONPATH": "/nowhere"}) as server:
        yield server


def ask(server, model, *what):
    body = {"inputs": [{"name": "what", "datatype": "BYTES", "shape": [len(what)], "data": what}]}
    answer = server.post(f"/v2/models/{model}/infer", body)
    assert answer.status == 200, answer.json
    return answer.json["outputs"][0]["data"]


def test_models_of_different_numpys_answer_in_one_server(server):
    versions = {model: ask(server, model, "numpy")[0] for model in ("beside", "folder")}
    assert versions == {"beside": importlib.metadata.version("numpy"), "folder": OTHER_NUMPY}


def test_archives_by_venv_pack_and_conda_pack_bring_their_packages(server):
    versions = {model: ask(server, model, "packaging")[0] for model in ("beside", "venv", "conda")}
    own = importlib.metadata.version("packaging")
    assert versions == {"beside": own, "venv": OTHER_PACKAGING, "conda": OTHER_PACKAGING}


def test_an_environment_is_where_it_was_named_and_an_archive_in_the_cache(server, place, environment):
    assert ask(server, "folder", "prefix") == [str(environment)]
    [prefix] = ask(server, "venv", "prefix")
    assert prefix.startswith(str(place / "cache"))
    assert ask(server, "venv", "VIRTUAL_ENV", "PATH")[0] == prefix


def test_conda_unpack_has_told_files_where_they_are(server):
    [prefix] = ask(server, "conda", "CONDA_PREFIX")
    with open(f"{prefix}/bin/tool") as tool:  # noqa: PTH123
        assert tool.read() in (f"#!{prefix}/bin/python\n", "#!/usr/bin/env python\n")


def test_nothing_of_the_servers_variables_leads_to_other_packages(server):
    assert ask(server, "folder", "PYTHONPATH", "PYTHONNOUSERSITE", "flags") == ["unset", "1", "1 1"]


def test_each_process_has_a_device_of_its_own(server):
    def seen():
        found = {tuple(ask(server, "gpus", "CUDA_VISIBLE_DEVICES", "FLAVOUR", "OMP_NUM_THREADS")) for _ in range(4)}
        return found if len(found) == 2 else None

    assert eventually(seen) == {("0", "mint", "1"), ("1", "mint", "1")}
    assert ask(server, "gpus", "cpus") == [str([min(os.sched_getaffinity(0))])]
    assert ask(server, "folder", "CUDA_VISIBLE_DEVICES") == [os.environ.get("CUDA_VISIBLE_DEVICES", "unset")]


def test_memory_beyond_the_limit_is_refused_to_the_model_and_the_model_goes_on(server):
    def allocate(megabytes):
        body = {"inputs": [{"name": "megabytes", "datatype": "INT64", "shape": [1], "data": [megabytes]}]}
        return server.post("/v2/models/hungry/infer", body)

    assert allocate(50).json["outputs"][0]["data"] == [50_000_000]
    assert (allocate(800).status, allocate(800).json["code"]) == (500, "MODEL_ERROR")
    assert allocate(50).status == 200


def test_an_environment_that_does_not_fit_is_the_reason_in_the_index(server, place):
    cases = {
        "noone": ({}, "names env.tar, where nothing is"),
        "naked": (venv(srv=False), "does not have srv-inference: pip install srv-inference in the environment"),
        "ancient": (venv(version="3.8"), "has Python 3.8, and srv needs 3.11 or newer there"),
        "leaving": (venv() | {"../evil": "x"}, "has '../evil', which would leave its folder"),
    }
    for name, (members, reason) in cases.items():
        write(place / "models", name, CODE, process={"environment": "env.tar"})
        if members:
            pack(place / "models" / name / "env.tar", members)
        answer = server.post(f"/v2/repository/models/{name}/load", {})
        assert answer.status == 400
        assert reason in answer.json["error"]
        assert "/" not in answer.json["error"].replace("../evil", "").replace("srv-inference", "")
    assert not (place / "models" / "evil").exists()
    states = {row["name"]: row for row in server.post("/v2/repository/index", {}).json}
    assert {states[name]["state"] for name in cases} == {"UNAVAILABLE"}


def test_srv_check_loads_models_in_their_environments(place, small):
    folder = place / "checked"
    write(folder, "old", CODE, process={"environment": str(small)})
    checked = subprocess.run(
        [sys.executable, "-P", "-m", "srv", "check", folder, "--json"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    [row] = json.loads(checked.stdout)
    assert row["ready"]
