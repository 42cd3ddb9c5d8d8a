"""Folders that become images, one of each kind, and how each is built and run."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from textwrap import dedent

import numpy as np
from distributions import PUBLIC_INDEX
from servers import write_model

from .engines import Engines

#: Under this name the base image is there too, so that a plugin can choose another than srv does.
ANOTHER_BASE = "python:3.11-slim-bookworm"


@dataclass(frozen=True)
class Case:
    """A folder, the model that its image serves, and what it makes of a number."""

    folder: Path
    model: str = "double"
    factor: float = 2.0
    #: For the builder's process, and for `docker run`.
    environ: Mapping[str, str] = field(default_factory=dict)
    options: Sequence[str] = ()
    #: A builder that the folder's own plugin brings and that is taken instead of docker.
    own_builder: str | None = None
    #: Changes what the environment is made of, so that another package is in it.
    change_environment: Callable[[Path], None] = lambda folder: add_requirement(folder)


def add_requirement(folder: Path) -> None:
    """Name another small package in requirements.txt."""
    with (folder / "requirements.txt").open("a") as file:
        file.write("toml\n")


def plain(place: Path) -> Case:
    """No file says what the environment is."""
    write_model(place / "plain")
    return Case(place / "plain")


def requirements(place: Path) -> Case:
    """A requirements.txt, and a model that needs what it names."""
    folder = place / "requirements"
    write_model(folder, load="import colorama\nreturn True")
    (folder / "requirements.txt").write_text("colorama>=0.4\n")
    return Case(folder)


def conda(place: Path) -> Case:
    """A conda file with a part for pip, beside a requirements.txt."""
    folder = place / "conda"
    checks = "import colorama, iniconfig, srv_conda_demo\nassert sys.base_prefix == '/opt/env', sys.base_prefix\n"
    write_model(folder, load=f"{checks}return True")
    (folder / "environment.yaml").write_text(
        "channels: [conda-forge]\ndependencies: [python=3.11, pip, srv-conda-demo>=1.1, {pip: [colorama]}]\n"
    )
    (folder / "requirements.txt").write_text("iniconfig\n")
    return Case(folder)


#: As uv writes it, of a package that is no longer changed.
LOCK = f"""
version = 1
revision = 3
requires-python = ">=3.11"

[[package]]
name = "colorama"
version = "0.4.6"
source = {{ registry = "{PUBLIC_INDEX}" }}
wheels = [
    {{ url = "colorama-0.4.6-py2.py3-none-any.whl", hash = "sha256:4f1d9991f5acc0ca119f9d443620b77f9d6b33703e51011c16baf57afb285fc6" }},
]

[[package]]
name = "scoring"
version = "1.4"
source = {{ editable = "." }}
dependencies = [
    {{ name = "colorama", marker = "sys_platform == 'linux'" }},
]
"""


def locked(place: Path) -> Case:
    """A project with its code below src, and a lock of uv's."""
    folder = place / "locked"
    checks = "import colorama\nfrom importlib.metadata import version\nfrom scoring.factor import FACTOR\n"
    checks += "self.factor = FACTOR\nassert (version('scoring'), version('colorama')) == ('1.4', '0.4.6')\n"
    write_model(folder, load=f"{checks}return True", predict="return self.factor * x")
    (folder / "src/scoring").mkdir(parents=True)
    (folder / "src/scoring/factor.py").write_text("FACTOR = 6\n")
    (folder / "uv.lock").write_text(LOCK)
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "scoring"\nversion = "1.4"\nrequires-python = ">=3.11"\ndependencies = ["colorama"]\n'
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
    )
    return Case(folder, factor=6.0)


def embedded(place: Path) -> Case:
    """The folder is a model itself, with its weights; the image gives it the folder's name."""
    write_model(
        place,
        "tripled",
        load="self.factor = float(self.artifact('weights.txt').read_text())\nreturn True",
        predict="return self.factor * x",
    )
    (place / "tripled/weights.txt").write_text("3\n")
    settings = place / "tripled/model-settings.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"parameters": {"uri": "."}}))
    return Case(place / "tripled", "tripled", 3.0)


def mounted(place: Path) -> Case:
    """A default runtime and defaults are in the image; the models come with a volume, one with a class of its own."""
    folder, models = (
        write_model(place, "mounted", predict="return self.settings.parameters.extra['factor'] * x"),
        place / "models",
    )
    given = {"implementation": "models.Model", "parameters": {"extra": {"factor": 5}}}
    (folder / "model-settings.json").write_text(json.dumps(given))
    write_model(models, "own", load="assert self.settings.parameters.extra['factor'] == 5\nreturn True")
    (models / "double").mkdir()
    (models / "double/model-settings.json").write_text("{}")
    for path in [place, models, *models.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    return Case(folder, factor=5.0, options=[f"--volume={models}:/mnt/models:ro"])


def graph(place: Path) -> Case:
    """A bare model.onnx, whose runtime and onnxruntime the image has from this machine's srv-onnx."""
    import onnx

    tensor = partial(onnx.helper.make_tensor_value_info, elem_type=onnx.TensorProto.DOUBLE, shape=[None])
    two = onnx.numpy_helper.from_array(np.array(2.0), "two")
    nodes = [onnx.helper.make_node("Mul", ["x", "two"], ["y"])]
    made = onnx.helper.make_graph(nodes, "double", [tensor("x")], [tensor("y")], [two])
    (place / "graph/double").mkdir(parents=True)
    opset = onnx.helper.make_opsetid("", 17)
    onnx.save(onnx.helper.make_model(made, opset_imports=[opset], ir_version=8), place / "graph/double/model.onnx")
    return Case(place / "graph")


SETUP = """
[metadata]
name = acme-images
version = 1.4

[options]
py_modules = acme_images
install_requires = srv-inference>=0.1

[options.entry_points]
srv.runtimes =
    scale = acme_images:Scale
srv.plugins =
    acme = acme_images
"""

ACME = """
import numpy as np
from srv import Runtime, hookimpl


class Scale(Runtime):
    def load(self):
        return True

    def predict(self, x: np.ndarray) -> np.ndarray:
        return 7 * x


@hookimpl
def srv_image_plan(plan):
    plan.base_image = "python:3.11-slim-bookworm"
    plan.system_packages.append("hello")


@hookimpl
def srv_builders():
    from srv_build.docker_engine import DockerEngine

    class Kiln(DockerEngine):
        name = "kiln"

    return {"kiln": Kiln}
"""


def plugin(place: Path) -> Case:
    """A model of a runtime that was installed from a checkout, whose plugin also changes the image and builds it."""
    folder, source, site = place / "plugin", place / "acme-images", place / "site"
    source.mkdir()
    (source / "setup.cfg").write_text(SETUP)
    (source / "setup.py").write_text("from setuptools import setup\n\nsetup()\n")
    (source / "acme_images.py").write_text(dedent(ACME))
    pip = [sys.executable, "-m", "pip", "install", "-qq", "--no-deps", "--no-build-isolation", "--target", site, source]
    subprocess.run(pip, check=True)
    (folder / "scaled").mkdir(parents=True)
    (folder / "scaled/model-settings.json").write_text(json.dumps({"runtime": "scale"}))
    return Case(folder, "scaled", 7.0, environ={"PYTHONPATH": str(site)}, own_builder="kiln")


GRAMS = """
from srv import InputCodec


class Grams:
    def __init__(self, values):
        self.values = values


class GramsCodec(InputCodec):
    content_type = "grams"
    type_hint = Grams

    def can_encode(self, value):
        return False

    def decode(self, tensor):
        return Grams(tensor.data)

    def encode(self, name, value):
        raise NotImplementedError
"""


def hinted(place: Path) -> Case:
    """A runtime of the folder's own, whose hint is the one word that names the codec of an installed package."""
    folder, source, site = place / "hinted", place / "acme-grams", place / "site"
    source.mkdir()
    (source / "acme_grams.py").write_text(GRAMS)
    (source / "setup.py").write_text(
        "from setuptools import setup\n\nsetup(name='acme-grams', version='1.1', py_modules=['acme_grams'], "
        "install_requires=['srv-inference>=0.1'], entry_points={'srv.codecs': ['grams = acme_grams:GramsCodec']})\n"
    )
    pip = [sys.executable, "-m", "pip", "install", "-qq", "--no-deps", "--no-build-isolation", "--target", site, source]
    subprocess.run(pip, check=True)
    code = write_model(folder, predict="return 2 * x.values") / "models.py"
    code.write_text("from acme_grams import Grams\n" + code.read_text().replace("x: np.ndarray", "x: Grams"))
    (folder / "requirements.txt").write_text("colorama>=0.4\n")
    return Case(folder, environ={"PYTHONPATH": str(site)})


FOLDERS: Mapping[str, Callable[[Path], Case]] = {
    make.__name__: make for make in (plain, requirements, conda, locked, embedded, mounted, graph, plugin)
}


@dataclass(frozen=True)
class Built:
    """An image, how long it took, and what was said meanwhile."""

    tag: str
    seconds: float
    said: str


def build(engines: Engines, builder: str, case: Case, tag: str, *options: str) -> Built:
    """Build the image of a folder by `srv build`, or by BuildKit from what `srv dockerfile` writes."""
    began = time.monotonic()
    if builder == "buildkit":
        engines.srv("dockerfile", case.folder, "-i", "--force", **case.environ)
        words = [engines.docker, "build", "--progress=plain", "-t", tag, *options, case.folder]
        answer = engines.run(*words, DOCKER_BUILDKIT="1")
    else:
        chosen = case.own_builder if case.own_builder and builder == "docker" else builder
        answer = engines.srv("build", case.folder, "-t", tag, "--builder", chosen, *options, **case.environ)
    return Built(tag, time.monotonic() - began, answer.stdout + answer.stderr)
