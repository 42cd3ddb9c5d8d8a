"""Extras that entry points name, as in `name = module:object [extra]`, and what of them is not installed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import importlib_metadata

from srv.discovery.plugin import normalised

#: The headers of METADATA by lower-case name, each with its values.
Head = Mapping[str, Sequence[str]]


def missing_of_extras(distribution: str, named: Iterable[str], head: Head) -> dict[str, str]:
    """Return the named extras that the metadata declares with requirements, each with what is missing, or nothing.

    What the metadata does not declare so is no extra, but a file that a runtime recognises, for instance.
    """
    declared = {normalised(extra) for extra in head.get("provides-extra", ())}
    extras = dict.fromkeys(extra for extra in named if normalised(extra) in declared)
    if not extras:
        return {}
    found: dict[str, str] = {}
    for extra in extras:
        requirements = dict.fromkeys(_requirements(distribution, extra, head, frozenset()))
        if requirements:
            missing = [phrase for phrase in map(_missing, requirements) if phrase]
            found[extra] = _told(distribution, extra, missing) if missing else ""
    return found


def _told(distribution: str, extra: str, missing: Sequence[str]) -> str:
    more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
    return f"its extra '{extra}' requires {missing[0]}{more}: pip install '{distribution}[{extra}]'"


def _requirements(distribution: str, extra: str, head: Head, above: frozenset[str]) -> Iterator[str]:
    """Yield what an extra requires here and the distribution without it does not, also by other extras of its own."""
    from packaging.requirements import Requirement  # costs 15 ms, and hardly any entry point names an extra

    for line in head.get("requires-dist", ()):
        if "extra" not in line:
            continue
        try:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                continue
            if not requirement.marker.evaluate({"extra": normalised(extra)}):
                continue
        except ValueError:  # which the distribution's own author sees when pip reads it
            continue
        if normalised(requirement.name) != normalised(distribution):
            yield f"{requirement.name}{requirement.specifier}"
            continue
        for other in requirement.extras:
            if normalised(other) not in above:
                yield from _requirements(distribution, other, head, above | {normalised(extra)})


def _missing(line: str) -> str:
    """Return a requirement with what is wrong with it; empty where it is installed."""
    from packaging.requirements import Requirement  # as above

    requirement = Requirement(line)
    try:
        version = str(importlib_metadata.version(requirement.name))
        satisfied = requirement.specifier.contains(version, prereleases=True)
    except importlib_metadata.PackageNotFoundError:
        return f"{line}, which is not installed"
    except Exception:  # noqa: BLE001 - metadata that nobody can read may belong to a library that works
        return ""
    return "" if satisfied else f"{line}, and {requirement.name} {version} is installed"
