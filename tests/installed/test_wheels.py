"""A runtime that a stranger publishes: built as a wheel, installed, found, served, removed."""

import json

import pytest
from servers import running

from .conftest import build_wheels

pytestmark = [pytest.mark.installed, pytest.mark.timeout(600)]

SETUP = """
[metadata]
name = stranger-upper
version = 1.2

[options]
py_modules = stranger_upper
install_requires = srv-inference>=0.1,<0.2

[options.entry_points]
srv.runtimes =
    upper = stranger_upper:Upper [model.upper]
"""

UPPER = """
from srv import Runtime


class Upper(Runtime):
    def load(self):
        self.mark = self.artifact("model.upper").read_text().strip()

    def predict(self, words: list[str]) -> list[str]:
        return [word.upper() + self.mark for word in words]
"""


@pytest.fixture(scope="module")
def upper(environment, tmp_path_factory):
    """The runtime's wheel, installed until the module's end."""
    source = tmp_path_factory.mktemp("upper")
    (source / "setup.cfg").write_text(SETUP)
    (source / "setup.py").write_text("from setuptools import setup\n\nsetup()\n")
    (source / "stranger_upper.py").write_text(UPPER)
    environment.pip("install", *map(str, build_wheels(source / "wheels", source)))
    yield
    environment.pip("uninstall", "--yes", "stranger-upper")


def test_the_wheel_holds_core_and_plugins(environment):
    code = "import srv, srv_codecs.np; print(srv.__file__, srv_codecs.__file__)"
    printed = environment.run("python", "-c", code).stdout
    assert printed.count(str(environment.folder)) == 2


def test_an_installed_runtime_is_found(environment, upper):
    rows = json.loads(environment.run("srv", "plugins", "--json").stdout)
    assert "stranger-upper" in json.dumps(rows)


@pytest.mark.parametrize("settings", ['{"name": "loud", "runtime": "upper"}', None], ids=["by name", "by its file"])
def test_an_installed_runtime_serves(environment, upper, tmp_path, settings):
    folder = tmp_path / "loud"
    folder.mkdir()
    (folder / "model.upper").write_text("!")
    if settings:
        (folder / "model-settings.json").write_text(settings)
    with running(tmp_path, python=environment.bin / "python") as server:
        body = {"inputs": [{"name": "words", "datatype": "BYTES", "shape": [2], "data": ["so", "what"]}]}
        answer = server.post("/v2/models/loud/infer", body)
    assert answer.status == 200
    assert answer.json["outputs"][0]["data"] == ["SO!", "WHAT!"]


def test_a_misspelt_runtime_names_the_nearest(environment, upper, tmp_path):
    (tmp_path / "model-settings.json").write_text('{"name": "loud", "runtime": "uper"}')
    answer = environment.run("srv", "start", str(tmp_path), "--http-port", "0", "--grpc-port", "0", check=False)
    assert answer.returncode == 1
    assert "Did you mean 'upper'?" in answer.stderr.splitlines()[-1]
