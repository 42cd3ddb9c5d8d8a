"""Pillow's pictures as files, which models that take pictures as BYTES read."""

from __future__ import annotations

import sys
from io import BytesIO
from typing import Any

from srv.errors import InvalidInput, quoted


class UnfitInput(InvalidInput):
    """A value cannot be the input that the model declares."""


def with_files_of_pictures(name: str, value: Any) -> Any:
    """Return a picture as the bytes of a PNG, and so those of a list; any other value as it is. Raises UnfitInput."""
    kind = getattr(sys.modules.get("PIL.Image"), "Image", None)
    if kind is None:
        return value  # nobody has made a picture
    if isinstance(value, kind):
        return _png(name, value)
    if isinstance(value, list | tuple) and any(isinstance(each, kind) for each in value):
        return [_png(name, each) if isinstance(each, kind) else each for each in value]
    return value


def _png(name: str, picture: Any) -> bytes:
    file = BytesIO()
    try:
        picture.save(file, "PNG")
    except (OSError, ValueError):
        raise UnfitInput(
            f"Input {quoted(name)} is a picture in the mode {quoted(picture.mode)}, which PNG has not; convert it to RGB."
        ) from None
    return file.getvalue()
