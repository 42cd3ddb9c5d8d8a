"""`srv install`: what it asks the installer, what it refuses, what it tells; with a stand-in for uv."""

import json
import re
import sys

import pytest

RUNTIME = "from srv import Runtime\nclass Echo(Runtime): ...\n"


def test_options_and_what_stands_after_two_dashes_go_to_the_installer(uv):
    code, _, _ = uv.srv(
        *("install", "--dry-run", "--upgrade", "--pre", "srv-echo>=1", "./mine"),
        *("--", "--index-url", "https://i.example"),
    )
    assert code == 0
    assert uv.calls() == [
        [
            *("pip", "install", "--upgrade-package=srv-echo", "--prerelease=allow", "--index-url", "https://i.example"),
            *("srv-echo>=1", "./mine", "--dry-run", "--color", "never"),
        ]
    ]


def test_a_dry_run_tells_what_would_change_and_changes_nothing(uv):
    uv.site.add("srv-echo", "[srv.runtimes]\necho = echo_rt:Echo\n", version="0.9")
    uv.says(" - srv-echo==0.9\n + srv-echo==1.0\n + leaf==2.0")

    code, out, _ = uv.srv("install", "--dry-run", "-U", "srv-echo")

    assert code == 0
    assert out.splitlines()[0].startswith("Would install with uv into the virtual environment ")
    assert out.splitlines()[1:] == ["  srv-echo 1.0 instead of 0.9", "  leaf 2.0"]
    assert len(uv.calls()) == 1


@pytest.mark.e2e
def test_an_install_tells_what_it_brings_and_how_to_undo_it(uv):
    uv.store.add(
        "srv-echo",
        "[srv.runtimes]\necho = echo_rt:Echo [model.echo]\n[srv.codecs]\nx/e = echo_rt:Code\n",
        modules={
            "echo_rt": RUNTIME + "from srv import InputCodec\nclass Code(InputCodec):\n    content_type = 'x/e'\n"
        },
    )
    uv.says(" + srv-echo==1.0")

    code, out, _ = uv.srv("install", "srv-echo")

    assert code == 0
    assert out.splitlines()[1:] == [
        "  srv-echo 1.0",
        "What it brings:",
        '  runtime \'echo\': {"runtime": "echo"} in model-settings.json, or a folder with model.echo',
        "  codec 'x/e': the content type \"x/e\"",
        "Start servers that run again: they know the plugins of their start.",
        f"To undo: {uv.program} pip uninstall --python {sys.executable} srv-echo",
    ]


@pytest.mark.e2e
def test_a_plugin_that_does_not_work_is_exit_code_1_and_the_undo_is_told(uv):
    uv.site.add("srv-echo", "[srv.runtimes]\necho = echo_rt:Echo\n", version="0.9")
    uv.store.add("srv-bad", "[srv.runtimes]\nbad = bad_rt:Bad\n", modules={"bad_rt": "1 / 0"})
    uv.says(" - srv-echo==0.9\n + srv-echo==1.0\n + srv-bad==1.0")

    code, out, err = uv.srv("install", "--json", "srv-bad")

    assert code == 1
    told = json.loads(out)
    assert [row["reason"] for row in told["plugins"] if row["name"] == "bad"] == ["ZeroDivisionError: division by zero"]
    assert told["changes"][0] == {"name": "srv-echo", "version": "1.0", "before": "0.9"}
    back, gone = told["undo"]
    assert back.endswith(" srv-echo==0.9")
    assert gone.endswith(" srv-bad")
    assert err.splitlines()[-1].endswith(f"To undo: {back} && {gone}")


@pytest.mark.e2e
def test_what_brings_nothing_to_srv_is_exit_code_1_and_the_undo_is_told(uv):
    uv.store.add("leaf", "", requires=[])
    uv.says(" + leaf==1.0")
    code, _, err = uv.srv("install", "leaf")
    assert code == 1
    assert err.splitlines()[-1].startswith("leaf: installed, and brings nothing to srv. To undo: ")


def test_a_plugin_for_another_srv_is_refused_with_both_versions(uv):
    uv.says("Because all versions of srv-next depend on srv-inference>=9 and srv-inference==0.1.0, we", code=1)
    code, _, err = uv.srv("install", "srv-next")
    assert code == 1
    assert err.splitlines()[-1] == (
        "srv-next requires srv-inference>=9. This is srv-inference 0.1.0, and nothing was changed. Ask for a version of "
        "srv-next that was made for it, or for another srv too: srv install srv-next 'srv-inference>=9'"
    )


def test_another_srv_is_refused_while_a_plugin_does_not_go_with_it(uv):
    uv.site.add("srv-echo", "[srv.runtimes]\necho = echo_rt:Echo\n", requires=["srv-inference<1"])
    uv.says(" - srv-inference==0.1.0\n + srv-inference==9.0")
    code, _, err = uv.srv("install", "srv-inference==9.0")
    assert code == 1
    [refused] = re.findall("srv-inference 9.0 would refuse what is installed: (.*) do not admit it", err)
    assert "srv-echo" in refused
    assert len(uv.calls()) == 1


def test_the_installers_own_words_are_told_without_passwords(uv):
    uv.says("error: https://me:s3cret@i.example/simple/srv-x/ is not found", code=2)
    code, _, err = uv.srv("install", "srv-x")
    assert code == 1
    assert err == (
        "uv failed while looking up what it would install:\n  error: https://me:****@i.example/simple/srv-x/ is not found\n"
    )
