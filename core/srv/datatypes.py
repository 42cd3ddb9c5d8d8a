"""The datatypes of the Open Inference Protocol, by name: settings are checked against them without numpy."""

from __future__ import annotations

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
