"""Extras that entry points name: what of them is not installed is told wherever the plugin is asked for."""

import logging

import pytest

from srv.cli import run
from srv.discovery import PluginBroken, PluginKind, PluginsNotWhole
from srv.testing import model

NEEDS = ["srv-inference>=0.1", 'srv-absent-lib>=2; extra == "deep"', 'srv-old-lib>=3; extra == "old"']
EARLY = "import srv_absent_lib\nfrom srv import Runtime\nclass Deep(Runtime): ...\n"
LAZY = "from srv import Runtime\nclass Deep(Runtime):\n    def load(self):\n        import srv_absent_lib\n    def predict(self, x: list[str]) -> list[str]:\n        return x\n"
TOLD = "its extra 'deep' requires srv-absent-lib>=2, which is not installed: pip install 'srv-deep[deep]'"


def add(site, entry="[srv.runtimes]\ndeep = deep_rt:Deep [deep, model.deep]\n", *, source=EARLY, extras=("Deep", "old"), requires=NEEDS):  # fmt: skip
    info = site.add("srv-deep", entry, modules={"deep_rt": source}, requires=requires)
    text = (info / "METADATA").read_text()
    declared = "".join(f"Provides-Extra: {extra}\n" for extra in extras)
    (info / "METADATA").write_text(text.replace("Requires-Dist", f"{declared}Requires-Dist", 1))
    return site


def only_row(site):
    [row] = site.discover().rows
    return row


def test_a_missing_extra_is_told_from_metadata_alone_and_is_no_file(site):
    row = only_row(add(site))
    assert (row.state, row.files, row.missing_extra) == ("found", ("model.deep",), TOLD)


def test_an_extra_of_which_a_version_is_too_old_says_which_is_installed(site):
    site.add("srv-old-lib", "", version="2.1", requires=[])
    row = only_row(add(site, "[srv.runtimes]\ndeep = deep_rt:Deep [old]\n"))
    assert row.missing_extra == (
        "its extra 'old' requires srv-old-lib>=3, and srv-old-lib 2.1 is installed: pip install 'srv-deep[old]'"
    )


def test_an_extra_that_is_installed_is_not_told(site):
    site.add("srv-absent-lib", "", version="2.0", requires=[])
    row = only_row(add(site))
    assert (row.missing_extra, row.files) == ("", ("model.deep",))


def test_an_extra_made_of_other_extras_of_the_package_is_followed(site):
    requires = [*NEEDS, 'srv-deep[deep]; extra == "all"', 'srv-deep[all]; extra == "deep"']
    row = only_row(add(site, "[srv.runtimes]\ndeep = deep_rt:Deep [all]\n", extras=("deep", "all"), requires=requires))
    assert row.missing_extra == TOLD.replace("'deep'", "'all'").replace("[deep]", "[all]")


@pytest.mark.parametrize("extras", [(), ("model.deep",)], ids=["not declared", "declared without requirements"])
def test_what_requires_nothing_is_a_file(site, extras):
    row = only_row(add(site, "[srv.runtimes]\ndeep = deep_rt:Deep [model.deep]\n", extras=extras))
    assert (row.missing_extra, row.files) == ("", ("model.deep",))


def test_a_hook_module_stays_required_where_an_extra_is_called_required(site):
    requires = ["srv-inference>=0.1", 'srv-absent-lib; extra == "required"']
    add(site, "[srv.plugins]\ndeep = deep_rt [required]\n", extras=("required",), requires=requires)
    assert "required" in only_row(site).files


def test_a_failed_import_names_the_extra_and_is_no_fault_of_the_installation(site, caplog):
    plugins = add(site).discover()

    with caplog.at_level(logging.WARNING), pytest.raises(PluginBroken) as caught:
        plugins.load(PluginKind.RUNTIME, "deep")

    assert str(caught.value).endswith(
        f"(deep_rt:Deep) is broken: ModuleNotFoundError: No module named 'srv_absent_lib'; {TOLD}."
    )
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    plugins.check_strict()


def test_an_import_that_fails_for_another_reason_stays_a_fault(site):
    plugins = add(site, source="1 / 0").discover()
    with pytest.raises(PluginBroken, match=r"ZeroDivisionError: division by zero\.$"):
        plugins.load(PluginKind.RUNTIME, "deep")
    with pytest.raises(PluginsNotWhole):
        plugins.check_strict()


def test_a_plugin_that_works_without_its_extra_is_loaded(site):
    plugins = add(site, source=LAZY).discover()
    assert plugins.load(PluginKind.RUNTIME, "deep").__name__ == "Deep"


def test_a_load_that_lacks_the_extra_says_what_to_install(site, tmp_path, srv_client):
    add(site, source=LAZY)
    with pytest.raises(Exception, match="No module named 'srv_absent_lib'") as caught:
        srv_client(model("deep", files={"model.deep": ""}))
    assert TOLD in str(caught.value)


def test_plugins_shows_what_is_missing_below_the_row(site, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    add(site)
    assert run(["plugins"]) == 0
    assert f"  {TOLD}\n" in capsys.readouterr().out


@pytest.mark.e2e
@pytest.mark.parametrize("source", [EARLY, LAZY], ids=["import fails", "import works"])
def test_check_has_nothing_against_a_missing_extra_and_doctor_advises(site, tmp_path, monkeypatch, capsys, source):
    monkeypatch.chdir(tmp_path)
    add(site, source=source)

    assert run(["plugins", "check", "srv-deep"]) == 0
    assert TOLD in capsys.readouterr().out

    assert run(["doctor"]) == 0
    assert "\nadvice: The runtime 'deep' of srv-deep 1.0 (deep_rt:Deep) cannot do all that it is for: its extra 'deep' requires srv-absent-lib>=2, which is not installed.\n  pip install 'srv-deep[deep]', if you want it." in capsys.readouterr().out  # fmt: skip
