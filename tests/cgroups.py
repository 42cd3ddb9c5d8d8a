"""Trees of cgroups as a kernel shows them, for tests: files of /proc and /sys below a folder."""

from __future__ import annotations

from pathlib import Path


class Tree:
    """A process's groups; `root` is what stands for /."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._points: dict[str | None, str] = {}
        self._proc = root / "proc" / "self"
        self._proc.mkdir(parents=True, exist_ok=True)

    def v2(self, group: str, *, point: str = "/sys/fs/cgroup", mounted: str = "/") -> Tree:
        """Have the process in a group of v2."""
        return self._hierarchy(None, f"0::{group}", "cgroup2 cgroup2 rw,nsdelegate", point, mounted)

    def v1(self, controllers: str, group: str, *, point: str | None = None, mounted: str = "/") -> Tree:
        """Have the process in a group of v1, in a hierarchy of these controllers."""
        place = point or f"/sys/fs/cgroup/{controllers}"
        return self._hierarchy(
            controllers, f"4:{controllers}:{group}", f"cgroup cgroup rw,{controllers}", place, mounted
        )

    def write(self, group: str, name: str, text: object, *, controllers: str | None = None) -> Tree:
        """Write a file of a group, whose path is below the mount point."""
        folder = self.root / self._points[controllers].lstrip("/") / group.lstrip("/")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{text}\n")
        return self

    def _hierarchy(self, controllers: str | None, group: str, mount: str, point: str, mounted: str) -> Tree:
        self._points[controllers] = point
        (self.root / point.lstrip("/")).mkdir(parents=True, exist_ok=True)
        self._add("cgroup", group)
        escaped = point.replace(" ", "\\040")
        self._add("mountinfo", f"31 23 0:28 {mounted} {escaped} rw,relatime shared:9 - {mount}")
        return self

    def _add(self, name: str, line: str) -> None:
        with (self._proc / name).open("a") as file:
            file.write(line + "\n")
