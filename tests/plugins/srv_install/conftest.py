"""A stand-in for uv: it prints what uv prints, writes down what it was called with, and installs by copying folders."""

import json
import shlex
import sys

import pytest
from distributions import Site, installed_in

import srv_install.install_command
import srv_install.uninstall_command
from srv.cli import run
from srv_install.environments import Environment

SOURCE = """
import json, pathlib, shutil, sys
here = pathlib.Path(__file__).parent
words = sys.argv[1:]
with (here / "calls.jsonl").open("a") as calls:
    calls.write(json.dumps(words) + "\\n")
said = json.loads((here / "said.json").read_text())
print(said["stderr"], file=sys.stderr)
if not said["code"] and "--dry-run" not in words:
    if words[1] == "install":
        shutil.copytree(here / "store", here / "site", dirs_exist_ok=True)
    else:
        for path in (here / "site").iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
sys.exit(said["code"])
"""


class StandIn:
    """An environment without pip, whose uv is the stand-in. `store` is what it installs, `site` where to."""

    def __init__(self, folder, capsys):
        self.folder, self._capsys = folder, capsys
        self.program = folder / "uv"
        self.site, self.store = Site(folder / "site"), Site(folder / "store")
        for each in (self.site.folder, self.store.folder):
            each.mkdir()
        self.program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {folder / "uv.py"} "$@"\n')
        self.program.chmod(0o755)
        (folder / "uv.py").write_text(SOURCE)
        self.says("")

    def says(self, stderr, code=0):
        """Have it print this and end with this code."""
        (self.folder / "said.json").write_text(json.dumps({"stderr": stderr, "code": code}))

    def srv(self, *words):
        """Run a command; give its exit code, what it printed and its errors."""
        code = run(list(words))
        printed = self._capsys.readouterr()
        return code, printed.out, printed.err

    def calls(self):
        """What it was called with, without the Python that it is given and the file with the constraint."""
        lines = (self.folder / "calls.jsonl").read_text().splitlines() if (self.folder / "calls.jsonl").exists() else []
        return [
            [word for place, word in enumerate(words) if not {"--python", "--constraint"} & {word, words[place - 1]}]
            for words in map(json.loads, lines)
        ]


@pytest.fixture
def uv(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    made = StandIn(tmp_path, capsys)
    monkeypatch.setenv("PYTHONPATH", str(made.site.folder))
    environment = Environment(
        python=sys.executable, prefix=tmp_path, packages=made.site.folder, is_virtual=True, uv=str(made.program)
    )
    for module in (srv_install.install_command, srv_install.uninstall_command):
        monkeypatch.setattr(module, "environment_here", lambda: environment)
    with installed_in(made.site.folder):
        yield made
