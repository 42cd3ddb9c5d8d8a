"""`srv settings RUNTIME`: what a registered runtime takes under parameters.extra, for people, programs and editors."""

import json
import re

import pytest
from distributions import installed_in

from srv.cli import run
from srv.settings.json_schema import settings_file_schema
from srv.settings.schemas import ServerSchema

RUNTIME = """
    from marshmallow import Schema, fields, validate
    from srv import Runtime

    class Limits(Schema):
        low = fields.Integer(load_default=0, metadata={"description": "The least."})
        more = fields.Nested(lambda: Limits())

    class Colour(fields.Field):
        pass

    class Extra(Schema):
        words = fields.List(fields.String(), load_default=list, metadata={"description": "Words to know."})
        clip = fields.Float(load_default=None, allow_none=True, validate=validate.Range(min=1))
        mode = fields.String(required=True, validate=validate.OneOf(["fast", "good"]))
        limits = fields.Nested(Limits)
        colour = Colour()

    class Acme(Runtime):
        extra = Extra

    class Plain(Runtime):
        pass

    class Wrong(Runtime):
        extra = dict
"""
ENTRIES = "[srv.runtimes]\nacme = acme_rt:Acme\nplain = acme_rt:Plain\nwrong = acme_rt:Wrong\ngone = acme_rt:Gone\n"


@pytest.fixture
def site(tmp_path, monkeypatch):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    with installed_in(tmp_path) as made:
        made.add("srv-acme", ENTRIES, modules={"acme_rt": RUNTIME})
        yield made


@pytest.mark.parametrize("name", ["acme", "srv-acme:acme"])
def test_each_setting_of_a_runtime_is_shown_with_type_default_and_meaning(site, capsys, name):
    assert run(["settings", name]) == 0

    rows = [re.split(" {2,}", line) for line in capsys.readouterr().out.splitlines()]
    assert rows == [
        ["words", "list of text", "[]", "Words to know."],
        ["clip", "number ≥ 1 or null", "null"],
        ["mode", '"fast" or "good"', "required"],
        ["limits", "object", "–"],
        ["limits.low", "integer", "0", "The least."],
        ["limits.more", "object", "–"],
        ["colour", "anything", "–"],
    ]


def test_programs_get_the_settings_of_a_runtime_as_json(site, capsys):
    assert run(["settings", "acme", "--json"]) == 0

    shown = json.loads(capsys.readouterr().out)
    assert shown["words"] == {
        "takes": "list of text",
        "default": [],
        "required": False,
        "description": "Words to know.",
    }
    assert shown["clip"]["default"] is None
    assert "default" not in shown["mode"]


def test_editors_get_the_settings_of_a_runtime_as_json_schema(site, capsys):
    assert run(["settings", "acme", "--json-schema"]) == 0

    schema = json.loads(capsys.readouterr().out)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["required"] == ["mode"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["mode"] == {"type": "string", "enum": ["fast", "good"]}
    assert schema["properties"]["limits"] == {"$ref": "#/$defs/Limits"}
    assert schema["$defs"]["Limits"]["properties"]["more"] == {"$ref": "#/$defs/Limits"}


def test_a_runtime_without_settings_says_so(site, capsys):
    assert run(["settings", "plain"]) == 0
    assert capsys.readouterr().out == (
        "The runtime 'plain' of srv-acme 1.0 (acme_rt:Plain) has no settings of its own.\n"
    )
    assert run(["settings", "plain", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {}
    assert run(["settings", "plain", "--json-schema"]) == 0
    assert json.loads(capsys.readouterr().out) == {"type": "object", "maxProperties": 0}


@pytest.mark.parametrize(
    "word, sentence",
    [
        ("acne", "'acne' is neither a folder here nor an installed runtime; runtimes: acme, "),
        ("srv-acme:acne", "'srv-acme:acne' is neither a folder here nor an installed runtime"),
        ("gone", "The runtime 'gone' of srv-acme 1.0 (acme_rt:Gone) is broken: AttributeError"),
        ("wrong", "(acme_rt:Wrong) has an 'extra' that is no marshmallow schema"),
        ("./acme", "The folder 'acme' is not there."),
    ],
    ids=["unknown", "unknown of a distribution", "broken", "no schema", "a path"],
)
def test_what_cannot_be_shown_is_a_sentence(site, capsys, word, sentence):
    assert run(["settings", word]) == 1
    assert sentence in capsys.readouterr().err.splitlines()[-1]


def test_a_misspelt_folder_names_the_nearest(site, tmp_path, capsys):
    (tmp_path / "here" / "models").mkdir()
    assert run(["settings", "modles"]) == 1
    assert capsys.readouterr().err.endswith("Did you mean 'models'?\n")


def test_a_word_that_is_a_folder_and_a_runtime_must_be_told_apart(site, tmp_path, capsys):
    (tmp_path / "here" / "acme").mkdir()
    assert run(["settings", "acme"]) == 1
    assert "Write './acme' for the folder, or 'srv-acme:acme' for the runtime." in capsys.readouterr().err
    assert run(["settings", "./acme"]) == 0
    assert "http_port" in capsys.readouterr().out
    assert run(["settings", "srv-acme:acme"]) == 0
    assert "words" in capsys.readouterr().out


def test_flags_of_a_server_mean_nothing_to_a_runtime(site, capsys):
    assert run(["settings", "acme", "--workers", "2"]) == 2
    assert "the flags are settings of a server" in capsys.readouterr().err


def test_settings_json_has_a_json_schema_of_every_key(site, capsys):
    assert run(["settings", "--json-schema"]) == 0

    schema = json.loads(capsys.readouterr().out)
    assert schema == settings_file_schema()
    assert schema["properties"].keys() == ServerSchema().fields.keys()
    assert schema["properties"]["http_port"] == {
        "type": "integer",
        "minimum": 0,
        "maximum": 65535,
        "default": 8080,
        "description": "The port of REST; 0 takes a free one and says which.",
    }
    assert schema["properties"]["plugins"]["properties"]["only"]["anyOf"][1] == {"type": "null"}
