"""What a model's settings say once they are read: plain data, made by hand in tests and by the repository in a server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

#: A model by its name and its version, None where it has none.
ModelKey: TypeAlias = tuple[str, str | None]


@dataclass(frozen=True)
class Spec:
    """What a tensor must be: its wire datatype, and its shape with -1 for any length; None leaves either open."""

    datatype: str | None = None
    shape: tuple[int, ...] | None = None
    name: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict, hash=False)  # because `Annotated[…] | None` is hashed


@dataclass(frozen=True)
class ModelParameters:
    """The part of a model's settings that changes from one instance of it to the next."""

    uri: str | None = None
    version: str | None = None
    content_type: str | None = None
    format: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ProcessSettings:
    """How a model's own processes are started: how many, with which Python and packages, devices and limits.

    `environment` is absolute once it is read. `devices` and `cpus` are shared out over the `count` processes.
    """

    count: int = 1
    environment: Path | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    devices: tuple[str, ...] = ()
    cpus: tuple[str, ...] = ()
    memory: int | None = None
    start_timeout: float = 60.0


@dataclass(frozen=True)
class ModelSettings:
    """Everything that is said about one model.

    Either `runtime`, a registered name, or `implementation`, a class in the model's folder, is given. `folder` is
    where the artifacts and modules are looked for; `source` is how errors name the place, relative to the models
    folder.
    """

    name: str
    runtime: str | None = None
    #: The runtimes that a file's name leaves open, where the file is elsewhere; `runtime` is None until it has been fetched.
    candidates: tuple[str, ...] = ()
    implementation: str | None = None
    platform: str = ""
    inputs: tuple[Spec, ...] | None = None
    outputs: tuple[Spec, ...] | None = None
    max_batch_size: int = 0
    max_batch_time: float = 0.0
    max_queue: int | None = None
    request_timeout: float | None = None
    concurrency: int | None = None
    warmup: tuple[Mapping[str, Any], ...] = ()
    #: Codecs of the model's own folder, as module.Class, beside those in the module of its implementation.
    codecs: tuple[str, ...] = ()
    allow_pickle: bool = False
    #: The processes of the model's own; None where it is loaded in each worker.
    process: ProcessSettings | None = None
    parameters: ModelParameters = field(default_factory=ModelParameters)
    folder: Path = field(default_factory=Path)
    source: str = "model-settings.json"
    #: The folder of the defaults that gave `implementation`, and of those that gave `codecs`; None where the model's own
    #: settings did. There the modules are looked for first.
    implementation_folder: Path | None = None
    codecs_folder: Path | None = None
    #: The part of `parameters.extra` that the server's operator gave: in the folder that the command line names, or in
    #: defaults for all models, never in a file that travels with a model. Read settings that let code run from here.
    operator_extra: Mapping[str, Any] = field(default_factory=dict)
    #: Whether `allow_pickle` is true by the operator's own word, in one of the same two places. Without that no pickle is
    #: taken from where `parameters.uri` has a scheme.
    operator_allows_pickle: bool = False

    @property
    def version(self) -> str | None:
        """The model's version; None where it has none."""
        return self.parameters.version

    @property
    def artifact_root(self) -> Path:
        """Where the artifacts are: the file or folder that `parameters.uri` names, if it is there, else the folder."""
        if self.parameters.uri is None:
            return self.folder
        named = self.folder / self.parameters.uri
        try:
            return named if named.exists() else self.folder
        except OSError:  # the uri is something that no file can be called
            return self.folder
