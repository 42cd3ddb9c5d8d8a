"""Environments are told apart by their folders, and each is changed by the installer that looks after it."""

import shlex

import pytest

from srv_install.environments import Environment, environment_here, environment_of
from srv_install.errors import CannotInstall
from srv_install.installers import installer_for

RECEIPT = """
[tool]
requirements = [{ name = "srv-inference", specifier = ">=0.1" }, { name = "srv-a" }, { name = "srv-b", path = "/b.whl" }]
"""


@pytest.fixture
def made(tmp_path):
    """Make a Python installation's folders; `files` are written beside its prefix or its standard library."""

    def make(*, virtual=True, pip=True, uv=None, files=()):
        prefix = tmp_path / "env"
        for folder in ("lib/site-packages", "lib/stdlib", "conda-meta" if "conda-meta" in files else "lib"):
            (prefix / folder).mkdir(parents=True, exist_ok=True)
        for file, text in dict(files if isinstance(files, dict) else {}).items():
            (prefix / file).write_text(text)
        return environment_of(
            python=str(prefix / "bin/python"),
            prefix=prefix,
            base=tmp_path / "base" if virtual else prefix,
            packages=prefix / "lib/site-packages",
            stdlib=prefix / "lib/stdlib",
            has_pip=pip,
            uv=uv,
        )

    return make


@pytest.mark.parametrize(
    "how, kind",
    [
        ({}, "virtual environment"),
        ({"virtual": False}, "system's Python"),
        ({"virtual": False, "files": ("conda-meta",)}, "conda environment"),
        ({"files": {"pipx_metadata.json": "{}"}}, "pipx environment"),
        ({"files": {"uv-receipt.toml": RECEIPT}}, "uv tool environment"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_environment_is_told_by_its_folders(made, how, kind):
    environment = made(**how)
    assert environment.kind == kind
    assert str(environment).startswith(f"the {kind} {environment.prefix} (Python 3.")


def test_who_installs_into_a_conda_environment_is_told_that_conda_does_not_know(made):
    assert made(virtual=False, files=("conda-meta",)).note.startswith("conda keeps no record of what pip installs: ")
    assert made().note == ""


def test_the_environment_of_these_tests_has_pip_and_may_be_changed():
    environment = environment_here()
    assert (environment.has_pip, environment.is_writable) == (True, True)


def test_pip_installs_where_it_is_and_uv_where_pip_is_not(made):
    with_pip = installer_for(made(uv="/bin/uv"), ["srv-x"])
    without = installer_for(made(pip=False, uv="/bin/uv"), ["srv-x"])
    assert with_pip.install_words(["srv-x"])[1:] == ["-P", "-m", "pip", "install", "--quiet", "srv-x"]
    assert without.install_words(["srv-x"])[:4] == ["/bin/uv", "pip", "install", "--python"]


def test_uv_upgrades_what_is_named_alone_as_pip_does(made):
    assert installer_for(made(), ["srv-x"]).upgrade_options(["srv-x"]) == ["--upgrade"]
    uv = installer_for(made(pip=False, uv="/bin/uv"), ["srv-x"])
    assert uv.upgrade_options(["srv-x", "srv-y"]) == ["--upgrade-package=srv-x", "--upgrade-package=srv-y"]


MANAGED = {"lib/stdlib/EXTERNALLY-MANAGED": ""}
REFUSED = {
    "pipx": ({"files": {"pipx_metadata.json": "{}"}}, {}, "pipx inject srv-inference 'srv-x>=1'"),
    "pipx, uninstalling": (
        {"files": {"pipx_metadata.json": "{}"}},
        {"removes": True},
        "pipx uninject srv-inference 'srv-x>=1'",
    ),
    "uv tool": (
        {"files": {"uv-receipt.toml": RECEIPT}},
        {},
        "uv tool install 'srv-inference>=0.1' --with srv-a --with /b.whl --with 'srv-x>=1'",
    ),
    "uv tool, receipt unreadable": (
        {"files": {"uv-receipt.toml": "{"}},
        {},
        "uv tool install srv-inference --with 'srv-x>=1'",
    ),
    "managed by the system": ({"virtual": False, "files": MANAGED}, {}, "python3 -m venv .venv"),
    "--user in a virtual environment": ({}, {"user": True}, "Leave --user out."),
    "neither pip nor uv": ({"pip": False}, {}, "bin/python -m ensurepip, or https://docs.astral.sh/uv."),
    "--user of uv": ({"virtual": False, "pip": False, "uv": "/bin/uv"}, {"user": True}, "uv has no --user."),
}


@pytest.mark.parametrize("how, asked, told", REFUSED.values(), ids=REFUSED)
def test_what_srv_may_not_change_is_told_with_what_to_do(made, how, asked, told):
    with pytest.raises(CannotInstall) as caught:
        installer_for(made(**how), ["srv-x>=1"], **asked)
    assert told in str(caught.value)


def test_uv_tool_keeps_what_is_not_uninstalled(made):
    with pytest.raises(CannotInstall) as caught:
        installer_for(made(files={"uv-receipt.toml": RECEIPT}), ["srv-b"], removes=True)
    assert shlex.split(str(caught.value))[-3:] == ["srv-inference>=0.1", "--with", "srv-a"]


def test_a_virtual_environment_on_a_managed_python_may_be_changed(made):
    assert installer_for(made(files=MANAGED), ["srv-x"]).name == "pip"


def test_break_system_packages_is_the_persons_own_decision(made):
    managed = made(virtual=False, files=MANAGED)
    assert installer_for(managed, ["srv-x"], passed=["--break-system-packages"]).name == "pip"


def test_a_folder_that_this_user_may_not_write_to_is_told(made, monkeypatch):
    monkeypatch.setattr(Environment, "is_writable", False)
    with pytest.raises(CannotInstall) as caught:
        installer_for(made(virtual=False), ["srv-x"])
    assert "which this user may not write to. Make a virtual environment (python3 -m venv), or give --user" in str(
        caught.value
    )
    assert installer_for(made(virtual=False), ["srv-x"], user=True).name == "pip"
