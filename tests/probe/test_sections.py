"""Plugins' sections of the settings are checked by the plugins' own schemas, in a child process."""

import sys
from pathlib import Path

import pytest

from srv.probe.sections import SectionContested, SectionTwice, SectionUnchecked, WrongSection, check_sections
from srv.settings import PluginSettings, ServerSettings

pytestmark = pytest.mark.e2e  # a child process imports the plugins

SCHEMA = """
from marshmallow import Schema, fields, validate
from srv import hookimpl

print("a plugin may print what it likes")

class Inner(Schema):
    depth = fields.Integer(strict=True)

class Settings(Schema):
    size = fields.Integer(strict=True, validate=validate.Range(min=1))
    inner = fields.Nested(Inner)
    name = fields.String(required=True)

@hookimpl
def srv_settings_schema():
    return Settings
"""


@pytest.fixture
def audit(site):
    site.add("srv-audit", "[srv.plugins]\naudit = audit_hooks\n", modules={"audit_hooks": SCHEMA})
    return site


def settings(sections, **chosen):
    origins = {f"{section}.{key}": "settings.json" for section, given in sections.items() for key in given}
    return ServerSettings(folder=Path(), sections=sections, origins=origins, plugins=PluginSettings(**chosen))


def test_a_right_section_passes_and_nothing_is_imported_here(audit):
    check_sections(settings({"audit": {"name": "x", "size": 3, "inner": {"depth": 1}}}))

    assert "audit_hooks" not in sys.modules


WRONG = {
    "type": ({"name": "x", "size": "3"}, "settings.json: 'audit.size': Not a valid integer."),
    "range": ({"name": "x", "size": 0}, "settings.json: 'audit.size': Must be greater than or equal to 1."),
    "nested": ({"name": "x", "inner": {"depth": 0.5}}, "settings.json: 'audit.inner.depth': Not a valid integer."),
    "unknown": ({"name": "x", "sise": 3}, "settings.json: 'audit.sise': Unknown field."),
    "missing": ({"size": 3}, "settings.json: 'audit.name': Missing data for required field."),
}


@pytest.mark.parametrize("section, sentence", WRONG.values(), ids=WRONG)
def test_a_wrong_section_is_one_sentence_with_file_and_key(audit, section, sentence):
    with pytest.raises(WrongSection) as error:
        check_sections(settings({"audit": section}))

    assert str(error.value) == sentence


def test_a_section_of_a_plugin_without_settings_is_wrong(site):
    site.add("srv-plain", "[srv.plugins]\nplain = plain_hooks\n", modules={"plain_hooks": ""})

    with pytest.raises(WrongSection, match=r"^settings\.json: 'plain': the plugin declares no settings"):
        check_sections(settings({"plain": {"x": 1}}))


def test_one_plugin_has_one_section(audit):
    with pytest.raises(SectionTwice, match="the sections 'audit' and 'srv-audit:audit' for one plugin"):
        check_sections(settings({"audit": {"name": "x"}, "srv-audit:audit": {"name": "y"}}))


def test_without_sections_no_process_is_started(monkeypatch):
    monkeypatch.setattr("srv.probe.host.run", None)

    check_sections(settings({}))


def test_the_section_of_a_disabled_plugin_may_stay(audit):
    check_sections(settings({"audit": {"size": "3"}}, disable=("audit",)))


@pytest.mark.parametrize("source", ["1 / 0", "raise SystemExit", "def srv_settings_schema(): ..."])
def test_a_plugin_that_is_broken_anyway_is_no_error_of_the_settings(site, source):
    site.add("srv-broken", "[srv.plugins]\nbroken = broken_hooks\n", modules={"broken_hooks": source})

    check_sections(settings({"broken": {"x": 1}}))


@pytest.mark.parametrize(
    "source, seconds, how",
    [
        ("import time; time.sleep(600)", 6, "its import did not end within 6 s"),
        ("import os; os._exit(9)", 60, "exit code 9"),
    ],
    ids=["hangs", "exits"],
)
def test_a_plugin_that_would_take_the_worker_down_is_named(site, source, seconds, how):
    site.add("srv-bad", "[srv.plugins]\nbad = bad_hooks\n", modules={"bad_hooks": source})

    with pytest.raises(SectionUnchecked, match=f"The settings of 'bad' could not be checked, because .*{how}"):
        check_sections(settings({"bad": {"x": 1}}), seconds=seconds)


def test_a_section_that_two_plugins_claim_must_say_whose_it_is(audit):
    audit.add("srv-rival", "[srv.plugins]\naudit = rival_hooks\n", modules={"rival_hooks": SCHEMA})

    with pytest.raises(SectionContested, match="Call the section 'srv-audit:audit' or 'srv-rival:audit'"):
        check_sections(settings({"audit": {"name": "x"}}))
    check_sections(settings({"srv-rival:audit": {"name": "x"}}))
    check_sections(settings({"audit": {"name": "x"}}, prefer={"hooks:audit": "srv-rival"}))
