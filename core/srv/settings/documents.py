"""A settings file as it was read: one JSON object, and the lines of its keys."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from srv.settings.errors import UnreadableSettings
from srv.settings.mlserver_keys import KeyChange


class Document(msgspec.Struct, frozen=True):
    """The object of one settings file, and `place`, how errors name the file.

    `changes` are the keys of a file in another dialect that are other keys in `values`, or none.
    """

    values: Mapping[str, Any]
    text: str
    place: str
    changes: tuple[KeyChange, ...] = ()

    def subject(self, path: Sequence[str | int]) -> str:
        """Return how a sentence about the key at this path begins: file, line if it is known, key."""
        line = self._line(path)
        place = self.place if line is None else f"{self.place}, line {line}"
        return f"{place}: '{dotted(path)}'"

    def _line(self, path: Sequence[str | int]) -> int | None:
        """Return the line of the path's last key, if the file has that key once."""
        keys = [step for step in path if isinstance(step, str)]
        if not keys or not self._has(path):
            return None
        found = list(re.finditer(re.escape(json.dumps(keys[-1], ensure_ascii=False)) + r"\s*:", self.text))
        return self.text.count("\n", 0, found[0].start()) + 1 if len(found) == 1 else None

    def _has(self, path: Sequence[str | int]) -> bool:
        node: Any = self.values
        for step in path:
            if isinstance(node, Mapping) and step not in node:
                return False
            node = node[step]
        return True


def dotted(path: Sequence[str | int]) -> str:
    """Return a path as people write it: ``inputs[0].shape``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def read_document(path: Path, place: str | None = None) -> Document | None:
    """Return the settings file at that path, or None if there is none. Raises UnreadableSettings."""
    name = place or str(path)
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        if path.is_symlink():
            raise UnreadableSettings(name, "this is a link to a file that is not there", "Mend the link.") from None
        return None
    except OSError as error:
        why = (error.strerror or type(error).__name__).lower()
        raise UnreadableSettings(
            name, f"the file cannot be read ({why})", "Make it a file that srv may read."
        ) from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UnreadableSettings(f"{name}, line {line}", "this is not UTF-8 text", "Save the file as UTF-8.") from None
    return Document(_parsed(text, name), text, name)


def _parsed(text: str, place: str) -> dict[str, Any]:
    try:
        values = json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        where = f"{place}, line {error.lineno}, column {error.colno}"
        raise UnreadableSettings(where, f"this is not JSON: {_lowered(error.msg)}", "Mend the file.") from None
    except DuplicateKey as error:
        raise UnreadableSettings(place, f"the key '{error}' is there twice", "Keep one of the two.") from None
    except ForeignConstant as error:
        raise UnreadableSettings(place, f"{error} is not JSON", "Write a number, or null.") from None
    except (RecursionError, ValueError):
        raise UnreadableSettings(place, "the file is nested too deeply or has a number too long", "Mend it.") from None
    if not isinstance(values, dict):
        raise UnreadableSettings(place, f"this is {_kind(values)}, not a JSON object", 'Write {"key": value, …}.')
    return values


class DuplicateKey(Exception):
    """A JSON object has a key twice: the last would count, and readers would believe the first."""


class ForeignConstant(Exception):
    """NaN or Infinity, which Python's reader takes and JSON does not have."""


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, value in pairs:
        if key in values:
            raise DuplicateKey(key)
        values[key] = value
    return values


def _refuse_constant(name: str) -> NoReturn:
    raise ForeignConstant(name)


def _lowered(message: str) -> str:
    return message[:1].lower() + message[1:]


def _kind(value: object) -> str:
    names = {list: "a list", str: "a text", bool: "a boolean", int: "a number", float: "a number"}
    return "null" if value is None else names[type(value)]
