"""`srv plugins show` and `--requirements`: what is known of a plugin, and how to install the same again."""

import json

import pytest
from distributions import installed_in

from srv.cli import run

HOOKS = """
    from marshmallow import Schema, fields
    from srv import hookimpl
    from toll_rt import Toll

    srv_needs_settings = True

    class Settings(Schema):
        price = fields.Float(load_default=1.5, metadata={"description": "What a request costs."})
        currency = fields.String(required=True)

    @hookimpl
    def srv_settings_schema():
        return Settings

    @hookimpl
    def srv_http_routes():
        class Page:
            def on_get(self, req, resp):
                resp.text = "paid"
        return [("/toll", Page())]

    @hookimpl
    def srv_runtimes():
        return {"toll_of_hook": Toll}
"""
RUNTIME = """
    from marshmallow import Schema, fields
    from srv import Runtime

    class Extra(Schema):
        lanes = fields.Integer(load_default=2)

    class Toll(Runtime):
        extra = Extra
        routes = [("POST", "pay", "pay")]
"""
ABOUT = """
Summary: Takes a toll
License: MIT
Project-URL: Homepage, https://toll.example
Project-URL: Issues, https://toll.example/issues
"""


@pytest.fixture
def toll(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "site").mkdir()
    with installed_in(tmp_path / "site") as site:
        info = site.add(
            "srv-toll",
            "[srv.plugins]\ntoll = toll_hooks\n[srv.runtimes]\ntollbooth = toll_rt:Toll [model.toll]\n",
            modules={"toll_hooks": HOOKS, "toll_rt": RUNTIME},
        )
        head, _, body = (info / "METADATA").read_text().partition("\n\n")
        (info / "METADATA").write_text(f"{head}{ABOUT}\n{body}")
        yield site


@pytest.mark.e2e
def test_show_tells_what_a_package_is_and_what_each_of_its_plugins_takes_and_brings(toll, tmp_path, capsys):
    (tmp_path / "settings.json").write_text('{"toll": {"currency": "EUR"}}')

    assert run(["plugins", "show", "srv-toll"]) == 0

    assert capsys.readouterr().out == (
        "srv-toll 1.0\n"
        "  Takes a toll\n"
        "  home page: https://toll.example\n"
        "  Issues: https://toll.example/issues\n"
        "  license: MIT\n"
        "\n"
        "hook module 'toll' (toll_hooks): loaded\n"
        "  required: the settings have a section for it\n"
        "  hooks: srv_http_routes, srv_runtimes, srv_settings_schema\n"
        "  routes: /toll\n"
        "  runtimes: toll_of_hook\n"
        "  settings, under 'toll' in settings.json:\n"
        "    price     number  1.5       What a request costs.\n"
        "    currency  text    required\n"
        "\n"
        "runtime 'toll_of_hook' (toll_hooks:srv_runtimes): found\n"
        "  routes: POST pay\n"
        "  settings, under parameters.extra of a model:\n"
        "    lanes  integer  2\n"
        "\n"
        "runtime 'tollbooth' (toll_rt:Toll): loaded\n"
        "  files: model.toll\n"
        "  routes: POST pay\n"
        "  settings, under parameters.extra of a model:\n"
        "    lanes  integer  2\n"
    )


@pytest.mark.e2e
def test_show_says_that_a_plugin_without_its_section_is_off(toll, capsys):
    assert run(["plugins", "show", "toll", "--json"]) == 0

    [package] = json.loads(capsys.readouterr().out)
    assert package["urls"] == {"Homepage": "https://toll.example", "Issues": "https://toll.example/issues"}
    [plugin] = package["plugins"]
    assert (plugin["off"], plugin["routes"], plugin["name"]) == (True, [], "toll")
    assert plugin["settings"]["price"] == {
        "takes": "number",
        "default": 1.5,
        "required": False,
        "description": "What a request costs.",
    }


@pytest.mark.e2e
def test_show_says_what_each_setting_of_srvs_own_plugins_is(toll, capsys):
    assert run(["plugins", "show", "srv-inference", "--json"]) == 0

    [package] = json.loads(capsys.readouterr().out)
    settings = {plugin["name"]: plugin.get("settings") or {} for plugin in package["plugins"]}
    told = {f"{name}.{key}": each["description"] for name, keys in settings.items() for key, each in keys.items()}
    assert told.keys() >= {"storage.headers", "cache.models", "event_log.file", "by_path.runtimes"}
    assert [key for key, description in told.items() if not description] == []


@pytest.mark.e2e
def test_show_of_a_broken_plugin_says_why_and_what_metadata_knows(toll, capsys):
    toll.add("srv-broken", "[srv.runtimes]\nbroken = broken_rt:B [b.bin]\n", modules={"broken_rt": "1 / 0"})
    assert run(["plugins", "show", "broken"]) == 0
    assert capsys.readouterr().out == (
        "srv-broken 1.0\n\n"
        "runtime 'broken' (broken_rt:B): quarantined\n"
        "  ZeroDivisionError: division by zero\n"
        "  files: b.bin\n"
    )


@pytest.mark.e2e
def test_show_of_an_unknown_name_names_the_nearest(toll, capsys):
    assert run(["plugins", "show", "srv-tol"]) == 1
    assert capsys.readouterr().err == (
        "No plugin and no package that brings one is called 'srv-tol'. Did you mean 'srv-toll'? "
        "`srv plugins` lists them.\n"
    )


# -- requirements -----------------------------------------------------------------------------------------------------

DIRECT = {
    "an index": (None, "srv-it==1.2"),
    "an editable checkout": ({"url": "file:///src/my%20it", "dir_info": {"editable": True}}, "-e /src/my it"),
    "a folder": ({"url": "file:///src/it", "dir_info": {}}, "srv-it @ file:///src/it"),
    "an archive": (
        {"url": "https://a.example/it.whl", "archive_info": {"hashes": {"sha256": "ab12"}}},
        "srv-it @ https://a.example/it.whl#sha256=ab12",
    ),
    "a repository": (
        {
            "url": "https://g.example/it.git",
            "vcs_info": {"vcs": "git", "commit_id": "c0ffee", "requested_revision": "main"},
            "subdirectory": "python",
        },
        "srv-it @ git+https://g.example/it.git@c0ffee#subdirectory=python",
    ),
}


@pytest.mark.parametrize("direct, line", DIRECT.values(), ids=DIRECT)
def test_requirements_install_each_package_from_where_it_came(toll, capsys, direct, line):
    info = toll.add("srv-it", "[srv.runtimes]\nit = it:It\n", version="1.2")
    if direct is not None:
        (info / "direct_url.json").write_text(json.dumps(direct))

    assert run(["plugins", "--requirements"]) == 0

    printed = capsys.readouterr().out.splitlines()
    assert line in printed
    assert "srv-toll==1.0" in printed


def test_requirements_name_a_package_whose_metadata_is_unreadable_in_a_comment(toll, capsys):
    info = toll.add("srv-it", "[srv.runtimes]\nit = it:It\n")
    (info / "METADATA").write_bytes(b"Name: \xff\xfe\n")
    assert run(["plugins", "--requirements", "--json"]) == 0
    assert "# srv-it: its metadata cannot be read" in json.loads(capsys.readouterr().out)


def test_requirements_and_load_are_not_given_together(toll, capsys):
    assert run(["plugins", "--requirements", "--load"]) == 2
    assert "give one of them" in capsys.readouterr().err
