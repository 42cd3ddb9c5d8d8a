"""buildx, the docker client's plugin for BuildKit, of the next Debian: this one has none, and that one runs here."""

import shutil
from pathlib import Path

from engining import docker
from engining.machine import SUITE, Trouble, call, say, state

NEXT = "trixie"
PACKAGE = "docker-buildx"
KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
PLUGIN = "usr/libexec/docker/cli-plugins/docker-buildx"


def configuration() -> Path:
    """The folder of the client's configuration, which has the plugin in it."""
    return state() / "client"


def variables() -> dict[str, str]:
    """What has clients find it; nothing while it is not there."""
    return {"DOCKER_CONFIG": str(configuration())} if _plugin().exists() and docker.answers() else {}


def up() -> None:
    """Have the client find the plugin. The machine's own lists of packages stay as they are."""
    if _plugin().exists():
        return
    say(f"fetching {PACKAGE} of Debian {NEXT}")
    place = state() / "buildx"
    for folder in ("lists/partial", "cache/archives/partial", "root"):
        (place / folder).mkdir(parents=True, exist_ok=True)
    (place / "sources.list").write_text(_source())
    (place / "apt.conf").write_text(
        f'Dir::Etc::SourceList "{place}/sources.list";\nDir::Etc::SourceParts "/dev/null";\n'
        f'Dir::State::Lists "{place}/lists";\nDir::Cache "{place}/cache";\n'
        'Acquire::Languages "none";\nAPT::Sandbox::User "root";\n'
    )
    own = {"APT_CONFIG": str(place / "apt.conf")}
    call("apt-get", "apt-get", "update", "-q", "-o", "Acquire::Retries=3", env=own)
    call("apt-get", "apt-get", "install", "-y", "-q", "--download-only", "--no-install-recommends", PACKAGE, env=own)
    [package] = (place / "cache/archives").glob(f"{PACKAGE}_*.deb")
    call("dpkg", "dpkg", "-x", package, place / "root")
    _plugin().parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(place / "root" / PLUGIN, _plugin())
    (configuration() / "config.json").write_text("{}")  # Buildah and Podman look for logins there, and want the file
    shutil.rmtree(place)


def _plugin() -> Path:
    return configuration() / "cli-plugins" / "docker-buildx"


def _source() -> str:
    """The line of the machine's own mirror, for the next Debian."""
    told = call("apt-get", "apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)")
    signed = f"[signed-by={KEYS}] " if Path(KEYS).exists() else ""
    for line in told.splitlines():
        place, _, codename = line.partition(" ")
        if codename == SUITE:
            return f"deb {signed}{place} {NEXT} main\n"
    raise Trouble(f"The machine's package sources name no mirror of Debian {SUITE}.")
