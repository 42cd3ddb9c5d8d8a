"""A registry on loopback."""

import os
import socket
import time

from engining.machine import Trouble, install, log, running, start, state, stop

CONFIGURATION = """\
version: 0.1
log: {{level: warn, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {state}/registry}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


def port() -> int:
    """Where it listens; $ENGINE_REGISTRY_PORT says another one."""
    return int(os.environ.get("ENGINE_REGISTRY_PORT", "5056"))


def variables() -> dict[str, str]:
    """Its address; nothing while it is down."""
    return {"REGISTRY": f"127.0.0.1:{port()}"} if running("docker-registry") else {}


def up() -> None:
    """Have it listen."""
    install("docker-registry")
    if running("docker-registry"):
        return
    (state() / "run").mkdir(parents=True, exist_ok=True)
    configuration = state() / "run" / "registry.yml"
    configuration.write_text(CONFIGURATION.format(state=state(), port=port()))
    daemon = start("docker-registry", ["/usr/bin/docker-registry", "serve", configuration])
    until = time.monotonic() + 20
    while daemon.poll() is None and time.monotonic() < until:
        with socket.socket() as asked:
            if asked.connect_ex(("127.0.0.1", port())) == 0:
                return
        time.sleep(0.05)
    raise Trouble(f"The registry does not start; its words are in {log('docker-registry')}.")


def down() -> None:
    """End it."""
    stop(state() / "run" / "docker-registry.pid", "docker-registry")
