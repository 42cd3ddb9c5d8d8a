"""What becomes of the settings files of a folder: srv's text of each, what changes and why, and what srv lacks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from srv.repository.foreign_classes import native_runtime
from srv.settings.checks import checked
from srv.settings.dialect import translated
from srv.settings.documents import Document, dotted, read_document
from srv.settings.mlserver_keys import KeyChange
from srv.settings.schemas import ModelSchema, ServerSchema

SERVER, MODEL = "settings.json", "model-settings.json"

_KNOWN = ServerSchema().fields.keys()
#: Where MLServer listens.
_ALL = "0.0.0.0"  # noqa: S104
#: srv's name of a runtime → the package that brings it.
PACKAGES: Mapping[str, str] = {
    name: f"srv-{name}" for name in ("catboost", "huggingface", "lightgbm", "mlflow", "onnx", "sklearn", "xgboost")
}


class Step(msgspec.Struct, frozen=True):
    """One thing that changes: MLServer's key and value, srv's key and value or none, and why."""

    key: str
    value: Any
    to: str | None
    becomes: Any
    why: str


class MigratedFile(msgspec.Struct, frozen=True):
    """One settings file: its path below the folder, srv's settings, the steps to them, and what a person should know."""

    file: str
    settings: dict[str, Any]
    steps: tuple[Step, ...]
    notes: tuple[str, ...]
    #: Whether the file as it is says something else.
    changes: bool


class Migration(msgspec.Struct, frozen=True):
    """All files of a folder, and the packages that their models need."""

    files: tuple[MigratedFile, ...]
    packages: tuple[str, ...]


def migration_of(folder: Path) -> Migration:
    """Return what becomes of a folder. Raises a SettingError for a file that neither MLServer nor srv could read."""
    files: list[MigratedFile] = []
    packages: set[str] = set()
    server = read_document(folder / SERVER, SERVER)
    if server is not None:
        files.append(_of_server(server))
    for path in _model_files(folder):
        name = path.relative_to(folder).as_posix()
        document = read_document(path, name)
        if document is not None:
            migrated, package = _of_model(document, path.parent, depth=name.count("/"))
            files.append(migrated)
            packages |= {package} if package else set()
    return Migration(tuple(files), tuple(sorted(packages)))


def _model_files(folder: Path) -> Iterator[Path]:
    """Yield the files of models where MLServer looks for them: at any depth, but not in hidden folders."""
    for path in sorted(folder.rglob(MODEL)):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            yield path


def _of_server(document: Document) -> MigratedFile:
    sections = [key for key, value in document.values.items() if isinstance(value, Mapping) and key not in _KNOWN]
    translation = translated(document, ServerSchema(), sections=sections)
    values = translation.values
    steps = [_step(change) for change in translation.changes]
    notes = []
    if "host" not in values:
        values["host"] = _ALL
        why = "MLServer listens on all addresses unless told otherwise; srv on 127.0.0.1"
        steps.append(Step("host", None, "host", _ALL, why))
    if "model_control" not in values and values["host"] not in ("127.0.0.1", "localhost", "::1"):
        notes.append(
            "MLServer lets every client load and unload models. srv does so on a loopback host only, unless "
            "'model_control' is true."
        )
    if any(step.key == "metrics_port" for step in steps):
        notes.append("Metrics are on the HTTP port: let Prometheus scrape 'http_port'.")
    return _file(document, values, steps, notes, ServerSchema(), sections)


def _of_model(document: Document, folder: Path, *, depth: int) -> tuple[MigratedFile, str | None]:
    """Return what becomes of a model's file, and the package that the model needs."""
    translation = translated(document, ModelSchema())
    values = translation.values
    steps = [_step(change) for change in translation.changes]
    notes = []
    package = None
    implementation = values.get("implementation")
    runtime = native_runtime(implementation if isinstance(implementation, str) else None, [folder])
    if runtime is not None and runtime in PACKAGES:
        values = {"runtime" if key == "implementation" else key: value for key, value in values.items()}
        values["runtime"], package = runtime, PACKAGES[runtime]
        steps.append(
            Step("implementation", implementation, "runtime", runtime, f"srv's own for the same files, of {package}")
        )
        if values.get("parameters", {}).get("extra"):
            notes.append(
                f"'parameters.extra' is for MLServer's runtime; `srv settings --runtime {runtime}` says what srv's takes."
            )
        if values.get("inputs"):
            notes.append("'inputs' are a contract with srv: requests that do not fit them are a 400.")
    elif implementation is not None:
        package = "srv-mlserver"
        notes.append(f"'{implementation}' is served as it is where it extends mlserver.MLModel; {package} does that.")
    if depth > 2:
        notes.append("srv looks for models in <name>/ and <name>/<version>/; move this folder up.")
    return _file(document, values, steps, notes, ModelSchema(), ()), package


def _step(change: KeyChange) -> Step:
    if change.to is None:
        why = "srv has nothing like it" if change.instead is None else f"srv has {change.instead}"
        return Step(change.key, change.value, None, None, why)
    return Step(change.key, change.value, dotted(change.to), change.becomes, "srv's name of it")


def _file(
    document: Document, values: dict[str, Any], steps: list[Step], notes: list[str], schema: Any, sections: Any
) -> MigratedFile:
    """Return the file, checked as srv reads it, with steps for values that are of another kind now. Raises a SettingError."""
    checked(schema, values, Document(values, document.text, document.place), sections=sections)
    for key, value, now in _rewritten(document.values, values):
        steps.append(
            Step(
                key,
                value,
                key if now is not None else None,
                now,
                "as srv takes it" if now is not None else "means nothing",
            )
        )
    return MigratedFile(document.place, values, tuple(steps), tuple(notes), changes=values != dict(document.values))


def _rewritten(before: Mapping[str, Any], after: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield key, value and new value where both have a key and it says another thing; None where srv leaves it out."""
    for key, value in before.items():
        now = after.get(key)
        if isinstance(value, Mapping) and isinstance(now, Mapping):
            yield from _rewritten(value, now, f"{above}{key}.")
        elif key in after and now != value:
            yield f"{above}{key}", value, now


def text_of(settings: Mapping[str, Any]) -> str:
    """Return the text of a settings file."""
    return json.dumps(settings, indent=2, ensure_ascii=False) + "\n"
