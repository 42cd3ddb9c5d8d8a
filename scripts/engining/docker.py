"""dockerd with a socket, a configuration and a storage of its own, beside any other engine."""

import subprocess
import time

from engining import base, bridge
from engining.machine import Trouble, call, install, log, pid_of, running, say, start, state, stop

#: Debian's own client: it has BuildKit in it, while newer ones need a plugin for that.
CLIENT = "/usr/bin/docker"
#: Storage and network, the better ones first.
WAYS = (("overlay2", "bridge"), ("overlay2", "host"), ("vfs", "host"))


def host() -> str:
    """The value of DOCKER_HOST."""
    return f"unix://{state()}/run/docker.sock"


def docker(*arguments: str, env: dict[str, str] | None = None) -> str:
    """Call the client, whatever context or configuration the caller has."""
    own = {"DOCKER_HOST": host(), "DOCKER_CONFIG": f"{state()}/run/client"}
    return call("docker", CLIENT, *arguments, env={**own, **(env or {})})


def answers() -> bool:
    """Whether the daemon answers."""
    try:
        docker("version")
    except (Trouble, FileNotFoundError):
        return False
    return True


def variables() -> dict[str, str]:
    """What points clients at it, and the network that `docker run` needs; nothing while it is down."""
    if not answers():
        return {}
    network = (state() / "run" / "network").read_text()
    return {"DOCKER_HOST": host(), "ENGINE_NETWORK": network, "DOCKER_CLIENT": CLIENT}


def up() -> None:
    """Have the daemon answer, with the base image under its names."""
    install("docker.io", "iptables", "iproute2")
    if not (running("dockerd") and answers()):
        down()
        if not any(_begin(*way) for way in WAYS):
            raise Trouble(f"dockerd does not start; its words are in {log('dockerd')}.")
    archive = base.archive()
    image = f"srv-engine:{archive.stem}"
    if not docker("images", "-q", image):
        say("importing the base image")
        docker("import", *(word for change in base.CHANGES for word in ("--change", change)), str(archive), image)
    for tag in base.TAGS:
        docker("tag", image, tag)


def _begin(storage: str, network: str) -> bool:
    run = state() / "run"
    run.mkdir(parents=True, exist_ok=True)
    (run / "docker.json").write_text("{}")  # so that the machine's own configuration is not read
    options = ["--bridge", bridge.NAME]
    if network == "host":
        options = ["--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"]
    try:
        if network == "bridge":
            bridge.up()
    except Trouble as trouble:
        say(str(trouble))
        return False
    places = {"config-file": "docker.json", "exec-root": "exec", "pidfile": "docker.pid"}
    command = ["/usr/sbin/dockerd", "-H", host(), "--data-root", str(state() / "docker"), "--storage-driver", storage]
    command += [word for option, place in places.items() for word in (f"--{option}", str(run / place))]
    daemon = start("dockerd", [*command, *options])
    until = time.monotonic() + 40
    while daemon.poll() is None and time.monotonic() < until:
        if answers():
            (run / "network").write_text(network)
            say(f"dockerd is up ({storage}, {network} network)")
            return True
        time.sleep(0.1)
    say(f"dockerd did not start ({storage}, {network} network)")
    down()
    return False


def down() -> None:
    """End its containers and the daemon, and the containerd that a killed daemon leaves behind."""
    if running("dockerd") and answers() and (containers := docker("ps", "-q").split()):
        subprocess.run([CLIENT, "-H", host(), "kill", *containers], capture_output=True, check=False)
    run = state() / "run"
    stop(run / "dockerd.pid", "dockerd")
    if pid_of(run / "exec/containerd/containerd.pid", "containerd"):
        stop(run / "exec/containerd/containerd.pid", "containerd")
    for name in ("docker.pid", "docker.sock"):
        (run / name).unlink(missing_ok=True)
