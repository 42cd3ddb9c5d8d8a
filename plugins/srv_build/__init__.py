"""`srv build` and its builders: an image from a folder, by BuildKit, Docker, Buildah or Podman."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from srv.hookspecs import hookimpl

if TYPE_CHECKING:
    from srv.images import Builder


@hookimpl
def srv_builders() -> Mapping[str, type[Builder]]:
    """Bring BuildKit's two clients, Docker's API, and the two programs that need no daemon."""
    from srv_build.builders import OURS  # here, because every worker imports this module and no worker builds

    return {builder.name: builder for builder in OURS}
