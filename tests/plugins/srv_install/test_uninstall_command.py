"""`srv uninstall`: what it removes and refuses, what it tells; with a stand-in for uv."""

import json
import sys

import pytest

REFUSED = {
    "srv itself": ("srv_inference", "srv-inference is srv itself, which does not uninstall itself: "),
    "no plugin": ("numpy", "'numpy' brings nothing to srv, so srv does not uninstall it: "),
    "not installed": ("srv-ecko", "'srv-ecko' is not installed. Did you mean 'srv-echo'?"),
    "required": ("srv-echo", "srv-more requires srv-echo. Uninstall that too, or give --force."),
}


@pytest.fixture
def plugins(uv):
    uv.site.add("srv-echo", "[srv.runtimes]\necho = echo_rt:Echo\n", modules={"echo_rt": "1 / 0"})
    uv.site.add("srv-more", "[srv.plugins]\nmore = more\n", requires=["srv-inference>=0.1", "Srv.Echo"])
    return uv


@pytest.mark.parametrize("name, told", REFUSED.values(), ids=REFUSED)
def test_what_is_not_uninstalled_is_told_with_the_reason(plugins, name, told):
    code, _, err = plugins.srv("uninstall", name)
    assert code == 1
    assert err.startswith(told)
    assert plugins.calls() == []


def test_a_broken_plugin_is_uninstalled_and_the_undo_is_told(plugins):
    code, out, _ = plugins.srv("uninstall", "Srv_Echo", "srv-more")
    assert code == 0
    assert plugins.calls() == [["pip", "uninstall", "srv-echo", "srv-more"]]
    assert out.splitlines()[1:] == [
        "  srv-echo 1.0",
        "  srv-more 1.0",
        "Not available any more:",
        "  runtime 'echo'",
        "  hook module 'more'",
        "Start servers that run again: they know the plugins of their start.",
        f"To undo: {plugins.program} pip install --python {sys.executable} srv-echo==1.0 srv-more==1.0",
    ]


def test_a_plugin_whose_metadata_is_unreadable_is_uninstalled(plugins):
    (plugins.site.folder / "srv_more-1.0.dist-info/METADATA").write_bytes(b"\xff")
    code, out, _ = plugins.srv("uninstall", "srv-more", "--json")
    assert code == 0
    told = json.loads(out)
    assert [each["name"] for each in told["uninstalled"]] == ["srv-more"]
    assert plugins.calls() == [["pip", "uninstall", "srv-more"]]


def test_force_removes_what_others_require_and_a_dry_run_removes_nothing(plugins):
    code, out, _ = plugins.srv("uninstall", "--force", "--dry-run", "srv-echo")
    assert code == 0
    assert out.startswith("Would uninstall with uv from the virtual environment ")
    assert plugins.calls() == []


def test_an_installation_that_is_left_is_told(plugins):
    (plugins.folder / "uv.py").write_text("")  # an installer that says that it is done
    code, _, err = plugins.srv("uninstall", "srv-more")
    assert code == 1
    assert f"srv-more 1.0 is installed in {plugins.site.folder} still" in err
