"""A model's configuration as Triton's clients read it; srv's own settings stand under `parameters`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any

from srv.messages import ModelMetadata
from srv.model_settings import ModelSettings, Spec
from srv.uris import scheme_of

#: Triton's names of datatypes, where they are not the protocol's.
_RENAMED = {"BYTES": "STRING", None: "INVALID"}


def model_config(settings: ModelSettings, metadata: ModelMetadata, *, streams: bool) -> dict[str, Any]:
    """Return the configuration; of `extra` it has the keys only, because the values may be secrets."""
    batches = metadata.max_batch_size > 0
    return {
        "name": settings.name,
        "platform": metadata.platform,
        "backend": settings.runtime or "python",
        "max_batch_size": metadata.max_batch_size,
        "input": _tensors(metadata.inputs, batches=batches),
        "output": _tensors(metadata.outputs, batches=batches),
        "parameters": {name: {"string_value": _text(value)} for name, value in _own(settings).items()},
        "model_transaction_policy": {"decoupled": streams},
    }


def _tensors(specs: Iterable[Spec], *, batches: bool) -> list[dict[str, Any]]:
    """Return tensors without the batch dimension, where the model takes batches."""
    return [
        {
            "name": spec.name,
            "data_type": f"TYPE_{_RENAMED.get(spec.datatype, spec.datatype)}",
            "dims": list((spec.shape or (-1,))[1 if batches and spec.shape else 0 :]),
        }
        for spec in specs
    ]


def _own(settings: ModelSettings) -> Mapping[str, Any]:
    """Return the settings of srv's own that are not at their defaults."""
    parameters = settings.parameters
    said = {
        "runtime": settings.runtime,
        "implementation": settings.implementation,
        "version": parameters.version,
        "uri": parameters.uri if parameters.uri and _is_inside(parameters.uri) else None,
        "content_type": parameters.content_type,
        "format": parameters.format,
        "max_batch_time": settings.max_batch_time or None,
        "max_queue": settings.max_queue,
        "request_timeout": settings.request_timeout,
        "concurrency": settings.concurrency,
        "warmup": len(settings.warmup) or None,
        "extra": sorted(parameters.extra) or None,
    }
    return {name: value for name, value in said.items() if value is not None}


def _is_inside(uri: str) -> bool:
    """Return whether a path stays in the model's folder; clients must not see other paths."""
    path = PurePath(uri)
    return not path.is_absolute() and ".." not in path.parts and scheme_of(uri) is None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
