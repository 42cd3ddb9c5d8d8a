"""Files in inputs, such as pictures and sound: plain bytes, or base64 as JSON has them."""

from __future__ import annotations

import base64
import binascii

from srv import InvalidInput, Tensor
from srv.errors import quoted
from srv_huggingface.task import NoRows

_BASE64 = "base64"


class NotBase64(InvalidInput):
    """An element is said to be base64, and is not."""

    def __init__(self, name: str, row: int) -> None:
        super().__init__(f"Input {quoted(name)}, row {row}, is not base64, with the standard alphabet and padding.")


def are_files(tensor: Tensor) -> bool:
    """Return whether an input has the form of a file for each row."""
    return tensor.datatype == "BYTES" and (len(tensor.shape) == 1 or tensor.shape[1:] == (1,))


def files_of(tensor: Tensor) -> list[bytes]:
    """Return the file of each row.

    An element of base64's letters alone is base64: files of pictures and of sound have other bytes among their first
    ones. Raises NoRows, and NotBase64 for what the input's content type says wrongly.
    """
    if not tensor.shape[0]:
        raise NoRows(tensor.name)
    must = tensor.parameters.get("content_type") == _BASE64
    return [_file(tensor.name, row, value, must=must) for row, value in enumerate(tensor.data.reshape(-1).tolist())]


def _file(name: str, row: int, value: bytes, *, must: bool) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error:
        if must:
            raise NotBase64(name, row) from None
        return value
