"""`--output` and the caches, in Docker's words: `type=oci,dest=FILE`, a folder, `type=registry,ref=NAME`."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field

from srv_build.errors import BadWords


@dataclass(frozen=True)
class Words:
    """A comma-separated list of `key=value` with its `type`."""

    kind: str
    values: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        text = io.StringIO()  # with quotes around what holds a comma, as Docker reads it
        parts = (f"type={self.kind}", *(f"{name}={value}" for name, value in self.values.items()))
        csv.writer(text, lineterminator="").writerow(parts)
        return text.getvalue()


def output_of(text: str) -> Words:
    """Return where an image is written to; a text without `=` is a folder for its files.

    Raises BadWords for a text of another form, and where the file or folder is missing.
    """
    if "=" not in text:
        return Words("local", {"dest": text})
    words = _words("--output", text)
    if words.kind in {"oci", "docker", "tar", "local"} and not words.values.get("dest"):
        raise BadWords("--output", text, "it has no dest=FILE")
    return words


def cache_of(option: str, text: str) -> Words:
    """Return a place of a cache; a text without `=` is a name in a registry. Raises BadWords."""
    if "=" not in text:
        return Words("registry", {"ref": text})
    words = _words(option, text)
    missing = {"registry": "ref", "local": "src" if option == "--cache-from" else "dest"}.get(words.kind)
    if missing is not None and not words.values.get(missing):
        raise BadWords(option, text, f"it has no {missing}=…")
    return words


def _words(option: str, text: str) -> Words:
    [parts] = csv.reader([text])
    values = {}
    for part in parts:
        name, given, value = part.partition("=")
        if not given or not name.strip():
            raise BadWords(option, text, f"'{part}' is not KEY=VALUE")
        values[name.strip().lower()] = value
    kind = values.pop("type", "")
    if not kind:
        raise BadWords(option, text, "it has no type=…")
    return Words(kind, values)
