"""The scripts answer a newcomer's first words; what they do is what CI runs."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
SCRIPTS = [
    path
    for path in [*sorted((TOP / "scripts").iterdir()), TOP / ".ci/run"]
    if path.is_file() and path.read_bytes().startswith(b"#!/usr/bin/env bash")
]


def run(script, *words, **environ):
    return subprocess.run(
        [script, *words], cwd="/", env=os.environ | environ, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_each_script_says_how_it_is_used(script):
    answer = run(script, "--help")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout.startswith("Usage: ")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_each_script_stops_at_a_failure_and_can_be_run(script):
    assert "\nset -euo pipefail\n" in script.read_text()
    assert os.access(script, os.X_OK)


@pytest.mark.parametrize("name", ["quickstart", "test", "check"])
def test_an_option_that_does_not_exist_is_wrong_usage(name):
    answer = run(TOP / "scripts" / name, "--colour")
    assert answer.returncode == 2
    assert "Usage: " in answer.stderr


def test_quickstart_says_that_its_port_is_taken_before_it_installs_anything():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        answer = run(TOP / "scripts/quickstart", "--port", str(port), PYTHON=sys.executable)
    assert answer.returncode == 1
    assert answer.stdout == ""
    assert answer.stderr == f"Port {port} is taken. Choose another one: scripts/quickstart --port {port + 1}\n"


def test_a_python_is_found_on_path_or_among_those_of_pyenv(tmp_path):
    place = tmp_path / "versions/3.13.0/bin"
    place.mkdir(parents=True)
    (place / "python3.13-of-test").symlink_to(sys.executable)
    for program, found in [("python3.13-of-test", place / "python3.13-of-test"), (sys.executable, sys.executable)]:
        answer = run(TOP / "scripts/find-python", PYTHON=program, PYENV_ROOT=str(tmp_path))
        assert (answer.returncode, answer.stdout) == (0, f"{found}\n")


def test_a_python_that_is_too_old_or_not_there_is_said(tmp_path):
    answer = run(TOP / "scripts/quickstart", PYTHON=str(tmp_path / "python3.6"))
    assert answer.returncode == 1
    assert "no Python 3.11 or newer" in answer.stderr


@pytest.mark.e2e
@pytest.mark.timeout(300)
def test_coverage_tells_its_figure_and_the_lines_that_no_test_ran(tmp_path):
    report = tmp_path / "coverage.txt"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    words = ["unit", "--coverage", "--", "-n", "0", "tests/repository/test_version_order.py"]

    answer = subprocess.run(
        [TOP / "scripts/test", *words],
        env={**inherited, "COVERAGE_REPORT": str(report)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert re.search(r"^TOTAL +\d+ +\d+\.\d%$", answer.stdout, re.MULTILINE)
    lines = report.read_text().splitlines()
    assert re.fullmatch(r"core/srv/serve/arbiter\.py .*%   [\d, -]+", next(each for each in lines if "arbiter" in each))
    (seen,) = [each for each in lines if each.startswith("core/srv/repository/version_order.py")] or ["100.0%"]
    assert float(re.search(r"([\d.]+)%", seen)[1]) > 50
