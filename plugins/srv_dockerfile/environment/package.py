"""The project as a package of the image: its name, version and entry points, and the way to its code in the folder.

Its code comes with the folder and not with the environment, so that a changed line makes the last layer anew and no other;
what is compiled is the exception.
"""

from __future__ import annotations

import re
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

from packaging.version import InvalidVersion, Version

from srv.images import APP
from srv_dockerfile.environment.project import Project
from srv_dockerfile.wheels import wheel_of

#: Backends that compile.
_COMPILE = ("maturin", "scikit_build_core", "mesonpy", "setuptools_rust", "sipbuild", "py_build_cmake")
_FIRST_TIME = (1980, 1, 1, 0, 0, 0)


def project_wheel(found: Project, folder: Path, wheels: Path) -> Path | None:
    """Return a wheel of the project in `wheels`; None where it is no package. Raises WheelFailed."""
    project, poetry, tool = found.tables()
    if "build-system" not in found.document or tool.get("uv", {}).get("package") is False:
        return None
    if poetry.get("package-mode") is False or not (name := project.get("name") or poetry.get("name")):
        return None
    version = _version(project.get("version") or poetry.get("version"))
    if version is None or _is_compiled(found, folder):
        return wheel_of(str(name), {"url": folder.resolve().as_uri()}, wheels)
    escaped = re.sub(r"[-_.]+", "_", str(name)).lower()
    info = f"{escaped}-{version}.dist-info"
    files = {
        f"_{escaped}.pth": "".join(f"{place}\n" for place in sorted(set(_places(poetry, tool, folder)))),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: srv\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "".join(_entry_points(project, poetry)),
    }
    record = [f"{place},sha256={_digest(text)},{len(text.encode())}\n" for place, text in files.items()]
    files[f"{info}/RECORD"] = "".join([*record, f"{info}/RECORD,,\n"])
    wheel = wheels / f"{escaped}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as packed:
        for place, text in files.items():
            packed.writestr(zipfile.ZipInfo(place, _FIRST_TIME), text)
    return wheel


def _version(said: Any) -> Version | None:
    try:
        return Version(said)
    except (InvalidVersion, TypeError):
        return None


def _is_compiled(found: Project, folder: Path) -> bool:
    _, poetry, tool = found.tables()
    backend = str(found.document["build-system"].get("build-backend", ""))
    setup = folder / "setup.py"
    return (
        backend.startswith(_COMPILE)
        or "ext-modules" in tool.get("setuptools", {})
        or "build" in poetry
        or (setup.is_file() and re.search(r"ext_modules|cythonize", setup.read_text(errors="replace")) is not None)
    )


def _places(poetry: Mapping[str, Any], tool: Mapping[str, Any], folder: Path) -> Iterator[str]:
    """Yield the folders of the image in which packages of the project lie."""
    setuptools = tool.get("setuptools", {})
    packages, package_dir = setuptools.get("packages", {}), setuptools.get("package-dir", {})
    names = [".", "src", package_dir.get("", ".")]
    names += packages.get("find", {}).get("where", ()) if isinstance(packages, Mapping) else ()
    names += [each.get("from", ".") for each in poetry.get("packages", ()) if isinstance(each, Mapping)]
    targets = tool.get("hatch", {}).get("build", {}).get("targets", {})
    names += [str(PurePosixPath(name).parent) for name in targets.get("wheel", {}).get("packages", ())]
    for name in names:
        path = (folder / name).resolve()
        if path.is_dir() and path.is_relative_to(folder.resolve()):
            yield str(PurePosixPath(APP, path.relative_to(folder.resolve()).as_posix()))


def _entry_points(project: Mapping[str, Any], poetry: Mapping[str, Any]) -> Iterator[str]:
    groups = {**poetry.get("plugins", {}), **project.get("entry-points", {})}
    groups["console_scripts"] = {**poetry.get("scripts", {}), **project.get("scripts", {})}
    for group, points in groups.items():
        lines = [f"{name} = {target}\n" for name, target in points.items() if isinstance(target, str)]
        if lines:
            yield "".join([f"[{group}]\n", *lines])


def _digest(text: str) -> str:
    return urlsafe_b64encode(sha256(text.encode()).digest()).rstrip(b"=").decode()
