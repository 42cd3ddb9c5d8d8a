"""Slims an environment while an image is built, as `python -m srv_dockerfile.slimming PREFIX`."""

from __future__ import annotations

import ast
import compileall
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from py_compile import PycInvalidationMode

#: What packages call the folder of their tests; `test` and `testing` are often part of what they do.
TESTS = "tests"
#: What installers write down about one installation, with times in it.
RECORDS = ("uv_cache.json",)


def main() -> None:
    """Slim the environment at the prefix that is the one argument, and say what that saved."""
    prefix = Path(sys.argv[1])
    before = _size(prefix)
    for site in sorted(prefix.glob("lib/python3*/site-packages")):
        slim(site)
    compile_all(prefix)
    print(f"Slimmed {prefix} from {before >> 20} to {_size(prefix) >> 20} MiB, with bytecode.")


def slim(site: Path) -> None:
    """Delete tests that nothing else asks for, records of times, and bytecode, which depends on the time of its source."""
    for package in sorted(site.iterdir()):
        if package.suffix == ".dist-info":
            for record in RECORDS:
                (package / record).unlink(missing_ok=True)
        elif (package / "__init__.py").is_file():
            for tests in _idle_tests(site, package):
                shutil.rmtree(tests)
    for cache in [*site.rglob("__pycache__")]:
        shutil.rmtree(cache)


def compile_all(prefix: Path) -> None:
    """Compile what is installed, so that bytecode is the same in each build and is valid whatever times files have."""
    for site in sorted(prefix.glob("lib/python3*/site-packages")):
        # Errors are those of files that were never meant for this Python; whoever imports one is told.
        compileall.compile_dir(
            site, quiet=2, workers=0, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH, maxlevels=50
        )


def _idle_tests(site: Path, package: Path) -> Iterator[Path]:
    """Yield the folders of tests in a package that no module outside of them names."""
    found = [path for path in package.rglob(TESTS) if _holds_tests(path) and TESTS not in path.parent.parts]
    if not found:
        return
    named: set[Path] = set()
    for module in package.rglob("*.py"):
        if not any(tests in module.parents for tests in found):
            named |= set(_named_by(site, module))
    for tests in found:
        if not any(place == tests or tests in place.parents for place in named):
            yield tests


def _holds_tests(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and any(path.glob("test_*.py"))


def _named_by(site: Path, module: Path) -> Iterator[Path]:
    """Yield what a module imports or names in a text that has to do with tests, as places."""
    try:
        text = module.read_text(encoding="utf-8", errors="replace")
        if TESTS not in text:
            return
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (_place(site, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = site if node.level == 0 else module.parents[node.level - 1]
            start = _place(above, node.module or "")
            yield start
            yield from (start / alias.name for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from _named_in(site, module, node.value)


def _named_in(site: Path, module: Path, text: str) -> Iterator[Path]:
    """Yield what a text could name: a module by its whole name, or a folder beside this module or one above."""
    if TESTS not in text or len(text) > 200 or " " in text:
        return
    yield _place(site, text)
    if TESTS in text.split("/"):
        yield from (above / TESTS for above in (module.parent, module.parent.parent))


def _place(above: Path, name: str) -> Path:
    return above.joinpath(*name.split(".")) if name else above


def _size(prefix: Path) -> int:
    return sum(path.lstat().st_size for path in prefix.rglob("*") if not path.is_dir())


if __name__ == "__main__":
    main()
