"""MLServer's settings of a model, made of its file as MLServer reads it, with what srv has decided over that."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlserver.settings import ModelSettings as TheirSettings

from srv import ModelSettings, Spec

_FILE = "model-settings.json"


def settings_of(given: ModelSettings, implementation: str) -> TheirSettings:
    """Return MLServer's settings. `uri` is absolute, and the model's folder where the file names none.

    What only MLServer knows, such as `versions` and further keys of `parameters`, is as the file has it.
    """
    folder = given.folder.absolute()
    said = _document(folder / _FILE)
    parameters = said.get("parameters")
    values: dict[str, Any] = {
        **({"versions": said["versions"]} if said.get("versions") else {}),
        **{key: _tensors(specs) for key, specs in (("inputs", given.inputs), ("outputs", given.outputs)) if specs},
        "name": given.name,
        "implementation": implementation,
        "platform": given.platform,
        "max_batch_size": given.max_batch_size,
        "max_batch_time": given.max_batch_time,
        "parameters": {
            **(parameters if isinstance(parameters, dict) else {}),
            "uri": _absolute(folder, given.parameters.uri),
            "version": given.version,
            "content_type": given.parameters.content_type,
            "format": given.parameters.format,
            "extra": dict(given.parameters.extra),
        },
    }
    made = TheirSettings.model_validate(values)
    made._source = str(folder / _FILE)
    return made


def _tensors(specs: Sequence[Spec]) -> list[dict[str, Any]]:
    """Return tensors of the settings as MLServer's metadata has them; one without a shape has any length."""
    return [
        {
            "name": spec.name,
            "datatype": spec.datatype,
            "shape": [-1] if spec.shape is None else [*spec.shape],
            **({"parameters": dict(spec.parameters)} if spec.parameters else {}),
        }
        for spec in specs
    ]


def _document(path: Path) -> dict[str, Any]:
    """Return what the file says; nothing where the environment alone has made the model."""
    try:
        said = json.loads(path.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def _absolute(folder: Path, uri: str | None) -> str:
    if uri is None:
        return str(folder)
    return uri if "://" in uri else str((folder / uri).absolute())
