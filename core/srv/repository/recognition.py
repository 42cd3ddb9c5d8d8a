"""Recognition: the runtime for a file, by the names that installed runtimes recognise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from srv.repository.errors import CodeNotAllowed, FileContested, NoRuntimeGiven


class Recognition(msgspec.Struct, frozen=True):
    """The files that installed runtimes recognise: name → (runtime, whether the file is code).

    `contested` are those that several runtimes recognise, with the runtimes.
    """

    files: Mapping[str, tuple[str, bool]]
    contested: Mapping[str, tuple[str, ...]] = msgspec.field(default_factory=dict)

    def names(self) -> tuple[str, ...]:
        """Return all names of files that a runtime recognises."""
        return (*self.files, *(name for name in self.contested if name not in self.files))

    def choose(self, present: Iterable[str], *, place: str, code_allowed: bool) -> tuple[str, str]:
        """Return the file to serve and its runtime; files that are not code come first.

        Raises NoRuntimeGiven, CodeNotAllowed, or FileContested.
        """
        present = list(present)
        known = [name for name in present if name in self.files]
        safe = [name for name in known if not self.files[name][1]]
        contested = [name for name in present if name in self.contested]
        if safe or contested:
            return self._only(safe, contested, place)
        if not known:
            raise NoRuntimeGiven(place, self.names())
        if not code_allowed:
            raise CodeNotAllowed(place, known[0])
        return self._only(known, [], place)

    def is_code(self, name: str) -> bool:
        """Return whether a recognised file is code."""
        return name in self.files and self.files[name][1]

    def _only(self, known: list[str], contested: list[str], place: str) -> tuple[str, str]:
        runtimes = {self.files[name][0] for name in known}.union(*(self.contested[name] for name in contested))
        if len(runtimes) > 1:
            raise FileContested(place, [*known, *contested], runtimes)
        return known[0], runtimes.pop()
