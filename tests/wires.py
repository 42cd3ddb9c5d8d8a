r"""Conversations on the wire as text files: what a client sends, byte for byte, and what it must hear.

    == a name of the case
    > GET /hello HTTP/1.1      a line, sent with CRLF after it; escapes as in Python, {a*9000} stands for 9000 times a
    >> raw bytes               sent without anything after them
    !bytewise                  what follows is sent a byte at a time
    !pause                     what follows comes a little later; the outcome does not depend on it
    !half                      the client says that it will send no more
    !leave                     the client closes, and the case is over
    < 200 "hello"              an answer: its status, then the code of its error or its body, if it matters
    < 200 head                 an answer that must have no body, though its length says otherwise
    < open                     the connection is still good for another request
    < closed                   it is not: not a byte more comes

What is sent and what is heard may alternate. A case that ends in neither open nor closed does not care.
"""

from __future__ import annotations

import ast
import re
import time
from dataclasses import dataclass
from pathlib import Path

from workers import Talk, Worker

REPEATED = re.compile(rb"\{([^{}]+?)\*(\d+)\}")


@dataclass(frozen=True)
class Case:
    """One conversation."""

    name: str
    lines: tuple[str, ...]

    @property
    def refused(self) -> bool:
        return any(re.match(r"< [45]", line) for line in self.lines)


def cases(file: Path) -> list[Case]:
    """The conversations of a file."""
    blocks = re.split(r"^== ", file.read_text(), flags=re.MULTILINE)[1:]
    found = []
    for block in blocks:
        name, _, rest = block.partition("\n")
        lines = tuple(line for line in rest.split("\n") if line[:1] in (">", "<", "!"))
        found.append(Case(f"{file.stem}: {name}", lines))
    return found


def raw(text: str) -> bytes:
    """The bytes that a line of a file stands for."""
    quoted = text.replace('"', '\\"')
    data: bytes = ast.literal_eval(f'b"{quoted}"')
    while (longer := REPEATED.sub(lambda found: found[1] * int(found[2]), data)) != data:
        data = longer
    return data


def converse(case: Case, server: Worker) -> None:
    """Have the conversation; what is heard must be what the file says."""
    with Talk(server) as talk:
        pending, step = b"", 0
        for line in case.lines:
            if line.startswith(">>"):
                pending += raw(line[3:])
            elif line.startswith(">"):
                pending += raw(line[2:]) + b"\r\n"
            else:
                say(talk, pending, step)
                pending = b""
                if line == "!bytewise":
                    step = 1
                elif line == "!pause":
                    time.sleep(0.003)
                elif line == "!half":
                    talk.socket.shutdown(1)
                elif line == "!leave":
                    return
                else:
                    hear(talk, line[2:])
        assert not pending, "a case ends in what is heard"


def say(talk: Talk, data: bytes, step: int) -> None:
    for start in range(0, len(data), step or len(data) or 1):
        talk.send(data[start : start + (step or len(data))])


def hear(talk: Talk, expected: str) -> None:
    if expected == "closed":
        assert talk.ended()
        return
    if expected == "open":
        probe = talk.ask("/tell?keys=HTTP_X_PROBE", "X-Probe: still there")
        assert (probe.status, probe.body) == (200, b'{"HTTP_X_PROBE": "still there"}')
        return
    status, _, more = expected.partition(" ")
    answer = talk.answer(bodiless=more == "head")
    assert answer.status == int(status), answer
    if more.startswith('"'):
        assert answer.body == raw(more[1:-1]), answer
    elif more and more != "head":
        assert answer.code == more, answer
        assert answer.headers["x-request-id"]
