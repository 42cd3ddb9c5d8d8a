"""Folders of MLServer's classes, written as their users write them."""

import json
import sys
from textwrap import dedent

import pytest

# MLServer has no version for these.
collect_ignore_glob = ["test_*.py"] if sys.version_info >= (3, 13) else []


@pytest.fixture
def folder(tmp_path):
    """Write a folder of models: for each name its settings, and the text of its models.py."""

    def write(settings=None, **models):
        for name, (said, code) in models.items():
            (tmp_path / name).mkdir(parents=True, exist_ok=True)
            (tmp_path / name / "model-settings.json").write_text(json.dumps({"name": name, **said}))
            if code is not None:
                (tmp_path / name / "models.py").write_text(dedent(code))
        if settings is not None:
            (tmp_path / "settings.json").write_text(json.dumps(settings))
        return tmp_path

    return write
