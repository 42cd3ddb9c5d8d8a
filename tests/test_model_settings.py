import subprocess
import sys
from pathlib import Path

import pytest

from srv.datatypes import DATATYPES
from srv.model_settings import ModelParameters, ModelSettings
from srv.tensors import DTYPES


def test_model_settings_are_made_in_one_line():
    settings = ModelSettings(name="m", implementation="models.M", folder=Path("m"))
    assert (settings.version, settings.runtime, settings.inputs, settings.warmup) == (None, None, None, ())


def test_the_version_is_that_of_the_parameters():
    assert ModelSettings(name="m", parameters=ModelParameters(version="3")).version == "3"


@pytest.mark.parametrize(
    "uri, expected",
    [
        (None, "."),
        ("weights.bin", "weights.bin"),
        ("./weights", "weights"),
        ("missing.bin", "."),
        ("s3://bucket/weights.bin", "."),
        ("x" * 5000, "."),
    ],
    ids=lambda text: str(text)[:20],
)
def test_the_artifacts_are_where_the_uri_leads_and_else_in_the_folder(tmp_path, uri, expected):
    (tmp_path / "weights.bin").touch()
    (tmp_path / "weights").mkdir()
    settings = ModelSettings(name="m", folder=tmp_path, parameters=ModelParameters(uri=uri))
    assert settings.artifact_root == tmp_path / expected


def test_settings_know_the_same_datatypes_as_tensors():
    assert set(DATATYPES) == set(DTYPES)


@pytest.mark.parametrize(
    "module", ["srv.model_settings", "srv.repository.version_order", "srv.settings", "srv.repository"]
)
def test_settings_import_nothing_of_the_data_path(module):
    program = f"import sys, {module}; print(*sorted({{'numpy', 'orjson', 'falcon', 'gunicorn'}} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
