"""A server in the test's own process, without sockets: for tests that take milliseconds."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from falcon import testing

from srv.discovery import Plugins, discover
from srv.serve.assembly import Assembled, assemble
from srv.serve.listening import reserve_port
from srv.settings import read_server_settings
from srv.tensors import EMPTY
from srv.testing.answers import Answer
from srv.testing.client import Asker
from srv.testing.folders import NOTHING, Given, classes_as_modules, folder_of

if TYPE_CHECKING:
    import grpc

_SECONDS_TO_END = 10.0


class Client(Asker):
    """A client of a server in this process, which has every part of a real one but the sockets.

    May be asked from several threads at once. To be closed, which unloads the models; as a context manager it does so
    by itself.
    """

    def __init__(self, assembled: Assembled) -> None:
        #: The server itself, for whoever looks behind its answers.
        self.assembled = assembled
        self._falcon = testing.TestClient(assembled.app)
        self._afterwards = ExitStack()

    @classmethod
    def of(cls, *models: Given, settings: Mapping[str, Any] = NOTHING, plugins: Plugins | None = None) -> Client:
        """Return a client of a server of these models, all of them loaded.

        Each is a folder, settings as in the file, a runtime's class, or what `srv.testing.model` gives. `settings` are
        the server's, as in settings.json; the environment is not read. `plugins` are those installed, or those of the
        `isolated_plugins` around. Raises what `srv start` would say: LoadFailed, a SettingsError.
        """
        with ExitStack() as afterwards:
            refer = afterwards.enter_context(classes_as_modules())
            folder = afterwards.enter_context(folder_of(models, settings, refer))
            assembled = _assembled(folder, plugins)
            afterwards.callback(assembled.close)
            assembled.load_models(lambda _: None, assembled.wanted())
            client = cls(assembled)
            client._afterwards = afterwards.pop_all()
        return client

    def request(
        self, method: str, path: str, body: bytes | None = None, *, headers: Mapping[str, str] = EMPTY
    ) -> Answer:
        """Send one request as it stands."""
        parts = urlsplit(path)
        result = self._falcon.simulate_request(
            method, parts.path, query_string=parts.query or None, headers=dict(headers), body=body
        )
        names = {name.lower(): value for name, value in result.headers.items()}
        return Answer(result.status_code, names, result.content)

    @cached_property
    def grpc_address(self) -> str:
        """The address at which this server answers gRPC, from the first time that it is asked for."""
        reservation = reserve_port("127.0.0.1", 0)
        self._afterwards.callback(reservation.close)
        server = self.assembled.serve_grpc(reservation.address, lambda: None)
        self._afterwards.callback(server.stopped, _SECONDS_TO_END)
        self._afterwards.callback(server.stop, 0.0)
        return reservation.address

    @cached_property
    def _channel(self) -> grpc.Channel:
        """One channel for all threads, as programs have it: one for each call would spend the time on connecting."""
        from srv.testing.grpc_client import channel_to  # here, because it imports grpc

        channel = channel_to(self.grpc_address)
        self._afterwards.callback(channel.close)
        return channel

    def grpc_channel(self) -> AbstractContextManager[grpc.Channel]:
        """Return the channel to this server, which stays open until the end."""
        return nullcontext(self._channel)

    def close(self) -> None:
        """Unload the models, and end what plugins began. A second call does nothing."""
        self._afterwards.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _assembled(folder: Path, plugins: Plugins | None) -> Assembled:
    found = discover() if plugins is None else plugins
    settings = read_server_settings(folder, environ={}, plugin_sections=found.sections())
    chosen = settings.plugins
    if plugins is None:
        found = found.under(disable=chosen.disable, only=chosen.only, prefer=chosen.prefer, optional=chosen.optional)
    return assemble(settings, found)
