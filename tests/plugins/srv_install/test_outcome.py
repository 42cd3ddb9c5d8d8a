"""What an install brings is told as a person asks for it; and which ranges keep it from being installed."""

import pytest

from srv.discovery.plugin import Plugin, PluginKind, PluginState
from srv_install.changes import Change
from srv_install.errors import WrongRange
from srv_install.outcome import Checked, lines_of
from srv_install.ranges import check_ranges, running_version

CONTESTED = "contested: srv-b brings the same name; ask for 'srv-a:x' or set plugins.prefer"


def row(kind=PluginKind.RUNTIME, **given):
    return Plugin(kind, "x", "srv-a", "1.0", "a:X", **given)


TOLD = {
    "a runtime": (row(), ['  runtime \'x\': {"runtime": "x"} in model-settings.json']),
    "a command": (row(PluginKind.COMMAND), ["  command 'x': srv x"]),
    "hooks": (row(PluginKind.HOOKS), ["  hook module 'x'"]),
    "a name that another has too": (
        row(reason=CONTESTED),
        ['  runtime \'x\': {"runtime": "srv-a:x"} in model-settings.json', f"    {CONTESTED}"],
    ),
    "a missing extra": (
        row(PluginKind.CODEC, missing_extra="its extra 'e' requires e: pip install 'srv-a[e]'"),
        ["  codec 'x': the content type \"x\"", "    its extra 'e' requires e: pip install 'srv-a[e]'"],
    ),
    "a refused one": (row(state=PluginState.REFUSED, reason="no"), ["  runtime 'x': refused", "    no"]),
}


@pytest.mark.parametrize("row, lines", TOLD.values(), ids=TOLD)
def test_a_plugin_is_told_as_it_is_asked_for(row, lines):
    assert list(lines_of(row)) == lines


def test_a_missing_extra_is_no_fault_and_files_of_two_packages_are():
    extra = "its extra 'e' requires e: pip install 'srv-a[e]'"
    waiting = row(state=PluginState.QUARANTINED, missing_extra=extra, reason=f"ImportError: e; {extra}")
    assert Checked([waiting], {}).faults == 0
    assert Checked([row(state=PluginState.QUARANTINED, reason="no")], {"a.py": ["srv-a", "srv-b"]}).faults == 2


def change(*requires, name="srv-a"):
    return Change(name, "2.0", None, None, requested=True, requires=requires)


@pytest.mark.parametrize(
    "requires",
    [
        "srv-inference>=0.1",
        "Srv_Inference>=99; python_version < '3'",
        "srv-inference>=99; extra == 'next'",
        "other>=99",
        "srv-inference >=",
    ],
)
def test_what_goes_with_this_srv_is_installed(requires):
    check_ranges([change(requires)])


def test_what_no_dependency_resolver_has_looked_at_is_refused_too():
    with pytest.raises(WrongRange) as caught:
        check_ranges([change("Srv.Inference>=99")])
    assert str(caught.value).startswith(
        f"srv-a 2.0 requires Srv.Inference>=99. This is srv-inference {running_version()}, and nothing was changed."
    )
