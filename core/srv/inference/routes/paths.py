"""Paths of routes: templates with fields in braces, and what they match."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from srv.inference.routes.failures import BadRoutePath, OwnPath

_FIELD = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(:path)?\}")
_LITERAL = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@-]*")
#: What begins like this below a model, or at the root, is srv's own, also where nothing stands there yet.
_OWN_BELOW, _OWN_AT_ROOT = frozenset({"docs", "versions"}), frozenset({"v2"})


class RoutePath:
    """A template such as `items/{id}`. One that begins with / stands at the root, any other below its model.

    A field takes one segment or a part of one; `{name:path}`, at the end, takes all that is left.
    """

    def __init__(self, template: str) -> None:
        self.template = template
        self.at_root = template.startswith("/")
        #: The template without the names of its fields.
        self.shape = _FIELD.sub("{}", template)
        segments = template.removeprefix("/").split("/")
        own = _OWN_AT_ROOT if self.at_root else _OWN_BELOW
        if segments[0] in own:
            raise OwnPath(template)
        pieces = [*_pieces(template, segments)]
        #: Of two templates that match a path the lesser one has it: a literal segment comes before a field.
        self.order = tuple(rank for rank, _ in pieces)
        others = f"(?!(?:{'|'.join(sorted(own))})(?:/|\\Z))"
        self._match = re.compile(others + "/".join(pattern for _, pattern in pieces), re.DOTALL).fullmatch

    def match(self, path: str) -> Mapping[str, str] | None:
        """Return the values of the fields in a path without its first slash, or None where the path is another one.

        A field takes none of srv's own paths, so that a misspelt one is no answer of a model's.
        """
        found = self._match(path)
        return None if found is None else found.groupdict()


def _pieces(template: str, segments: list[str]) -> Iterator[tuple[int, str]]:
    """Yield each segment's place in the order, and its pattern. Raises BadRoutePath."""
    names: set[str] = set()
    for place, segment in enumerate(segments):
        fields = [*_FIELD.finditer(segment)]
        literals = _FIELD.split(segment)[::3]
        if not segment:
            raise BadRoutePath(template, "has an empty part")
        if segment in (".", ".."):
            raise BadRoutePath(template, f"has the part '{segment}', which clients resolve")
        if not all(map(_LITERAL.fullmatch, literals)):
            raise BadRoutePath(template, f"has a part that is neither plain text nor a field: '{segment}'")
        if len(fields) > 1:
            raise BadRoutePath(template, f"has two fields in one part: '{segment}'")
        if not fields:
            yield 0, re.escape(segment)
            continue
        name, takes_all = fields[0].groups()
        if name in names:
            raise BadRoutePath(template, f"has the field '{name}' twice")
        if takes_all and not (segment == fields[0][0] and place == len(segments) - 1):
            raise BadRoutePath(template, f"has {fields[0][0]} elsewhere than as its whole last part")
        names.add(name)
        before, after = map(re.escape, literals)
        whole = not (before or after)
        yield 1 + whole + bool(takes_all), f"{before}(?P<{name}>{'.+' if takes_all else '[^/]+'}){after}"
