"""The settings in force: what was given, with defaults that follow from other settings or from the machine."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from srv.settings.errors import ContradictorySettings, MissingSetting
from srv.settings.given import GivenSettings
from srv.settings.memory_share import inflight_share
from srv.settings.schemas import is_loopback
from srv.settings.server import CorsSettings, PluginSettings, ServerSettings, TlsSettings

#: The keys of `tls` that name files.
_TLS_FILES = frozenset({"certfile", "keyfile", "client_ca"})


def settings_in_force(
    folder: Path, given: GivenSettings, models: GivenSettings, sections: Collection[str]
) -> ServerSettings:
    """Return the settings of what was given for the server, for plugins in `sections`, and for all models.

    Raises a SettingError for settings that contradict each other, or of which one is missing.
    """
    plain = {path[0]: value for path, value in given.leaves.items() if len(path) == 1 and path[0] not in sections}
    nested: dict[str, dict[str, Any]] = {}
    for path, value in given.leaves.items():
        if len(path) == 2:
            nested.setdefault(path[0], {})[path[1]] = value
    for key in ("models_dir", "cache_dir"):
        if plain.get(key) is not None:
            plain[key] = Path(plain[key])
    if "cors_settings" in nested:
        plain["cors_settings"] = CorsSettings(**nested["cors_settings"])
    if "tls" in nested:
        plain["tls"] = _tls(nested["tls"])
    derived = _derived(plain)
    settings = ServerSettings(
        folder=folder,
        **plain,
        plugins=PluginSettings(**nested.get("plugins", {})),
        sections={name: nested.get(name, {}) for name in sorted(given.sections() & set(sections))},
        model_defaults=models.leaves,
        origins=given.origins_by_key() | models.origins_by_key("model.") | derived,
        notes=tuple(given.notes),
    )
    _check_ports(settings)
    return settings


def _derived(plain: dict[str, Any]) -> dict[str, str]:
    """Add the settings that follow from others or from the machine; return the origins of those that have one."""
    defaults = ServerSettings(Path())
    plain.setdefault("model_control", is_loopback(plain.get("host", defaults.host)))
    if "drain_delay" in plain:  # so that both fit into the 30 s that Kubernetes gives a container
        plain.setdefault("graceful_timeout", max(1.0, defaults.graceful_timeout - plain["drain_delay"]))
    if "threads" in plain:
        plain.setdefault("max_streams", max(1, plain["threads"] // 2))
    if "max_inflight_bytes" in plain:
        return {}
    share = inflight_share(plain.get("workers", defaults.workers))
    if share is None or share.size >= defaults.max_inflight_bytes:
        return {}
    plain["max_inflight_bytes"] = share.size
    return {"max_inflight_bytes": share.origin}


def _tls(given: Mapping[str, Any]) -> TlsSettings:
    for key in ("certfile", "keyfile"):
        if key not in given:
            raise MissingSetting(f"'tls.{key}'", "is missing; TLS needs a certificate and its key")
    paths = {key: Path(value) for key, value in given.items() if key in _TLS_FILES and value is not None}
    return TlsSettings(**{**given, **paths})


def _check_ports(settings: ServerSettings) -> None:
    if settings.http_port == settings.grpc_port != 0 and not settings.is_on_unix_socket():
        raise ContradictorySettings(
            f"'http_port' ({settings.origin('http_port')}) and 'grpc_port' ({settings.origin('grpc_port')}) are both "
            f"{settings.http_port}. Give one of them another port."
        )
