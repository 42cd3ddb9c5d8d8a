"""pytest's fixtures of the kit, registered by entry point; nothing heavy is imported until one is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from srv.discovery import Plugins
    from srv.testing.in_process import Client
    from srv.testing.servers import ServerProcess


@pytest.fixture
def srv_server() -> Iterator[Callable[..., ServerProcess]]:
    """Start real servers, with the arguments of `srv.testing.srv_server`; they are stopped after the test."""
    from srv.testing.servers import srv_server as started

    with ExitStack() as afterwards:
        yield lambda *models, **options: afterwards.enter_context(started(*models, **options))


@pytest.fixture
def srv_client() -> Iterator[Callable[..., Client]]:
    """Make clients in process, with the arguments of `srv.testing.Client.of`; they are closed after the test."""
    from srv.testing.in_process import Client

    with ExitStack() as afterwards:
        yield lambda *models, **options: afterwards.enter_context(Client.of(*models, **options))


@pytest.fixture
def isolated_plugins() -> Iterator[Callable[..., Plugins]]:
    """See only srv's own plugins and those given, with the arguments of `srv.testing.isolated_plugins`.

    From the call to the end of the test.
    """
    from srv.testing.isolation import isolated_plugins as isolated

    with ExitStack() as afterwards:

        def isolate(**given: Any) -> Plugins:
            return afterwards.enter_context(isolated(**given))

        yield isolate
