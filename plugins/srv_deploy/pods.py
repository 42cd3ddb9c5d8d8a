"""The container of a pod, and what is mounted into it: the same for Kubernetes and for KServe."""

from __future__ import annotations

import hashlib
from typing import Any

from srv.settings.reading import FILE
from srv_deploy.served import WRITABLE, Served
from srv_deploy.yaml_text import Document, Note


def environment(served: Served) -> list[dict[Any, Any]]:
    """Return the variables of the container; secret ones name a key of a Secret, never a value."""
    made: list[dict[Any, Any]] = []
    for name, (value, reason) in served.added.items():
        made.append({Note(reason): None, "name": name, "value": value})
    for name, given in served.variables().items():
        if given is not None:
            if name not in served.added:
                made.append({"name": name, "value": given})
            continue
        # What settings.json in the image says holds on where the Secret has nothing.
        optional = {} if name in served.wishes.env else {"optional": True}
        reference = {"name": secret_name(served), "key": name, **optional}
        made.append({"name": name, "valueFrom": {"secretKeyRef": reference}})
    return made


def secret_note(served: Served) -> dict[Any, Any]:
    """Return how the Secret is made that the variables name, as a comment; nothing where there is none."""
    secret = [name for name, value in served.variables().items() if value is None]
    if not secret:
        return {}
    literals = " ".join(f"--from-literal={name}=…" for name in secret)
    return {Note(f"kubectl create secret generic {secret_name(served)} {literals}"): None}


def secret_name(served: Served) -> str:
    """Return the name of the Secret with the variables whose values nobody may see."""
    return served.wishes.secret or f"{served.wishes.name}-secrets"


def tls_secret_name(served: Served) -> str:
    """Return the name of the Secret with the certificate."""
    return served.wishes.tls or f"{served.wishes.name}-tls"


def settings_name(served: Served) -> str:
    """Return the name of the ConfigMap with settings.json."""
    return f"{served.wishes.name}-settings"


def settings_text(served: Served) -> str:
    """Return the folder's settings.json as it is."""
    return (served.folder / FILE).read_text(encoding="utf-8")


def settings_digest(served: Served) -> str:
    """Return a digest of settings.json, which changes the pods when the file has changed."""
    return hashlib.sha256(settings_text(served).encode()).hexdigest()


def security(served: Served, *, of_pod: bool) -> Document:
    """Return who the container runs as and what it may do; with `of_pod` without what the pod says."""
    rights = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    return rights if of_pod else {**identity(served), **rights}


def identity(served: Served) -> dict[Any, Any]:
    """Return the user and group, and the filter of system calls."""
    user, group = served.user
    return {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": group,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def low_ports(served: Served) -> dict[Any, Any]:
    """Return what a pod says so that its server may take a port that belongs to root elsewhere."""
    if not served.has_low_ports:
        return {}
    return {"securityContext": {"sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]}}


def resources(served: Served) -> dict[Any, Any]:
    """Return what the container is given, which is also what it may take at most; nothing where nothing was said."""
    wishes = served.wishes
    amounts: dict[Any, Any] = {"cpu": wishes.cpu, "memory": wishes.memory}
    amounts = {name: amount for name, amount in amounts.items() if amount is not None}
    gpus = {"nvidia.com/gpu": wishes.gpus} if wishes.gpus else {}
    if not amounts and not gpus:
        return {}
    asked = {"requests": amounts} if amounts else {}
    return {
        Note("srv shares out the processors and the memory that these limits allow, not the node's."): None,
        "resources": {**asked, "limits": {**amounts, **gpus}},
    }


def mounts(served: Served, *, models: bool) -> tuple[list[dict[Any, Any]], list[dict[Any, Any]]]:
    """Return the mounts of the container and the volumes of the pod; the models where they are a claim."""
    found: list[tuple[dict[Any, Any], dict[Any, Any]]] = [
        ({"name": "tmp", "mountPath": WRITABLE}, {"name": "tmp", "emptyDir": {}})
    ]
    wishes, place, socket = served.wishes, served.models_place, served.socket
    if models and wishes.models is not None and place is not None:
        claim = {"claimName": wishes.models, "readOnly": True}
        mount = {"name": "models", "mountPath": str(place), "readOnly": True}
        found.append((mount, {"name": "models", "persistentVolumeClaim": claim}))
    if wishes.shm is not None:
        memory = {"medium": "Memory", "sizeLimit": wishes.shm}
        found.append(({"name": "shm", "mountPath": "/dev/shm"}, {"name": "shm", "emptyDir": memory}))  # noqa: S108
    if socket is not None and not socket.is_relative_to(WRITABLE):
        found.append(({"name": "socket", "mountPath": str(socket.parent)}, {"name": "socket", "emptyDir": {}}))
    if wishes.settings_mounted:
        file = served.place_in_image((served.folder / FILE).absolute())
        mount = {"name": "settings", "mountPath": str(file), "subPath": FILE, "readOnly": True}
        found.append((mount, {"name": "settings", "configMap": {"name": settings_name(served)}}))
    files = [(key, path) for key, path in served.tls_files() if wishes.tls or not served.is_in_image(path)]
    volume = {"name": "tls", "secret": {"secretName": tls_secret_name(served)}}
    volumes = [volume for _, volume in found] + ([volume] if files else [])
    mounted = [mount for mount, _ in found] + [
        {"name": "tls", "mountPath": str(served.place_in_image(path)), "subPath": key, "readOnly": True}
        for key, path in files
    ]
    return mounted, volumes
