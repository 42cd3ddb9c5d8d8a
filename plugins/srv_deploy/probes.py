"""Probes: how engines ask whether a server is alive and whether it is ready."""

from __future__ import annotations

import math
from typing import Any

from srv.images import APP
from srv_deploy.served import Served
from srv_deploy.yaml_text import Note, Words

#: Seconds between two questions whether the server is alive, and until an answer is late: processors may be busy.
_LIVE_EVERY, _LATE = 10, 5
#: What asks on a Unix socket where the image has no program for that.
_PROGRAM = ("python", "-P", "-m", "srv", "health", APP)


def inside(served: Served) -> list[str] | None:
    """Return the program that asks from inside of the container whether the server is ready; None where none can."""
    # It reads the settings in the container, and so asks on a Unix socket and over TLS too.
    return None if served.asks_for_certificates or not served.plan.health else list(served.plan.health)


def of_kubernetes(served: Served, port: str | int) -> dict[Any, Any]:
    """Return the three probes of a container; `port` is what they ask, where the server has one."""
    # srv itself replaces a worker that hangs for `worker_timeout`: Kubernetes should come later, and rarely.
    late = math.ceil(served.settings.worker_timeout / _LIVE_EVERY) + 3
    return {
        Note("Until the server answers at all; models may take as long as they like to load after that."): None,
        "startupProbe": {
            **_asked(served, "live", port),
            "periodSeconds": 2,
            "timeoutSeconds": _LATE,
            "failureThreshold": 60,
        },
        Note(
            f"srv replaces a worker that hangs after {served.settings.worker_timeout:g} s; Kubernetes waits longer."
        ): None,
        "livenessProbe": {
            **_asked(served, "live", port),
            "periodSeconds": _LIVE_EVERY,
            "timeoutSeconds": _LATE,
            "failureThreshold": late,
        },
        Note("Ready when every model is loaded, and not any more when the server stops."): None,
        "readinessProbe": {
            **_asked(served, "ready", port),
            "periodSeconds": 5,
            "timeoutSeconds": _LATE,
            "failureThreshold": 3,
        },
    }


def _asked(served: Served, what: str, port: str | int) -> dict[Any, Any]:
    """Return what one probe asks. A request over HTTP costs the least; a program is run where nothing else can ask."""
    if served.socket is not None:
        return {"exec": {"command": Words([*(inside(served) or _PROGRAM), f"--{what}"])}}
    if served.asks_for_certificates:
        return {"tcpSocket": {"port": port}}
    scheme = {} if served.settings.tls is None else {"scheme": "HTTPS"}
    return {"httpGet": {"path": f"/v2/health/{what}", "port": port, **scheme}}
