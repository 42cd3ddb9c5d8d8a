"""A folder that becomes an image, and what `srv deploy` prints for it."""

import json

import pytest
import yaml

from srv.cli import run


@pytest.fixture
def folder(tmp_path):
    """A model, called as the folder is."""
    made = tmp_path / "scale"
    made.mkdir()
    (made / "models.py").touch()
    (made / "model-settings.json").write_text('{"implementation": "models.Scale"}')
    return made


@pytest.fixture
def printed(folder, capsys):
    """Run the command for the folder; its settings may be given, and what it says on stderr be asked for."""

    def deploy(target, *words, settings=None, image="scale:1"):
        if settings is not None:
            (folder / "settings.json").write_text(json.dumps(settings))
        capsys.readouterr()
        code = run(["deploy", target, str(folder), "--image", image, *words])
        deploy.said = capsys.readouterr()
        assert code == 0, deploy.said.err
        return deploy.said.out

    return deploy


@pytest.fixture
def refused(folder, capsys):
    """Run the command for the folder, which it refuses; gives the sentence."""

    def deploy(target, *words, settings=None, image="scale:1"):
        if settings is not None:
            (folder / "settings.json").write_text(json.dumps(settings))
        capsys.readouterr()
        assert run(["deploy", target, str(folder), "--image", image, *words]) == 1
        said = capsys.readouterr()
        assert said.out == ""
        return said.err

    return deploy


@pytest.fixture
def documents(printed):
    """What is printed, as YAML by its kind."""

    def read(target, *words, **more):
        return {each["kind"]: each for each in yaml.safe_load_all(printed(target, *words, **more))}

    return read
