"""Settings as sources give them, later sources over earlier ones: values by path, the origin of each, and notes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from srv.settings.checks import Leaves, overlay
from srv.settings.documents import dotted


class GivenSettings:
    """Values by path, the origin of each, and notes on what was ignored."""

    def __init__(self) -> None:
        self.leaves: Leaves = {}
        self.origins: dict[tuple[str, ...], str] = {}
        self.notes: list[str] = []

    @classmethod
    def of(cls, leaves: Leaves, origins: Mapping[tuple[str, ...], str], notes: Iterable[str]) -> GivenSettings:
        """Make them of what is known already."""
        made = cls()
        made.leaves, made.origins, made.notes = leaves, dict(origins), [*notes]
        return made

    def take(self, origin: str, leaves: Leaves) -> None:
        """Take in what one place gives; it wins over what came before."""
        self.leaves = overlay(self.leaves, leaves)
        self.origins.update(dict.fromkeys(leaves, origin))

    def take_all(self, other: GivenSettings) -> None:
        """Take in what another source gives; it wins over what came before."""
        self.leaves = overlay(self.leaves, other.leaves)
        self.origins.update(other.origins)
        self.notes += other.notes

    def sections(self) -> set[str]:
        """Return the first key of every path."""
        return {path[0] for path in self.leaves}

    def rename(self, names: Mapping[str, str]) -> None:
        """Put other names in place of first keys."""
        self.leaves = {(names.get(path[0], path[0]), *path[1:]): value for path, value in self.leaves.items()}
        self.origins = {(names.get(path[0], path[0]), *path[1:]): name for path, name in self.origins.items()}

    def origins_by_key(self, prefix: str = "") -> dict[str, str]:
        """Return the origins of the values in force, by dotted key."""
        return {prefix + dotted(path): name for path, name in self.origins.items() if path in self.leaves}
