"""A folder to make an image of, and an installation in which srv comes from an index."""

import json

import pytest
from distributions import installed_in

from srv.version import __version__
from srv_dockerfile.planning import open_folder, plan_for

OURS = """
[srv.codecs]
np = srv_codecs.np:NumpyCodec
pd = srv_codecs.tables:PandasCodec
[srv.commands]
dockerfile = srv_dockerfile:dockerfile
[srv.plugins]
storage = srv_storage
"""


@pytest.fixture
def site(tmp_path):
    with installed_in(tmp_path / "site") as made:
        made.add("srv-inference", OURS, version=__version__, requires=(), files=["brought_by_srv_inference.py"])
        yield made


@pytest.fixture
def folder(tmp_path):
    """The folder that becomes an image: a model, called as the folder is."""
    made = tmp_path / "scale"
    lay(made, {"models.py": "", "model-settings.json": {"implementation": "models.Scale"}})
    return made


def lay(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))


@pytest.fixture
def plan(site, folder, tmp_path):
    """The plan of the folder, with further files in it."""

    def make(files=None, **options):
        lay(folder, files or {})
        wheels = tmp_path / "wheels"
        wheels.mkdir(exist_ok=True)
        plugins, hooks = open_folder(folder, site.discover())
        return plan_for(folder, plugins, hooks, wheels=wheels, **options)

    return make
