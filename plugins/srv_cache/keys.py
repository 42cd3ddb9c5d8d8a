"""Keys of the cache: two requests are the same by inputs, parameters and outputs asked for, not by id or headers."""

from __future__ import annotations

import hashlib

import orjson

from srv.messages import InferenceRequest
from srv.tensors import Tensor
from srv.wire.raw_tensors import write_raw


def key_of(request: InferenceRequest) -> bytes:
    """Return a digest that is the same for requests that must get the same response."""
    outputs = request.outputs
    said = [
        dict(request.parameters),
        None if outputs is None else [(output.name, dict(output.parameters)) for output in outputs],
        [(one.name, one.datatype, one.shape, dict(one.parameters)) for one in request.inputs],
    ]
    digest = hashlib.blake2b(orjson.dumps(said, option=orjson.OPT_SORT_KEYS), digest_size=32)
    for tensor in request.inputs:  # how long each is follows from what was said of it
        digest.update(_with_missing(tensor) if tensor.missing else write_raw(tensor))
    return digest.digest()


def _with_missing(tensor: Tensor) -> bytes:
    """Return the elements of BYTES of which some are None, so that None differs from every element."""
    return orjson.dumps([None if value is None else value.hex() for value in tensor.data.reshape(-1).tolist()])
