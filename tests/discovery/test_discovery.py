"""What is installed is found from metadata, judged in one place, and imported on first use only."""

import logging
import subprocess
import sys
import threading
from base64 import urlsafe_b64encode
from hashlib import sha256

import importlib_metadata
import pytest
from distributions import states

from srv.cli import COMMANDS
from srv.discovery import (
    COMMANDS_OF_CORE,
    Plugin,
    PluginBroken,
    PluginContested,
    PluginDisabled,
    PluginKind,
    PluginRefused,
    PluginsNotWhole,
    PluginState,
    RuntimeContested,
    UnknownPlugin,
    UnknownRuntime,
    discover,
)
from srv.discovery.files import overlapping
from srv.discovery.renamed import RENAMED, now_called
from srv.errors import closed

RUNTIME = """
    from srv import Runtime

    class Scale(Runtime):
        def predict(self, x):
            return x
"""


@pytest.fixture
def scale(site):
    site.add("srv-scale", "[srv.runtimes]\nscale = scale_rt:Scale\n", modules={"scale_rt": RUNTIME})
    return site


def codec(content_type):
    return f"""
        from srv import InputCodec

        class Codec(InputCodec):
            content_type = {content_type!r}
    """


# -- found ------------------------------------------------------------------------------------------------------------


def test_the_four_groups_are_found_and_nothing_is_imported(site):
    site.add(
        "srv-all",
        """
        [console_scripts]
        other = other:main
        [srv.runtimes]
        scale = all_rt:Scale [model.scale, model.pkl]
        [srv.codecs]
        x/y = all_codec:Codec
        [srv.commands]
        hello = all_command:hello
        [srv.plugins]
        audit = all_hooks
        """,
        version="2.1",
    )

    plugins = site.discover()

    assert [(row.kind, row.name, row.entry_point, row.version, row.state) for row in plugins.rows] == [
        (PluginKind.HOOKS, "audit", "all_hooks", "2.1", PluginState.FOUND),
        (PluginKind.COMMAND, "hello", "all_command:hello", "2.1", PluginState.FOUND),
        (PluginKind.RUNTIME, "scale", "all_rt:Scale", "2.1", PluginState.FOUND),
        (PluginKind.CODEC, "x/y", "all_codec:Codec", "2.1", PluginState.FOUND),
    ]
    assert not {name for name in sys.modules if name.startswith("all_")}


def test_rows_are_sorted_by_distribution_and_name(site):
    site.add("srv-b", "[srv.plugins]\nz = b_z\na = b_a\n")
    site.add("Srv_A", "[srv.plugins]\nm = a_m\n")

    assert [row.qualified for row in site.discover().rows] == ["Srv_A:m", "srv-b:a", "srv-b:z"]


@pytest.mark.parametrize(
    "text",
    [
        "[srv.runtimes]\njust a line\n",
        "[srv.runtimes\nscale = a:B\n",
        "nothing at all\n",
        "[srv.runtimes]\nscale = not an object!\n",
        "[srv.runtimes]\n= a:B\n",
        "[srv.runtimes]\nscale = a:B\nscale = a:C\n",
    ],
    ids=["no equals", "open section", "no section", "no object", "no name", "twice"],
)
def test_an_unreadable_distribution_is_a_refused_row_and_the_rest_is_found(scale, text):
    scale.add("srv-torn", text, version="0.3")

    plugins = scale.discover()

    assert states(plugins) == {"srv-scale:scale": "found", "srv-torn:entry_points.txt": "refused"}
    torn = next(row for row in plugins.rows if row.distribution == "srv-torn")
    assert (torn.kind, torn.version) == (PluginKind.UNKNOWN, "0.3")
    assert "entry_points.txt is unreadable: line" in torn.reason


def test_an_entry_points_file_that_is_no_text_is_a_refused_row(scale):
    (scale.add("srv-torn", "") / "entry_points.txt").write_bytes(b"\xff\xfe[srv.runtimes]")

    assert states(scale.discover())["srv-torn:entry_points.txt"] == "refused"


def test_metadata_that_is_no_text_is_a_refused_row(scale):
    (scale.add("srv-torn", "[srv.plugins]\na = b\n") / "METADATA").write_bytes(b"Name: \xff\n")

    assert states(scale.discover()) == {"srv-scale:scale": "found", "srv-torn:entry_points.txt": "refused"}


def test_of_two_distributions_of_one_name_the_first_on_the_path_counts(site):
    site.add("srv-twin", "[srv.plugins]\nfirst = one\n", folder="one")
    site.add("srv-twin", "[srv.plugins]\nsecond = two\n", folder="two", version="2.0")

    plugins = discover(path=[str(site.folder / "one"), str(site.folder / "two")])

    assert states(plugins) == {"srv-twin:first": "found"}
    (hidden,) = plugins.metadata.shadowed
    assert (hidden.name, hidden.location) == ("srv-twin", str(site.folder / "two"))


def test_two_versions_metadata_side_by_side_are_told_too(site):
    old, new = (site.add("srv-twin", "[srv.plugins]\nfirst = one\n", version=version) for version in ("1.0", "2.0"))

    (hidden,) = discover(path=[str(site.folder), str(site.folder)]).metadata.shadowed

    assert {hidden.first, hidden.location} == {str(old), str(new)}


def test_a_first_distribution_without_plugins_hides_a_later_one_of_its_name(site):
    site.add("srv-twin", "", folder="one")
    site.add("srv-twin", "[srv.plugins]\nsecond = two\n", folder="two")

    assert discover(path=[str(site.folder / "one"), str(site.folder / "two")]).rows == ()


def write(folder, **files):
    """Metadata of `srv-twin` as it may be found, without anything beside it."""
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name.replace("entry_points", "entry_points.txt")).write_text(text)
    return folder


HEAD = "Metadata-Version: 2.1\nName: srv-twin\nVersion: 0.9\n"
OLD = "[srv.plugins]\nold = twin_hooks\n"
LEFT_OVER = {
    "nothing": {},
    "head": {"METADATA": HEAD},
    "head and record": {"METADATA": HEAD, "RECORD": "twin_hooks.py,,\nsrv_twin-0.9.dist-info/METADATA,,\n"},
    "entry points": {"METADATA": HEAD, "entry_points": OLD},
    "all but the files": {"METADATA": HEAD, "entry_points": OLD, "RECORD": "twin_hooks.py,,\n"},
    "no head": {"entry_points": OLD, "RECORD": "twin_hooks.py,,\n"},
    "unreadable record": {"METADATA": HEAD, "entry_points": OLD, "RECORD": "twin_hooks.py,\0,\n"},
}


@pytest.mark.parametrize("files", LEFT_OVER.values(), ids=LEFT_OVER)
@pytest.mark.parametrize("record", [True, False], ids=["recorded", "no record"])
def test_metadata_that_is_left_over_hides_nothing(site, files, record):
    left = write(site.folder / "one" / "srv_twin-0.9.dist-info", **files)
    info = site.add("srv-twin", "[srv.plugins]\nnew = twin_hooks\n", folder="two", modules={"twin_hooks": ""})
    if not record:
        (info / "RECORD").unlink()

    plugins = discover(path=[str(site.folder / "one"), str(site.folder / "two")])

    assert states(plugins) == {"srv-twin:new": "found"}
    (hidden,) = plugins.metadata.shadowed
    assert (hidden.metadata, hidden.metadata_of_first, hidden.left_over) == (str(left), str(info), True)


def test_of_two_metadata_without_files_the_one_with_entry_points_counts(site):
    write(site.folder / "one" / "srv_twin-0.9.dist-info", METADATA=HEAD)
    write(site.folder / "two" / "srv_twin-0.9.dist-info", METADATA=HEAD, entry_points=OLD)

    assert states(discover(path=[str(site.folder / "one"), str(site.folder / "two")])) == {"srv-twin:old": "found"}


def recorded(info, *files):
    """Write a RECORD that says of each file what is there now, as pip does."""
    lines = []
    for file in files:
        content = (info.parent / file).read_bytes()
        digest = urlsafe_b64encode(sha256(content).digest()).rstrip(b"=").decode()
        lines.append(f"{file},sha256={digest},{len(content)}\n")
    (info / "RECORD").write_text("".join(lines))


@pytest.mark.parametrize("newer", ["3.0", "0.5"], ids=["upgrade", "downgrade"])
def test_of_two_metadata_in_one_folder_the_one_whose_files_are_there_counts(site, newer):
    old = site.add("srv-twin", OLD, version="1.0", modules={"twin_hooks": "before = 1\n"})
    recorded(old, "twin_hooks.py")
    new = site.add(
        "srv-twin", "[srv.plugins]\nnew = twin_hooks\n", version=newer, modules={"twin_hooks": "after = 1\n"}
    )
    recorded(new, "twin_hooks.py")

    plugins = site.discover()

    assert states(plugins) == {"srv-twin:new": "found"}
    assert [(each.metadata, each.left_over) for each in plugins.metadata.shadowed] == [(str(old), True)]


def test_of_two_metadata_with_the_same_files_in_one_folder_the_newer_counts(site):
    for version, name in (("1.9", "old"), ("1.10", "new")):
        info = site.add(
            "srv-twin", f"[srv.plugins]\n{name} = twin_hooks\n", version=version, modules={"twin_hooks": ""}
        )
        recorded(info, "twin_hooks.py")

    assert states(site.discover()) == {"srv-twin:new": "found"}


def test_a_whole_installation_that_was_changed_by_hand_is_still_first_on_the_path(site):
    first = site.add("srv-twin", OLD, folder="one", modules={"twin_hooks": "a = 1\n"})
    recorded(first, "../one/twin_hooks.py")
    (first.parent / "twin_hooks.py").write_text("a = 100\n")
    site.add("srv-twin", "[srv.plugins]\nnew = twin_hooks\n", folder="two", modules={"twin_hooks": ""})

    assert states(discover(path=[str(site.folder / "one"), str(site.folder / "two")])) == {"srv-twin:old": "found"}


def test_what_pip_leaves_when_it_is_stopped_brings_nothing(site):
    info = site.add("srv-twin", OLD, modules={"twin_hooks": ""})
    info.rename(info.with_name("~rv_twin-1.0.dist-info"))

    plugins = site.discover()

    assert plugins.rows == ()
    assert [each.left_over for each in plugins.metadata.shadowed] == [True]


def test_metadata_of_another_name_in_a_folder_is_told_by_the_folders(site):
    site.add("srv-twin", OLD)
    (site.add("srv-other", "[srv.plugins]\nother = o\n") / "METADATA").write_text(HEAD)

    assert states(site.discover()) == {"srv-other:other": "found", "srv-twin:old": "found"}


UNREADABLE = {
    "entry points are a folder": (
        lambda info: replace_by_folder(info / "entry_points.txt"),
        "entry_points.txt: Is a directory",
    ),
    "head is a folder": (lambda info: replace_by_folder(info / "METADATA"), "METADATA: Is a directory"),
    "entry points lead nowhere": (
        lambda info: replace_by_link(info / "entry_points.txt"),
        "entry_points.txt: No such file",
    ),
    "entry points are no UTF-8": (
        lambda info: (info / "entry_points.txt").write_bytes(b"[srv.runtimes]\nx = y:z\n\xff = y:z\n"),
        "UnicodeDecodeError",
    ),
    "head is no UTF-8": (lambda info: (info / "METADATA").write_bytes(b"Name: \xff\n"), "UnicodeDecodeError"),
}


def replace_by_folder(path):
    path.unlink()
    path.mkdir()


def replace_by_link(path):
    path.unlink()
    path.symlink_to("nowhere")


@pytest.mark.parametrize("spoil, reason", UNREADABLE.values(), ids=UNREADABLE)
def test_a_file_that_is_there_and_cannot_be_read_is_a_refused_row(scale, spoil, reason):
    spoil(scale.add("srv-torn", "[srv.plugins]\na = b\n"))

    plugins = scale.discover()

    assert states(plugins) == {"srv-scale:scale": "found", "srv-torn:entry_points.txt": "refused"}
    assert f"its metadata is unreadable: {reason}" in {row.name: row.reason for row in plugins.rows}["entry_points.txt"]


@pytest.mark.parametrize("marker", ["sys_platform ~= 'linux'", "python_version ~= 'abc'", "nobody == 'knows'"])
def test_a_requirement_that_compares_what_cannot_be_compared_is_a_refused_row(scale, marker):
    scale.add("srv-torn", "[srv.plugins]\na = b\n", requires=[f"srv-inference; {marker}"])

    assert states(scale.discover()) == {"srv-scale:scale": "found", "srv-torn:a": "refused"}


def test_importlib_metadata_still_has_the_private_name_that_saves_parsing(site):
    site.add("Srv_Twin", "")

    (found,) = importlib_metadata.distributions(path=[str(site.folder)])

    assert found._normalized_name == "srv_twin"


# -- the version contract ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "requires, state, reason, warning",
    [
        (["srv-inference>=0.1,<0.2"], "found", "", ""),
        (["SRV_Inference >=0.1"], "found", "", ""),
        (["srv-inference[test]>=0.1"], "found", "", ""),
        (["srv-inference>=0.1.0rc1"], "found", "", ""),
        (["srv-inference (>=0.1)"], "found", "", ""),
        (["srv-inference"], "found", "", ""),
        (["srv-inference>=1"], "refused", "it requires srv-inference >=1, and this is srv-inference 0.1.5", ""),
        (["srv-inference>=0.1", "srv-inference<0.1.2"], "refused", "it requires srv-inference <0.1.2", ""),
        (["srv-inference>=9; python_version < '3'"], "found", "", "does not say which versions"),
        (["srv-inference>=9; extra == 'later'"], "found", "", "does not say which versions"),
        (["srv-inference>=9; python_version > '3'"], "refused", "it requires srv-inference >=9", ""),
        (["numpy>=1", "srv-inference-more>=9"], "found", "", "does not say which versions"),
        ([], "found", "", "does not say which versions"),
        (["srv-inference >>> 1"], "refused", "its requirement on srv-inference is unreadable", ""),
    ],
)
def test_pips_own_declaration_is_the_version_contract(site, requires, state, reason, warning):
    site.add("srv-scale", "[srv.runtimes]\nscale = a:B\n", requires=requires)

    (row,) = site.discover(running="0.1.5").rows

    assert row.state.value == state
    assert row.reason.startswith(reason)
    assert warning in row.warning
    assert bool(warning) == bool(row.warning)


def test_a_pre_release_of_srv_is_admitted_by_a_range_around_it(site):
    site.add("srv-scale", "[srv.runtimes]\nscale = a:B\n", requires=["srv-inference>=0.1,<1"])

    assert states(site.discover(running="0.2.0rc1")) == {"srv-scale:scale": "found"}


def test_what_is_refused_for_its_version_says_both_numbers_to_whoever_asks(site):
    site.add("srv-scale", "[srv.runtimes]\nscale = a:B\n", requires=["srv-inference>=9"])

    with pytest.raises(PluginRefused, match=r"srv-scale 1\.0 is refused: it requires srv-inference >=9, and this is"):
        site.discover().find(PluginKind.RUNTIME, "scale")


# -- names ------------------------------------------------------------------------------------------------------------


def test_a_misspelt_runtime_is_answered_with_the_installed_ones_and_the_nearest(scale):
    with pytest.raises(UnknownRuntime) as error:
        scale.discover().find(PluginKind.RUNTIME, "scael")

    assert str(error.value) == "No runtime is called 'scael'; installed: scale. Did you mean 'scale'?"


def test_with_nothing_installed_an_unknown_runtime_says_so(site):
    with pytest.raises(UnknownRuntime) as error:
        site.discover().find(PluginKind.RUNTIME, "sklearn")

    assert str(error.value) == "No runtime is called 'sklearn'; installed: none. Install the package that brings it."


@pytest.fixture
def rivals(site):
    for name in ("srv-one", "srv-two"):
        module = name.replace("-", "_")
        site.add(name, f"[srv.runtimes]\nscale = {module}:Scale\n", modules={module: RUNTIME})
    return site


def test_a_name_of_two_strangers_belongs_to_nobody(rivals):
    plugins = rivals.discover()

    with pytest.raises(RuntimeContested) as error:
        plugins.load(PluginKind.RUNTIME, "scale")

    assert str(error.value) == (
        "Both srv-one and srv-two bring a runtime called 'scale'. Say which one is meant, 'srv-one:scale' or "
        '\'srv-two:scale\', or choose one for all with plugins.prefer: {"runtime:scale": "srv-one"}.'
    )
    assert plugins.names(PluginKind.RUNTIME) == ["srv-one:scale", "srv-two:scale"]
    assert all(row.reason.startswith("contested: ") for row in plugins.rows)


def test_three_rivals_are_all_named(rivals):
    rivals.add("srv-three", "[srv.runtimes]\nscale = three:Scale\n")

    with pytest.raises(PluginContested, match=r"^srv-one and srv-three and srv-two bring a runtime"):
        rivals.discover().find(PluginKind.RUNTIME, "scale")


def test_a_contested_name_is_reached_with_its_distribution(rivals):
    plugins = rivals.discover()

    assert plugins.load(PluginKind.RUNTIME, "srv-two:scale").__module__ == "srv_two"
    assert plugins.load(PluginKind.RUNTIME, "SRV_One:scale").__module__ == "srv_one"


def test_prefer_gives_a_contested_name_to_one(rivals):
    plugins = rivals.discover(prefer={"runtime:scale": "Srv.Two"})

    assert plugins.load(PluginKind.RUNTIME, "scale").__module__ == "srv_two"
    assert plugins.names(PluginKind.RUNTIME) == ["scale", "srv-one:scale"]


def test_a_name_is_free_again_once_the_rival_is_disabled(rivals):
    plugins = rivals.discover(disable=["srv-one"])

    assert plugins.find(PluginKind.RUNTIME, "scale").distribution == "srv-two"


def test_a_rival_that_is_refused_does_not_contest(scale):
    scale.add("srv-old", "[srv.runtimes]\nscale = old:Scale\n", requires=["srv-inference<0.1"])

    assert scale.discover().find(PluginKind.RUNTIME, "scale").distribution == "srv-scale"


def test_a_rival_that_turns_out_broken_contests_all_the_same(rivals):
    (rivals.folder / "srv_one.py").write_text("1 / 0")
    plugins = rivals.discover()
    with pytest.raises(PluginBroken):
        plugins.load(PluginKind.RUNTIME, "srv-one:scale")

    with pytest.raises(RuntimeContested):
        plugins.load(PluginKind.RUNTIME, "scale")
    assert plugins.load(PluginKind.RUNTIME, "srv-two:scale")


def test_a_preferred_plugin_that_is_broken_does_not_hand_its_name_on(rivals):
    (rivals.folder / "srv_one.py").write_text("1 / 0")
    plugins = rivals.discover(prefer={"runtime:scale": "srv-one"})

    for _ in range(2):
        with pytest.raises(PluginBroken, match="'scale' of srv-one"):
            plugins.load(PluginKind.RUNTIME, "scale")


def test_two_refused_plugins_of_one_name_are_refused_not_contested(site):
    for name in ("srv-a", "srv-b"):
        site.add(name, "[srv.runtimes]\nscale = a:B\n", requires=["srv-inference>9"])

    with pytest.raises(PluginRefused):
        site.discover().find(PluginKind.RUNTIME, "scale")


def test_the_same_name_of_another_kind_is_no_conflict(scale):
    scale.add("srv-other", "[srv.codecs]\nscale = other:Scale\n")

    assert states(scale.discover()) == {"srv-other:scale": "found", "srv-scale:scale": "found"}


@pytest.fixture
def ours(site):
    site.add("srv-inference", "[srv.codecs]\nnp = srv_ours:Codec\n", modules={"srv_ours": codec("np")}, requires=())
    return site


def test_a_name_of_ours_stays_ours(ours):
    ours.add("srv-evil", "[srv.codecs]\nnp = evil:Codec\n", modules={"evil": codec("np")})

    plugins = ours.discover(prefer={"codec:np": "srv-evil"})

    assert states(plugins) == {"srv-evil:np": "refused", "srv-inference:np": "found"}
    assert plugins.find(PluginKind.CODEC, "np").ours
    assert plugins.rows[0].reason == "the name 'np' is srv's own; ask for 'srv-evil:np'"


def test_a_stranger_under_our_name_is_reached_with_its_distribution(ours):
    ours.add("srv-other", "[srv.codecs]\nnp = other_np:Codec\n", modules={"other_np": codec("np")})
    plugins = ours.discover()

    assert plugins.load(PluginKind.CODEC, "srv-other:np").__module__ == "other_np"
    assert plugins.load(PluginKind.CODEC, "np").__module__ == "srv_ours"


def test_a_stranger_may_replace_what_is_disabled_of_ours(ours):
    ours.add("srv-other", "[srv.codecs]\nnp = other_np:Codec\n")

    assert ours.discover(disable=["srv-inference:np"]).find(PluginKind.CODEC, "np").distribution == "srv-other"


@pytest.mark.parametrize("name", sorted(COMMANDS_OF_CORE))
def test_a_command_of_core_is_taken(site, name):
    site.add("srv-evil", f"[srv.commands]\n{name} = evil:command\n")

    assert states(site.discover()) == {f"srv-evil:{name}": "refused"}


def test_every_command_of_the_table_is_reserved():
    assert set(COMMANDS) <= COMMANDS_OF_CORE


@pytest.mark.parametrize("module", ["srv.evil", "srv_ours.evil", "srv_ours"])
def test_import_names_of_ours_are_reserved(ours, module):
    ours.add("srv-evil", f"[srv.plugins]\nevil = {module}\n")

    assert states(ours.discover())["srv-evil:evil"] == "refused"
    assert "is srv's own" in ours.discover().rows[0].reason


@pytest.mark.parametrize("name", ["a:b", "a b"])
def test_a_name_that_nobody_could_ask_for_is_refused(site, name):
    site.add("srv-odd", f"[srv.runtimes]\n{name} = odd:B\n")

    assert states(site.discover()) == {f"srv-odd:{name}": "refused"}


# -- switched off -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["srv-scale", "SRV_Scale", "scale", "runtime:scale", "srv-scale:scale"])
def test_a_plugin_is_disabled_by_any_of_its_names(scale, word):
    scale.add("srv-other", "[srv.codecs]\nother = other:B\n")

    plugins = scale.discover(disable=[word])

    assert states(plugins) == {"srv-other:other": "found", "srv-scale:scale": "disabled"}
    with pytest.raises(PluginDisabled, match=f"'scale' of srv-scale is disabled: plugins.disable names '{word}'"):
        plugins.load(PluginKind.RUNTIME, "scale")
    with pytest.raises(PluginDisabled):
        plugins.load(PluginKind.RUNTIME, "srv-scale:scale")


@pytest.mark.parametrize("word", ["codec:scale", "srv-other:scale", "srv-scale:other", "scal"])
def test_a_plugin_is_not_disabled_by_another_name(scale, word):
    assert states(scale.discover(disable=[word])) == {"srv-scale:scale": "found"}


def test_only_leaves_what_it_names_and_ours(ours):
    ours.add("srv-a", "[srv.plugins]\na = mod_a\n")
    ours.add("srv-b", "[srv.plugins]\nb = mod_b\n")

    plugins = ours.discover(only=["srv-b"])

    assert states(plugins) == {"srv-a:a": "disabled", "srv-b:b": "found", "srv-inference:np": "found"}
    assert plugins.rows[0].reason == "plugins.only does not name it"


def test_an_empty_only_leaves_ours(ours):
    ours.add("srv-a", "[srv.plugins]\na = mod_a\n")

    assert states(ours.discover(only=[])) == {"srv-a:a": "disabled", "srv-inference:np": "found"}


def test_ours_can_be_disabled_too(ours):
    assert states(ours.discover(disable=["np"])) == {"srv-inference:np": "disabled"}


def test_words_that_mean_no_plugin_are_told_with_the_nearest(scale):
    plugins = scale.discover(disable=["scael", "scale"], only=["scale"], prefer={"runtime:scale": "srv-none"})

    assert plugins.unmatched() == [
        "plugins.disable names 'scael', which no installed plugin is called. Did you mean 'scale'?",
        "plugins.prefer gives 'runtime:scale' to srv-none, which brings no such plugin.",
    ]


@pytest.mark.parametrize(
    "key, distribution, nearest",
    [
        ("runtme:scale", "srv-scale", "runtime:scale"),
        ("runtime:scale", "srv-scael", "srv-scale"),
    ],
)
def test_a_preference_that_means_no_plugin_is_told_with_the_nearest(scale, key, distribution, nearest):
    assert scale.discover(prefer={key: distribution}).unmatched() == [
        f"plugins.prefer gives '{key}' to {distribution}, which brings no such plugin. Did you mean '{nearest}'?"
    ]


@pytest.mark.parametrize("old, new", RENAMED.items())
def test_an_old_name_of_a_plugin_of_ours_still_means_it_and_the_new_one_is_told(old, new):
    said = {f"plugins.{key} names '{old}': {now_called(old, new)}" for key in ("disable", "only")}
    plugins = discover(disable=[old], only=[old], optional=[f"srv-inference:{old}"])
    row = next(row for row in plugins.rows if row.kind is PluginKind.HOOKS and row.name == new)
    assert (row.state, plugins.choice.is_optional(row)) == (PluginState.DISABLED, True)
    assert set(plugins.unmatched()) == said
    assert plugins.sections()[old] == new
    assert plugins.sections()[f"srv-inference:{old}"] == f"srv-inference:{new}"


def test_an_old_name_that_another_plugin_has_now_is_that_plugins(site):
    site.add("srv-elephant", "[srv.plugins]\nremember = elephant\n")
    sections = discover().sections()
    assert (sections["cache"], sections["remember"]) == ("cache", "remember")


def test_the_same_metadata_can_be_judged_again(rivals):
    first = rivals.discover()

    second = first.under(disable=["srv-one"])

    assert states(second) == {"srv-one:scale": "disabled", "srv-two:scale": "found"}
    assert states(first) == {"srv-one:scale": "found", "srv-two:scale": "found"}


# -- loaded and quarantined -------------------------------------------------------------------------------------------


def test_a_runtime_is_imported_on_first_use_and_timed(scale):
    plugins = scale.discover()
    row = plugins.find(PluginKind.RUNTIME, "scale")
    assert (row.state, row.import_seconds) == (PluginState.FOUND, None)

    loaded = plugins.load(PluginKind.RUNTIME, "scale")

    assert loaded.__qualname__ == "Scale"
    assert row.state is PluginState.LOADED
    assert 0 < row.import_seconds < 60
    assert plugins.load(PluginKind.RUNTIME, "scale") is loaded


BREAKAGES = {
    "raises": ("raise ValueError('no such luck')", "ValueError: no such luck"),
    "says nothing": ("raise ValueError", "ValueError"),
    "exits": ("raise SystemExit(3)", "SystemExit: 3"),
    "is no Exception": ("class Odd(BaseException): pass\nraise Odd('odd')", "Odd: odd"),
    "does not parse": ("def broken(:", "SyntaxError: invalid syntax"),
    "misses a module": ("import no_such_module_at_all", "ModuleNotFoundError: No module named"),
    "misses the name": ("", "AttributeError: module 'broken_rt' has no attribute 'Scale'"),
    "recurses": ("def f(): f()\nf()", "RecursionError: maximum recursion depth"),
}


@pytest.mark.parametrize("source, reason", BREAKAGES.values(), ids=BREAKAGES)
def test_a_plugin_that_cannot_be_imported_is_quarantined_and_named(scale, caplog, source, reason):
    scale.add("srv-broken", "[srv.runtimes]\nbroken = broken_rt:Scale\n", version="3.1")
    (scale.folder / "broken_rt.py").write_text(source)
    plugins = scale.discover()

    for _ in range(2):
        with pytest.raises(PluginBroken) as error:
            plugins.load(PluginKind.RUNTIME, "broken")
        assert "'broken' of srv-broken 3.1 (broken_rt:Scale) is broken: " + reason in str(error.value)

    row = plugins.rows[0]
    assert row.state is PluginState.QUARANTINED
    assert row.reason.startswith(reason)
    assert error.value.__cause__ is None
    assert len([record for record in caplog.records if "srv-broken 3.1" in record.getMessage()]) == 1
    assert caplog.records[0].exc_info is not None
    assert plugins.load(PluginKind.RUNTIME, "scale")


def test_a_quarantined_plugin_keeps_its_traceback_for_the_doctor(site):
    site.add("srv-broken", "[srv.runtimes]\nbroken = broken_rt:Scale\n", modules={"broken_rt": "1 / 0"})
    plugins = site.discover()

    with pytest.raises(PluginBroken):
        plugins.load(PluginKind.RUNTIME, "broken")

    assert "broken_rt.py" in plugins.rows[0].traceback
    assert "ZeroDivisionError" in plugins.rows[0].traceback


def test_ctrl_c_during_an_import_is_nobodys_fault(site):
    site.add("srv-slow", "[srv.runtimes]\nslow = slow_rt:Scale\n", modules={"slow_rt": "raise KeyboardInterrupt"})
    plugins = site.discover()

    with pytest.raises(KeyboardInterrupt):
        plugins.load(PluginKind.RUNTIME, "slow")

    assert plugins.rows[0].state is PluginState.FOUND


WRONG_KINDS = {
    "a runtime that is a function": ("runtimes", "x", "def It(): ...", "it gives a function, where a subclass of"),
    "a runtime of no base": (
        "runtimes",
        "x",
        "class It: ...",
        "it gives the class It, where a subclass of srv.Runtime",
    ),
    "a codec of no base": ("codecs", "x", "class It: ...", "it gives the class It, where a subclass of srv.InputCodec"),
    "a codec without content type": (
        "codecs",
        "x",
        "from srv import InputCodec\nclass It(InputCodec): ...",
        "It has no content_type, which must be 'x'",
    ),
    "a codec of another content type": (
        "codecs",
        "x",
        "from srv import InputCodec\nclass It(InputCodec):\n    content_type = 'y'",
        "It.content_type is 'y', but its entry point is named 'x'",
    ),
    "a command that is a function": ("commands", "x", "def It(): ...", "it gives a function, where a click command is"),
    "hooks that are a class": ("plugins", "x", "class It: ...", "it gives the class It, where a module of hook"),
}


@pytest.mark.parametrize("group, name, source, reason", WRONG_KINDS.values(), ids=WRONG_KINDS)
def test_the_wrong_kind_of_object_is_quarantined_with_a_sentence(site, group, name, source, reason):
    site.add("srv-wrong", f"[srv.{group}]\n{name} = wrong_it:It\n", modules={"wrong_it": source})
    plugins = site.discover()

    with pytest.raises(PluginBroken):
        plugins.load_row(plugins.rows[0])

    assert plugins.rows[0].state is PluginState.QUARANTINED
    assert plugins.rows[0].reason.startswith(reason)


def test_many_threads_import_a_plugin_once(site):
    source = RUNTIME + "\n    import count_imports\n    count_imports.made.append(1)\n"
    (site.folder / "count_imports.py").write_text("made = []\n")
    site.add("srv-scale", "[srv.runtimes]\nscale = scale_rt:Scale\n", modules={"scale_rt": source})
    plugins = site.discover()
    ready, loaded = threading.Barrier(8), []

    def load():
        ready.wait()
        loaded.append(plugins.load(PluginKind.RUNTIME, "scale"))

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(loaded) == 8
    assert len(set(loaded)) == 1
    assert sys.modules["count_imports"].made == [1]


def test_many_threads_quarantine_a_broken_plugin_once(site, caplog):
    site.add("srv-broken", "[srv.runtimes]\nbroken = broken_rt:Scale\n", modules={"broken_rt": "1 / 0"})
    plugins = site.discover()
    ready, failed = threading.Barrier(8), []

    def load():
        ready.wait()
        try:
            plugins.load(PluginKind.RUNTIME, "broken")
        except PluginBroken as error:
            failed.append(str(error))

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(failed) == 8
    assert len(caplog.records) == 1


def test_a_slow_import_is_named_in_the_log(scale, caplog, monkeypatch):
    monkeypatch.setattr("srv.discovery.plugins.SLOW_IMPORT_SECONDS", 0.0)

    with caplog.at_level(logging.WARNING):
        scale.discover().load(PluginKind.RUNTIME, "scale")

    assert "Importing the runtime 'scale' of srv-scale 1.0 (scale_rt:Scale) took" in caplog.text


def test_strict_tells_of_the_first_failure_and_counts_the_rest(scale):
    plugins = scale.discover()
    plugins.check_strict()
    scale.add("srv-old", "[srv.plugins]\nold = old\n", requires=["srv-inference<0.1"])
    scale.add("srv-older", "[srv.plugins]\nolder = older\n", requires=["srv-inference<0.1"])

    with pytest.raises(PluginsNotWhole, match=r"the hook module 'old' of srv-old 1\.0 is refused: .* \(and 1 more\)"):
        scale.discover().check_strict()


@pytest.mark.parametrize("kind", PluginKind)
def test_a_sentence_can_name_a_plugin_of_each_kind(kind):
    odd = Plugin(kind, "odd", "srv-odd", "1.0", "odd", reason="it is odd")
    noun = {"hooks": "hook module", "unknown": "plugin"}.get(kind, kind)

    assert str(odd) == f"{noun} 'odd' of srv-odd 1.0 (odd)"
    for told in (PluginsNotWhole([odd]), PluginBroken(odd), PluginContested(kind, "odd", ["srv-odd", "srv-even"])):
        assert f" {noun} " in str(told)


# -- files ------------------------------------------------------------------------------------------------------------


def test_recognised_files_are_the_extras_of_a_runtimes_entry_point(site):
    site.add("srv-sklearn", "[srv.runtimes]\nsklearn = sk:Sk [model.skops,model.joblib, model.pkl]\n")

    assert site.discover().recognised_files() == {
        "model.skops": ("sklearn",),
        "model.joblib": ("sklearn",),
        "model.pkl": ("sklearn",),
    }


def test_words_in_a_runtimes_brackets_say_something_of_all_its_files(site):
    site.add("srv-mlflow", "[srv.runtimes]\nmlflow = ml:Ml [MLmodel,code,folder]\n")
    site.add("srv-x", "[srv.runtimes]\nx = x:X [a.x,b.x,code]\ny = x:Y [c.x]\n")
    plugins = site.discover()

    assert sorted(plugins.recognised_files()) == ["MLmodel", "a.x", "b.x", "c.x"]
    assert plugins.marked_files("code") == {"MLmodel", "a.x", "b.x"}
    assert plugins.marked_files("folder") == {"MLmodel"}
    assert site.discover(disable=["mlflow"]).marked_files("folder") == frozenset()


def test_a_file_of_two_runtimes_is_recognised_by_both_until_prefer_says(site):
    site.add("srv-a", "[srv.runtimes]\na = a:A [model.bin,model.a]\n")
    site.add("srv-b", "[srv.runtimes]\nb = b:B [model.bin]\n")

    assert site.discover().recognised_files() == {"model.bin": ("a", "b"), "model.a": ("a",)}

    plugins = site.discover(prefer={"file:model.bin": "srv-b"})
    assert plugins.recognised_files() == {"model.bin": ("b",), "model.a": ("a",)}


def test_files_of_a_contested_runtime_name_go_to_the_preferred_one(site):
    site.add("srv-a", "[srv.runtimes]\nonnx = a:A [model.onnx]\n")
    site.add("srv-b", "[srv.runtimes]\nonnx = b:B [model.onnx]\n")

    assert site.discover().recognised_files() == {"model.onnx": ("srv-a:onnx", "srv-b:onnx")}
    assert site.discover(prefer={"runtime:onnx": "srv-b"}).recognised_files() == {"model.onnx": ("onnx",)}


def test_a_disabled_runtime_recognises_nothing(site):
    site.add("srv-a", "[srv.runtimes]\na = a:A [model.bin]\n")

    assert site.discover(disable=["a"]).recognised_files() == {}


def test_files_that_two_distributions_own_are_reported(site):
    site.add("srv-a", "[srv.plugins]\na = shared\n", files=["shared.py", "srv_a/__init__.py"])
    site.add("other", "", files=["shared.py", "docs/readme.txt"])

    found = overlapping(["srv-a"], path=[str(site.folder)])

    assert found == {str(site.folder / "shared.py"): ["other", "srv-a"]}


def test_overlaps_of_distributions_that_nobody_asked_about_are_not_reported(site):
    site.add("one", "", files=["shared.py"])
    site.add("two", "", files=["shared.py"])

    assert overlapping(["srv-a"], path=[str(site.folder)]) == {}


# -- ours -------------------------------------------------------------------------------------------------------------


def test_the_installed_codecs_of_ours_are_found():
    rows = {(row.kind, row.name): row for row in discover().rows if row.ours}

    assert {(PluginKind.CODEC, "np"), (PluginKind.CODEC, "str")} <= set(rows)
    assert all(row.state is PluginState.FOUND and not row.warning for row in rows.values())


@pytest.mark.parametrize("module", ["srv.discovery", "srv.codecs"])
def test_discovery_imports_no_wire_and_no_numpy(module):
    unwanted = ["numpy", "msgspec", "falcon", "grpc", "gunicorn", "click", "pluggy", "marshmallow", "docker"]
    code = f"import sys, {module}; {module}.discover(); print([n for n in {unwanted!r} if n in sys.modules])"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_an_unknown_command_is_no_runtime(site):
    with pytest.raises(UnknownPlugin, match=r"^No command is called 'x'; installed: none"):
        site.discover().find(PluginKind.COMMAND, "x")


@pytest.mark.parametrize(
    "reason, end", [("no such thing", "thing."), ("Did you mean 'x'?", "'x'?"), ("It is so.", "so."), ("cut…", "cut…")]
)
def test_a_reason_ends_its_sentence_once(reason, end):
    assert closed(reason).endswith(end)
    assert not closed(reason).endswith(("?.", "..", "…."))
