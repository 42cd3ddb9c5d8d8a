"""What installers say of what they would do, read as they say it; and what people ask for."""

import json

import pytest

from srv_install.changes import changes_of_pip, changes_of_uv, conflicts_of_pip, conflicts_of_uv, undo_words
from srv_install.errors import LibraryMeant, NoRequirement
from srv_install.masking import masked
from srv_install.wanted import LIBRARIES, wanted

UV = """\
Resolved 41 packages in 657ms
Would download 2 packages
Would install 3 packages
 - srv-echo==1.0
 + srv-echo==1.1
 + srv-leaf==1.0+cpu
 + srv-bad @ file:///dist/srv_bad-1.0-py3-none-any.whl
"""
PIP_CONFLICT = """\
ERROR: Cannot install srv-future==2.0 because these package versions have conflicting dependencies.

The conflict is caused by:
    srv-future 2.0 depends on srv-inference>=9
    srv-future 1.9 depends on srv-inference>=8,<9
    The user requested (constraint) srv-inference==0.1.0
"""
UV_CONFLICTS = {
    "all versions": (
        "  cause: Because all versions of srv-future depend on srv-inference>=9 and\n    srv-inference==0.1.0, we can",
        ("srv-future", "", "srv-inference>=9"),
    ),
    "a range": (
        "Because srv-echo>=9.0 depends on srv-inference>=9, and srv-inference==0.1.0",
        ("srv-echo", "9.0", "srv-inference>=9"),
    ),
    "one version": (
        "Because srv-echo==9.0 depends on srv-inference>=9,<10 and srv-inference==0.1.0",
        ("srv-echo", "9.0", "srv-inference>=9,<10"),
    ),
}


def test_pips_report_names_what_is_installed_and_what_it_replaces(site):
    site.add("srv-echo", "", version="1.0")
    items = [
        {
            "metadata": {"name": "Srv.Echo", "version": "1.1", "requires_dist": ["srv-inference>=0.1"]},
            "requested": True,
        },
        {"metadata": {"name": "srv-leaf", "version": "1.0"}},
    ]

    echo, leaf = changes_of_pip(json.dumps({"install": items}), ["srv-echo"])

    assert (str(echo), echo.requested, echo.requires) == ("Srv.Echo 1.1 instead of 1.0", True, ("srv-inference>=0.1",))
    assert (str(leaf), leaf.requested, leaf.before) == ("srv-leaf 1.0", False, None)
    assert undo_words([echo, leaf]) == (["srv-leaf"], ["srv-echo==1.0"])


def test_uvs_dry_run_names_what_is_installed_and_what_it_replaces(site):
    site.add("srv-echo", "", version="1.0")
    changes = changes_of_uv(UV, ["srv-echo"])
    assert [str(change) for change in changes] == ["srv-echo 1.1 instead of 1.0", "srv-leaf 1.0+cpu", "srv-bad 1.0"]
    assert [change.requested for change in changes] == [True, False, True]


def test_a_conflict_of_pip_names_the_newest_version_and_what_it_requires():
    assert conflicts_of_pip(PIP_CONFLICT) == [("srv-future", "2.0", "srv-inference>=9")]


def test_a_conflict_of_pip_about_a_range_is_a_requirement_that_can_be_typed():
    said = "    srv-future 2.0 depends on srv-inference<10 and >=9\n"
    assert conflicts_of_pip(said) == [("srv-future", "2.0", "srv-inference<10,>=9")]


@pytest.mark.parametrize("output, conflict", UV_CONFLICTS.values(), ids=UV_CONFLICTS)
def test_a_conflict_of_uv_names_the_version_and_what_it_requires(output, conflict):
    assert conflicts_of_uv(output) == [conflict]


def test_an_undo_installs_a_checkout_from_where_it_was(site):
    info = site.add("srv-echo", "", version="1.0")
    (info / "direct_url.json").write_text('{"url": "file:///src/echo", "dir_info": {"editable": true}}')
    [change] = changes_of_uv(" + srv-echo==1.1", [])
    assert undo_words([change]) == ([], ["-e", "/src/echo"])


@pytest.mark.parametrize(
    "word, name",
    [
        ("srv-x", "srv-x"),
        ("Srv_X[gpu]>=1,<2", "srv-x"),
        ("srv-x @ https://example.org/x.zip", "srv-x"),
        ("./srv-x", ""),
        ("../x/dist/srv_x-1.0-py3-none-any.whl", "srv-x"),
        ("srv_x-1.0-py3-none-any.whl[gpu]", "srv-x"),
        ("git+https://example.org/x.git@main", ""),
        ("https://example.org/srv_x-1.0-py3-none-any.whl#sha256=ab", "srv-x"),
    ],
)
def test_a_name_is_whatever_pip_takes(word, name):
    assert wanted(word) == (word, name)


@pytest.mark.parametrize("word", ["srv x", "srv-x>=", "!", ""])
def test_what_is_no_requirement_is_told_with_what_one_looks_like(word):
    with pytest.raises(NoRequirement, match="Write a package's name with or without a version"):
        wanted(word)


@pytest.mark.parametrize("word", ["sklearn", "Scikit_Learn>=1.4"])
def test_a_librarys_name_is_answered_with_the_plugins(word):
    with pytest.raises(LibraryMeant, match="the plugin for it is srv-sklearn: srv install srv-sklearn"):
        wanted(word)


def test_a_plugin_that_is_suggested_exists():
    from pathlib import Path

    contrib = {folder.name for folder in (Path(__file__).parents[3] / "contrib").iterdir()}
    assert set(LIBRARIES.values()) <= contrib


@pytest.mark.parametrize(
    "text, shown",
    [
        ("--index-url=https://me:s3cret@example.org/simple", "--index-url=https://me:****@example.org/simple"),
        ("https://t0ken@example.org/x.zip", "https://****@example.org/x.zip"),
        ("git+ssh://git@example.org/x.git", "git+ssh://git@example.org/x.git"),
    ],
)
def test_passwords_of_addresses_are_not_printed(text, shown):
    assert masked(text) == shown
