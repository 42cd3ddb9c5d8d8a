"""buildah and podman, which need no daemon: a storage of their own, and limits that any machine grants."""

import resource
from pathlib import Path

from engining import base
from engining.machine import Trouble, call, install, say, state

STORAGE = """\
[storage]
driver = "overlay"
runroot = "{state}/containers-run"
graphroot = "{state}/containers"
"""
# Their own limits can not be granted where CAP_SYS_RESOURCE is missing; the host's network, so that no bridge is made.
CONTAINERS = """\
[containers]
netns = "host"
default_ulimits = ["nofile={files}:{files}", "nproc={processes}:{processes}"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


def variables() -> dict[str, str]:
    """What points both programs at the storage; nothing while there is none."""
    if not _file("containers").exists():
        return {}
    return {"CONTAINERS_STORAGE_CONF": str(_file("storage")), "CONTAINERS_CONF": str(_file("containers"))}


def podman(*arguments: str) -> str:
    """Call podman on our storage."""
    return call("podman", "podman", *arguments, env=variables())


def up() -> None:
    """Install both, with the base image under its names."""
    install("buildah", "podman")
    _file("storage").write_text(STORAGE.format(state=state()))
    limits = {"files": _limit(resource.RLIMIT_NOFILE), "processes": _limit(resource.RLIMIT_NPROC)}
    _file("containers").write_text(CONTAINERS.format(**limits))
    archive = base.archive()
    image = f"localhost/srv-engine:{archive.stem}"
    if not has(image):
        say("importing the base image for buildah and podman")
        podman("import", *(word for change in base.CHANGES for word in ("--change", change)), str(archive), image)
    for tag in base.TAGS:
        podman("tag", image, f"localhost/{tag}")  # which both programs look for before they ask any registry


def has(image: str) -> bool:
    """Whether the storage holds an image, by its name or its id."""
    try:
        podman("image", "exists", image)
    except Trouble:
        return False
    return True


def _file(name: str) -> Path:
    return state() / f"{name}.conf"


def _limit(which: int) -> int:
    hard = resource.getrlimit(which)[1]
    return 4096 if hard == resource.RLIM_INFINITY else min(4096, hard)
