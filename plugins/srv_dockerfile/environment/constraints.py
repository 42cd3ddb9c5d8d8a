"""Poetry's constraints of versions, in the words of pip."""

from __future__ import annotations

import re

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from srv_dockerfile.errors import BadConstraint

_CARET = re.compile(r"\^\s*(\d+(?:\.\d+)*)(.*)")
_TILDE = re.compile(r"~(?!=)\s*(\d+(?:\.\d+)*)(.*)")


def specifier(constraint: str) -> str:
    """Return what pip reads as Poetry reads `^1.2`, `~1.2`, `1.2.*`, `1.2` or `>=1,<2`; empty for any version.

    Raises BadConstraint for a choice (`||`), for which pip has no words, and for what is no constraint.
    """
    if re.search(r"\|", constraint):
        raise BadConstraint(constraint)
    parts = [part for part in re.split(r"\s*,\s*|(?<=[\w*])\s+(?=[<>=!~^])", constraint.strip()) if part]
    said = ",".join(filter(None, map(_one, parts)))
    try:
        SpecifierSet(said)
    except InvalidSpecifier:
        raise BadConstraint(constraint) from None
    return said


def python_marker(constraint: str) -> str:
    """Return a marker for a constraint of Python; a choice becomes one too."""
    choices = []
    for choice in re.split(r"\s*\|\|?\s*", constraint):
        try:
            parts = [part for part in specifier(choice).split(",") if part]
        except BadConstraint:
            return ""
        if not parts:
            return ""
        each = [re.sub(r"^([<>=!~]+)\s*(.*)$", r"python_full_version \1 '\2'", part) for part in parts]
        choices.append(" and ".join(each))
    return " or ".join(choices)


def _one(part: str) -> str:
    if part == "*":
        return ""
    if (caret := _CARET.fullmatch(part)) is not None:
        return f">={caret[1]}{caret[2]},<{_above(caret[1], is_caret=True)}"
    if (tilde := _TILDE.fullmatch(part)) is not None:
        return f">={tilde[1]}{tilde[2]},<{_above(tilde[1], is_caret=False)}"
    return f"=={part}" if part[0].isdigit() else re.sub(r"^=(?!=)", "==", part)


def _above(version: str, *, is_caret: bool) -> str:
    """Return the first version that a caret or tilde leaves out."""
    numbers = [int(number) for number in version.split(".")]
    if is_caret:
        kept = next((place for place, number in enumerate(numbers) if number), len(numbers) - 1) + 1
    else:
        kept = min(len(numbers), 2)
    head = numbers[:kept]
    head[-1] += 1
    return ".".join(map(str, [*head, 0] if len(head) == 1 else head))
