"""The rules of .dockerignore, by Docker's own semantics: which names of a folder stay out of the image.

Matching in order, `!` and parents is pathspec's; the translation of one pattern stands here, because Docker's dialect is
not git's: a pattern begins at the root of the folder, a slash at its end means nothing, `**` may stand inside a name,
`[!a]` holds an exclamation mark, and a pattern that is none is an error.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from srv_dockerfile.errors import BadIgnorePattern

if TYPE_CHECKING:
    from pathspec import PathSpec
    from pathspec.pattern import RegexPattern

FILE = ".dockerignore"


class Ignore:
    """Decides for each name, relative to the folder and with `/`, whether it stays out; the last matching line counts."""

    def __init__(self, lines: Iterable[str]) -> None:
        """Read the lines. Raises BadIgnorePattern for a line that Docker refuses."""
        rules = list(filter(None, map(cleaned, lines)))
        self._lines = [rule.line for rule in rules]
        self._each = [(_whole([_translation(rule.pattern, rule.line)]), not rule.brings_back) for rule in rules]
        self._spec = _spec(_united(rules))
        self._brought_back = [_beginning(rule.pattern, rule.line) for rule in rules if rule.brings_back]

    def leaves_out(self, name: str) -> bool:
        """Whether the file or folder of this name stays out."""
        return bool(self._spec.match_file(name))  # pathspec before 1.0 gives None where nothing matches

    def leaves_out_all_of(self, name: str) -> bool:
        """Whether nothing in a folder goes into the image, so that the folder need not be searched."""
        return self.leaves_out(name) and not any(_may_be_below(name, parts) for parts in self._brought_back)

    def line_for(self, name: str) -> str | None:
        """Return the line that decides about a name; None where no line matches."""
        place = _spec(self._each).check_file(name).index
        return None if place is None else self._lines[place]


@dataclass(frozen=True)
class Rule:
    """What a line means: a clean pattern, and whether it brings back."""

    pattern: str
    brings_back: bool
    line: str

    @property
    def as_name(self) -> str:
        """The pattern read as a name, its stars and brackets as they stand."""
        return re.sub(r"\\(.)", r"\1", self.pattern)

    def names(self, name: str) -> bool:
        """Whether the line means this name itself, and neither a folder above it nor whatever is in there."""
        if not self.pattern.rpartition("/")[2].strip("*?"):
            return False
        return re.match(rf"(?s:\A{_translation(self.pattern, self.line)}\Z)", name) is not None


def cleaned(line: str) -> Rule | None:
    """Return what a line means; None for comments and empty patterns. Raises BadIgnorePattern."""
    text = line.strip()
    if not text or line.startswith("#"):
        return None
    back = text.startswith("!")
    pattern = text.removeprefix("!").strip()
    if not pattern:
        raise BadIgnorePattern(line, "nothing follows the exclamation mark")
    pattern = posixpath.normpath(pattern).lstrip("/")
    return Rule(pattern, back, line) if pattern not in ("", ".") else None


def pattern_of(name: str) -> str:
    """Return the pattern that matches one file or folder, whatever characters its name has."""
    pattern = re.sub(r"[*?\[\]\\]", r"\\\g<0>", name).replace("\n", "?").replace("\r", "?")
    if pattern != pattern.rstrip():
        pattern = f"{pattern[:-1]}?"
    return f"/{pattern}" if pattern.startswith(("#", "!", " ")) else pattern


def _spec(expressions: Iterable[tuple[str, bool]]) -> PathSpec[RegexPattern]:
    # Imported here, because only commands that make images need it.
    from pathspec import PathSpec
    from pathspec.pattern import RegexPattern

    return PathSpec([RegexPattern(re.compile(text), include=include) for text, include in expressions])


def _united(rules: Iterable[Rule]) -> Iterator[tuple[str, bool]]:
    """Yield one expression for consecutive lines that mean the same, because folders may have 100,000 names."""
    for brings_back, same in groupby(rules, key=lambda rule: rule.brings_back):
        yield _whole([_translation(rule.pattern, rule.line) for rule in same]), not brings_back


_ANYWHERE = "(?:.*/)?"


def _whole(translations: Iterable[str]) -> str:
    """Return the expression for whole names, which matches what is below them too."""
    anywhere, others = [], []
    for text in translations:
        if text.startswith(_ANYWHERE):
            anywhere.append(text.removeprefix(_ANYWHERE))
        else:
            others.append(text)
    if anywhere:  # they share the search for where a name begins
        others.append(f"{_ANYWHERE}(?:{'|'.join(anywhere)})")
    return rf"(?s:\A(?:{'|'.join(others)})(?:/.*)?\Z)"


def _beginning(pattern: str, line: str) -> list[re.Pattern[str]]:
    """Return what the first parts of a pattern match, up to the first `**`."""
    before, stars, _ = pattern.partition("**")
    parts = before.split("/")[:-1] if stars else pattern.split("/")
    if "[" in pattern or "\\/" in pattern:
        return []  # a slash may stand in its brackets, or behind a backslash
    return [re.compile(rf"(?s:\A{_translation(part, line)}\Z)") for part in parts]


def _may_be_below(name: str, parts: Iterable[re.Pattern[str]]) -> bool:
    return all(part.match(word) for word, part in zip(name.split("/"), parts, strict=False))


#: One character of what stands in brackets, escaped where it is a hyphen or a bracket, and a range of them.
_CHARACTER = r"(?:\\.|[^\\\]-])"
_RANGE = re.compile(rf"({_CHARACTER})(?:-({_CHARACTER}))?", re.DOTALL)
_PART = re.compile(
    rf"(?P<stars>\*\*/?)|(?P<wild>[*?])|\[(?P<negated>\^?+)(?P<ranges>(?:{_RANGE.pattern})+)\]|(?P<one>\\?.)", re.DOTALL
)
_LITERAL = re.compile(r"[^*?\[\]\\]*")


def _translation(pattern: str, line: str) -> str:
    """Translate a clean pattern into a regular expression."""
    if pattern.startswith("**") and _LITERAL.fullmatch(pattern, 2) and pattern[2:3] != "/":
        return ".*" + re.escape(pattern[2:])
    return "".join(_translated(part, line) for part in _PART.finditer(pattern))


def _translated(part: re.Match[str], line: str) -> str:
    if part["stars"]:
        return ".*" if part.end() == len(part.string) else _ANYWHERE
    if part["wild"]:
        return "[^/]*" if part["wild"] == "*" else "[^/]"
    if part["ranges"]:
        return _class(part["negated"], part["ranges"], line)
    character = part["one"]
    if character == "[":
        raise BadIgnorePattern(line, "its bracket does not end, or holds what is no range")
    if character == "\\":
        raise BadIgnorePattern(line, "nothing follows its backslash")
    return re.escape(character[-1])


def _class(negated: str, ranges: str, line: str) -> str:
    """Translate what stands in brackets."""
    found = ["-".join(re.escape(end[-1]) for end in ends if end) for ends in _RANGE.findall(ranges)]
    text = f"[{negated}{''.join(found)}]"
    try:
        re.compile(text)
    except re.error:
        raise BadIgnorePattern(line, "a range in its brackets runs backwards") from None
    return text
