"""The schemas of settings.json and model-settings.json: every key, what it takes and what it means."""

from __future__ import annotations

import ipaddress
import re

from marshmallow import Schema

from srv.cores import processors
from srv.datatypes import DATATYPES
from srv.devices import is_device
from srv.settings.fields import (
    Choice,
    Flag,
    FreeObject,
    ListOf,
    Plain,
    Seconds,
    Section,
    Size,
    SwitchedSection,
    TableOf,
    Text,
    Whole,
)
from srv.uris import scheme_of

_MODEL_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_VERSION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,127}")
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,252})")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_RUNTIME = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*:)?[^\s:]+")


def is_model_name(text: str) -> bool:
    """Whether a model may be called so."""
    return _MODEL_NAME.fullmatch(text) is not None and text not in ("stats", "docs")


def is_version(text: str) -> bool:
    """Whether a version may be called so."""
    return _VERSION.fullmatch(text) is not None


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach that host: a loopback address, or a Unix socket."""
    if host.startswith("unix:") or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_host(text: str) -> bool:
    if text.startswith("unix:"):
        return text.startswith("unix:/") and not text.endswith("/") and "\0" not in text
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return _HOST.fullmatch(text) is not None
    return True


def _is_allowed_host(text: str) -> bool:
    return text == "*" or (_is_host(text.removeprefix(".").strip("[]")) and not text.startswith("unix:"))


def _is_path_below(text: str) -> bool:
    return text.startswith("/") and not text.endswith("/") and not re.search(r"[\s?#]|//", text)


_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: What a model process would not read, because Python is started isolated.
_UNREAD = frozenset({"PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONUSERBASE"})


def _is_free_variable(name: str) -> bool:
    return _VARIABLE.fullmatch(name) is not None and name not in _UNREAD


def _is_cpus(text: str) -> bool:
    try:
        return bool(processors(text))
    except ValueError:
        return False


_MODULE = re.compile(r"\w[\w-]*")  # a file may have a hyphen in its name, which no import statement could say


def _is_class(text: str) -> bool:
    *modules, name = text.split(".")
    return bool(modules) and name.isidentifier() and all(map(_MODULE.fullmatch, modules))


class TlsSchema(Schema):
    """The keys of `tls`."""

    certfile = Text("The certificate, in PEM, with its chain.")
    keyfile = Text("The certificate's private key, in PEM.")
    min_version = Choice("The oldest version of TLS that clients may speak; over gRPC it is 1.2.", "1.2", "1.3")
    ciphers = Text(
        "The ciphers of TLS 1.2, as OpenSSL lists them; null is those with forward secrecy and authenticated encryption.",
        kind="a list of ciphers as OpenSSL has it, such as 'ECDHE+AESGCM'",
        nullable=True,
    )
    client_ca = Text(
        "Certificates in PEM, one of which must have signed each client's own; null asks clients for none.",
        nullable=True,
    )


class CorsSchema(Schema):
    """The keys of `cors_settings`."""

    allow_origins = ListOf(
        "Origins that may ask, such as `https://example.org`; `*` for all.", Text(""), items="origins"
    )
    allow_credentials = Flag("Whether a browser may send cookies and credentials along.")
    expose_headers = ListOf(
        "Headers of answers that a page may read beside those of the protocol, `X-Request-Id` and `Retry-After`.",
        Text(""),
        items="names of headers",
    )


class PluginsSchema(Schema):
    """The keys of `plugins`."""

    disable = ListOf("Plugins that take no part, by name or distribution.", Text(""), items="names")
    only = ListOf(  # type: ignore[assignment]  # marshmallow takes fields off the class, so nothing is overridden
        "The only plugins from elsewhere that take part; srv's own always do.",
        Text(""),
        items="names",
        nullable=True,
    )
    prefer = TableOf(
        'Which distribution has a name that two bring: `{"runtime:sklearn": "srv-sklearn"}`.',
        Text(""),
        values="names of distributions",
    )
    strict = Flag("Whether any plugin that fails keeps the server from starting.")
    optional = ListOf(
        "Plugins without which the server serves, though they have a section or say `srv_required`.",
        Text(""),
        items="names",
    )


class ServerSchema(Schema):
    """The keys of settings.json, in the order in which people read about them."""

    server_name = Text("What the server calls itself in its metadata.")
    host = Text(
        "The address to listen on; 0.0.0.0 for all. `unix:/path` serves HTTP on a Unix socket.",
        kind="an address, a host name or unix:/path",
        fits=_is_host,
    )
    http_port = Whole("The port of REST; 0 takes a free one and says which.", least=0, most=65535)
    grpc_port = Whole(
        "The port of gRPC; 0 takes a free one and says which, null turns gRPC off.", least=0, most=65535, nullable=True
    )
    workers = Whole("Processes that serve; each holds every model.", least=1)
    threads = Whole("REST requests that may run at once in a worker.", least=1)
    grpc_threads = Whole("gRPC requests that may run at once in a worker.", least=1)
    grpc_min_ping_interval = Seconds(
        "How far apart a gRPC client's pings are never counted as too many; 0 counts none.", zero=True
    )
    worker_class = Choice("The HTTP worker: srv's own, or gunicorn's gthread.", "srv", "gthread")
    models_dir = Text(
        "A further folder of models; in the file relative to it, elsewhere to the current folder.",
        kind="the path of a folder",
        nullable=True,
    )
    follow_links = Flag(
        "Whether a folder of models may be a link that leads elsewhere, in the served folder or in `models_dir` itself."
    )
    cache_dir = Text(
        "Where artifacts are cached that `parameters.uri` names with a scheme, for all servers that say the same; null is "
        "srv's folder in the user's cache. In the file relative to it, elsewhere to the current folder.",
        kind="the path of a folder",
        nullable=True,
    )
    cache_limit = Whole(
        "The most bytes in that folder; what no model uses goes, the longest unused first. null has no limit.",
        least=1,
        nullable=True,
    )
    load_models_at_startup = Flag("Whether models load when the server starts.")
    on_load_error = Choice("What a model that does not load at the start means.", "exit", "continue")
    model_control = Flag("Whether models may be loaded and unloaded over the wire; true on a loopback host.")
    max_header_size = Whole(
        "The largest head of a request, in bytes: request line and headers. Metadata over gRPC likewise.",
        least=1024,
        most=16777216,
    )
    max_body_size = Whole("The largest request body, in bytes, also after decompression.", least=1)
    max_inflight_bytes = Whole(
        "The most bytes of requests, and of answers not taken yet, that a worker holds.", least=1
    )
    max_queue = Whole("Requests that may wait for a thread, in each worker and on each face.", least=0)
    max_streams = Whole("Streams that may be open at once in a worker, both faces together.", least=0)
    request_timeout = Seconds("How long a request may take, waiting included.")
    load_timeout = Seconds("How long a load over the wire may take.")
    header_timeout = Seconds("How long a client may take to send a request's headers.")
    body_timeout = Seconds("How long a body may make no progress.")
    body_total_timeout = Seconds(
        "How long a request's body may take in all, however steadily it comes, and a response that is no stream likewise."
    )
    keep_alive = Seconds(
        "How long an idle connection is kept; 0 closes after each answer. A proxy's own idle time must be shorter.",
        zero=True,
    )
    backlog = Whole("Connections that may wait to be accepted.", least=1)
    max_connections = Whole("Connections that a worker holds at once, on each face.", least=1)
    max_requests = Whole("Requests after which a worker is replaced; 0 never.", least=0)
    worker_timeout = Seconds("How long a worker may give no sign of life before it is replaced.")
    stuck_timeout = Seconds(
        "How long requests may hang after their deadlines in every thread before the worker is stuck."
    )
    on_stuck = Choice("What a stuck worker does: a new one takes its place, or it is unready.", "replace", "unready")
    graceful_timeout = Seconds(
        "How long running requests may take to finish when the server stops, after `drain_delay`.", zero=True
    )
    drain_delay = Seconds("How long the server goes on serving, unready, before it stops.", zero=True)
    root_path = Text(
        "The path below which a proxy serves srv.",
        kind="empty, or a path that begins with / and does not end with it",
        fits=lambda text: text == "" or _is_path_below(text),
    )
    root_routes = TableOf(
        'Which model has a path at the root, for runtimes with routes there: `{"/score": "iris"}`; others have none.',
        Text("", kind="the name of a model", fits=is_model_name),
        values="names of models by paths that begin with /",
        keys=_is_path_below,
    )
    pass_headers = ListOf(
        "Headers with credentials that runtimes may see all the same.",
        Text("", kind="the name of a header", fits=lambda text: _HEADER.fullmatch(text) is not None),
        items="names of headers",
    )
    allowed_hosts = ListOf(
        "Names by which clients may address the server, `.example.org` for all below it; null on a loopback host lets "
        "browsers in by loopback names only, and elsewhere by any name.",
        Text("", kind="the name of a host without its port", fits=_is_allowed_host),
        items="names of hosts",
        nullable=True,
    )
    cors_settings = Section("What browsers of other origins may ask; null lets none.", CorsSchema, nullable=True)
    gzip_enabled = Flag("Whether answers are compressed for clients that ask for it.")
    metrics_endpoint = Text(
        "The path of the Prometheus metrics; null turns them off.",
        kind="a path that begins with /",
        fits=_is_path_below,
        nullable=True,
    )
    log_level = Choice("The least that is logged.", "debug", "info", "warning", "error", "critical")
    log_format = Choice("How log lines look.", "text", "json")
    access_log = Flag("Whether each request has a line in the log.")
    trace_plugins = Flag("Whether each call of a hook is logged.")
    tls = Section("The certificate for HTTPS; null serves plain HTTP.", TlsSchema, nullable=True)
    dialect = Choice(
        "Whose keys settings.json, each model-settings.json and the variables have: `mlserver` takes MLServer's too, `srv` its own "
        "alone; null takes MLServer's where srv-mlserver is installed and a file has keys that only MLServer has.",
        "srv",
        "mlserver",
        nullable=True,
    )
    plugins = Section("Which plugins take part.", PluginsSchema)


class SpecSchema(Schema):
    """The keys of one of `inputs` and `outputs`."""

    name = Text("The tensor's name.", required=True)
    datatype = Choice("The tensor's datatype.", *DATATYPES, required=True)
    shape = ListOf(
        "The tensor's shape, -1 for any length; left out, any shape.",
        Whole("", least=-1),
        items="integers of -1 or more",
    )
    parameters = TableOf("What else its metadata says, such as `content_type`.", Plain(""), values="plain values")


class ParametersSchema(Schema):
    """The keys of a model's `parameters`."""

    uri = Text(
        "The artifact: a file or folder, relative to the model's folder, or with a scheme, such as `https://`, elsewhere.",
        nullable=True,
    )
    version = Text(
        "The model's version; a version folder's name where it is left out.",
        kind="a text of letters, digits and ._+-, such as '1'",
        fits=is_version,
        nullable=True,
    )
    content_type = Text("The codec for inputs and outputs that do not name their own.", nullable=True)
    format = Text("The artifact's format, for runtimes that know several.", nullable=True)
    extra = FreeObject("Settings of the runtime's own.")


class ProcessSchema(Schema):
    """The keys of a model's `process`."""

    count = Whole("Processes that hold the model; requests go to the one with the fewest.", least=1, most=1024)
    environment = Text(
        "The Python and the packages of the processes: the folder of a virtual or conda environment, or an archive of one "
        "by venv-pack or conda-pack; null has those of the server. Relative to the folder of the file that says so.",
        kind="the path of an environment's folder or archive",
        fits=lambda text: bool(text) and "\0" not in text and scheme_of(text) is None,
        nullable=True,
    )
    env = TableOf(
        'Variables of the processes\' environment over those of the server, `{"OMP_NUM_THREADS": "4"}`; PYTHONPATH and its '
        "like are not read there.",
        Text("", kind="a text, such as '4'", fits=lambda text: "\0" not in text),
        values="texts by names of variables, without PYTHONPATH, PYTHONHOME and their like",
        keys=_is_free_variable,
    )
    devices = ListOf(
        "Devices that the processes see, shared out over them: `cuda:0`, `rocm:1`, `xpu:0`, `neuron:0`, several of one "
        "process as `cuda:0,1`, or `cpu` for no device; an empty list leaves them as the server has them.",
        Text("", kind="a kind and a number, such as 'cuda:0', or 'cpu'", fits=is_device),
        items="devices, such as 'cuda:0'",
    )
    cpus = ListOf(
        "Processors that the processes run on, shared out over them, each as `0-3` or `0,2`; an empty list has all.",
        Text("", kind="numbers of processors, such as '0-3' or '0,2'", fits=_is_cpus),
        items="numbers of processors, such as '0-3'",
    )
    memory = Size("The most memory that each process may ask for, `8GB`; null has no limit.", nullable=True)
    start_timeout = Seconds(
        "How long a process may take from its start until it tells of itself; the load after that has `load_timeout`."
    )


class ModelSchema(Schema):
    """The keys of model-settings.json."""

    name = Text(
        "The model's name; its folder's where it is left out, a version folder's parent's.",
        kind="1 to 128 letters, digits and ._- that begin with a letter, a digit or _ (but not stats or docs)",
        fits=is_model_name,
    )
    runtime = Text(
        "A registered runtime, `sklearn`, or a distribution's, `srv-sklearn:sklearn`.",
        kind="the name of a runtime, such as 'sklearn' or 'srv-sklearn:sklearn'",
        fits=lambda text: _RUNTIME.fullmatch(text) is not None,
    )
    implementation = Text(
        "A class in the model's folder, `module.Class`; a registered runtime goes under `runtime`.",
        kind="a module and a class, such as 'models.MyRuntime'",
        fits=_is_class,
    )
    platform = Text("The platform in the model's metadata.", kind="a text", fits=lambda _: True)
    inputs = ListOf(
        "The tensors that the model takes; requests are checked against them.",
        Section("", SpecSchema),
        items="objects with name and datatype",
        nullable=True,
    )
    outputs = ListOf(
        "The tensors that the model gives.",
        Section("", SpecSchema),
        items="objects with name and datatype",
        nullable=True,
    )
    max_batch_size = Whole("The most rows that may run as one; 0 does not batch.", least=0)
    max_batch_time = Seconds("How long a batch waits to be filled while the model runs.", zero=True)
    max_queue = Whole("Requests that may wait for this model; null has no limit of its own.", least=0, nullable=True)
    request_timeout = Seconds("How long a request may take; null is as the server has it.", nullable=True)
    concurrency = Whole("Calls of predict that may run at once; null is as the runtime has it.", least=1, nullable=True)
    warmup = ListOf("Requests to answer before the model is ready.", FreeObject(""), items="requests")
    codecs = ListOf(
        "Codecs in the model's folder, `module.Class`, for this model alone; those in its implementation's module count "
        "anyway.",
        Text("", kind="a module and a class, such as 'models.ImageCodec'", fits=_is_class),
        items="modules and classes, such as 'models.ImageCodec'",
    )
    allow_pickle = Flag(
        "Whether a file that is code, such as a pickle, may be served when it is found. For one that `uri` names elsewhere only "
        "the operator can say so, here in the served folder itself or for all models."
    )
    process = SwitchedSection(
        "Whether the model has processes of its own, outside of the workers, and which; true has the defaults of all keys.",
        ProcessSchema,
        nullable=True,
    )
    parameters = Section("What differs from one version of a model to the next.", ParametersSchema)
