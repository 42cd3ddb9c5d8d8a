"""The plugin author's manual: every hook, in the order in which srv calls them.

A hook module is a module of functions marked with `@srv.hookimpl`, named in the entry-point group `srv.plugins`. Each
function has a name from this page and takes as many of the arguments shown here as it wants, by name. srv calls the
implementations one after the other, sorted by distribution and then by the name of the entry point; `tryfirst` and
`trylast` move one to the front or the end, and `srv plugins --order HOOK` prints what came out. Wrappers are refused,
because srv answers for each call by itself. Hooks are plain functions, never `async def`.

No hook runs at import, and none in the master process: all of them run in a worker, in a process of their own for
each, but those of the image, which run in the command that makes it. `srv plugins --load`, `srv doctor` and the check
of settings before the start call those of the first section below in a child process.

A module that shall do nothing until somebody configures it sets `srv_needs_settings = True`: where settings.json has no
section of its name, none of its hooks is called, and requests do not pay for them.

What a plugin brings while it is being registered is taken back as a whole if any part of that fails: the plugin is
quarantined, the log and `srv doctor` say why, and everything else goes on without it, unless `plugins.strict` is on.
A module without which the server must not serve, such as a guard, sets `srv_required = True`; one that has a section in
settings.json is required as well. Where such a module cannot be used the server does not start, unless `plugins.optional`
names it.
"""

# A hook here is a promise and has no body:
# mypy: disable-error-code="empty-body"

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import pluggy

from srv.server import PluginRow as PluginRow
from srv.server import Server as Server

if TYPE_CHECKING:
    from marshmallow import Schema

    from srv.codec import InputCodec, RequestCodec
    from srv.images import Builder, ImagePlan
    from srv.messages import InferenceRequest, InferenceResponse
    from srv.model_settings import ModelSettings
    from srv.placement import Placement
    from srv.runtime import Runtime
    from srv.storage import Fetch

hookspec = pluggy.HookspecMarker("srv")
hookimpl = pluggy.HookimplMarker("srv")


#: The former name of what a route asks; kept for plugins whose type hints have it.
Running = Server


class Model(Protocol):
    """A model, as hooks see it: the version that is loaded, failed, asked or unloaded."""

    @property
    def name(self) -> str:
        """The model's name, as requests have it."""

    @property
    def version(self) -> str | None:
        """Its version, or None where its folder has none."""

    @property
    def settings(self) -> ModelSettings:
        """Everything that its settings say."""


@dataclass(frozen=True)
class Timings:
    """How long a request for inference took, in seconds: waiting for a thread, being answered, and both."""

    queue: float
    compute: float
    total: float


@dataclass(frozen=True)
class StreamSummary:
    """What a stream gave to its client, until its end or until the client left."""

    #: The responses that were written; where the client left, the last of them may not have reached it.
    responses: int
    #: Their bytes as the face wrote them: events over REST, messages over gRPC; 0 where a plugin or a model asked.
    bytes: int
    #: Seconds from the request's arrival to the first response; None where none came.
    time_to_first: float | None
    #: Whether the client left before the end.
    client_left: bool


# -- registration: what the plugin brings -----------------------------------------------------------------------------


@hookspec
def srv_settings_schema() -> type[Schema] | None:
    """Declare the settings of this plugin: a marshmallow schema for its section of settings.json.

    The section is named as the plugin's entry point. Called once in each worker before any other hook of the plugin,
    and before the start in a child process if settings.json has the section. What the schema loads is the argument
    `settings` of the hooks below, with the schema's defaults where the file says nothing. None, or no such hook: the
    plugin takes no settings, and a section of its name is an error.
    """


@hookspec
def srv_runtimes(settings: Mapping[str, Any]) -> Mapping[str, type[Runtime]]:
    """Bring runtimes that no entry point can name, computed when the worker starts.

    Called once in each worker, before any model is loaded. An empty mapping is fine.
    A name that another distribution brings too belongs to nobody until `plugins.prefer` says; names of srv's own stay
    srv's own.
    """


@hookspec
def srv_codecs(settings: Mapping[str, Any]) -> Mapping[str, type[InputCodec | RequestCodec]]:
    """Bring codecs that no entry point can name, by content type, computed when the worker starts.

    Called once in each worker, after `srv_runtimes`. An empty mapping is fine. Each class's `content_type` is its key.
    Names are shared out as for runtimes.
    """


@hookspec
def srv_http_middleware(settings: Mapping[str, Any], server: Server) -> Sequence[object]:
    """Bring Falcon middleware, which sees every HTTP request that reaches the app.

    Called once in each worker. An empty sequence is fine. The middlewares of all plugins run in the order of the
    plugins, after srv's own. One that never waits for anything sets `srv_nonblocking = True` on itself; while every
    one does, srv answers health and metadata without handing the request to a thread. One that sets
    `srv_before_body = True`, because its `process_request` decides by headers alone and never waits, has that called
    before a body is read that has not come with its head, and again with the body; what it raises the first time is the
    answer, and the body is not read. Under gthread it is called once. A SrvError, or an error of
    Falcon's, is answered as such; any other is INTERNAL, and the log names the plugin.
    """


@hookspec
def srv_http_routes(settings: Mapping[str, Any], server: Server) -> Sequence[tuple[str, object]]:
    """Bring HTTP routes: pairs of a path and a Falcon resource, which finds a `Server` as `req.context.server`.

    Called once in each worker, after `srv_http_middleware`. An empty sequence is fine. A path of srv's own stays
    srv's own; one that two distributions bring is served by neither until `plugins.prefer` says
    (`{"route:/path": "distribution"}`). A resource whose `on_get` never waits for anything may set
    `srv_nonblocking = True` on itself: srv then answers GET without handing the request to a thread, also while every
    thread is busy. Other requests to it, and all to a resource that says nothing, have a thread of their own.
    """


@hookspec
def srv_grpc_interceptors(settings: Mapping[str, Any], server: Server) -> Sequence[object]:
    """Bring gRPC interceptors, `grpc.ServerInterceptor`s, which see every call before srv does.

    Called once in each worker, after `srv_http_routes`, also where gRPC is turned off. An empty sequence is fine. The
    interceptors of all plugins run in the order of the plugins. `intercept_service` runs in the one thread that takes
    calls in, so it never waits; what has to wait belongs in the handler that it returns, which runs where the call
    belongs. A SrvError that either raises is answered by srv's table; any other error is INTERNAL, and the log names the
    plugin.
    """


# -- the image --------------------------------------------------------------------------------------------------------


@hookspec
def srv_image_plan(plan: ImagePlan) -> None:
    """Change what becomes the Dockerfile of a folder: its base, its packages, its variables. Changes `plan` in place.

    Called once by `srv dockerfile` and by `srv build`, in their own process, when srv has filled the plan; each plugin
    finds what those before it have left. A plugin whose hook raises ends the command, because nobody knows what the
    image would lack.
    """


@hookspec
def srv_builders() -> Mapping[str, type[Builder]]:
    """Bring builders by name, classes of `srv.images.Builder`, each with its key as `name`.

    Called once by `srv build`, in its own process. An empty mapping is fine. A name that two distributions bring
    belongs to nobody until `plugins.prefer` says (`{"builder:name": "distribution"}`).
    """


# -- the worker and its models ----------------------------------------------------------------------------------------


@hookspec
def srv_worker_started(settings: Mapping[str, Any], server: Server) -> None:
    """The worker is about to serve; start what the plugin needs beside it.

    Called once in each worker, after the fork and before any model is loaded. A thread of the plugin's own may keep
    `server` and ask models from then on; until the first load has ended it hears Unavailable. A failure is logged with
    the plugin's name, and the worker goes on.
    """


@hookspec
def srv_adopt(cls: type, model_settings: ModelSettings, settings: Mapping[str, Any]) -> type[Runtime] | None:
    """Make a runtime of a class of another library that a model names as its `implementation`, or say None.

    Called for each load of a model whose `implementation` is a class and no `srv.Runtime`, in the thread that loads it, with
    the modules of the model's folder importable. The answer is a class that extends `srv.Runtime`; srv makes the instance
    as of any other, so a subclass made here may keep `cls` as an attribute. What two distributions adopt is adopted by
    neither until `plugins.prefer` says (`{"adopt:models.Sum": "distribution"}`). What the hook raises, and that nobody adopts
    the class, is the reason why the model cannot be loaded.
    """


@hookspec
def srv_storage(uri: str, settings: Mapping[str, Any]) -> Fetch | None:
    """Say how to fetch what a model's `parameters.uri` names, for URIs of a scheme that the plugin knows; else None.

    Called for each load of a model whose `parameters.uri` has a scheme, such as `s3://bucket/model.onnx`, in the thread
    that loads it, and by `srv dockerfile` and `srv build`, which want to know the plugin only. So it asks nobody and
    imports what it needs when the scheme is its own. What two distributions answer is fetched by neither until
    `plugins.prefer` says (`{"storage:s3": "distribution"}`); schemes of srv's own stay srv's own. What it raises is the
    reason why the model cannot be loaded.
    """


@hookspec
def srv_placement(model: Model, number: int, settings: Mapping[str, Any]) -> Placement | None:
    """Say where the process of a number, from 0, of a model with `process` runs: its devices, its processors.

    Called in a worker for each process of a model that is about to be loaded in processes of its own, in the thread that
    loads it; the same processes get new ones in their places without another call. Each worker asks, and the first one's
    answer holds, so answer alike in each. None: the next plugin is asked, and in the end the model's own settings count, as
    they do for what an answer leaves at None. The first answer wins. What it raises is the reason why the model cannot be
    loaded.
    """


@hookspec
def srv_model_loaded(model: Model, seconds: float) -> None:
    """A version of a model was loaded and serves from now on, a reloaded one too.

    Called in the thread that loaded it. A failure is logged with the plugin's name; the model serves all the same.
    """


@hookspec
def srv_model_reloaded(model: Model, previous: Model, seconds: float) -> None:
    """A version of a model was loaded in place of one that served, and serves from now on.

    Called right after `srv_model_loaded` of the same version, in the thread that loaded it. Requests that began before
    may still run in the previous one, whose end nobody is told: drop here what was kept for it. Not called where the
    version did not serve, because it was unloaded or had failed. A failure is logged with the plugin's name; the model
    serves all the same.
    """


@hookspec
def srv_model_failed(model: Model, reason: str) -> None:
    """A version of a model could not be loaded; the reason is the one that the repository's index tells.

    Called in the thread that tried. A failure of the hook is logged with the plugin's name.
    """


# -- the request ------------------------------------------------------------------------------------------------------


@hookspec
def srv_openapi(document: dict[str, Any], settings: Mapping[str, Any], server: Server) -> None:
    """Change an OpenAPI document, of the whole server or of one model, before a client gets it. Changes it in place.

    Called for each request for such a document, in the request's thread; each plugin finds what those before it have
    left. What the plugin brings belongs here, as far as paths and docstrings do not tell it: credentials, and what its
    routes take and answer. A path of the server's own may be missing in the document of one model. A SrvError is
    answered as such; any other error is INTERNAL, and the log names the plugin.
    """


@hookspec
def srv_before_infer(model: Model, request: InferenceRequest) -> InferenceRequest | InferenceResponse | None:
    """A request for inference was read and checked, and its model has not seen it yet.

    Called for every request, in the request's thread, from several at once: be quick, and keep what belongs to this
    request in `request.state`, a dict that `srv_after_infer` finds again, also where the request was replaced.
    `request.headers` has the request's id as `x-request-id`, the client's or the one that srv made.

    None lets it pass to the next plugin. The first answer wins, and the plugins that come after are not asked: another
    request goes to the model instead of this one, a response goes back instead of the model's. So whoever must see every
    request marks the function `@hookimpl(tryfirst=True)`. Another request gets the ids, the state and the client of the
    one that it replaces, and that one's headers where it has none of its own. An error that is a SrvError is answered by
    srv's table (an auth plugin raises `srv.Unauthenticated`); any other is INTERNAL, a 500, and the log names the plugin.
    """


@hookspec
def srv_after_infer(
    model: Model,
    request: InferenceRequest,
    response: InferenceResponse | None,
    error: Exception | None,
    timings: Timings,
    stream: StreamSummary | None,
) -> None:
    """A request for inference has ended, with a response or with an error, and its answer has not been sent yet.

    Called in every plugin, for every request that `srv_before_infer` could see, in the request's thread, from several at
    once; `request` is the one that the model got. What an implementation raises becomes the answer, by the rules of
    `srv_before_infer`, and the plugins that come after are not called.

    For a stream it is called once, at its end: `response` is the last one that came, and `error` says why the stream
    ended early, a ClientLeft where its client did. `stream` says what the client was sent; it is None where the answer is
    one response.
    """


# -- the end ----------------------------------------------------------------------------------------------------------


@hookspec
def srv_model_unloaded(model: Model) -> None:
    """A version of a model serves no longer, and its last request has been answered.

    Called once for each model, however often it was loaded anew meanwhile: a reload tells `srv_model_loaded` and
    `srv_model_reloaded` instead. A worker that stops unloads its models first.
    A failure is logged with the plugin's name.
    """


@hookspec
def srv_worker_stopping() -> None:
    """The worker has answered its last request; end what `srv_worker_started` began.

    Called once in each worker that stops in order; one that is killed calls nothing. A failure is logged with the
    plugin's name, and the other plugins are called all the same.
    """
