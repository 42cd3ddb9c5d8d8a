"""Who is measured: srv, and its peers, each with the same models and without an access log."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from benching import libraries
from benching.environments import Environments, NotInstalled, run
from benching.libraries import LIBRARIES
from benching.processes import SERVER_CORE, Server, free_port, has_loaded, started

PROGRAMS = Path(__file__).with_name("programs")
#: The models of iris and of LIBRARIES are files, all others classes of that name.
IRIS = "iris"


class Contestant(Protocol):
    """Something that serves models until a block ends."""

    @property
    def name(self) -> str:
        """What it is called in the tables."""

    @property
    def python(self) -> Path:
        """The interpreter that it runs in."""

    def serve(self, *models: str) -> AbstractContextManager[Server]:
        """Start it with these models, wait until all are ready, and end it."""


@dataclass(frozen=True)
class Srv:
    """srv; `settings` are the server's, `model_settings` those of every model."""

    python: Path
    name: str = "srv"
    settings: Mapping[str, Any] = field(default_factory=dict)
    model_settings: Mapping[str, Any] = field(default_factory=dict)
    cores: Iterable[int] = (SERVER_CORE,)
    environ: Mapping[str, str] = field(default_factory=dict)

    @contextmanager
    def serve(self, *models: str) -> Iterator[Server]:
        """One worker, metrics on, everything else as it comes."""
        with tempfile.TemporaryDirectory() as folder:
            top, http, grpc = Path(folder), free_port(), free_port()
            ours = {"access_log": False, "http_port": http, "grpc_port": grpc}
            write(top / "settings.json", {**ours, **self.settings})
            for model in models:
                kind = code(model)
                if model == IRIS or model in LIBRARIES:
                    kind = {"runtime": "sklearn" if model == IRIS else model, "allow_pickle": True}
                write(top / model / "model-settings.json", {**kind, **self.model_settings})
                bring(self.python, PROGRAMS / "srv_models.py", top / model, model)
            command = [str(self.python), "-m", "srv", "start", folder]
            options: dict[str, Any] = {"cores": self.cores, "environ": self.environ}
            with started(self.name, command, http, ready=has_loaded(models), grpc_port=grpc, **options) as server:
                yield server


@dataclass(frozen=True)
class MLServer:
    """MLServer, tuned as its users tune it: inference in the process that speaks HTTP, and no debug mode."""

    python: Path
    name: str = "mlserver"
    settings: Mapping[str, Any] = field(default_factory=dict)
    model_settings: Mapping[str, Any] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    #: With a newer uvloop its parallel workers do not start, because it asks for an event loop where none is set.
    requirements = ("mlserver==1.7.1", "mlserver-sklearn==1.7.1", "uvloop<0.22")

    @contextmanager
    def serve(self, *models: str) -> Iterator[Server]:
        """Models from folders; debug false turns the access log off, metrics are on as they come."""
        with tempfile.TemporaryDirectory() as folder:
            top, http, grpc = Path(folder), free_port(), free_port()
            ours = {"debug": False, "parallel_workers": 0, "host": "127.0.0.1", "http_port": http, "grpc_port": grpc}
            limits = {"metrics_port": free_port(), "grpc_max_message_length": 256 << 20}
            write(top / "settings.json", {**ours, **limits, **self.settings})
            for model in models:
                kind: dict[str, Any] = code(model)
                if model == IRIS:
                    uri = {"parameters": {"uri": "./model.joblib"}}
                    kind = {"implementation": "mlserver_sklearn.SKLearnModel", **uri}
                elif model in LIBRARIES:
                    uri = {"parameters": {"uri": f"./{LIBRARIES[model].file}"}}
                    kind = {"implementation": LIBRARIES[model].mlserver, **uri}
                write(top / model / "model-settings.json", {"name": model, **kind, **self.model_settings})
                bring(self.python, PROGRAMS / "mlserver_models.py", top / model, model)
            command = [str(self.python.with_name("mlserver")), "start", folder]
            where: dict[str, Any] = {"grpc_port": grpc, "folder": top, "environ": self.environ}
            with started(self.name, command, http, ready=has_loaded(models), **where) as server:
                yield server


@dataclass(frozen=True)
class KServe:
    """A server written with the kserve SDK."""

    python: Path
    name: str = "kserve"
    requirements = ("kserve==0.21.0", "scikit-learn", "joblib")

    @contextmanager
    def serve(self, *models: str) -> Iterator[Server]:
        """A program of ours that hands its models to the SDK's ModelServer."""
        with tempfile.TemporaryDirectory() as folder:
            top, http, grpc = Path(folder), free_port(), free_port()
            for model in models:
                bring(self.python, None, top / model, model)
            ports = [str(http), str(grpc)]
            limits = [f"--grpc_max_{way}_message_length={256 << 20}" for way in ("receive", "send")]
            command = [str(self.python), str(PROGRAMS / "kserve_server.py"), *ports, folder, *models, *limits]
            where: dict[str, Any] = {"grpc_port": grpc, "folder": top}
            with started(self.name, command, http, ready=has_loaded(models), **where) as server:
                yield server


TRAINED: dict[Path, bytes] = {}
PEERS: dict[str, type[MLServer | KServe]] = {"mlserver": MLServer, "kserve": KServe}


def installed(names: Sequence[str], environments: Environments) -> tuple[list[Contestant], list[str]]:
    """The peers of these names, each in an environment of its own; a sentence for each that cannot be installed."""
    peers: list[Contestant] = []
    absent = []
    for name in names:
        try:
            peers.append(PEERS[name](environments.made(name, PEERS[name].requirements)))
        except NotInstalled as error:
            absent.append(f"{name} was not measured: {error}")
    return peers, absent


def code(model: str) -> dict[str, Any]:
    """The settings of a model that is a class."""
    return {"implementation": f"models.{model.capitalize()}"}


def write(file: Path, document: Mapping[str, Any]) -> None:
    """Settings as a file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document))


def bring(python: Path, source: Path | None, folder: Path, model: str) -> None:
    """Put what a model is made of into its folder: the file of classes, or an estimator trained by that Python."""
    folder.mkdir(parents=True, exist_ok=True)
    if model == IRIS:
        train(python, folder / "model.joblib")
    elif model in LIBRARIES:
        libraries.train(python, model, folder)
    elif source:
        shutil.copy(source, folder / "models.py")


def train(python: Path, file: Path) -> None:
    """Train the iris model by that Python, once for all rounds."""
    if python not in TRAINED:
        run("the iris model", [str(python), str(PROGRAMS / "train_iris.py"), str(file)])
        TRAINED[python] = file.read_bytes()
    file.write_bytes(TRAINED[python])


def versions(python: Path, *distributions: str) -> dict[str, str]:
    """What of these an environment has installed."""
    program = (
        "import importlib.metadata as m, json, sys\n"
        "found = {m.metadata(d)['Name'].lower(): m.version(d) for d in sys.argv[1:] if any(m.distributions(name=d))}\n"
        "print(json.dumps(found))"
    )
    done = subprocess.run([str(python), "-c", program, *distributions], check=False, capture_output=True, text=True)
    found: dict[str, str] = json.loads(done.stdout) if done.returncode == 0 else {}
    return found
