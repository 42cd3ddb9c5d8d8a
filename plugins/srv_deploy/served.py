"""What an image serves: the settings that `srv start` finds in it, and what they mean for whoever runs it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

from srv.discovery import Plugins
from srv.images import APP, ImagePlan
from srv.settings import ServerSettings, read_server_settings
from srv.settings.environment import PREFIX
from srv_deploy.errors import FreePort, NoModels, NotReachable, NowhereForModels
from srv_deploy.wishes import KEYS, Wishes
from srv_keys.callers import DIGEST

#: Where srv and models may write: everything else of a container is read-only.
WRITABLE = "/tmp"  # noqa: S108 - the container's own
#: Addresses that stand for all of a container.
_EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - read, never bound
#: Ports below it belong to root, unless the container's network says otherwise.
FIRST_FREE_PORT = 1024
#: What the launcher may take beyond `drain_delay` and `graceful_timeout`, and what an engine is late by.
_MARGIN = 5
#: How long a server goes on serving after SIGTERM where endpoints are told of its end at the same time.
DRAIN = "SRV_DRAIN_DELAY"
DRAIN_SECONDS = 5


@dataclass(frozen=True)
class Served:
    """The image of a folder as it serves under the wishes."""

    folder: Path
    plan: ImagePlan
    settings: ServerSettings
    wishes: Wishes
    #: Variables that a deployment sets so that the server fits into it, with the reason; not those of the wishes.
    added: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def http_port(self) -> int | None:
        """The port of REST; None for a server on a Unix socket."""
        return None if self.socket else self.settings.http_port

    @property
    def grpc_port(self) -> int | None:
        """The port of gRPC that others reach; None where there is none."""
        return None if self.socket else self.settings.grpc_port

    @property
    def socket(self) -> PurePosixPath | None:
        """The Unix socket that REST is on."""
        return PurePosixPath(self.settings.host.removeprefix("unix:")) if self.settings.is_on_unix_socket() else None

    @property
    def ports(self) -> list[int]:
        """The ports that others reach."""
        return [port for port in (self.http_port, self.grpc_port) if port is not None]

    @property
    def has_low_ports(self) -> bool:
        """Whether a port is one that belongs to root elsewhere."""
        return any(port < FIRST_FREE_PORT for port in self.ports)

    @property
    def asks_for_certificates(self) -> bool:
        """Whether only clients with a certificate are answered, so that no probe is."""
        return self.settings.tls is not None and self.settings.tls.client_ca is not None

    @property
    def stop_seconds(self) -> int:
        """How long the server may take to stop."""
        return math.ceil(self.settings.drain_delay + self.settings.graceful_timeout) + _MARGIN

    @property
    def user(self) -> tuple[int, int]:
        """The user and the group that the image runs as."""
        user, _, group = self.plan.user.partition(":")
        return int(user), int(group or 0)

    @cached_property
    def models_place(self) -> PurePosixPath | None:
        """Where models are mounted; None where the server looks for none."""
        return None if self.settings.models_dir is None else self.place_in_image(self.settings.models_dir)

    def place_in_image(self, path: Path) -> PurePosixPath:
        """Return where a path of the settings is in the image: the folder is at another place there."""
        if not path.is_absolute():
            return PurePosixPath(APP) / path
        folder = self.folder.absolute()
        return PurePosixPath(APP) / path.relative_to(folder) if path.is_relative_to(folder) else PurePosixPath(path)

    def tls_files(self) -> Iterator[tuple[str, Path]]:
        """Yield the files of `tls` as a Secret of Kubernetes calls them, with their paths."""
        tls = self.settings.tls
        if tls is not None:
            yield "tls.crt", tls.certfile
            yield "tls.key", tls.keyfile
            if tls.client_ca is not None:
                yield "ca.crt", tls.client_ca

    def is_in_image(self, path: Path) -> bool:
        """Whether a path of the settings is one of the folder's, which travels in the image."""
        return self.place_in_image(path).is_relative_to(APP)

    def variables(self) -> dict[str, str | None]:
        """Return the variables of the container; None for those whose value is kept secret."""
        return {
            **{name: value for name, (value, _) in self.added.items()},
            **dict.fromkeys(self.keys()),
            **self.wishes.env,
        }

    def keys(self) -> list[str]:
        """Return the variables that can give the keys of settings.json, so that no image need hold them."""
        callers = self.settings.sections.get("keys", {})
        return [f"{KEYS}{caller.upper()}" for caller in callers if caller.isidentifier() and caller.islower()]

    def keys_in_the_clear(self) -> list[str]:
        """Return the callers whose keys stand in settings.json as they are."""
        return [
            caller
            for caller, key in self.settings.sections.get("keys", {}).items()
            if not DIGEST.fullmatch(str(key)) and f"{KEYS}{caller}".upper() not in self.wishes.env
        ]

    def asks_for_keys(self) -> bool:
        """Whether requests must bring a key, those for metrics too."""
        return bool(self.settings.sections.get("keys"))

    def notes(self) -> Iterator[str]:
        """Yield what the person who deploys should know."""
        yield from self.settings.notes
        if clear := self.keys_in_the_clear():
            yield (
                f"settings.json has the keys of {', '.join(clear)} in the clear, and so has the image. Give it their "
                "SHA-256 instead (sha256:…), or take them out and give --env SRV_KEYS__NAME."
            )
        cores, workers = self.wishes.cores, self.settings.workers
        if cores is not None and workers > 1 and workers > cores:
            yield f"{workers} workers share {cores} of a processor's time; --cpu {workers} gives each its own."
        if self.asks_for_certificates:
            yield (
                "tls.client_ca lets nobody in without a certificate, probes neither: they see that the port is open, "
                "and not whether the models are loaded."
            )


def served(folder: Path, plan: ImagePlan, plugins: Plugins, wishes: Wishes, *, drains: bool) -> Served:
    """Return what the image serves. With `drains` it goes on serving for a while after it was told to stop.

    Raises a SettingError, and the errors of settings that nobody outside of the container could use.
    """
    environ = {name: value for name, value in plan.env.items() if name.startswith(PREFIX)}
    environ |= {name: value or "" for name, value in wishes.env.items() if name.startswith(PREFIX)}
    added: dict[str, tuple[str, str]] = {}

    def read() -> ServerSettings:
        return read_server_settings(
            folder.absolute(),
            environ={**environ, **{name: value for name, (value, _) in added.items()}},
            plugin_sections=plugins.sections(),
            for_elsewhere=True,
        )

    settings = read()
    if drains and settings.origin("drain_delay") == "default":
        added[DRAIN] = (
            str(DRAIN_SECONDS),
            "Requests come for a moment after a stop has begun; srv goes on answering them, unready. No preStop is needed.",
        )
    file = _event_log(settings)
    if file is not None:
        added["SRV_EVENT_LOG__FILE"] = (
            f"{WRITABLE}/{PurePosixPath(file).name}",
            f"{WRITABLE} is the one folder that can be written to; the log there ends with the container.",
        )
    if added:
        settings = read()
    found = Served(folder, plan, settings, wishes, added)
    _check_reachable(settings)
    _check_models(found)
    return found


def _event_log(settings: ServerSettings) -> str | None:
    """Return the file of the plugin `event_log` where the container could not write it."""
    file = settings.sections.get("event_log", {}).get("file")
    return file if isinstance(file, str) and not PurePosixPath(file).is_relative_to(WRITABLE) else None


def _check_reachable(settings: ServerSettings) -> None:
    if settings.is_on_unix_socket():
        return
    if settings.host not in _EVERYWHERE:
        raise NotReachable(settings.host, settings.origin("host"))
    for key in ("http_port", "grpc_port"):
        if getattr(settings, key) == 0:
            raise FreePort(key, settings.origin(key))


def _check_models(found: Served) -> None:
    place = found.models_place
    if found.wishes.models is not None and place is None:
        raise NowhereForModels(found.settings.origin("models_dir"))
    if found.wishes.models is None and not found.plan.models and place is not None:
        raise NoModels(found.folder, str(place))
