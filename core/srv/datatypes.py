"""The datatypes of the Open Inference Protocol, by name: settings are checked against them without numpy."""

from __future__ import annotations

from collections.abc import Mapping

#: All of them; `srv.tensors.DTYPES` has the numpy dtype of each.
DATATYPES = (
    "BOOL",
    "UINT8",
    "UINT16",
    "UINT32",
    "UINT64",
    "INT8",
    "INT16",
    "INT32",
    "INT64",
    "FP16",
    "FP32",
    "FP64",
    "BYTES",
    "BF16",
)

#: What numpy, Triton's configurations, Java and C call them, in capitals.
_ELSEWHERE: Mapping[str, str] = {
    "BOOLEAN": "BOOL",
    "HALF": "FP16",
    "FLOAT16": "FP16",
    "FLOAT": "FP32",
    "FLOAT32": "FP32",
    "SINGLE": "FP32",
    "DOUBLE": "FP64",
    "FLOAT64": "FP64",
    "BFLOAT16": "BF16",
    "LONG": "INT64",
    "STR": "BYTES",
    "STRING": "BYTES",
    "TEXT": "BYTES",
    "OBJECT": "BYTES",
}


def meant(given: str) -> str | None:
    """Return the datatype that somebody means by a name from elsewhere, or None where that is not clear."""
    name = given.strip().upper().removeprefix("TYPE_")
    return name if name in DATATYPES else _ELSEWHERE.get(name)
