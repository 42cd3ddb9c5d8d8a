"""Imports of a folder's own code, read from its files: nothing of it is run."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path

from srv.models.module_files import has_module

#: What `except` names around an import that may fail.
_MAY_FAIL = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}


def foreign_imports(folder: Path, module: str) -> dict[str, str]:
    """Return what a module of the folder imports from elsewhere, and its siblings too: dotted names, each with its file.

    Late imports in functions count. What is only for type checkers, or may fail (`except ImportError`), does not.
    """
    found: dict[str, str] = {}
    seen: set[Path] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        for path in _files(folder, name):
            if path in seen:
                continue
            seen.add(path)
            for imported in _imports(path, path.relative_to(folder).parts[:-1]):
                if has_module(folder, imported.partition(".")[0]):
                    waiting.append(imported)
                else:
                    found.setdefault(imported, path.relative_to(folder).as_posix())
    return found


def _files(folder: Path, name: str) -> list[Path]:
    """Return the files that an import of a dotted name runs, where they are in the folder."""
    parts = name.split(".")
    places = [folder.joinpath(*parts[: count + 1]) for count in range(len(parts))]
    candidates = [path for place in places for path in (place.with_name(f"{place.name}.py"), place / "__init__.py")]
    return [path for path in candidates if path.is_file()]


def _imports(path: Path, package: Sequence[str]) -> Iterator[str]:
    """Yield the dotted names that a file of that package imports."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, ValueError, SyntaxError, RecursionError):
        return
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: max(0, len(package) - node.level + 1)] if node.level else ()
            source = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{source}.{each.name}".strip(".") for each in node.names if each.name != "*")
            if source and any(each.name == "*" for each in node.names):
                yield source


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield all nodes below one that are run for certain, or when a function is called."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and _is_for_others(child.test):
            for each in child.orelse:
                yield each
                yield from _statements(each)
        elif isinstance(child, ast.Try) and any(_may_fail(handler) for handler in child.handlers):
            continue
        else:
            yield child
            yield from _statements(child)


def _is_for_others(test: ast.expr) -> bool:
    """Whether an `if` is for type checkers, or for who runs the file as a program."""
    text = ast.unparse(test)
    return text in ("TYPE_CHECKING", "typing.TYPE_CHECKING") or "__name__" in text


def _may_fail(handler: ast.ExceptHandler) -> bool:
    names = {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)} if handler.type else _MAY_FAIL
    return bool(names & _MAY_FAIL)
