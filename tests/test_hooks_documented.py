"""Every hook is described, is used by a real plugin here, and has a test named after it."""

import ast
import re
from pathlib import Path

import pytest

from srv.hooks import ARGUMENTS

TOP = Path(__file__).parents[1]
PAGE = TOP / "docs" / "hooks.md"
ANSWERS = ("When", "How often", "Process", "Empty answer", "Used by")
SECTION = re.compile(r"^## (?P<hook>srv_\w+)\n(?P<text>.*?)(?=^#|\Z)", re.MULTILINE | re.DOTALL)
HOOKS = [*ARGUMENTS]


def sections():
    return {found["hook"]: found["text"] for found in SECTION.finditer(PAGE.read_text())}


def answers(hook):
    return dict(re.findall(r"^\| ([\w ]+) \| (.+) \|$", sections().get(hook, ""), re.MULTILINE))


def is_marked(function):
    return any("hookimpl" in ast.unparse(decorator) for decorator in function.decorator_list)


def implemented_in(path):
    """The hooks that a file implements, under their own name or as `specname`."""
    marked = [
        node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef) and is_marked(node)
    ]
    said = [ast.unparse(decorator) for node in marked for decorator in node.decorator_list]
    return {node.name for node in marked} | set(re.findall(r"specname='(\w+)'", " ".join(said)))


def names_of_tests():
    roots = [TOP / "tests", *TOP.glob("contrib/*/tests")]
    text = "\n".join(path.read_text() for root in roots for path in root.rglob("test_*.py"))
    return re.findall(r"^def (test_\w+)\(", text, re.MULTILINE)


def test_the_page_has_every_hook_in_the_order_of_the_manual_and_no_other():
    assert [*sections()] == HOOKS


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_is_described_with_when_how_often_where_and_what_an_empty_answer_means(hook):
    assert [name for name in ANSWERS if not answers(hook).get(name, "").strip()] == []


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_is_described_with_its_arguments(hook):
    assert f"`{hook}({', '.join(ARGUMENTS[hook])})`" in sections()[hook]


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_is_used_by_the_plugins_that_its_description_names(hook):
    used_by = [PAGE.parent / link for link in re.findall(r"\]\(([^)]+)\)", answers(hook)["Used by"])]
    assert used_by
    assert [str(path) for path in used_by if hook not in implemented_in(path)] == []
    assert {path.resolve().relative_to(TOP).parts[0] for path in used_by} <= {"plugins", "contrib", "docs"}


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_has_a_test_named_after_it(hook):
    assert [name for name in names_of_tests() if name.startswith(f"test_{hook}_")] != []


def test_plugins_of_ours_with_hooks_are_off_until_they_are_configured_but_those_with_a_setting_of_cores():
    modules = {path for path in (TOP / "plugins").glob("srv_*/__init__.py") if implemented_in(path)}
    on = [path.parent.name for path in modules if "srv_needs_settings = True" not in path.read_text()]
    assert sorted(on) == [
        "srv_build",
        "srv_docs",
        "srv_metrics",
        "srv_storage",
    ]  # commands; the protocol's page; metrics_endpoint; uri
    page = (TOP / "docs" / "plugins.md").read_text()
    names = [path.parent.name.removeprefix("srv_") for path in modules]
    assert [name for name in names if f"\n## {name}\n" not in page] == []
