"""What `srv init` writes works at once, in a virtual environment that was made a minute ago."""

import json
import subprocess
import sys
import time
import zipfile

import pytest
from servers import running

from srv_init.kinds import SCAFFOLDS

pytestmark = [pytest.mark.installed, pytest.mark.timeout(600)]

#: For each kind the folder, the model that is served, and what it answers to its request.json.
WRITTEN = {
    "runtime": ("srv-acme", "flowers", {"label": ["setosa", "virginica"]}),
    "codec": ("srv-acme", "prices", {"output": ["23.79", "0.12"]}),
    "plugin": ("srv-acme", "doubled", {"output": [2.0, 5.0, 8.0]}),
    "model": ("acme-models", "acme", {"rent": [858.0, 1375.0]}),
}


def shell(environment, folder, line):
    done = subprocess.run(
        ["bash", "-c", line], cwd=folder, env=environment.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_kind_is_tried():
    assert set(WRITTEN) == set(SCAFFOLDS)


@pytest.mark.parametrize("kind", WRITTEN)
def test_a_scaffold_installs_passes_its_tests_and_serves_at_once(fresh_environment, tmp_path, figure, kind):
    name, model, answers = WRITTEN[kind]
    folder = tmp_path / name

    began = time.monotonic()
    shell(fresh_environment, tmp_path, f"srv init {kind} acme")
    written = time.monotonic()
    shell(fresh_environment, folder, "pip install --quiet -e .")
    installed = time.monotonic()
    tested = shell(fresh_environment, folder, "pytest && srv check .")
    checked = time.monotonic()
    request = json.loads(next(folder.rglob(f"{model}/request.json")).read_text())
    with running(folder, python=fresh_environment.bin / "python") as server:
        answer = server.post(f"/v2/models/{model}/infer", request)
        answered = time.monotonic()
        counts = server.get("/acme") if kind == "plugin" else None

    assert f"{model}: ready in " in tested
    outputs = {output["name"]: output["data"] for output in answer.json["outputs"]}
    assert {output: outputs[output] for output in answers} == answers
    assert counts is None or counts.json == {"doubled": {"answered": 1, "failed": 0}}
    figure(
        f"srv init {kind}: {answered - began:.1f} s to the first answer ({written - began:.1f} written, "
        f"{installed - written:.1f} installed, {checked - installed:.1f} tested and checked, "
        f"{answered - checked:.1f} started and answered)"
    )


@pytest.mark.parametrize("kind", [kind for kind, scaffold in SCAFFOLDS.items() if scaffold.brings])
def test_a_package_builds_a_wheel_that_srv_has_nothing_to_say_against(environment, tmp_path, kind):
    environment.run("srv", "init", kind, "acme", cwd=tmp_path)
    environment.pip("wheel", "--no-deps", "--wheel-dir", str(tmp_path), "./srv-acme", cwd=tmp_path)
    [wheel] = tmp_path.glob("*.whl")
    environment.pip("install", str(wheel))
    try:
        said = environment.run("srv", "plugins", "check", "srv-acme").stdout
    finally:
        environment.pip("uninstall", "--yes", "srv-acme")

    assert "acme" in said
    assert {"srv_acme/__init__.py", "srv_acme/py.typed"} <= set(zipfile.ZipFile(wheel).namelist())


@pytest.fixture(scope="module")
def mypy(environment, tmp_path_factory):
    """What runs mypy with the environment's packages; what it learns of them is kept for the next run."""
    environment.pip("install", "pytest")
    cache = tmp_path_factory.mktemp("mypy")
    return [sys.executable, "-m", "mypy", "--python-executable", environment.bin / "python", "--cache-dir", cache]


@pytest.mark.parametrize("kind", SCAFFOLDS)
def test_the_types_of_a_scaffold_and_of_its_tests_are_right(environment, mypy, tmp_path, kind):
    environment.run("srv", "init", kind, "acme", "--dir", "acme", cwd=tmp_path)
    done = subprocess.run([*mypy, "--strict"], cwd=tmp_path / "acme", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
