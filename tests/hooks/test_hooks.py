"""Hook modules are registered whole or not at all, and each hook is called in one place, in one order."""

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
from distributions import states

from srv import hookspecs
from srv.codecs import Codecs
from srv.discovery import PluginDisabled, PluginKind, PluginsNotWhole, RuntimeContested
from srv.errors import PluginFailed, Unauthenticated
from srv.hooks import ARGUMENTS, HookFailed, Hooks, PlanFailed, UnknownHook
from srv.images import BuildFailed, BuildOrder, ImagePlan
from srv.messages import InferenceRequest, InferenceResponse

MODEL = SimpleNamespace(name="iris", version=None, settings=None)
SERVER = SimpleNamespace(server_name="srv", folder=Path(), workers=1)


@pytest.fixture
def add(site):
    """Install a hook module of that name with that source; the distribution is `srv-NAME` unless said otherwise."""

    def add(name, source, *, distribution=None):
        module = f"hooks_of_{name}"
        site.add(
            distribution or f"srv-{name}",
            f"[srv.plugins]\n{name} = {module}\n",
            modules={module: f"from srv import hookimpl\nfrom srv.hookspecs import *\ncalls = []\n{source}"},
        )

    return add


def reasons(plugins):
    return {row.name: row.reason for row in plugins.rows if row.state.value == "quarantined"}


def calls_of(hooks, name):
    (row,) = [row for row in hooks.plugins.rows if row.kind is PluginKind.HOOKS and row.name == name]
    return hooks.plugins.load_row(row).calls


NOTES = """
@hookimpl
def srv_worker_started(settings, server):
    calls.append(("started", server.server_name))

@hookimpl
def srv_worker_stopping():
    calls.append(("stopping",))

@hookimpl
def srv_model_loaded(model, seconds):
    calls.append(("loaded", model.name, seconds))

@hookimpl
def srv_model_failed(reason):
    calls.append(("failed", reason))

@hookimpl
def srv_model_unloaded(model):
    calls.append(("unloaded", model.name))
"""


# -- calls ------------------------------------------------------------------------------------------------------------


def test_srv_worker_started_and_the_model_hooks_are_told_with_the_arguments_that_they_want(site, add):
    add("notes", NOTES)
    hooks = Hooks.start(site.discover())

    hooks.worker_started(SERVER)
    hooks.model_loaded(MODEL, 1.5)
    hooks.model_failed(MODEL, "no file")
    hooks.model_unloaded(MODEL)
    hooks.worker_stopping()

    assert calls_of(hooks, "notes") == [
        ("started", "srv"),
        ("loaded", "iris", 1.5),
        ("failed", "no file"),
        ("unloaded", "iris"),
        ("stopping",),
    ]


@pytest.mark.parametrize("failure", ["1 / 0", "raise SystemExit(3)"])
def test_a_hook_that_fails_is_logged_with_its_plugin_and_the_next_is_called(site, add, caplog, failure):
    add("bad", f"@hookimpl\ndef srv_worker_started():\n    {failure}\n")
    add("notes", NOTES)
    hooks = Hooks.start(site.discover())

    hooks.worker_started(SERVER)

    assert calls_of(hooks, "notes") == [("started", "srv")]
    (record,) = caplog.records
    assert record.getMessage() == (
        "srv_worker_started failed in the hook module 'bad' of srv-bad 1.0 (hooks_of_bad); srv goes on."
    )


def test_without_plugins_there_is_nothing_to_call(site):
    hooks = Hooks.start(site.discover())

    assert hooks.before_infer == ()
    assert hooks.after_infer == ()
    assert hooks.http_middleware() == []
    assert hooks.http_routes() == []
    assert hooks.order("srv_worker_started") == []


def test_two_starts_share_nothing(site, add):
    add("notes", NOTES)

    first, second = Hooks.start(site.discover()), Hooks.start(site.discover(disable=["notes"]))

    assert [row.name for row in first.order("srv_worker_started")] == ["notes"]
    assert second.order("srv_worker_started") == []


# -- order ------------------------------------------------------------------------------------------------------------

PLAIN = "@hookimpl{}\ndef srv_before_infer(model, request):\n    request.parameters['seen'].append(__name__[9:])\n"


def test_hooks_are_called_in_the_order_of_distribution_and_name_except_first_and_last(site, add):
    add("d", PLAIN.format(""), distribution="b-dist")
    add("z", PLAIN.format(""), distribution="a-dist")
    add("early", PLAIN.format("(tryfirst=True)"), distribution="y-dist")
    add("earlier", PLAIN.format("(tryfirst=True)"), distribution="x-dist")
    add("late", PLAIN.format("(trylast=True)"), distribution="a-a-dist")
    add("m", PLAIN.format(""), distribution="c-dist")
    hooks = Hooks.start(site.discover())
    request = InferenceRequest([], parameters={"seen": []})

    for _, before in hooks.before_infer:
        before(MODEL, request)

    printed = [row.name for row in hooks.order("srv_before_infer")]
    assert printed == ["earlier", "early", "z", "d", "m", "late"]
    assert request.parameters["seen"] == printed
    assert [name for name, _ in hooks.before_infer] == printed


def test_the_order_of_a_misspelt_hook_names_the_nearest(site):
    with pytest.raises(
        UnknownHook, match=r"^srv has no hook called 'srv_before_infr'\. Did you mean 'srv_before_infer'"
    ):
        Hooks.start(site.discover()).order("srv_before_infr")


# -- the request ------------------------------------------------------------------------------------------------------


def test_srv_before_infer_is_flattened_to_the_plugins_own_function(site, add):
    add("audit", "@hookimpl\ndef srv_before_infer(model, request): ...\n")
    plugins = site.discover()

    ((name, function),) = Hooks.start(plugins).before_infer

    assert name == "audit"
    assert function is plugins.load(PluginKind.HOOKS, "audit").srv_before_infer


def test_srv_after_infer_may_want_fewer_arguments_and_in_another_order(site, add):
    add("audit", "@hookimpl\ndef srv_after_infer(timings, model):\n    calls.append((model.name, timings.total))\n")
    hooks = Hooks.start(site.discover())
    ((_, after),) = hooks.after_infer

    after(MODEL, InferenceRequest([]), InferenceResponse([]), None, hookspecs.Timings(0.1, 0.2, 0.3))

    assert calls_of(hooks, "audit") == [("iris", 0.3)]


@pytest.mark.parametrize(
    "arguments",
    [
        "model, request, response, error, timings, stream",
        "model, request, response, error, timings",
        "model",
        "model, extra=1, *, stream",
        "model, extra=1, request=None",
        "*, model, request, response, error, timings, stream",
        "stream, model",
    ],
)
def test_srv_after_infer_is_called_with_the_arguments_that_it_names_in_whatever_way(site, add, arguments):
    add("audit", f"@hookimpl\ndef srv_after_infer({arguments}):\n    calls.append(dict(locals()))\n")
    hooks = Hooks.start(site.discover())
    ((_, after),) = hooks.after_infer
    given = {"model": MODEL, "request": 1, "response": 2, "error": 3, "timings": 4, "stream": 5}

    after(*given.values())

    (seen,) = calls_of(hooks, "audit")
    assert {name: value for name, value in seen.items() if name != "extra"} == {
        name: given[name] for name in seen if name != "extra"
    }
    assert seen.get("extra", 1) == 1


def test_a_hook_that_fails_is_an_error_that_hides_the_plugin_from_the_client():
    error = HookFailed("audit", "srv_before_infer", ValueError("secret"))

    assert isinstance(error, PluginFailed)
    assert str(error) == "A plugin raised ValueError in srv_before_infer; the server's log says which and why."
    assert error.plugin == "audit"


def test_a_plugin_says_who_may_not_pass(site, add):
    add(
        "auth", "from srv import Unauthenticated\n@hookimpl\ndef srv_before_infer():\n    raise Unauthenticated('no')\n"
    )
    ((_, before),) = Hooks.start(site.discover()).before_infer

    with pytest.raises(Unauthenticated, match=r"^no$"):
        before(MODEL, InferenceRequest([]))


# -- what a plugin brings ---------------------------------------------------------------------------------------------

BRINGS = """
from srv import InputCodec, Runtime

class Scale(Runtime):
    pass

class Upper(InputCodec):
    content_type = "upper"
    type_hint = "upper.Text"

@hookimpl
def srv_runtimes():
    return {{"scale": Scale}}

@hookimpl
def srv_codecs():
    return {{"upper": Upper}}
{}
"""


def test_srv_runtimes_and_srv_codecs_bring_what_no_entry_point_names(site, add):
    add("brings", BRINGS.format(""))
    plugins = site.discover()

    Hooks.start(plugins)

    assert plugins.load(PluginKind.RUNTIME, "scale").__qualname__ == "Scale"
    assert plugins.load(PluginKind.RUNTIME, "srv-brings:scale").__qualname__ == "Scale"
    assert Codecs(plugins).input("upper").content_type == "upper"
    assert {row.entry_point for row in plugins.rows if row.computed_by} == {
        "hooks_of_brings:srv_runtimes",
        "hooks_of_brings:srv_codecs",
    }


def test_the_same_plugins_may_be_registered_again(site, add):
    add("brings", BRINGS.format(""))
    plugins = site.discover()

    for _ in range(2):
        Hooks.start(plugins)

    assert plugins.load(PluginKind.RUNTIME, "scale")
    assert states(plugins) == {"srv-brings:brings": "loaded", "srv-brings:scale": "loaded", "srv-brings:upper": "found"}


def test_a_computed_name_that_another_brings_too_belongs_to_nobody(site, add):
    add("brings", BRINGS.format(""))
    site.add("srv-other", "[srv.runtimes]\nscale = other:Scale\n")
    plugins = site.discover()

    Hooks.start(plugins)

    with pytest.raises(RuntimeContested, match="srv-brings and srv-other"):
        plugins.find(PluginKind.RUNTIME, "scale")


def test_a_computed_name_may_be_preferred_and_disabled(site, add):
    add("brings", BRINGS.format(""))
    site.add("srv-other", "[srv.runtimes]\nscale = other:Scale\n")
    preferred = site.discover(prefer={"runtime:scale": "srv-brings"})
    disabled = site.discover(disable=["srv-brings:scale"])

    Hooks.start(preferred)
    Hooks.start(disabled)

    assert preferred.load(PluginKind.RUNTIME, "scale").__qualname__ == "Scale"
    assert disabled.find(PluginKind.RUNTIME, "scale").distribution == "srv-other"
    with pytest.raises(PluginDisabled):
        disabled.find(PluginKind.RUNTIME, "srv-brings:scale")


WRONG_BRINGERS = {
    "no mapping": ("def srv_runtimes(): return ['x']", "'srv_runtimes' returned a list, not a mapping of names"),
    "no class": ("def srv_runtimes(): return {'x': 1}", "'srv_runtimes' brings 'x', but it gives a int, where a sub"),
    "no codec": ("def srv_codecs(): return {'x': str}", "'srv_codecs' brings 'x', but it gives the class str, where"),
    "no pairs": ("def srv_http_routes(): return ['/x']", "'srv_http_routes' returned a list, not pairs of a path"),
    "no path": ("def srv_http_routes(): return [('x', 1)]", "'srv_http_routes' returned a list, not paths that start"),
    "no resource": ("def srv_http_routes(): return [('/x', 1)]", "'srv_http_routes' brings '/x', but it gives a int"),
    "raises": ("def srv_runtimes(): raise ValueError('no')", "srv_runtimes raised ValueError: no"),
    "exits": ("def srv_http_middleware(): raise SystemExit(3)", "srv_http_middleware raised SystemExit: 3"),
    "no schema": ("def srv_settings_schema(): return 3", "'srv_settings_schema' returned a int, not a marshmallow"),
}


@pytest.mark.parametrize("source, reason", WRONG_BRINGERS.values(), ids=WRONG_BRINGERS)
def test_a_plugin_that_brings_the_wrong_thing_is_quarantined(site, add, source, reason):
    add("wrong", f"@hookimpl\n{source}\n")
    add("notes", NOTES)
    plugins = site.discover()

    hooks = Hooks.start(plugins)

    assert reasons(plugins)["wrong"].startswith(reason)
    assert [row.name for row in hooks.order("srv_worker_started")] == ["notes"]


def test_a_plugin_that_fails_half_way_leaves_nothing_behind(site, add):
    late = "@hookimpl\ndef srv_http_routes():\n    raise ValueError('half way')\n"
    add("half", BRINGS.format(late) + NOTES)
    plugins = site.discover()

    hooks = Hooks.start(plugins)

    assert states(plugins) == {"srv-half:half": "quarantined"}
    assert reasons(plugins) == {"half": "srv_http_routes raised ValueError: half way"}
    assert plugins.names(PluginKind.RUNTIME) == []
    assert plugins.names(PluginKind.CODEC) == []
    assert all(hooks.order(hook) == [] for hook in ARGUMENTS)


def test_a_name_is_free_again_when_its_bringer_fails(site, add):
    add("half", BRINGS.format("@hookimpl\ndef srv_http_routes():\n    raise ValueError('half way')\n"))
    site.add("srv-other", "[srv.runtimes]\nscale = other:Scale\n")
    plugins = site.discover()

    Hooks.start(plugins)

    assert plugins.find(PluginKind.RUNTIME, "scale").distribution == "srv-other"
    assert plugins.find(PluginKind.RUNTIME, "scale").reason == ""


def test_a_plugin_cannot_bring_what_its_distribution_has_already(site):
    site.add(
        "srv-twice",
        "[srv.plugins]\ntwice = twice_hooks\n[srv.runtimes]\nscale = twice_hooks:Scale\n",
        modules={"twice_hooks": "from srv import hookimpl\n" + BRINGS.format("")},
    )
    plugins = site.discover()

    Hooks.start(plugins)

    assert reasons(plugins) == {"twice": "'srv_runtimes' brings 'scale', which srv-twice brings already"}
    assert plugins.load(PluginKind.RUNTIME, "scale")


ROUTE = """
class Page:
    def on_get(self, request, response): ...

@hookimpl
def srv_http_routes():
    return [("/page", Page()), ("/{name}:of", Page())]

@hookimpl
def srv_http_middleware():
    return [Layer()]

class Layer:
    def process_request(self, request, response): ...
"""


def test_srv_http_middleware_and_srv_http_routes_come_in_the_order_of_the_plugins(site, add):
    add("b", ROUTE)
    add("a", ROUTE.replace("/page", "/other").replace("/{name}:of", "/more"))

    hooks = Hooks.start(site.discover())

    assert [type(layer).__module__ for layer in hooks.http_middleware()] == ["hooks_of_a", "hooks_of_b"]
    assert [path for path, _ in hooks.http_routes()] == ["/more", "/other", "/page", "/{name}:of"]


INTERCEPTOR = """
class Stamp:
    def intercept_service(self, continuation, details):
        return __name__

@hookimpl
def srv_grpc_interceptors():
    return [Stamp()]
"""


def test_srv_grpc_interceptors_come_in_the_order_of_the_plugins(site, add):
    add("b", INTERCEPTOR)
    add("a", INTERCEPTOR)
    add("d", INTERCEPTOR.replace("[Stamp()]", "['stamp']"))

    hooks = Hooks.start(site.discover())

    assert [one.intercept_service(None, None) for one in hooks.grpc_interceptors()[:2]] == ["hooks_of_a", "hooks_of_b"]
    assert "not an object with a method intercept_service" in reasons(hooks.plugins)["d"]


@pytest.mark.parametrize(
    "layer, reason",
    [
        ("type('Gate', (), {})()", "an object with a method process_request or process_resource"),
        ("Gate", "returned the class Gate, not an object with a method"),
        ("Gate()", "'Gate.process_request' is async, and srv does not await it"),
    ],
    ids=["without methods", "class", "async"],
)
def test_middleware_that_would_guard_nothing_quarantines_its_plugin(site, add, layer, reason):
    gate = "class Gate:\n    async def process_request(self, request, response): ...\n"
    add("guard", f"{gate}@hookimpl\ndef srv_http_middleware():\n    return [{layer}]\n")
    plugins = site.discover()

    assert Hooks.start(plugins).http_middleware() == []
    assert reason in reasons(plugins)["guard"]


@pytest.mark.parametrize(
    "interceptor, reason",
    [
        ("Gate", "returned the class Gate, not an object with a method intercept_service"),
        ("Gate()", "'Gate.intercept_service' is async, and srv does not await it"),
    ],
    ids=["class", "async"],
)
def test_an_interceptor_that_would_guard_nothing_quarantines_its_plugin(site, add, interceptor, reason):
    gate = "class Gate:\n    async def intercept_service(self, continuation, details): ...\n"
    add("guard", f"{gate}@hookimpl\ndef srv_grpc_interceptors():\n    return [{interceptor}]\n")
    plugins = site.discover()

    assert Hooks.start(plugins).grpc_interceptors() == []
    assert reason in reasons(plugins)["guard"]


PLANS = """
@hookimpl
def srv_image_plan(plan):
    plan.system_packages.append(__name__)
"""


def test_srv_image_plan_changes_the_plan_in_the_order_of_the_plugins(site, add, tmp_path):
    add("b", PLANS)
    add("a", PLANS)
    plan = ImagePlan(tmp_path, "models")

    Hooks.start(site.discover()).image_plan(plan)

    assert plan.system_packages == ["hooks_of_a", "hooks_of_b"]


def test_a_plugin_that_fails_at_the_plan_ends_the_command_and_is_named(site, add, tmp_path):
    add("a", PLANS + "    raise KeyError('gpu')\n")

    with pytest.raises(
        PlanFailed, match=r"hook module 'a' of srv-a 1.0 .* raised KeyError in srv_image_plan: 'gpu'. Mend it"
    ):
        Hooks.start(site.discover()).image_plan(ImagePlan(tmp_path, "models"))


BUILDERS = """
from srv.images import Builder

class Kiln(Builder):
    name = "kiln"

    def unavailable(self):
        return None

    def build(self, order, progress):
        return __name__

@hookimpl
def srv_builders():
    return {"kiln": Kiln}
"""


def test_srv_builders_come_by_name_and_are_made_once_asked_for(site, add):
    add("a", BUILDERS)
    add("c", BUILDERS.replace('{"kiln": Kiln}', '{"oven": Kiln}'))
    hooks = Hooks.start(site.discover())
    assert hooks.plugins.names(PluginKind.BUILDER) == []

    builders = hooks.builders()

    assert {name: builder.build(None, None) for name, builder in builders.items()} == {"kiln": "hooks_of_a"}
    assert reasons(hooks.plugins) == {"c": "'srv_builders' brings 'oven', but Kiln has not 'oven' as its name"}


def test_a_builder_of_two_plugins_is_called_as_its_distribution_says(site, add):
    add("a", BUILDERS)
    add("b", BUILDERS)

    assert [*Hooks.start(site.discover()).builders()] == ["srv-a:kiln", "srv-b:kiln"]


def test_a_route_of_two_plugins_is_served_by_neither_until_prefer_says(site, add, caplog):
    add("a", ROUTE)
    add("b", ROUTE)

    assert Hooks.start(site.discover()).http_routes() == []
    assert "The route /page of srv-a is not served: contested: srv-b brings the same name" in caplog.text

    hooks = Hooks.start(site.discover(prefer={"route:/page": "srv-b"}))
    assert [path for path, _ in hooks.http_routes()] == ["/page"]


# -- settings ---------------------------------------------------------------------------------------------------------

SCHEMA = """
from marshmallow import Schema, fields

class Settings(Schema):
    key = fields.String(load_default="nothing")
    size = fields.Integer(strict=True)

@hookimpl
def srv_settings_schema():
    return Settings

@hookimpl
def srv_worker_started(settings):
    calls.append(settings)
"""


def test_srv_settings_schema_gives_a_plugin_its_section_with_defaults(site, add):
    add("audit", SCHEMA)
    hooks = Hooks.start(site.discover(), sections={"audit": {"size": 3}})

    hooks.worker_started(SERVER)

    assert calls_of(hooks, "audit") == [{"key": "nothing", "size": 3}]


def test_a_section_that_the_schema_does_not_take_quarantines_the_plugin(site, add):
    add("audit", SCHEMA)
    plugins = site.discover()

    Hooks.start(plugins, sections={"audit": {"size": "three"}})

    assert reasons(plugins) == {"audit": "its settings are wrong: audit.size: Not a valid integer."[:-1]}


def test_a_plugin_without_settings_gets_none(site, add):
    add("audit", "@hookimpl\ndef srv_worker_started(settings):\n    calls.append(settings)\n")
    hooks = Hooks.start(site.discover())

    hooks.worker_started(SERVER)

    assert calls_of(hooks, "audit") == [{}]


def test_a_plugin_that_has_its_plain_name_takes_a_section_by_its_distribution_too(site, add):
    add("audit", SCHEMA)
    hooks = Hooks.start(site.discover(), sections={"srv-audit:audit": {"size": 3}})

    hooks.worker_started(SERVER)

    assert calls_of(hooks, "audit") == [{"key": "nothing", "size": 3}]


def test_two_plugins_of_one_name_have_sections_by_their_distribution(site):
    for name in ("srv-a", "srv-b"):
        module = name.replace("-", "_") + "_hooks"
        source = f"from srv import hookimpl\ncalls = []\n{SCHEMA}"
        site.add(name, f"[srv.plugins]\naudit = {module}\n", modules={module: source})
    plugins = site.discover()
    hooks = Hooks.start(plugins, sections={"srv-b:audit": {"key": "b"}})

    hooks.worker_started(SERVER)

    assert [plugins.load_row(row).calls for row in plugins.hook_modules()] == [[{"key": "nothing"}], [{"key": "b"}]]
    assert {"audit", "srv-a:audit", "srv-b:audit"} == set(plugins.sections())


# -- refused ----------------------------------------------------------------------------------------------------------

REFUSED = {
    "misspelt": (
        "def srv_model_laoded(model): ...",
        "srv has no hook called 'srv_model_laoded'. Did you mean 'srv_model_loaded'?",
    ),
    "unknown argument": (
        "def srv_model_loaded(modle): ...",
        "'srv_model_loaded' asks for 'modle', and is called with model, seconds. Did you mean 'model'?",
    ),
    "no argument at all": (
        "def srv_worker_stopping(server): ...",
        "'srv_worker_stopping' asks for 'server', and is called with no arguments",
    ),
    "positional only": (
        "def srv_model_loaded(model, /): ...",
        "'srv_model_loaded' is one with positional-only arguments, and hooks are plain functions",
    ),
    "async": (
        "async def srv_model_loaded(model): ...",
        "'srv_model_loaded' is async, and hooks are plain functions",
    ),
    "generator": (
        "def srv_model_loaded(model): yield",
        "'srv_model_loaded' is a generator, and hooks are plain functions",
    ),
}


@pytest.mark.parametrize("source, reason", REFUSED.values(), ids=REFUSED)
def test_a_hook_that_would_not_be_called_right_quarantines_its_plugin_only(site, add, source, reason):
    add("odd", f"@hookimpl\n{source}\n@hookimpl\ndef srv_worker_started(): ...\n")
    add("notes", NOTES)
    plugins = site.discover()

    hooks = Hooks.start(plugins)

    assert reasons(plugins) == {"odd": reason}
    assert [row.name for row in hooks.order("srv_worker_started")] == ["notes"]


@pytest.mark.parametrize("option", ["wrapper", "hookwrapper"])
def test_a_wrapper_is_refused(site, add, option):
    add("odd", f"@hookimpl({option}=True)\ndef srv_model_loaded(model):\n    yield\n")
    plugins = site.discover()

    Hooks.start(plugins)

    assert reasons(plugins) == {"odd": "'srv_model_loaded' is a wrapper, and hooks are plain functions"}


def test_a_hook_without_its_mark_is_not_passed_over_in_silence(site, add):
    add("odd", "def srv_model_loaded(model): ...\n")
    plugins = site.discover()

    Hooks.start(plugins)

    assert reasons(plugins) == {
        "odd": "'srv_model_loaded' has the name of a hook and is not marked with @hookimpl, so it would not be called"
    }


def test_what_a_module_imports_from_the_manual_is_no_unmarked_hook(site, add):
    add("fine", "from srv.hookspecs import srv_model_loaded\n@hookimpl\ndef srv_worker_stopping(): ...\n")

    assert [row.name for row in Hooks.start(site.discover()).order("srv_worker_stopping")] == ["fine"]


def test_a_hook_may_have_another_name_be_optional_and_have_arguments_of_its_own(site, add):
    add(
        "fine",
        "@hookimpl(specname='srv_model_loaded')\ndef told(model, *, extra=1, **more):\n    calls.append(model.name)\n"
        "@hookimpl(optionalhook=True)\ndef srv_of_the_future(): ...\n",
    )
    hooks = Hooks.start(site.discover())

    hooks.model_loaded(MODEL, 1.0)

    assert calls_of(hooks, "fine") == ["iris"]


def test_an_object_of_a_module_may_hold_the_hooks(site):
    source = """
        from srv import hookimpl

        class Audit:
            calls = []

            @hookimpl
            def srv_model_loaded(self, model):
                self.calls.append(model.name)

        audit = Audit()
    """
    site.add("srv-audit", "[srv.plugins]\naudit = audit_object:audit\n", modules={"audit_object": source})
    hooks = Hooks.start(site.discover())

    hooks.model_loaded(MODEL, 1.0)

    assert calls_of(hooks, "audit") == ["iris"]


def test_a_module_that_raises_while_it_is_looked_at_is_quarantined(site, add):
    add("odd", "def __dir__():\n    raise ValueError('do not look')\n")
    plugins = site.discover()

    Hooks.start(plugins)

    assert reasons(plugins) == {"odd": "its registration raised ValueError: do not look"}


def test_one_module_under_two_names_is_registered_once(site):
    source = f"from srv import hookimpl\ncalls = []\n{NOTES}"
    site.add("srv-a", "[srv.plugins]\none = twice_named\ntwo = twice_named\n", modules={"twice_named": source})
    plugins = site.discover()

    hooks = Hooks.start(plugins)

    assert len(hooks.order("srv_model_loaded")) == 1
    assert reasons(plugins) == {"two": "its module is registered already, as 'srv-a:one'"}


def test_strict_makes_a_broken_hook_module_an_error(site, add):
    add("odd", "1 / 0\n")

    with pytest.raises(PluginsNotWhole, match=r"'odd' of srv-odd 1\.0 is quarantined: ZeroDivisionError"):
        Hooks.start(site.discover(), strict=True)


# -- trace_plugins ----------------------------------------------------------------------------------------------------


def test_trace_plugins_tells_each_call_in_order_with_result_and_time(site, add, caplog):
    add("a", "@hookimpl\ndef srv_before_infer(request): ...\n" + NOTES)
    add("b", BRINGS.format("@hookimpl\ndef srv_before_infer(request):\n    return request\n"))
    add("c", "@hookimpl\ndef srv_before_infer(request):\n    raise ValueError\n")
    caplog.set_level(logging.INFO, "srv.plugins.trace")

    hooks = Hooks.start(site.discover(), trace=True)
    hooks.worker_started(SERVER)
    for _, before in hooks.before_infer[:2]:
        before(MODEL, InferenceRequest([]))
    with pytest.raises(ValueError):
        hooks.before_infer[2][1](MODEL, InferenceRequest([]))

    lines = [record.getMessage().rpartition(" in ") for record in caplog.records]
    assert [line for line, _, _ in lines] == [
        "srv_runtimes 1/1: b of srv-b → {scale}",
        "srv_codecs 1/1: b of srv-b → {upper}",
        "srv_worker_started 1/1: a of srv-a → None",
        "srv_before_infer 1/3: a of srv-a → None",
        "srv_before_infer 2/3: b of srv-b → InferenceRequest",
        "srv_before_infer 3/3: c of srv-c → raised ValueError",
    ]
    assert all(time.endswith(" ms") for _, _, time in lines)


# -- the manual -------------------------------------------------------------------------------------------------------

HOOKS = sorted(ARGUMENTS)


@pytest.mark.parametrize("hook", HOOKS)
def test_the_manual_says_when_each_hook_is_called(hook):
    said = getattr(hookspecs, hook).__doc__

    assert "Called" in said
    assert getattr(hookspecs, hook).__annotations__["return"]


@pytest.mark.parametrize("hook", HOOKS)
def test_each_hook_has_a_test_named_after_it(hook):
    tests = "".join(path.read_text() for path in Path(__file__).parents[1].rglob("test_*.py"))

    assert f"_{hook}" in tests or hook.removeprefix("srv_") in tests


@pytest.mark.parametrize("hook", ["srv_http_middleware", "srv_grpc_interceptors", "srv_http_routes"])
def test_what_a_plugin_brings_may_depend_on_the_server(site, add, hook):
    add("notes", f"@hookimpl\ndef {hook}(server):\n    calls.append(server.server_name)\n    return []\n")

    hooks = Hooks.start(site.discover(), server=SERVER)

    assert calls_of(hooks, "notes") == ["srv"]


BUILDER = """
from srv.images import Builder

class Kiln(Builder):
    name = "kiln"
    def __init__(self):
        if {fails!r} == "__init__": raise KeyError("clay")
    def unavailable(self):
        if {fails!r} == "unavailable": raise KeyError("clay")
    def build(self, order, progress):
        raise KeyError("clay")

@hookimpl
def srv_builders():
    return {{"kiln": Kiln}}
"""


@pytest.mark.parametrize("fails", ["__init__", "unavailable"])
def test_a_builder_with_a_bug_is_not_available_and_says_whose_it_is(site, add, fails):
    add("kiln", BUILDER.format(fails=fails))

    reason = Hooks.start(site.discover()).builders()["kiln"].unavailable()

    assert reason.startswith("The builder 'kiln' of srv-kiln 1.0 (hooks_of_kiln:srv_builders) raised in ")
    assert reason.endswith(f"{fails}: KeyError: 'clay'.")


def test_a_builder_that_raises_while_it_builds_is_a_sentence_that_says_whose_it_is(site, add):
    add("kiln", BUILDER.format(fails=""))
    kiln = Hooks.start(site.discover()).builders()["kiln"]

    assert kiln.name == "kiln"
    assert kiln.unavailable() is None
    with pytest.raises(
        BuildFailed, match=r"^The builder 'kiln' of srv-kiln 1.0 .* raised in build: KeyError: 'clay'\."
    ):
        kiln.build(BuildOrder(Path(), Path(), ("x",)), print)
