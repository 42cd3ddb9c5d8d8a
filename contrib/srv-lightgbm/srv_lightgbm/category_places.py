"""In which columns the categories of pandas stand, as far as a file tells it: it has them without their columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

#: The categories of a column, in their order.
Known: TypeAlias = Sequence[Any]


def placed(codes: Sequence[int], categories: Sequence[Known], infos: Sequence[str]) -> Mapping[int, Known] | None:
    """Return categories by the places of their columns; None where they may as well stand in others.

    `codes` are the places of features that training treated as categories, and `infos` the values of each feature there. The
    two need not be the same columns: where training was told its `categorical_feature`, a column of integers may be one, and
    a category of pandas beside it is a number, its code.
    """
    if len(codes) != len(categories):
        return None
    seen = [_codes_in(infos[place]) if place < len(infos) else set() for place in codes]
    if any(each and max(each) >= len(known) for each, known in zip(seen, categories, strict=True)):
        return None
    has_all = all(set(range(len(known))) <= each for each, known in zip(seen, categories, strict=True))
    found = dict(zip(codes, categories, strict=True))
    for place, info in enumerate(infos):
        highest = _highest_code_in(info)
        if highest is None or place in found:
            continue
        for other in codes:
            places = sorted({*codes, place} - {other})
            instead = dict(zip(places, categories, strict=True))
            last = len(instead[place]) - 1
            fits = highest == last or (highest < last and not has_all)
            if fits and _takes_the_same(found, instead) and _codes_fit(instead, infos):
                return None
    return found


def _takes_the_same(found: Mapping[int, Known], instead: Mapping[int, Known]) -> bool:
    """Whether requests for one way of placing are none for the other only by their values, and so no error.

    Texts in a column of numbers are one. Categories that are their own codes make no difference.
    """
    places = found.keys() | instead.keys()
    return all(_is_text(found.get(place, ())) == _is_text(instead.get(place, ())) for place in places) and any(
        _meaning(found.get(place)) != _meaning(instead.get(place)) for place in places
    )


def _is_text(known: Known) -> bool:
    return any(isinstance(each, str) for each in known)


def _meaning(known: Known | None) -> list[Any] | None:
    return None if known is None or list(known) == list(range(len(known))) else list(known)


def _codes_fit(placed: Mapping[int, Known], infos: Sequence[str]) -> bool:
    return all(code < len(known) for place, known in placed.items() for code in _codes_in(infos[place]))


def _codes_in(info: str) -> set[int]:
    """Return the codes of categories that training has seen in a column; none where it was no category there."""
    parts = info.split(":")
    return {int(part) for part in parts} if all(part.lstrip("-").isdigit() for part in parts) else set()


def _highest_code_in(info: str) -> float | None:
    """Return the highest number of a column whose numbers may be codes; None for other columns."""
    low, colon, high = info.removeprefix("[").removesuffix("]").partition(":")
    if not (colon and info.startswith("[")) or float(low) < 0:
        return None
    return float(high) if float(low).is_integer() and float(high).is_integer() else None
