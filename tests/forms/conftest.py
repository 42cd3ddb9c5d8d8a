"""One server for all claims that hold on both faces, and the four forms in which they are made."""

import json
import shutil
from pathlib import Path

import pytest
from speaking import FORMS, STATUSES, Line

from srv import InferenceRequest, Tensor
from srv.testing import srv_server

ONE = {"x": [1.5]}
SETTINGS = {"pass_headers": ["X-Api-Key"], "max_body_size": 1_000_000, "access_log": False}
#: Where each class of models.py stands, and what its settings say beside that.
RUNTIMES = (
    "Echo",
    "Hears",
    "Typed",
    "Says",
    "Decodes",
    "Tables",
    "Words",
    "Slow",
    "Narrow",
    "Streams",
    "Plain",
    "PlainSync",
)
MODELS = {name.lower(): name for name in RUNTIMES}
VERSIONS = {f"versions/{version}": "Version" for version in ("1", "2", "10")}
OF_ITS_OWN = {"slow": {"request_timeout": 0.2}, "narrow": {"max_queue": 1}}


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("forms")
    (folder / "settings.json").write_text(json.dumps(SETTINGS))
    for name, runtime in {**MODELS, **VERSIONS}.items():
        place = folder / name
        place.mkdir(parents=True)
        settings = {"implementation": f"models.{runtime}", **OF_ITS_OWN.get(name, {})}
        (place / "model-settings.json").write_text(json.dumps(settings))
        shutil.copy(Path(__file__).with_name("models.py"), place)
    with srv_server(folder) as server:
        yield server


@pytest.fixture
def lines(server):
    """Makes connections to the server."""
    made = []

    def connect():
        made.append(Line(server.url, server.grpc_address))
        return made[-1]

    yield connect
    for line in made:
        line.close()


@pytest.fixture
def line(lines):
    return lines()


@pytest.fixture(params=FORMS, ids=repr)
def form(request):
    return request.param


@pytest.fixture
def infer(line, form):
    """Asks a model in the form of this test: the inputs as arrays or tensors by name, and what an InferenceRequest has."""

    def ask(model, inputs=None, *, version=None, headers=None, **said):
        tensors = [
            value if isinstance(value, Tensor) else Tensor(name, value) for name, value in (inputs or ONE).items()
        ]
        return form.infer(line, model, InferenceRequest(tensors, **said), version, headers or {})

    return ask


@pytest.fixture
def refused(form):
    """Claims that what was heard is a refusal of that name, and gives its sentence."""

    def check(heard, code):
        assert (heard.code, heard.status) == (code, STATUSES[code][form.face]), heard
        return heard.error

    return check
