"""The kit as a plugin of pytest: found by its entry point, cheap, and nothing that srv itself needs."""

import ast
import subprocess
import sys
from pathlib import Path

import srv.testing

HEAVY = {"numpy", "falcon", "msgspec", "orjson", "marshmallow", "gunicorn", "grpc", "click", "importlib_metadata"}
KIT = Path(srv.testing.__file__).parent


def modules_after(code):
    printed = subprocess.run(
        [sys.executable, "-c", f"{code}; import sys; print(*sys.modules)"], capture_output=True, check=True, text=True
    ).stdout
    return {name.partition(".")[0] for name in printed.split()}


def test_pytest_finds_the_fixtures_by_the_entry_point(pytestconfig):
    assert pytestconfig.pluginmanager.hasplugin("srv")


def test_loading_the_fixtures_imports_nothing_heavy():
    assert modules_after("import pytest, srv.testing.fixtures") & HEAVY == set()


def test_the_kit_works_without_pytest():
    names = ", ".join(srv.testing.__all__)
    assert "pytest" not in modules_after(f"from srv.testing import {names}")


def test_only_the_fixtures_import_pytest():
    importing = [
        path.name
        for path in KIT.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import) and "pytest" in [name.name for name in node.names]
    ]
    assert importing == ["fixtures.py"]


def test_each_name_of_the_kit_is_there():
    assert [name for name in srv.testing.__all__ if getattr(srv.testing, name, None) is None] == []
