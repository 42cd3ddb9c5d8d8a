"""A hook, or an argument of one, that goes: plugins that use it are named for a minor version, and then refused."""

import json
import re
from pathlib import Path

import pytest
from packaging.version import Version

from srv import hookspecs
from srv.cli import run
from srv.hooks import ARGUMENTS, Hooks, deprecations
from srv.hooks.deprecations import DEPRECATIONS, Deprecation
from srv.version import __version__

HOOKS_PAGE = Path(__file__).parents[2] / "docs" / "hooks.md"
MAJOR, MINOR = Version(__version__).release[:2]
NOW, NEXT, LAST = f"{MAJOR}.{MINOR}", f"{MAJOR}.{MINOR + 1}", f"{MAJOR}.{MINOR - 1}"
GOES = {"since": NOW, "removed_in": NEXT}
WENT = {"since": LAST, "removed_in": NOW}

OLD_HOOK = "@hookimpl\ndef srv_model_failed(reason):\n    pass\n"
OLD_ARGUMENT = "@hookimpl\ndef srv_model_loaded(model, seconds):\n    calls.append(seconds)\n"
READY_FOR_BOTH = (
    "@hookimpl(optionalhook=True)\ndef srv_model_failed(reason):\n    pass\n"
    "@hookimpl\ndef srv_model_loaded(model, seconds=0.0):\n    calls.append(seconds)\n"
)


def a_hook_that(**when):
    return Deprecation("srv_model_failed", instead="implement srv_model_broken", **when)


def an_argument_that(**when):
    return Deprecation("srv_model_loaded", argument="seconds", instead="read model.seconds", **when)


@pytest.fixture
def start(site, monkeypatch):
    """Register a plugin of that source beside a faultless one, where these things go; gives the hooks and the row."""

    def start(source, *entries):
        for name, text in (
            ("old", source),
            ("good", "@hookimpl\ndef srv_worker_stopping():\n    calls.append('end')\n"),
        ):
            module = f"hooks_of_{name}"
            site.add(
                f"srv-{name}",
                f"[srv.plugins]\n{name} = {module}\n",
                modules={module: f"from srv import hookimpl\ncalls = []\n{text}"},
            )
        monkeypatch.setattr(deprecations, "DEPRECATIONS", entries)
        hooks = Hooks.start(site.discover())
        return hooks, next(row for row in hooks.plugins.rows if row.name == "old")

    return start


@pytest.mark.parametrize(
    "source, entry, warning",
    [
        (OLD_HOOK, a_hook_that(**GOES), "it uses 'srv_model_failed', which srv {} refuses; implement srv_model_broken"),
        (
            OLD_ARGUMENT,
            an_argument_that(**GOES),
            "it uses the argument 'seconds' of 'srv_model_loaded', which srv {} refuses; read model.seconds",
        ),
    ],
    ids=["hook", "argument"],
)
def test_what_goes_works_on_and_names_the_plugin_that_uses_it(start, caplog, source, entry, warning):
    hooks, row = start(source, entry)
    said = warning.format(NEXT)
    assert (row.state.value, row.deprecations) == ("loaded", (said,))
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        f"The hook module 'old' of srv-old 1.0 (hooks_of_old) will fail: {said}."
    ]
    assert [each.name for each in hooks.order(entry.hook)] == ["old"]


@pytest.mark.parametrize(
    "source, entry, reason",
    [
        (
            OLD_HOOK,
            a_hook_that(**WENT),
            "it uses 'srv_model_failed', which is gone since srv {}; implement srv_model_broken",
        ),
        (
            OLD_HOOK.replace("model_failed", "model_faded"),
            Deprecation("srv_model_faded", instead="implement srv_model_broken", **WENT),
            "it uses 'srv_model_faded', which is gone since srv {}; implement srv_model_broken",
        ),
        (
            OLD_ARGUMENT,
            an_argument_that(**WENT),
            "it uses the argument 'seconds' of 'srv_model_loaded', which is gone since srv {}; read model.seconds",
        ),
        (
            OLD_ARGUMENT.replace("seconds", "minutes"),
            Deprecation("srv_model_loaded", argument="minutes", instead="read model.seconds", **WENT),
            "it uses the argument 'minutes' of 'srv_model_loaded', which is gone since srv {}; read model.seconds",
        ),
    ],
    ids=["hook", "hook that the manual no longer has", "argument", "argument that the manual no longer has"],
)
def test_what_is_gone_quarantines_the_plugin_that_uses_it_and_no_other(start, source, entry, reason):
    hooks, row = start(source, entry)
    assert (row.state.value, row.reason) == ("quarantined", reason.format(NOW))
    assert [each.name for each in hooks.order("srv_worker_stopping")] == ["good"]


@pytest.mark.parametrize("when, seconds, called", [(GOES, 1.5, ["old"]), (WENT, 0.0, [])], ids=["goes", "gone"])
def test_a_plugin_that_is_ready_for_both_versions_is_neither_named_nor_refused(start, caplog, when, seconds, called):
    hooks, row = start(READY_FOR_BOTH, a_hook_that(**when), an_argument_that(**when))
    hooks.model_loaded(None, 1.5)
    assert (row.state.value, row.deprecations, hooks.plugins.load_row(row).calls) == ("loaded", (), [seconds])
    assert [each.name for each in hooks.order("srv_model_failed")] == called
    assert caplog.records == []


def test_a_pre_release_of_the_version_that_refuses_does_so():
    entry = a_hook_that(since="0.2", removed_in="0.3")
    assert [entry.is_refused(version) for version in ("0.2.9", "0.3.0.dev1", "0.3.0", "0.10.1", "1.0")] == [
        False,
        True,
        True,
        True,
        True,
    ]


@pytest.mark.e2e
@pytest.mark.parametrize("command", [["doctor"], ["plugins", "--load"], ["plugins", "check", "srv-old"]], ids=" ".join)
def test_the_commands_name_the_plugin_and_say_what_to_do(site, capsys, monkeypatch, tmp_path, command):
    monkeypatch.chdir(tmp_path)
    made_up = f"deprecations.DEPRECATIONS = (deprecations.Deprecation('srv_model_failed', '{NOW}', '{NEXT}', 'stop'),)"
    source = f"from srv import hookimpl\nfrom srv.hooks import deprecations\n{made_up}\n{OLD_HOOK}"
    site.add("srv-old", "[srv.plugins]\nold = hooks_of_old\n", modules={"hooks_of_old": source})

    assert run(command) == 0

    assert f"it uses 'srv_model_failed', which srv {NEXT} refuses; stop" in capsys.readouterr().out


@pytest.mark.e2e
def test_the_doctor_gives_it_as_advice_for_programs_too(site, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    made_up = f"deprecations.DEPRECATIONS = (deprecations.Deprecation('srv_model_failed', '{NOW}', '{NEXT}', 'stop'),)"
    source = f"from srv import hookimpl\nfrom srv.hooks import deprecations\n{made_up}\n{OLD_HOOK}"
    site.add("srv-old", "[srv.plugins]\nold = hooks_of_old\n", modules={"hooks_of_old": source})

    assert run(["doctor", "--json"]) == 0

    [finding] = [each for each in json.loads(capsys.readouterr().out)["findings"] if each["about"] == "srv-old:old"]
    assert (finding["weight"], finding["remedy"]) == (
        "advice",
        "Install a version of srv-old that does not use it, or tell its author.",
    )


# -- the table that is in force ---------------------------------------------------------------------------------------


def test_what_goes_is_there_for_a_minor_version_at_least():
    assert [each for each in DEPRECATIONS if Version(each.removed_in) <= Version(each.since)] == []


def test_what_is_refused_is_gone_from_the_manual_and_what_goes_is_still_there():
    there = {each: each.hook in ARGUMENTS and each.argument in (None, *ARGUMENTS[each.hook]) for each in DEPRECATIONS}
    assert there == {each: not each.is_refused() for each in DEPRECATIONS}
    assert {name for name in vars(hookspecs) if name.startswith("srv_")} == set(ARGUMENTS)


def test_the_page_says_what_goes_and_what_went():
    section = re.search(r"^## When a hook changes\n(.*?)^## ", HOOKS_PAGE.read_text(), re.MULTILINE | re.DOTALL)[1]
    rows = re.findall(r"^\| `(srv_\w+)`(?:, `(\w+)`)? \| (\S+) \| (\S+) \| (.+) \|$", section, re.MULTILINE)
    assert rows == [
        (each.hook, each.argument or "", each.since, each.removed_in, each.instead) for each in DEPRECATIONS
    ]
