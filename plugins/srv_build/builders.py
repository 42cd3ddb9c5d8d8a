"""The builders that srv brings itself, in the order in which they are tried."""

from __future__ import annotations

from srv.images import Builder
from srv_build.docker_engine import DockerEngine
from srv_build.programs import Buildah, Podman

OURS: tuple[type[Builder], ...] = (DockerEngine, Buildah, Podman)
