"""A session in a terminal: a server is started and asked, and a file of rows goes through it. Taken from a real one."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from html import escape, unescape
from pathlib import Path

from svg_pictures.source import TOP
from svg_pictures.svg import MONO_WIDTH, Picture

COLUMNS = 120
ROWS = 1_000_000
LINE = 17
#: Far beyond what a step takes on a slow machine.
PATIENCE = 120.0
PORT = 8080
START = "srv start scale"
ASK = f"""curl -s localhost:{PORT}/v2/models/scale/infer -d '{{
    "inputs": [{{"name": "x", "datatype": "FP32", "shape": [3], "data": [1, 2, 3]}}]}}'"""
COUNT = f"seq 0 {ROWS} | sed 1s/.*/x/ > rows.csv"
INFER = "srv infer scale -i rows.csv -o answers.csv --batch-size 4096"
_GOES_ON = "goes-on"
#: A figure of a session, which is another one each time: times, ids, rates and how far a bar is.
FIGURES = re.compile(r"\[[#.]+\]|[\d][\d.,:T+-]*")


def draw(lines: list[str]) -> str:
    """Draw the lines of a session; long ones go on below, as on a terminal."""
    title = "A session: srv start, a question by curl, and srv infer with its progress."
    picture = Picture(title, 24 + round(COLUMNS * MONO_WIDTH))
    y = 12
    for line in lines:
        style = "code faint" if line.startswith("#") else "code"
        bold = ' style="font-weight: 600"' if line.startswith("$ ") else ""
        for at in range(0, len(line) or 1, COLUMNS):
            y += LINE
            kind = f"{style} {_GOES_ON}" if at else style
            words = escape(line[at : at + COLUMNS], quote=False)
            picture.parts.append(f'<text class="{kind}" xml:space="preserve" x="12" y="{y}"{bold}>{words}</text>')
    picture.height = y
    return picture.text()


def lines_of(drawn: str) -> list[str]:
    """Return the lines that a picture of a session shows."""
    lines: list[str] = []
    for kind, words in re.findall(r'<text class="(code[^"]*)"[^>]*>(.*)</text>', drawn):
        if _GOES_ON in kind:
            lines[-1] += unescape(words)
        else:
            lines.append(unescape(words))
    return lines


def masked(lines: list[str]) -> list[str]:
    """Return lines without what is another figure in each session."""
    return [FIGURES.sub("0", line) for line in lines]


def taken() -> list[str]:
    """Start a server, ask it, send it a file, and return what a terminal shows while the last command is at work."""
    with tempfile.TemporaryDirectory(prefix="srv-session-") as folder:
        write_model(Path(folder) / "scale")
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        lines: list[str] = []
        with typed(START, folder, port) as server:
            started = server.lines_when(lambda screen: any("serving on" in line for line in screen))
            lines += [f"$ {START}", *started]
            lines += ["", "# in another terminal"]
            for command in (ASK, COUNT):
                with typed(command, folder, port) as terminal:
                    lines += [*f"$ {command}".splitlines(), *terminal.lines_at_the_end()]
            with typed(INFER, folder, port) as infer:
                lines += [f"$ {INFER}", *infer.lines_when(lambda screen: any(map(half_done, screen)))]
        # A slow start is told with a line of its own.
        lines = [line for line in lines if not line.endswith("starting …")]
        return [line.replace(f":{port}", f":{PORT}").replace(f"{folder}/", "") for line in lines]


def half_done(line: str) -> bool:
    """Whether a line is a bar that is between its middle and its end."""
    found = re.match(r"\[[#.]+\] +(\d+)%", line)
    return found is not None and 50 <= int(found[1]) < 100


def write_model(folder: Path) -> None:
    """Write the model that the README begins with."""
    readme = (TOP / "README.md").read_text(encoding="utf-8")
    folder.mkdir()
    for name in ("models.py", "model-settings.json"):
        found = re.search(rf"^```\w+ scale/{re.escape(name)}\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
        assert found is not None
        (folder / name).write_text(found[1], encoding="utf-8")


class Terminal:
    """What a command prints on a terminal of its own. A thread reads it, because a full terminal would stop the command."""

    def __init__(self, master: int) -> None:
        self._master = master
        self._said = b""
        self._ended = False
        self._more = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def lines_when(self, seen: Callable[[list[str]], bool]) -> list[str]:
        """Return the lines that are shown once they are what one waits for."""
        screen: list[str] = []

        def come() -> bool:
            screen[:] = shown(self._said.decode(errors="replace"))
            return bool(screen) and seen(screen)

        with self._more:
            if not self._more.wait_for(lambda: come() or self._ended, PATIENCE) or not come():
                raise AssertionError("The session did not go as it should. It ends: " + "\n".join(screen[-5:]))
        return screen

    def lines_at_the_end(self) -> list[str]:
        """Return the lines that are shown once the command has ended."""
        with self._more:
            self._more.wait_for(lambda: self._ended, PATIENCE)
        return shown(self._said.decode())

    def _read(self) -> None:
        while True:
            try:
                more = os.read(self._master, 65536)
            except OSError:  # the command has ended, and with it its side of the terminal
                more = b""
            with self._more:
                self._said += more
                self._ended = not more
                self._more.notify_all()
            if not more:
                return


def shown(said: str) -> list[str]:
    """Return the lines that a terminal shows of what was printed; a return of the carriage lets a line be written over."""
    lines = []
    for line in said.replace("\r\n", "\n").split("\n"):
        cells = ""
        for part in line.split("\r"):
            cells = part + cells[len(part) :]
        lines.append(cells.rstrip())
    while lines and not lines[-1]:
        lines.pop()
    return lines


@contextmanager
def typed(command: str, folder: str, port: int) -> Iterator[Terminal]:
    """Run a command in a terminal, and end it at the end of the block."""
    master, slave = pty.openpty()
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SRV_")}
    environ |= {
        "SRV_HTTP_PORT": str(port),
        "SRV_GRPC_PORT": "null",
        "PATH": f"{Path(sys.executable).parent}:{environ['PATH']}",
        "TERM": "xterm",
    }
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    process = subprocess.Popen(
        ["bash", "-c", command.replace(f":{PORT}", f":{port}")],
        cwd=folder,
        env=environ,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    try:
        yield Terminal(master)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(PATIENCE)
