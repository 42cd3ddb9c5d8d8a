"""What the cgroups of this process allow, v1 or v2: processor time and memory, the least of the group and those above.

A container, a systemd slice or a batch system may set its limit on any of these groups. `/proc/self/cgroup` names the
group of this process, and `/proc/self/mountinfo` says where the groups of a controller can be read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple, TypeVar

_HERE = Path("/")
#: Limits from here on are none: v1 says "no limit" by the largest number of whole pages.
_NO_LIMIT = 1 << 60
_ESCAPED = re.compile(r"\\([0-7]{3})")

Number = TypeVar("Number", int, float)


class MemoryLimit(NamedTuple):
    """A limit in bytes, and the file that sets it."""

    size: int
    file: Path


class _Mount(NamedTuple):
    """Where the groups of a hierarchy can be read: `root` is the group that stands at `point`."""

    root: PurePosixPath
    point: Path
    #: The controllers of a v1 hierarchy, or None for v2.
    controllers: frozenset[str] | None


def cpu_quota(root: Path = _HERE) -> float | None:
    """Return how many cores' time the cgroups allow, such as 0.5; None where they set no limit."""
    quotas = [
        *_limits(root, None, "cpu.max", _v2_quota),
        *_limits(root, "cpu", "cpu.cfs_quota_us", _v1_quota),
    ]
    return min((quota for quota, _ in quotas), default=None)


def memory_limit(root: Path = _HERE) -> MemoryLimit | None:
    """Return how much memory the cgroups allow; None where they set no limit."""
    limits = [
        *_limits(root, None, "memory.max", _memory),
        *_limits(root, "memory", "memory.limit_in_bytes", _memory),
    ]
    return min((MemoryLimit(*limit) for limit in limits), default=None)


def _limits(
    root: Path, controller: str | None, name: str, read: Callable[[Path], Number | None]
) -> Iterator[tuple[Number, Path]]:
    """Yield what a file says in the group of this process and in each above it, with the file."""
    for folder in _folders(root, controller):
        file = folder / name
        try:
            limit = read(file)
        except (OSError, ValueError):  # the root group has no such files, and "max" means no limit
            continue
        if limit is not None:
            yield limit, Path("/") / file.relative_to(root)


def _v2_quota(file: Path) -> float | None:
    allowed, period = file.read_text().split()
    return int(allowed) / int(period)


def _v1_quota(file: Path) -> float | None:
    allowed = int(file.read_text())
    period = int(file.with_name("cpu.cfs_period_us").read_text())
    return allowed / period if allowed > 0 < period else None


def _memory(file: Path) -> int | None:
    size = int(file.read_text())
    return size if size < _NO_LIMIT else None


def _folders(root: Path, controller: str | None) -> Iterator[Path]:
    """Yield the folders of this process's group and of those above it; `controller` is None for v2."""
    group = _group(root, controller)
    if group is None:
        return
    for mount in _mounts(root):
        matches = mount.controllers is None if controller is None else controller in (mount.controllers or ())
        if not matches:
            continue
        # In a container the group may stand above what is mounted, or have another name than outside.
        below = group.relative_to(mount.root) if group.is_relative_to(mount.root) else PurePosixPath()
        if ".." in below.parts:
            below = PurePosixPath()
        yield from (mount.point / each for each in (below, *below.parents))


def _group(root: Path, controller: str | None) -> PurePosixPath | None:
    """Return the path of this process's group in the hierarchy of a controller, or in that of v2."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # another system than Linux
        return None
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controller in controllers.split(",") if controller else number == "0" and not controllers:
            return PurePosixPath(path)
    return None


def _mounts(root: Path) -> Iterator[_Mount]:
    """Yield the hierarchies of cgroups that are mounted."""
    try:
        lines = (root / "proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 5 or len(kind) < 3 or kind[0] not in ("cgroup", "cgroup2"):
            continue
        point = root / _unescaped(fields[4]).lstrip("/")
        controllers = None if kind[0] == "cgroup2" else frozenset(kind[2].split(","))
        yield _Mount(PurePosixPath(_unescaped(fields[3])), point, controllers)


def _unescaped(text: str) -> str:
    """Return a path of mountinfo as it is; blanks stand there as octal numbers."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), text)
