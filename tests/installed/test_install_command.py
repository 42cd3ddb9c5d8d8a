"""`srv install` and `srv uninstall` with the real pip and the real uv, in an environment as users have it."""

import json
import shlex
import subprocess

import pytest

from .wheels import write_wheel

pytestmark = [pytest.mark.installed, pytest.mark.timeout(600)]

ECHO = """
    from srv import Runtime

    class Echo(Runtime):
        def predict(self, x: list[str]) -> list[str]:
            return x
"""
ENTRY = "[srv.runtimes]\nechoed = echoed_rt:Echo\n"
TO_COME = "srv-inference>=99"


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """A folder of releases: three of srv-echoed, the last one for another srv, a broken plugin, and what one requires."""
    folder = tmp_path_factory.mktemp("released")
    write_wheel(folder, "srv-echoed", ENTRY, {"echoed_rt": ECHO})
    fits = ("srv-inference>=0.1,<1", "srv-echoed-leaf")
    write_wheel(folder, "srv-echoed", ENTRY, {"echoed_rt": ECHO}, version="1.1", requires=fits)
    write_wheel(folder, "srv-echoed", ENTRY, {"echoed_rt": ECHO}, version="9.0", requires=(TO_COME,))
    write_wheel(folder, "srv-echoed-leaf", "", {"echoed_leaf": ""}, requires=())
    write_wheel(folder, "srv-crumbled", "[srv.runtimes]\ncrumbled = crumbled_rt:No\n", {"crumbled_rt": "1 / 0"})
    return folder


@pytest.fixture
def srv(environment, released, monkeypatch):
    """Run srv where those releases are all that there is; what is left of them is uninstalled in the end."""
    for installer in ("PIP", "UV"):
        monkeypatch.setitem(environment.environ, f"{installer}_NO_INDEX", "1")
        monkeypatch.setitem(environment.environ, f"{installer}_FIND_LINKS", str(released))
    yield lambda *words, check=True: environment.run("srv", *words, check=check)
    if any(environment.folder.glob("lib/python3*/site-packages/srv_[ec]*.dist-info")):
        environment.pip("uninstall", "--yes", "srv-echoed", "srv-echoed-leaf", "srv-crumbled")


def installed(srv):
    """The requirement lines of plugins that are no part of srv."""
    return [line for line in srv("plugins", "--requirements").stdout.splitlines() if "srv-inference" not in line]


def undo(told, environment):
    for command in told["undo"]:
        subprocess.run(shlex.split(command), env=environment.environ, check=True, capture_output=True)


def test_pip_installs_the_newest_release_that_goes_with_this_srv_and_the_undo_undoes_it(srv, environment):
    environment.pip("install", "srv-echoed==1.0")
    before = installed(srv)

    upgraded = json.loads(srv("install", "--upgrade", "--json", "srv-echoed").stdout)

    assert upgraded["environment"]["installer"] == "pip"
    assert sorted(upgraded["changes"], key=lambda change: change["name"]) == [
        {"name": "srv-echoed", "version": "1.1", "before": "1.0"},
        {"name": "srv-echoed-leaf", "version": "1.0", "before": None},
    ]
    assert [(row["name"], row["state"]) for row in upgraded["plugins"]] == [("echoed", "loaded")]
    assert installed(srv) == ["srv-echoed==1.1"]

    undo(upgraded, environment)
    assert installed(srv) == before == ["srv-echoed==1.0"]
    assert environment.run("python", "-c", "import echoed_leaf", check=False).returncode == 1


def test_pip_is_not_let_install_what_was_made_for_another_srv(srv):
    refused = srv("install", "srv-echoed>=5", check=False)
    assert refused.returncode == 1
    assert "srv-echoed 9.0 requires srv-inference>=99. This is srv-inference 0." in refused.stderr.splitlines()[-1]
    assert installed(srv) == []


def test_a_broken_plugin_is_told_and_uninstalls_all_the_same(srv):
    broken = srv("install", "srv-crumbled", check=False)
    assert broken.returncode == 1
    assert "ZeroDivisionError: division by zero" in broken.stdout
    assert "srv-crumbled: 1 fault found after the install. To undo: " in broken.stderr.splitlines()[-1]

    gone = srv("uninstall", "srv-crumbled").stdout
    assert "  runtime 'crumbled'\n" in gone
    assert gone.rstrip().endswith("pip install srv-crumbled==1.0")
    assert installed(srv) == []


@pytest.fixture(scope="module")
def uv(environment, tmp_path_factory):
    """The folder of the program uv."""
    folder = tmp_path_factory.mktemp("uv")
    environment.pip("install", "--target", str(folder), "uv")
    return folder / "bin"


@pytest.fixture
def without_pip(uv, environment, tmp_path):
    """Take pip out of the environment, as uv makes environments, and put uv on the PATH."""
    [site] = environment.folder.glob("lib/python3*/site-packages")
    taken = tmp_path / "pip"
    taken.mkdir()
    moved = [part.rename(taken / part.name) for part in [*site.glob("pip-*"), site / "pip"]]
    path = environment.environ["PATH"]
    environment.environ["PATH"] = f"{uv}:{path}"
    yield
    environment.environ["PATH"] = path
    for part in moved:
        part.rename(site / part.name)


def test_uv_installs_where_there_is_no_pip(srv, without_pip, environment):
    told = json.loads(srv("install", "--json", "srv-echoed").stdout)
    assert told["environment"]["installer"] == "uv"
    assert [row["version"] for row in told["plugins"]] == ["1.1"]

    refused = srv("install", "srv-echoed>=5", check=False)
    assert "srv-echoed 9.0 requires srv-inference>=99." in refused.stderr.splitlines()[-1]

    undo(told, environment)
    assert installed(srv) == []
