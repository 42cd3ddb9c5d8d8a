"""MLServer's settings that srv does not have: each is one of srv's under another name, or has no effect."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from srv.errors import quoted
from srv.settings.lax_values import flag, whole


class Key(msgspec.Struct, frozen=True):
    """A key of MLServer's that srv does not have."""

    #: What srv has in its place, as a hint says it; None where there is nothing like it.
    instead: str | None = None
    #: The path of srv's setting that it becomes; None where it has no effect.
    to: tuple[str, ...] | None = None
    #: Returns the value of srv's setting, and None where the value means nothing to srv. Raises NotThis.
    value: Callable[[Any], Any] = lambda value: value


class KeyChange(msgspec.Struct, frozen=True):
    """A key as MLServer has it, and the path and value that it becomes; `to` is None where it has no effect."""

    key: str
    value: Any
    to: tuple[str, ...] | None = None
    becomes: Any = None
    #: What srv has in its place, if anything.
    instead: str | None = None

    @property
    def without_effect(self) -> str:
        """Return the key as a note names it: with what srv has in its place."""
        return quoted(self.key) if self.instead is None else f"{quoted(self.key)} (srv has {self.instead})"


_CACHE = Key("the plugin 'cache', which is on where settings.json has a section 'cache'")
_ENVIRONMENT = Key("'environment' in 'process', which is an object beside 'parameters'", ("process", "environment"))
_POOL = Key("'process' beside 'parameters'")


def _largest(value: Any) -> int | None:
    """Return a size; gRPC's -1 has no limit."""
    size = whole(value)
    return size if size > 0 else None


SERVER: Mapping[str, Key] = MappingProxyType(
    {
        "cache_enabled": _CACHE,
        "cache_size": Key("'max_bytes' in the section of the plugin 'cache'"),
        "debug": Key("'log_level'", ("log_level",), lambda value: "debug" if flag(value) else "info"),
        "environments_dir": Key("'cache_dir'"),
        "extensions": Key("'plugins'"),
        "grpc_max_message_length": Key("'max_body_size', for HTTP and gRPC alike", ("max_body_size",), _largest),
        "grpc_workers": Key("'grpc_threads'", ("grpc_threads",), lambda value: max(1, whole(value))),
        "kafka_enabled": Key(),
        "kafka_servers": Key(),
        "kafka_topic_input": Key(),
        "kafka_topic_output": Key(),
        "logging_settings": Key("'log_level' and 'log_format'"),
        "metrics_dir": Key(),
        "metrics_port": Key("'metrics_endpoint', on the HTTP port"),
        "metrics_rest_server_prefix": Key(),
        "model_repository_implementation": Key(),
        "model_repository_implementation_args": Key(),
        "model_repository_root": Key("'models_dir'"),
        "parallel_workers": Key("'workers'", ("workers",), lambda value: max(1, whole(value))),
        "parallel_workers_timeout": Key("'graceful_timeout'", ("graceful_timeout",), whole),
        "server_version": Key(),
        "tracing_server": Key(),
        "use_structured_logging": Key(
            "'log_format', with the value 'json'", ("log_format",), lambda value: "json" if flag(value) else "text"
        ),
    }
)

CORS: Mapping[str, Key] = MappingProxyType(
    {"allow_headers": Key(), "allow_methods": Key(), "allow_origin_regex": Key("'allow_origins'"), "max_age": Key()}
)

MODEL: Mapping[str, Key] = MappingProxyType(
    {
        "cache_enabled": _CACHE,
        "implementation_": Key("'implementation'"),
        "parallel_workers": Key("'workers' in settings.json"),
        "versions": Key(),
        "warm_workers": Key("'warmup'"),
    }
)

PARAMETERS: Mapping[str, Key] = MappingProxyType(
    {
        "autogenerate_inference_pool_gid": _POOL,
        "environment_path": _ENVIRONMENT,
        "environment_tarball": _ENVIRONMENT,
        "inference_pool_gid": _POOL,
    }
)

#: Variables of MLServer's images that are no settings of MLServer itself.
IMAGE: Mapping[str, Key] = MappingProxyType({"models_dir": Key("'models_dir'", ("models_dir",))})


#: MLServer's packages of runtimes → srv's name of the same runtime, where a package brings it.
RUNTIMES: Mapping[str, str | None] = MappingProxyType(
    {
        "mlserver": None,
        "mlserver_alibi_detect": "alibi-detect",
        "mlserver_alibi_explain": "alibi-explain",
        "mlserver_catboost": "catboost",
        "mlserver_huggingface": "huggingface",
        "mlserver_lightgbm": "lightgbm",
        "mlserver_llm": None,
        "mlserver_mlflow": "mlflow",
        "mlserver_mllib": "mllib",
        "mlserver_onnx": "onnx",
        "mlserver_sklearn": "sklearn",
        "mlserver_xgboost": "xgboost",
    }
)


def hint(key: str, table: Mapping[str, Key]) -> str | None:
    """Return what an error adds if the key is one of MLServer's, with a leading blank; else None."""
    if key not in table:
        return None
    instead = table[key].instead
    if instead is None:
        return " It is one of MLServer's that srv has nothing like: take it out."
    return f" It is one of MLServer's: srv's is {instead}."
