"""A hook module that settings configure, or that says it is required, keeps the server from serving where it fails."""

import json
import os
import re
import signal

import pytest
from distributions import installed_in
from servers import launched, numbers, running, write_model

from srv.cli import run
from srv.discovery import RequiredPluginMissing, RequiredPluginUnusable, discover
from srv.serve.assembly import assemble
from srv.settings import PluginSettings, ServerSettings

GUARD = """
from pathlib import Path
from marshmallow import Schema, fields
from srv import Unauthenticated, hookimpl

class Settings(Schema):
    token_file = fields.String(required=True)

class Gate:
    srv_nonblocking = True
    def __init__(self, path):
        self.token = Path(path).read_text().strip()
    def process_request(self, req, resp):
        if req.path.startswith("/v2/models") and req.get_header("Authorization") != f"Bearer {self.token}":
            raise Unauthenticated("This server asks for a token.")

srv_needs_settings = True

@hookimpl
def srv_settings_schema():
    return Settings

@hookimpl
def srv_http_middleware(settings):
    return [Gate(settings["token_file"])]
"""
PLAIN = "from srv import hookimpl\n@hookimpl\ndef srv_worker_started(): ...\n"


@pytest.fixture
def site(tmp_path, monkeypatch):
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(folder))  # for servers and trials in processes of their own
    monkeypatch.chdir(tmp_path)
    with installed_in(folder) as made:
        yield made


@pytest.fixture
def install(site):
    """Install a hook module `guard` of the distribution `acme-guard` with that source."""

    def install(source, entry="guard = guard_hooks", **options):
        return site.add("acme-guard", f"[srv.plugins]\n{entry}\n", modules={"guard_hooks": source}, **options)

    return install


@pytest.fixture
def start(tmp_path):
    """Assemble what a worker serves, without sockets, under these sections and settings of plugins."""
    made = []

    def start(sections=None, *, no_plugin=(), **chosen):
        plugins = discover(no_plugin=no_plugin).under(**{key: chosen[key] for key in chosen if key != "strict"})
        settings = ServerSettings(folder=tmp_path, sections=sections or {}, plugins=PluginSettings(**chosen))
        made.append(assemble(settings, plugins))
        return made[-1]

    yield start
    for assembled in made:
        assembled.close()


# -- what cannot be used -----------------------------------------------------------------------------------------------

PAGE = "from srv import hookimpl\nclass Page:\n    def on_get(self, req, resp): ...\n"
BROKEN = {
    "import": ("import not_there\n", "ModuleNotFoundError: No module named 'not_there'"),
    "exits": ("raise SystemExit(0)\n", "SystemExit: 0"),
    "syntax": ("def :\n", "SyntaxError"),
    "unknown hook": ("from srv import hookimpl\n@hookimpl\ndef srv_befor_infer(): ...\n", "srv has no hook called"),
    "unmarked": ("def srv_before_infer(): ...\n", "is not marked with @hookimpl"),
    "middleware": (
        "from srv import hookimpl\n@hookimpl\ndef srv_http_middleware(): return [open('nosuch.txt')]\n",
        "srv_http_middleware raised FileNotFoundError",
    ),
    "interceptors": (
        "from srv import hookimpl\n@hookimpl\ndef srv_grpc_interceptors(): return ['no interceptor']\n",
        "not an object with a method intercept_service",
    ),
    "start hook": (
        "from srv import hookimpl\n@hookimpl\ndef srv_worker_started(): raise OSError('no socket')\n",
        "srv_worker_started raised OSError: no socket",
    ),
    "route": (
        f"{PAGE}@hookimpl\ndef srv_http_routes(): return [('/a b', Page())]\n",
        "its route /a b: ",
    ),
    "wrapper": (
        "from srv import hookimpl\n@hookimpl(wrapper=True)\ndef srv_before_infer():\n    yield\n",
        "'srv_before_infer' is a wrapper",
    ),
}


@pytest.mark.parametrize("source, reason", BROKEN.values(), ids=BROKEN)
def test_one_that_says_srv_required_and_fails_keeps_the_worker_from_serving(install, start, source, reason):
    install(f"srv_required = True\n{source}")

    with pytest.raises(RequiredPluginUnusable) as error:
        start()

    assert str(error.value).startswith(
        "srv does not serve without the hook module 'guard' of acme-guard 1.0, because it says srv_required, and it "
        "cannot be used: "
    )
    assert reason in str(error.value)
    assert "name it in plugins.optional" in str(error.value)


@pytest.mark.parametrize("source, reason", BROKEN.values(), ids=BROKEN)
def test_one_that_is_not_required_and_fails_is_done_without(install, start, source, reason):
    install(source)

    start()


SCHEMA = (
    "from marshmallow import Schema\nfrom srv import hookimpl\n@hookimpl\ndef srv_settings_schema(): return Schema\n"
)


@pytest.mark.parametrize("section", ["guard", "acme-guard:guard"])
@pytest.mark.parametrize("source", [source for source, _ in BROKEN.values()], ids=BROKEN)
def test_one_that_has_a_section_and_fails_keeps_the_worker_from_serving(install, start, source, section):
    install(SCHEMA + source)

    with pytest.raises(RequiredPluginUnusable, match="because the settings have a section for it, and it cannot be"):
        start({section: {}})


@pytest.mark.parametrize("word", ["guard", "acme-guard", "acme-guard:guard", "Acme_Guard"])
def test_plugins_optional_names_those_that_may_fail(install, start, word):
    install(f"srv_required = True\n{SCHEMA}1 / 0\n")

    start({"guard": {}}, optional=(word,))


REFUSED = {
    "version": ({"requires": ["srv-inference>=99"]}, "it requires srv-inference >=99"),
    "unreadable requirement": ({"requires": ["srv-inference ~!"]}, "its requirement on srv-inference is unreadable"),
}


@pytest.mark.parametrize("options, reason", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize(
    "source",
    ["srv_required = True\n", "import not_there\nsrv_required: bool = True\n", "class Hooks:\n    srv_required = 1\n"],
    ids=["plain", "annotated", "in a class"],
)
def test_one_that_metadata_refuses_is_required_by_its_source(install, start, source, options, reason):
    install(source, **options)

    with pytest.raises(
        RequiredPluginUnusable, match=f"it says srv_required, and it cannot be used: {re.escape(reason)}"
    ):
        start()


@pytest.mark.parametrize("source", ["srv_required = False\n1 / 0\n", "print('srv_required')\n1 / 0\n"])
def test_a_source_that_only_mentions_srv_required_does_not_say_it(install, start, source):
    install(source)

    start()


def test_a_source_is_read_without_an_import_of_the_package_above_it(site, start):
    (site.folder / "guard_package").mkdir()
    (site.folder / "guard_package" / "__init__.py").write_text("1 / 0\n")
    (site.folder / "guard_package" / "hooks.py").write_text("srv_required = True\n")
    site.add("acme-guard", "[srv.plugins]\nguard = guard_package.hooks\n")

    with pytest.raises(RequiredPluginUnusable, match="ZeroDivisionError"):
        start()


def test_the_extra_required_of_an_entry_point_says_it_where_no_source_does(install, start):
    install("1 / 0\n", entry="guard = guard_hooks [required]")

    with pytest.raises(RequiredPluginUnusable, match="it says srv_required"):
        start()


def test_one_that_says_srv_required_and_waits_for_settings_needs_its_section(install, start):
    install(f"srv_required = True\n{GUARD}")

    with pytest.raises(RequiredPluginUnusable, match="it waits for its settings, and there is no section 'guard'"):
        start()
    start(optional=("guard",))


def test_a_required_plugin_that_works_is_no_hindrance(install, start, tmp_path):
    (tmp_path / "token.txt").write_text("s3cret")
    install(f"srv_required = True\n{GUARD}")

    assert len(start({"guard": {"token_file": str(tmp_path / "token.txt")}}).hooks.http_middleware()) == 1


def test_a_plugin_that_plugins_only_leaves_out_is_missed(install, start):
    install(GUARD)

    with pytest.raises(RequiredPluginUnusable, match=r"cannot be used: plugins\.only does not name it\."):
        start({"guard": {"token_file": "x"}}, only=("sklearn",))


@pytest.mark.parametrize("said", [{"disable": ("guard",)}, {"no_plugin": ("acme-guard",)}], ids=["disable", "flag"])
def test_a_plugin_that_somebody_disables_by_name_is_not_missed(install, start, said):
    install(f"srv_required = True\n{GUARD}")

    start({"guard": {"token_file": "nosuch.txt"}}, **said)


def test_a_section_of_a_plugin_that_is_not_installed_is_missed(site, start):
    with pytest.raises(RequiredPluginMissing, match="have a section 'guard', and no installed plugin is called so"):
        start({"guard": {}})
    start({"guard": {}}, optional=("guard",))


# -- settings ----------------------------------------------------------------------------------------------------------


def test_an_optional_section_of_nobody_is_told_and_no_error(site, capfd):
    (site.folder.parent / "settings.json").write_text(
        json.dumps({"guard": {"x": 1}, "plugins": {"optional": ["guard"]}})
    )

    assert run(["check", "."]) == 0
    assert "The settings have a section 'guard', and no installed plugin is called so." in capfd.readouterr().err


def test_a_section_of_nobody_is_an_error_that_names_plugins_optional(site, capfd):
    (site.folder.parent / "settings.json").write_text(json.dumps({"guard": {"x": 1}}))

    assert run(["check", "."]) == 1
    assert "'guard' is not a setting of srv. No installed plugin of that name" in capfd.readouterr().err


def test_a_plugin_called_like_a_key_of_srvs_own_does_not_take_its_place(site, start):
    site.add("acme-odd", "[srv.plugins]\nplugins = odd_hooks\n", modules={"odd_hooks": PLAIN})
    (site.folder.parent / "settings.json").write_text(json.dumps({"plugins": {"disabel": []}}))

    assert run(["check", "."]) == 1


# -- the commands ------------------------------------------------------------------------------------------------------


def configured(site, **more):
    (site.folder.parent / "settings.json").write_text(json.dumps({"guard": {"token_file": "nosuch.txt"}, **more}))


def test_check_says_so_and_exits_1(install, site, capfd):
    install(GUARD)
    configured(site)

    assert run(["check", "."]) == 1

    last = capfd.readouterr().err.splitlines()[-1]
    assert last.startswith("srv does not serve without the hook module 'guard' of acme-guard 1.0")
    assert "FileNotFoundError" in last


def test_check_warns_of_a_configured_plugin_that_is_disabled(install, site, capfd):
    install(GUARD)
    configured(site, plugins={"disable": ["guard"]})

    assert run(["check", "."]) == 0
    assert "and the server runs without it: plugins.disable names 'guard'." in capfd.readouterr().err


@pytest.mark.e2e  # a child process imports the plugins
def test_doctor_says_so_and_exits_1(install, site, capfd):
    install(GUARD)
    configured(site)

    assert run(["doctor", "."]) == 1

    printed = capfd.readouterr().out
    assert "problem: The hook module 'guard' of acme-guard 1.0 (" in printed
    assert "is quarantined: srv_http_middleware raised FileNotFoundError" in printed
    assert "srv does not serve without it, because the settings have a section for it." in printed
    assert "plugins.optional" in printed


@pytest.mark.e2e  # a child process imports the plugins
def test_doctor_tells_of_one_that_plugins_only_leaves_out(install, site, capfd):
    install(GUARD)
    configured(site, plugins={"only": []})

    assert run(["doctor", "."]) == 1
    assert "is disabled: plugins.only does not name it. srv does not serve without it" in capfd.readouterr().out


@pytest.mark.e2e
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_server_whose_guard_is_broken_does_not_start(install, site, tmp_path, workers):
    install(GUARD)
    configured(site)
    write_model(tmp_path, "double")

    with launched(tmp_path, "--workers", workers) as server:
        assert server.wait() == 1
        last = server.output.splitlines()[-1]
        assert last.startswith("srv does not serve without the hook module 'guard' of acme-guard 1.0")
        assert "No such file or directory: 'nosuch.txt'" in last
        assert "Everything else goes on" not in server.output


@pytest.mark.e2e
def test_a_server_that_may_run_without_its_guard_starts(install, site, tmp_path):
    install(GUARD)
    configured(site, plugins={"optional": ["guard"]})
    write_model(tmp_path, "double")

    with running(tmp_path) as server:
        assert server.post("/v2/models/double/infer", numbers(1)).status == 200


@pytest.mark.e2e
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_guard_that_breaks_before_a_reload_leaves_the_old_workers_guarding(install, site, tmp_path, workers):
    install(GUARD)
    token = tmp_path / "token.txt"
    token.write_text("s3cret")
    (tmp_path / "settings.json").write_text(json.dumps({"guard": {"token_file": str(token)}}))
    write_model(tmp_path, "double")

    with running(tmp_path, "--workers", workers) as server:
        before = server.workers()
        token.unlink()
        server.send(signal.SIGHUP)
        server.wait_for("The reload failed, and the old workers go on: srv does not serve without the hook module")

        assert server.post("/v2/models/double/infer", numbers(1)).status == 401
        assert server.workers()[: len(before)] == before


@pytest.mark.e2e
def test_a_worker_that_takes_anothers_place_does_not_serve_without_its_guard(install, site, tmp_path):
    install(GUARD)
    token = tmp_path / "token.txt"
    token.write_text("s3cret")
    (tmp_path / "settings.json").write_text(json.dumps({"guard": {"token_file": str(token)}}))
    write_model(tmp_path, "double")

    with running(tmp_path, "--workers", "2") as server:
        first, other = server.workers()
        token.unlink()
        os.kill(first, signal.SIGKILL)
        server.wait_for("srv does not serve without the hook module 'guard'")

        assert other in server.workers()
        for _ in range(20):
            assert server.post("/v2/models/double/infer", numbers(1)).status == 401
