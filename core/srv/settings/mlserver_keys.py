"""MLServer's settings that srv does not have, each with srv's own in its place."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

SERVER: Mapping[str, str | None] = MappingProxyType(
    {
        "cache_enabled": "the plugin 'cache', which is on where settings.json has a section 'cache'",
        "cache_size": "'max_bytes' in the section of the plugin 'cache'",
        "debug": "'log_level'",
        "environments_dir": None,
        "extensions": "'plugins'",
        "grpc_max_message_length": "'max_body_size', for HTTP and gRPC alike",
        "grpc_workers": "'grpc_threads'",
        "kafka_enabled": None,
        "kafka_servers": None,
        "kafka_topic_input": None,
        "kafka_topic_output": None,
        "logging_settings": "'log_level' and 'log_format'",
        "metrics_dir": None,
        "metrics_port": "'metrics_endpoint', on the HTTP port",
        "metrics_rest_server_prefix": None,
        "model_repository_implementation": None,
        "model_repository_implementation_args": None,
        "model_repository_root": "'models_dir'",
        "parallel_workers": "'workers'",
        "parallel_workers_timeout": "'graceful_timeout'",
        "server_version": None,
        "tracing_server": None,
        "use_structured_logging": "'log_format', with the value 'json'",
    }
)

MODEL: Mapping[str, str | None] = MappingProxyType(
    {
        "cache_enabled": "the plugin 'cache', which is on where settings.json has a section 'cache'",
        "implementation_": "'implementation'",
        "parallel_workers": "'workers' in settings.json",
        "versions": None,
        "warm_workers": "'warmup'",
    }
)

PARAMETERS: Mapping[str, str | None] = MappingProxyType(
    {
        "autogenerate_inference_pool_gid": "'process' beside 'parameters'",
        "environment_path": "'environment' in 'process', which is an object beside 'parameters'",
        "environment_tarball": "'environment' in 'process', which is an object beside 'parameters'",
        "inference_pool_gid": "'process' beside 'parameters'",
    }
)


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


def hint(key: str, table: Mapping[str, str | None]) -> str | None:
    """Return what an error adds if the key is one of MLServer's, with a leading blank; else None."""
    if key not in table:
        return None
    instead = table[key]
    if instead is None:
        return " It is one of MLServer's that srv has nothing like: take it out."
    return f" It is one of MLServer's: srv's is {instead}."
