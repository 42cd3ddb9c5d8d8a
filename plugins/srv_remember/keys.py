"""What makes two requests the same: inputs, parameters and the outputs asked for; neither id nor headers."""

from __future__ import annotations

import hashlib

import orjson

from srv.messages import InferenceRequest
from srv.rawdata import write_raw


def key_of(request: InferenceRequest) -> bytes:
    """A digest that only requests which must be answered alike have in common."""
    outputs = request.outputs
    said = [
        dict(request.parameters),
        None if outputs is None else [(output.name, dict(output.parameters)) for output in outputs],
        [(one.name, one.datatype, one.shape, dict(one.parameters)) for one in request.inputs],
    ]
    digest = hashlib.blake2b(orjson.dumps(said, option=orjson.OPT_SORT_KEYS), digest_size=32)
    for tensor in request.inputs:  # how long each is follows from what was said of it
        digest.update(write_raw(tensor))
    return digest.digest()
