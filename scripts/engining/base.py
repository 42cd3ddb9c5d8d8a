"""The base image's root file system: Debian with Python, and with the machine's own way to packages."""

import hashlib
import inspect
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from engining.machine import SUITE, Trouble, call, install, say, state

#: The names under which the one image stands in for official ones.
TAGS = ("python:3.11-slim-bookworm", "python:3.11-slim", "debian:bookworm-slim")
#: What the image says beside its files, for `docker import` and `podman import`.
CHANGES = (
    "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "ENV LANG=C.UTF-8",
    "ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
    'CMD ["python3"]',
)
# The official image has Python's headers too. It has no compiler: here there is one, so that it is fetched once and not
# for each builder that compiles something.
PACKAGES = ("ca-certificates", "gcc", "libc6-dev", "python3", "python3-dev", "python3-pip", "python3-venv")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
LEFT_OUT = ("man", "locale", "doc")


def cache() -> Path:
    """The folder that keeps the file between runs; $ENGINE_CACHE says another one."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("ENGINE_CACHE") or Path(home) / "srv-engine")


def archive() -> Path:
    """The root file system as a tar file, made anew where the machine's settings have changed since."""
    made = cache() / f"base-{_fingerprint()}.tar"
    if not made.exists():
        install("mmdebstrap", "ca-certificates")
        say("making the base image's files, about a minute")
        cache().mkdir(parents=True, exist_ok=True)
        for old in cache().glob("base-*"):
            old.unlink()
        with tempfile.TemporaryDirectory(dir=state()) as scratch:
            unfinished = made.with_suffix(".part.tar")
            _bootstrap(Path(scratch), unfinished)
            unfinished.rename(made)
    return made


def _bootstrap(scratch: Path, target: Path) -> None:
    pip, apt = scratch / "pip.conf", scratch / "apt.conf"
    pip.write_text(pip_settings())
    apt.write_text(_apt_settings())
    links = {"python": "python3", "python3": "python3", "pip": "pip3", "pip3": "pip3"}
    hooks = [
        'rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED',
        *(f'ln -sf /usr/bin/{there} "$1"/usr/local/bin/{name}' for name, there in links.items()),
        'cp /usr/local/share/ca-certificates/*.crt "$1"/usr/local/share/ca-certificates/ 2>/dev/null || true',
        'chroot "$1" update-ca-certificates >/dev/null 2>&1',
        f'install -m 644 {shlex.quote(str(pip))} "$1"/etc/pip.conf',
        'rm -rf "$1"/var/log/*.log "$1"/var/log/apt/* "$1"/etc/hostname "$1"/etc/resolv.conf',
    ]
    command = ["mmdebstrap", "--mode=root", "--variant=minbase", "--quiet", f"--include={','.join(PACKAGES)}"]
    command += [f"--aptopt={apt}", *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in LEFT_OUT)]
    command += ["--dpkgopt=path-include=/usr/share/doc/*/copyright", *(f"--customize-hook={hook}" for hook in hooks)]
    call("mmdebstrap", *command, SUITE, target, *_sources(), env={"TMPDIR": str(scratch)})


# -- what is read from the machine ------------------------------------------------------------------------------------


def _fingerprint() -> str:
    """Changes with everything that goes into the file."""
    parts = [inspect.getsource(sys.modules[__name__]), pip_settings(), _apt_settings()]
    parts += [path.read_text() for path in [*_sources(), CERTIFICATES] if path.exists()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _sources() -> list[Path]:
    """Debian's own lists of packages only: the image shall not rest on a third party's."""
    folder = Path("/etc/apt/sources.list.d")
    files = [Path("/etc/apt/sources.list"), *sorted(folder.glob("*.sources")), *sorted(folder.glob("*.list"))]
    ours = re.compile(rf"debian.*\b{SUITE}(-updates|-security)?\b", re.DOTALL)
    found = [path for path in files if path.is_file() and ours.search(path.read_text())]
    if not found:
        raise Trouble(f"No package source of Debian {SUITE} is set up on this machine.")
    return found


def _apt_settings() -> str:
    """The settings without which the machine's mirror would not answer: proxies, clocks, retries."""
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout
    wanted = re.compile(r"Acquire::(https?::Proxy|Check-Valid-Until|Check-Date|Retries) ")
    return "".join(f"{line}\n" for line in dump.splitlines() if wanted.match(line))


def pip_settings() -> str:
    """The settings of pip that mean something in another root file system: no local index, no file of this machine."""
    lines = ["[global]", "disable-pip-version-check = true"]
    if CERTIFICATES.exists():
        lines.append(f"cert = {CERTIFICATES}")
    listing = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    )
    for line in listing.stdout.splitlines():
        name, _, value = line.partition("=")
        option = name.rpartition(".")[2]
        words = [word for word in value.strip("'\"").replace("\\n", " ").split() if not word.startswith("file:")]
        if option in {"index-url", "extra-index-url", "trusted-host", "proxy", "retries"} and words:
            lines.append(f"{option} = {' '.join(words)}")
        elif option in {"timeout", "default-timeout"} and words:
            lines.append(f"timeout = {words[0]}")
    return "\n".join(dict.fromkeys(lines)) + "\n"
