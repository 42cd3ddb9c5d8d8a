"""Recognition: the runtime for a file, by its name, and by what runtimes say of its content where names do not decide."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import msgspec

from srv.discovery.files import is_code
from srv.repository.errors import CodeNotAllowed, FileContested, FileRefused, NoRuntimeGiven

#: A file and a runtime that recognises files of its name.
Candidate: TypeAlias = tuple[str, str]
#: Asks a runtime whether it can serve a file; returns how it refuses the file, and nothing where it can.
Refusal: TypeAlias = Callable[[str, Path], str]


def nobody_refuses(runtime: str, path: Path) -> str:  # noqa: ARG001
    """Let each runtime have the files that are called as it says."""
    return ""


class Recognition(msgspec.Struct, frozen=True):
    """The names of files that installed runtimes recognise, each with its runtimes.

    The runtimes are asked for a `refusal` only where the files of a folder would be served by several of them. A file of
    `whole` describes its folder, so that other files there count only where its own runtime refuses it. Those of `code`
    are code, beside those whose suffix says so.
    """

    files: Mapping[str, Sequence[str]]
    refusal: Refusal = nobody_refuses
    code: Collection[str] = ()
    whole: Collection[str] = ()

    def choose(self, present: Mapping[str, Path], *, place: str, code_allowed: bool) -> Candidate:
        """Return the file to serve and its runtime; files that are not code come first.

        `present` has the path of each file by its name. Raises NoRuntimeGiven, CodeNotAllowed, FileContested, or FileRefused.
        """
        known = [(name, runtime) for name in present for runtime in self.files.get(name, ())]
        if not known:
            raise NoRuntimeGiven(place, self.files)
        refusals: dict[Candidate, str] = {}
        if len({runtime for _, runtime in known}) > 1:
            whole = [each for each in known if each[0] in self.whole and not self._refusal(each, present)]
            known = whole or known
        if len({runtime for _, runtime in known}) > 1:
            refusals = {each: self._refusal(each, present) for each in known}
        left = [each for each in known if not refusals.get(each)]
        if not left:
            raise FileRefused(place, refusals)
        safe = [each for each in left if not self.is_code(each[0])]
        if not (safe or code_allowed):
            raise CodeNotAllowed(place, left[0][0])
        chosen = safe or left
        if len({runtime for _, runtime in chosen}) > 1:
            raise FileContested(place, chosen)
        return chosen[0]

    def by_name(self, name: str, *, place: str) -> Sequence[str]:
        """Return the runtimes that recognise files of a name. Raises NoRuntimeGiven."""
        runtimes = self.files.get(name, ())
        if not runtimes:
            raise NoRuntimeGiven(place, self.files)
        return runtimes

    def is_code(self, name: str) -> bool:
        """Return whether reading a file of this name runs code."""
        return is_code(name) or name in self.code

    def is_whole(self, present: Mapping[str, Path]) -> bool:
        """Return whether one of these files describes its folder, and a runtime says that it can serve it."""
        return self.is_taken({name: path for name, path in present.items() if name in self.whole})

    def is_taken(self, present: Mapping[str, Path]) -> bool:
        """Return whether a runtime says of one of these files that it can serve it."""
        return any(
            not self._refusal((name, runtime), present) for name in present for runtime in self.files.get(name, ())
        )

    def _refusal(self, candidate: Candidate, present: Mapping[str, Path]) -> str:
        name, runtime = candidate
        return self.refusal(runtime, present[name])
