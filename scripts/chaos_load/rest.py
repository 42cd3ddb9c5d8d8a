"""Clients over HTTP: on open connections, on new ones, pipelined, with streams, and those that leave."""

from __future__ import annotations

import http.client
import json
import random
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from http import HTTPStatus
from typing import Any

from chaos_load.folder import MODELS, NAPS, Model
from chaos_load.models import ITEMS
from chaos_load.records import Outcome, Records
from chaos_load.server import JSON, Server

#: Whoever waits so long is not answered any more; every model here takes a fraction of a second.
HUNG = 20.0
STREAM_HUNG = 20.0
ALLOWED = {"UNAVAILABLE": HTTPStatus.SERVICE_UNAVAILABLE, "QUEUE_FULL": HTTPStatus.TOO_MANY_REQUESTS}
#: A deadline that passes is told no earlier than this share of it after the request was sent.
EARLY = 0.9


def row_of(model: Model, number: int) -> list[float]:
    """Return an input that no other request has: its number, how long the model is to take, and a random number."""
    nap = 1000 * random.uniform(*NAPS) if model.naps else float(random.randrange(1000))
    return [float(number), nap, float(random.randrange(1 << 40))]


def body_of(row: Sequence[float]) -> bytes:
    """Return the request in JSON."""
    return json.dumps({"inputs": [{"name": "x", "datatype": "FP64", "shape": [1, len(row)], "data": [row]}]}).encode()


def fault_of(document: Any, model: Model, row: Sequence[float], added: float = 0.0) -> str:
    """Return what is wrong with an answer; empty if it is right."""
    outputs = {output["name"]: output["data"] for output in document["outputs"]}
    expected = [model.expected(value) + added for value in row]
    return "" if outputs["y"] == expected else f"expected {expected}, got {outputs['y']}"


def pid_of(document: Any) -> int:
    """Return the worker that answered."""
    return int(next(output["data"][0] for output in document["outputs"] if output["name"] == "pid"))


class OpenConnection:
    """Asks one model after the other's answer, on a connection that stays open as long as the server keeps it."""

    def __init__(self, server: Server, records: Records, model: str, *, close: bool = False) -> None:
        self.name = f"rest {model}" + (" close" if close else "")
        self._server, self._records, self._model = server, records, MODELS[model]
        self._headers = {**JSON, "Connection": "close"} if close else JSON
        self._close = close
        self._connection = server.connect(HUNG)
        self._worker: int | None = None
        self._alive = time.monotonic()

    def once(self) -> None:
        """Ask once and record the outcome."""
        number = self._records.number()
        row = row_of(self._model, number)
        began = time.monotonic()
        if self._connection.sock is None:
            self._alive, self._worker = began, None
        outcome, detail = self._ask(row, began)
        took = time.monotonic() - began
        self._records.add(self.name, number, outcome, detail, alive=self._alive, took=took, worker=self._worker)
        self._alive = began  # when the answer was read says nothing: it may have come from a worker killed since
        if self._close or outcome in (Outcome.LOST, Outcome.HUNG):
            self.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _ask(self, row: list[float], began: float) -> tuple[Outcome, str]:
        try:
            self._connection.request("POST", f"/v2/models/{self._model.name}/infer", body_of(row), self._headers)
            answer = self._connection.getresponse()
            status, body = answer.status, answer.read()
        except TimeoutError:
            return Outcome.HUNG, f"no answer for {HUNG:g} s"
        except (OSError, http.client.HTTPException) as error:
            return Outcome.LOST, f"{type(error).__name__}: {error}"
        if status != HTTPStatus.OK:
            return refused(status, body, self._model, time.monotonic() - began)
        return self._checked(json.loads(body), row)

    def _checked(self, document: Any, row: list[float]) -> tuple[Outcome, str]:
        self._worker = pid_of(document)
        fault = fault_of(document, self._model, row)
        return (Outcome.WRONG, fault) if fault else (Outcome.RIGHT, "")


class EditedConnection(OpenConnection):
    """Asks the model that is loaded again all the time.

    An answer has the edition of the last load that was answered before the request, or of a later one.
    """

    def __init__(self, server: Server, records: Records, editions: Editions) -> None:
        super().__init__(server, records, "edited")
        self._editions = editions
        self._oldest = 0

    def once(self) -> None:
        """Ask once, noting before which edition is the oldest that may answer."""
        self._oldest = self._editions.loaded
        super().once()

    def _checked(self, document: Any, row: list[float]) -> tuple[Outcome, str]:
        self._worker = pid_of(document)
        values = next(output["data"] for output in document["outputs"] if output["name"] == "y")
        edition = values[0] - row[0]
        if not self._oldest <= edition <= self._editions.written:
            return Outcome.WRONG, f"edition {edition:g}, where {self._oldest} was loaded by all"
        fault = fault_of(document, self._model, row, edition)
        return (Outcome.WRONG, fault) if fault else (Outcome.RIGHT, "")


class Editions:
    """Which edition of the edited model is on disk, and which all workers have said that they serve."""

    def __init__(self) -> None:
        self.written = 0
        self.loaded = 0


def refused(status: int, body: bytes, model: Model, took: float) -> tuple[Outcome, str]:
    """Tell a refusal that the load explains from one that nothing explains."""
    try:
        code = json.loads(body)["code"]
    except (ValueError, KeyError, TypeError):
        return Outcome.WRONG, f"{status} without a code: {body[:80]!r}"
    if ALLOWED.get(code) == status:
        return Outcome.REFUSED, f"{status} {code}"
    if code == "DEADLINE" and status == HTTPStatus.GATEWAY_TIMEOUT and model.deadline:
        if took < EARLY * model.deadline:
            return Outcome.WRONG, f"504 after {took:.3f} s of {model.deadline:g}"
        return Outcome.REFUSED, f"{status} {code}"
    return Outcome.WRONG, f"{status} {body[:160].decode(errors='replace')}"


class Streamer:
    """Asks for a stream of events over a new connection and checks each."""

    def __init__(self, server: Server, records: Records, model: str) -> None:
        self.name = f"rest stream {model}"
        self._server, self._records, self._model = server, records, MODELS[model]

    def once(self) -> None:
        """Take one stream to its end."""
        number = self._records.number()
        began = time.monotonic()
        worker: list[int] = []
        outcome, detail = self._take(row_of(self._model, number), worker)
        took = time.monotonic() - began
        pid = worker[0] if worker else None
        self._records.add(self.name, number, outcome, detail, alive=began, took=took, worker=pid)

    def close(self) -> None:
        """Hold nothing between streams."""

    def _take(self, row: list[float], worker: list[int]) -> tuple[Outcome, str]:
        place = 0
        with closing(self._server.connect(STREAM_HUNG)) as connection:
            try:
                connection.request("POST", f"/v2/models/{self._model.name}/infer_stream", body_of(row), JSON)
                answer = connection.getresponse()
                if answer.status != HTTPStatus.OK:
                    return refused(answer.status, answer.read(), self._model, 0.0)
                for document in events(answer):
                    if "error" in document:
                        return event_refused(document)
                    worker[:] = [pid_of(document)]
                    if fault := fault_of(document, self._model, row, place):
                        return Outcome.WRONG, f"response {place}: {fault}"
                    place += 1
            except TimeoutError:
                return Outcome.HUNG, f"nothing for {STREAM_HUNG:g} s after {place} responses"
            except (OSError, http.client.HTTPException) as error:
                return Outcome.LOST, f"{type(error).__name__} after {place} responses: {error}"
        if place != ITEMS:
            return Outcome.WRONG, f"ended well after {place} of {ITEMS} responses"
        return Outcome.RIGHT, ""


def events(answer: http.client.HTTPResponse) -> Iterator[Any]:
    """Read each event as it comes. Raises IncompleteRead where the stream breaks off, which `readline` would pass over."""
    rest = b""
    while piece := answer.read1():
        *whole, rest = (rest + piece).split(b"\n\n")
        yield from (json.loads(event.removeprefix(b"data: ")) for event in whole)


def event_refused(document: Any) -> tuple[Outcome, str]:
    """Judge an error that came as an event."""
    if document.get("code") in ALLOWED:
        return Outcome.REFUSED, f"event {document['code']}"
    return Outcome.WRONG, f"event {document}"


class Pipeliner:
    """Sends several requests at once on a new connection and takes the answers in their order."""

    COUNT = 4

    def __init__(self, server: Server, records: Records) -> None:
        self.name = "rest pipelined"
        self._server, self._records = server, records

    def once(self) -> None:
        """Send the requests, take the answers."""
        numbers = [self._records.number() for _ in range(self.COUNT)]
        models = [MODELS[random.choice(("double", "batched", "patient"))] for _ in numbers]
        rows = [row_of(model, number) for model, number in zip(models, numbers, strict=True)]
        began = time.monotonic()
        worker: int | None = None
        with closing(socket.create_connection(address_of(self._server), HUNG)) as sock, sock.makefile("rb") as file:
            broken: tuple[Outcome, str] | None = None
            closes = False
            try:
                sock.sendall(b"".join(head_and_body(model, row) for model, row in zip(models, rows, strict=True)))
            except OSError as error:
                broken = Outcome.LOST, f"{type(error).__name__}: {error}"
            for number, model, row in zip(numbers, models, rows, strict=True):
                outcome, detail = broken or (Outcome.RIGHT, "")
                behind_close = closes
                if not broken:
                    try:
                        status, body, closes = read_answer(file)
                        if status == HTTPStatus.OK:
                            document = json.loads(body)
                            worker = pid_of(document)
                            detail = fault_of(document, model, row)
                            outcome = Outcome.WRONG if detail else Outcome.RIGHT
                        else:
                            outcome, detail = refused(status, body, model, time.monotonic() - began)
                    except TimeoutError:
                        outcome, detail = broken = Outcome.HUNG, f"no answer for {HUNG:g} s"
                    except (OSError, ValueError) as error:
                        outcome, detail = broken = Outcome.LOST, f"{type(error).__name__}: {error}"
                took = time.monotonic() - began
                self._records.add(
                    self.name,
                    number,
                    outcome,
                    detail,
                    alive=began,
                    took=took,
                    worker=worker,
                    behind_close=behind_close,
                )

    def close(self) -> None:
        """Hold nothing between requests."""


class Leaver:
    """Leaves in every way: in the head, in the body, before the answer, in the middle of it or of a stream."""

    def __init__(self, server: Server, records: Records) -> None:
        self.name = "rest leaving"
        self._server, self._records = server, records

    def once(self) -> None:
        """Send something, and go away."""
        number = self._records.number()
        model = MODELS[random.choice(("double", "batched", "slow", "slow_async", "slow_batched", "patient"))]
        row = row_of(model, number)
        whole = head_and_body(model, row)
        large = head_and_body(MODELS["double"], [*row, *range(20_000)])
        way = random.randrange(7)
        with suppress(OSError), closing(socket.create_connection(address_of(self._server), HUNG)) as sock:
            match way:
                case 0:
                    sock.sendall(whole[: random.randrange(1, whole.index(b"\r\n\r\n"))])
                case 1:
                    sock.sendall(large[: random.randrange(len(large) // 2, len(large))])
                case 2:
                    sock.sendall(whole)
                    time.sleep(random.uniform(0, 0.06))
                case 3:
                    sock.sendall(whole)
                case 4:
                    sock.sendall(whole)
                    sock.shutdown(socket.SHUT_WR)
                    time.sleep(random.uniform(0, 0.02))
                case 5:
                    sock.sendall(large)
                    sock.recv(1)
                case _:
                    name = random.choice(("count", "count_async"))
                    sock.sendall(head_and_body(MODELS[name], row, "infer_stream"))
                    sock.recv(random.choice((1, 1000)))
            if random.random() < 0.5:  # a reset in place of a goodbye
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._records.add(self.name, number, Outcome.LEFT)

    def close(self) -> None:
        """Hold nothing between requests."""


class Prober:
    """Asks for liveness on new connections."""

    def __init__(self, server: Server, records: Records) -> None:
        self.name = "rest live"
        self._server, self._records = server, records

    def once(self) -> None:
        """Ask once, and wait for a little."""
        number, began = self._records.number(), time.monotonic()
        outcome, detail = Outcome.RIGHT, ""
        with closing(self._server.connect(HUNG)) as connection:
            try:
                connection.request("GET", "/v2/health/live")
                answer = connection.getresponse()
                answer.read()
                if answer.status != HTTPStatus.OK:
                    outcome, detail = Outcome.WRONG, f"live is {answer.status}"
            except TimeoutError:
                outcome, detail = Outcome.HUNG, f"no answer for {HUNG:g} s"
            except (OSError, http.client.HTTPException) as error:
                outcome, detail = Outcome.LOST, f"{type(error).__name__}: {error}"
        self._records.add(self.name, number, outcome, detail, alive=began, took=time.monotonic() - began)
        time.sleep(0.05)

    def close(self) -> None:
        """Hold nothing between requests."""


def address_of(server: Server) -> tuple[str, int]:
    """Return where the server listens, as sockets have it."""
    host, _, port = server.http_address.rpartition(":")
    return host, int(port)


def head_and_body(model: Model, row: Sequence[float], operation: str = "infer") -> bytes:
    """Return a request as it goes over the wire."""
    body = body_of(row)
    head = f"POST /v2/models/{model.name}/{operation} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def read_answer(file: Any) -> tuple[int, bytes, bool]:
    """Read one answer with a length: its status, its body, and whether the server closes behind it.

    Raises ValueError where the server closed before its end.
    """
    first = file.readline()
    if not first:
        raise ValueError("closed without a byte")
    size, closes = 0, False
    while (line := file.readline()) not in (b"\r\n", b""):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            size = int(value)
        elif name.lower() == b"connection":
            closes = value.strip().lower() == b"close"
    body = file.read(size)
    if len(body) < size:
        raise ValueError("closed within an answer")
    return int(first.split()[1]), body, closes
