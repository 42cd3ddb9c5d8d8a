"""YAML with comments: documents as mappings, in which a Note stands where its comment belongs."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any, TypeAlias

Document: TypeAlias = Mapping[Any, Any]

#: How wide a comment may become, without what it is indented by.
_WIDTH = 100
_MARK = re.compile(r"(?P<indent> *)(?P<item>- )?__note_(?P<number>\d+)__: null")


class Note:
    """A key of a mapping that becomes a comment above the next key; its value says nothing."""

    def __init__(self, text: str) -> None:
        self.text = text


class Words(list[str]):
    """A list that stands on one line, as commands do."""


def yaml_of(documents: Iterable[Document], head: str) -> str:
    """Return the documents one after the other, below a comment."""
    return _comment(head, "") + "---\n".join(_document(document) for document in documents)


def json_of(documents: Iterable[Document]) -> str:
    """Return one JSON object without comments: the document, or a List of Kubernetes's where there are several."""
    plain = [_plain(document) for document in documents]
    whole = plain[0] if len(plain) == 1 else {"apiVersion": "v1", "kind": "List", "items": plain}
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items() if not isinstance(key, Note)}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def _document(document: Document) -> str:
    import yaml  # here, because `srv deploy --help` need not wait

    notes: list[str] = []
    numbers = count()

    class Dumper(yaml.SafeDumper):  # type: ignore[misc]  # PyYAML ships no types
        """Writes no anchors: the same object twice is written twice."""

        def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - PyYAML's signature
            return True

    def marked(value: Any) -> Any:
        """Return the value with a key of plain text for each Note."""
        if not isinstance(value, Mapping):
            if isinstance(value, list) and not isinstance(value, Words):
                return [marked(inner) for inner in value]
            return value
        made: dict[Any, Any] = {}
        for key, inner in value.items():
            if isinstance(key, Note):
                notes.append(key.text)
                made[f"__note_{next(numbers)}__"] = None
            else:
                made[key] = marked(inner)
        return made

    Dumper.add_representer(
        Words, lambda dumper, words: dumper.represent_sequence("tag:yaml.org,2002:seq", words, flow_style=True)
    )
    Dumper.add_representer(str, _text)
    dumped = yaml.dump(
        marked(document), Dumper=Dumper, sort_keys=False, default_flow_style=False, allow_unicode=True, width=1 << 20
    )
    return _with_comments(dumped, notes)


def _text(dumper: Any, text: str) -> Any:
    """Write texts of several lines as they look."""
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


def _with_comments(dumped: str, notes: list[str]) -> str:
    made, item = "", False
    for line in dumped.splitlines():
        found = _MARK.fullmatch(line)
        if found is not None:
            made += _comment(notes[int(found["number"])], found["indent"])
            item = found["item"] is not None
        else:
            bare = line.lstrip(" ")
            before = len(line) - len(bare)
            made += (" " * (before - 2) + "- " + bare if item else line) + "\n"
            item = False
    return made


def _comment(text: str, indent: str) -> str:
    lines = [part for line in text.splitlines() for part in textwrap.wrap(line, _WIDTH, break_long_words=False)]
    return "".join(f"{indent}# {line}\n" for line in lines)
