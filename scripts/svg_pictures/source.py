"""What pictures take from the code: docstrings, names that must be there, the names of threads, the floors."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).parents[2]
CORE = TOP / "core" / "srv"
HOUSE = TOP / "tests" / "test_house.py"


class NotInTheCode(Exception):
    """A picture shows something that the code does not have, or the other way round."""


@dataclass(frozen=True)
class Floor:
    """Modules and folders that stand together; those named first are imported by those behind them."""

    about: str
    rooms: tuple[str, ...]


@functools.cache
def floors() -> list[Floor]:
    """Return the floors as tests/test_house.py holds the code to them, the lowest first."""
    source = HOUSE.read_text(encoding="utf-8")
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "FLOOR_LINES":
            lines = source.splitlines()[node.lineno - 1 : node.end_lineno]
            return list(_floors(lines))
    raise NotInTheCode("tests/test_house.py has no FLOOR_LINES.")


def _floors(lines: list[str]) -> Iterator[Floor]:
    """A comment begins a floor; the texts below it name its rooms."""
    about, rooms = "", list[str]()
    for line in lines[1:]:
        if comment := re.match(r"\s*# (.*)", line):
            if rooms:
                yield Floor(about, tuple(rooms))
            about, rooms = comment[1].rstrip("."), []
        else:
            rooms += [name for text in re.findall(r'"([^"]*)"', line) for name in text.split()]
    yield Floor(about, tuple(rooms))


@functools.cache
def parsed(module: str) -> ast.Module:
    """Return the tree of a module of core, `serve.http.reader`, or of a folder's `__init__`."""
    path = CORE.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    if not file.is_file():
        raise NotInTheCode(f"There is no module srv.{module}.")
    return ast.parse(file.read_text(encoding="utf-8"))


def docstring(module: str) -> str:
    """Return the first line of a module's docstring."""
    return (ast.get_docstring(parsed(module)) or "").partition("\n")[0]


def place(module: str, name: str = "") -> str:
    """Return how a picture writes a module and a name in it, `Class` or `Class.method`. Raises NotInTheCode."""
    body: list[ast.stmt] = parsed(module).body
    for part in filter(None, name.split(".")):
        found = next((node for node in body if getattr(node, "name", None) == part), None)
        if not isinstance(found, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            raise NotInTheCode(f"srv.{module} has no {name}.")
        body = found.body
    return module.replace(".", "/") + (f" {name}" if name else "")


def modules(folder: str) -> list[str]:
    """Return the modules of a folder of core and of those in it, `serve.http.reader`; of a module, itself."""
    path = CORE.joinpath(*folder.split("."))
    if not path.is_dir():
        return [folder]
    files = [file for file in sorted(path.rglob("*.py")) if file.name != "__init__.py"]
    return [".".join(file.relative_to(CORE).with_suffix("").parts) for file in files]


#: What takes a text that begins as the names of threads do, and begins no thread.
NO_THREADS = re.compile(r"([Ff]ile|Document|memfd_create|mkdtemp|mkstemp|fromkeys)$")


@functools.cache
def thread_names() -> dict[str, str]:
    """Return the names that core gives to threads, and the module that gives each; what varies is `…`."""
    found = {}
    for file in sorted(CORE.rglob("*.py")):
        module = ".".join(file.relative_to(CORE).with_suffix("").parts)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and not NO_THREADS.search(ast.unparse(node.func)):
                for argument in (*node.args, *(word.value for word in node.keywords)):
                    if (name := _text(argument)).startswith("srv-") and not module.startswith("testing."):
                        found[name] = module
    return found


def _text(node: ast.expr) -> str:
    """Return a text as it is written; what varies is `…`."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_text(part) for part in parts)
        case ast.FormattedValue():
            return "…"
        case _:
            return ""


def enum_members(module: str, name: str) -> list[str]:
    """Return the members of an enumeration."""
    for node in parsed(module).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return [ast.unparse(each.targets[0]) for each in node.body if isinstance(each, ast.Assign)]
    raise NotInTheCode(f"srv.{module} has no {name}.")


def assigned(module: str, enum: str) -> dict[str, set[str]]:
    """Return for each method of a module's classes the members of an enumeration that it assigns to something."""
    found: dict[str, set[str]] = {}
    for function in ast.walk(parsed(module)):
        if isinstance(function, ast.FunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.Assign):
                    for value in ast.walk(node.value):
                        if isinstance(value, ast.Attribute) and ast.unparse(value.value) == enum:
                            found.setdefault(function.name, set()).add(value.attr)
    return found
