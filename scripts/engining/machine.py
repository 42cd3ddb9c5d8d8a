"""The machine: where state is kept, what is installed, which daemons of ours run."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

SUITE = "bookworm"


class Trouble(Exception):
    """Something that the person at the machine must see to."""


def say(text: str) -> None:
    """Tell on stderr what happens; stdout is for variables."""
    print(f"engine: {text}", file=sys.stderr, flush=True)


def state() -> Path:
    """The folder of everything that runs and of all images; $ENGINE_DIR says another one."""
    return Path(os.environ.get("ENGINE_DIR", "/var/lib/srv-engine"))


def log(name: str) -> Path:
    """The file that a program's words go to."""
    return state() / f"{name}.log"


def check() -> None:
    """Refuse a machine on which this can not work, before anything is changed."""
    release = Path("/etc/os-release").read_text() if Path("/etc/os-release").exists() else ""
    if f"VERSION_CODENAME={SUITE}" not in release:
        raise Trouble(f"This works on Debian {SUITE} only. Start an engine of your own and export its DOCKER_HOST.")
    if os.geteuid() != 0:
        raise Trouble("This needs root: it installs packages and starts a daemon.")
    if " /sys/fs/cgroup" not in Path("/proc/mounts").read_text():
        raise Trouble("No cgroup file system is mounted on /sys/fs/cgroup, and no engine runs without.")


@contextmanager
def alone() -> Iterator[None]:
    """One at a time; the next one waits."""
    state().mkdir(parents=True, exist_ok=True)
    with state().with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def call(name: str, *command: str | Path, env: dict[str, str] | None = None) -> str:
    """What a program prints. Where it fails, its last words are the trouble; all of them are in its log."""
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **(env or {})}, check=False)
    if done.returncode:
        with log(name).open("a") as file:
            file.write(done.stdout + done.stderr)
        last = "\n  ".join((done.stderr or done.stdout).strip().splitlines()[-5:])
        raise Trouble(f"{name} failed ({' '.join(map(str, command[:3]))} …):\n  {last}")
    return done.stdout


# -- packages ---------------------------------------------------------------------------------------------------------


def install(*packages: str) -> None:
    """Install those of the Debian packages that are missing. None of their services is started: we start our own."""
    asked = ["dpkg-query", "-W", "-f=${Package} ${db:Status-Status}\n", *packages]
    known = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.splitlines()
    missing = [name for name in packages if f"{name} installed" not in known]
    if not missing:
        return
    say(f"installing {', '.join(missing)}")
    command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300"]
    command += ["-o", "Dpkg::Options::=--force-confold", "-o", "Acquire::Retries=3", *missing]
    with _services_held():
        try:
            call("apt-get", *command, env={"DEBIAN_FRONTEND": "noninteractive"})
        except Trouble:  # as a rule because the lists of packages are old, or were never fetched
            call("apt-get", "apt-get", "update", "-q")
            call("apt-get", *command, env={"DEBIAN_FRONTEND": "noninteractive"})


@contextmanager
def _services_held() -> Iterator[None]:
    policy = Path("/usr/sbin/policy-rc.d")
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()


# -- daemons ----------------------------------------------------------------------------------------------------------


def start(name: str, command: Sequence[str | Path]) -> subprocess.Popen[bytes]:
    """Start a daemon in a session of its own, with its pid in a file; it outlives this program."""
    run = state() / "run"
    run.mkdir(parents=True, exist_ok=True)
    with log(name).open("wb") as output:
        daemon = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, cwd="/"
        )
    (run / f"{name}.pid").write_text(str(daemon.pid))
    return daemon


def pid_of(file: Path, name: str) -> int | None:
    """The pid in the file while that process runs and is the named program."""
    with suppress(OSError, ValueError):
        pid = int(file.read_text())
        status = Path(f"/proc/{pid}/stat").read_text()
        if f"({name[:15]})" in status and ") Z " not in status:
            return pid
    return None


def running(name: str) -> bool:
    """Whether the daemon that `start` left behind still runs."""
    return pid_of(state() / "run" / f"{name}.pid", name) is not None


def stop(file: Path, name: str, *, seconds: float = 20) -> None:
    """End the process of a pid file in peace, then by force."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if (pid := pid_of(file, name)) is None:
            break
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        until = time.monotonic() + seconds
        while pid_of(file, name) is not None and time.monotonic() < until:
            time.sleep(0.05)
    file.unlink(missing_ok=True)


def unmount_leftovers() -> None:
    """Unmount what a killed daemon left mounted below our folder, the deepest first, and forget its sockets."""
    mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for place in sorted((place for place in mounted if place.startswith(f"{state()}/")), reverse=True):
        subprocess.run(["umount", "-l", place], capture_output=True, check=False)
    delete(state() / "run")


def delete(folder: Path) -> None:
    """Delete a folder of ours with everything in it."""
    shutil.rmtree(folder, ignore_errors=True)
