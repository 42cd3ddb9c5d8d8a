import sys
import sysconfig
from pathlib import Path

import pytest
from packing import BASE, METADATA, SITE

import srv
from srv.environments import interpreters, ready_interpreter
from srv.environments.errors import EnvironmentUnusable
from srv.environments.interpreters import interpreter_in
from srv.version import __version__


@pytest.fixture
def folder(tmp_path):
    """The folder of a virtual environment without packages, made without pip, which takes seconds."""
    (tmp_path / "env" / "bin").mkdir(parents=True)
    (tmp_path / "env" / SITE).mkdir(parents=True)
    (tmp_path / "env" / "pyvenv.cfg").write_text(f"home = {Path(BASE).parent}\ninclude-system-site-packages = false\n")
    (tmp_path / "env" / "bin" / "python").symlink_to(BASE)
    return tmp_path / "env"


def with_srv(folder):
    """Let an environment have srv, and what it is made of, from where the tests have it."""
    described = folder / SITE / f"srv_inference-{__version__}.dist-info"
    described.mkdir()
    (described / "METADATA").write_text(METADATA)
    (described / "entry_points.txt").write_text("[srv.runtimes]\nscale = models:Scale\n")
    paths = [Path(srv.__file__).parents[1], sysconfig.get_path("purelib")]
    (folder / SITE / "srv.pth").write_text("\n".join(map(str, paths)))
    return folder


def python(folder, script):
    (folder / "bin" / "python").unlink()
    (folder / "bin" / "python").write_text(script)
    (folder / "bin" / "python").chmod(0o755)
    return folder


def refusal(folder, **given):
    with pytest.raises(EnvironmentUnusable) as caught:
        interpreter_in(folder, **given)
    return str(caught.value)


def ready(environment):
    return ready_interpreter(environment, cache_dir=None, cache_limit=None, title="m", seconds=60)


def test_an_interpreter_tells_its_version_that_of_srv_and_its_runtimes(folder):
    found = ready(with_srv(folder))

    assert (found.program, found.prefix) == (folder / "bin" / "python", folder)
    assert (found.version, found.srv) == (".".join(map(str, sys.version_info[:3])), __version__)
    assert "scale" in found.runtimes


def test_without_an_environment_it_is_the_servers_own():
    assert ready(None).program == Path(sys.executable)


def test_an_environment_without_srv_is_told_with_the_command(folder):
    assert refusal(folder) == (
        f"The environment {folder} does not have srv-inference: {folder}/bin/python -m pip install srv-inference=={__version__}."
    )


def test_an_srv_without_model_processes_is_told_with_its_version(folder, monkeypatch):
    monkeypatch.setattr(interpreters, "MODULE", "srv.of_tomorrow")
    assert f"has srv-inference {__version__}, which has no model processes: " in refusal(with_srv(folder))


def test_packages_that_variables_and_the_user_add_do_not_count(folder, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(srv.__file__).parents[1]))
    assert "does not have srv-inference" in refusal(folder)


def test_a_python_that_is_too_old_says_so(folder):
    script = """#!/bin/sh\necho '{"version": [3, 8, 1], "srv": null, "module": false, "runtimes": []}'\n"""
    python(folder, script)
    assert f"The environment {folder} has Python 3.8.1, and srv needs 3.11 or newer there." in refusal(folder)


def test_a_base_python_that_is_gone_is_named(folder):
    (folder / "bin" / "python").unlink()
    (folder / "bin" / "python").symlink_to("/opt/gone/python3.12")
    assert f"The Python of the environment {folder} is /opt/gone/python3.12, which is not on this machine" in refusal(
        folder
    )


@pytest.mark.parametrize(
    "script, how",
    [
        ("#!/bin/sh\necho oh >&2; exit 4", "cannot be used: it ended with exit code 4: oh."),
        ("#!/bin/sh\nkill -SEGV $$", "cannot be used: it was ended by SIGSEGV."),
        ("#!/bin/sh\necho hello", "printed something else than what it was asked for."),
        ("#!/bin/sh\nexec sleep 60", "did not say within 1 s which version it is."),
        ("#!/nowhere/sh\n", "cannot be run here: No such file or directory."),
    ],
)
def test_a_python_that_cannot_tell_of_itself_is_told(folder, script, how):
    python(folder, script)
    assert refusal(folder, seconds=1) == f"The Python of the environment {folder} {how}"


def test_a_python_that_may_not_be_run_is_told(folder):
    python(folder, "#!/bin/sh\n").joinpath("bin/python").chmod(0o644)
    assert f"may not be run from {folder}/bin/python, whose disk may forbid programs (noexec)" in refusal(folder)


@pytest.mark.parametrize("name", ["python.exe", "Scripts/python.exe"])
def test_a_folder_of_windows_is_named(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"MZ")
    assert f"names {tmp_path}, which was made on Windows" in refusal(tmp_path)


def test_a_folder_that_is_no_environment_is_named(tmp_path):
    assert f"names {tmp_path}, which has no bin/python. It must be the folder of a virtual" in refusal(tmp_path)


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(EnvironmentUnusable, match=r"names .*/gone, where nothing is"):
        ready(tmp_path / "gone")
