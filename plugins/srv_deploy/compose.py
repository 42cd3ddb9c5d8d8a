"""A file for Docker Compose: one service, hardened, with a health check and time to stop."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from srv_deploy.amounts import docker_memory
from srv_deploy.probes import inside
from srv_deploy.served import WRITABLE, Served
from srv_deploy.yaml_text import Document, Note, Words


def documents(served: Served) -> list[Document]:
    """Return the file as one document."""
    volumes, named = _volumes(served)
    document: dict[Any, Any] = {"services": {served.wishes.name: _service(served, volumes)}}
    if named is not None:
        document["volumes"] = {named: {Note("Made before, with the models in it."): None, "external": True}}
    return [document]


def _service(served: Served, volumes: list[str]) -> dict[Any, Any]:
    wishes = served.wishes
    service: dict[Any, Any] = {"image": wishes.image}
    if served.ports:
        service |= {
            Note("This machine's ports, and the container's; 127.0.0.1:8080:8080 lets only this machine in."): None,
            "ports": [f"{port}:{port}" for port in served.ports],
        }
    service |= _environment(served)
    if volumes:
        service["volumes"] = volumes
    service |= {
        Note(f"Nothing can be written but {WRITABLE}; no program can get more rights than the server has."): None,
        "read_only": True,
        "tmpfs": [WRITABLE],
        "user": served.plan.user,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
    }
    if served.has_low_ports:
        service["sysctls"] = {"net.ipv4.ip_unprivileged_port_start": "0"}
    program = inside(served)
    if program is not None:
        service["healthcheck"] = {
            "test": Words(["CMD", *program]),
            "interval": "10s",
            "timeout": "6s",
            "retries": 3,
            "start_period": "60s",
        }
    service |= {
        Note("Longer than the server takes to finish what it is answering."): None,
        "stop_grace_period": f"{served.stop_seconds}s",
        "restart": "unless-stopped",
    }
    if wishes.cores is not None:
        service["cpus"] = str(wishes.cores)
    if wishes.memory_bytes is not None:
        service["mem_limit"] = docker_memory(wishes.memory_bytes)
    if wishes.shm_bytes is not None:
        service["shm_size"] = docker_memory(wishes.shm_bytes)
    if wishes.gpus:
        device = {"driver": "nvidia", "count": wishes.gpus, "capabilities": Words(["gpu"])}
        service["deploy"] = {"resources": {"reservations": {"devices": [device]}}}
    return service


def _environment(served: Served) -> dict[Any, Any]:
    made: dict[Any, Any] = {}
    for name, (value, reason) in served.added.items():
        made |= {Note(reason): None, name: value}
    secret = [name for name, value in served.variables().items() if value is None]
    if secret:
        made[Note("Taken from where `docker compose up` is run, or from a file .env beside this one.")] = None
        made |= dict.fromkeys(secret)
    made |= {name: value for name, value in served.wishes.env.items() if value is not None}
    # A dollar sign would begin a variable of Compose's own.
    return (
        {"environment": {k: v.replace("$", "$$") if isinstance(v, str) else v for k, v in made.items()}} if made else {}
    )


def _volumes(served: Served) -> tuple[list[str], str | None]:
    """Return what is mounted, and the name of the volume with the models where they are in one."""
    volumes, named = [], None
    models, place = served.wishes.models, served.models_place
    if models is not None and place is not None:
        volumes.append(f"{models}:{place}:ro")
        named = None if models.startswith((".", "/", "~")) else models
    if served.wishes.settings_mounted:
        file = served.folder / "settings.json"
        volumes.append(f"{_shown(file)}:{served.place_in_image(file.absolute())}:ro")
    for _, path in served.tls_files():
        if not served.is_in_image(path):
            volumes.append(f"{path}:{path}:ro")
    if served.socket is not None and not _is_writable(served.socket):
        volumes.append(f"./run:{served.socket.parent}")
    return volumes, named


def _shown(file: Path) -> str:
    """Return a path as Compose reads it: with a slash, or it would be a volume's name."""
    return str(file) if file.is_absolute() else f"./{file}"


def _is_writable(path: PurePosixPath) -> bool:
    return path.is_relative_to(WRITABLE)
