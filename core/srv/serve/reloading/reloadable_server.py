"""What the reloader needs of a worker's server: its settings, its plugins, and its models."""

from __future__ import annotations

from typing import Protocol

from srv.discovery import Plugins
from srv.models.loader import Loader
from srv.models.registry import Registry
from srv.planes.dataplane import DataPlane
from srv.repository import Repository
from srv.settings import ServerSettings


class ReloadableServer(Protocol):
    """A server whose models can be loaded again while it serves."""

    settings: ServerSettings
    plugins: Plugins
    repository: Repository
    registry: Registry
    loader: Loader
    dataplane: DataPlane
