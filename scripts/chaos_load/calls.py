"""Clients over gRPC: calls on open channels, with deadlines of their own, streams, and those that leave."""

from __future__ import annotations

import random
import struct
import time
from collections.abc import Sequence
from typing import Any

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from chaos_load.folder import MODELS
from chaos_load.models import ITEMS
from chaos_load.records import Outcome, Records
from chaos_load.rest import EARLY, HUNG, row_of
from chaos_load.server import Server

Code = grpc.StatusCode
#: What the server says of itself; other reasons are grpc's own, for a connection that is gone.
ALLOWED = {"UNAVAILABLE": Code.UNAVAILABLE, "QUEUE_FULL": Code.RESOURCE_EXHAUSTED, "DEADLINE": Code.DEADLINE_EXCEEDED}
OPTIONS = (
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
)
#: How long a channel may go on refusing calls after its connection broke.
BACKOFF = 0.5
#: A client's own deadline, near how long the model takes.
OWN_DEADLINE = 0.05


def message_of(model: str, row: Sequence[float]) -> Any:
    """Return the request, with raw contents."""
    request = service_pb2.ModelInferRequest(model_name=model)
    request.inputs.add(name="x", datatype="FP64", shape=[1, len(row)])
    request.raw_input_contents.append(struct.pack(f"<{len(row)}d", *row))
    return request


def values_of(response: Any) -> tuple[list[float], int]:
    """Return the numbers and the worker of an answer."""
    raw = {output.name: data for output, data in zip(response.outputs, response.raw_output_contents, strict=True)}
    return list(struct.unpack(f"<{len(raw['y']) // 8}d", raw["y"])), struct.unpack("<q", raw["pid"])[0]


def judged(error: Any, deadline: float | None, took: float) -> tuple[Outcome, str]:
    """Tell what a call's error means: a refusal that the load explains, a lost call, a call that hung."""
    code: grpc.StatusCode = error.code()
    said = str(error.details())[:160]
    stated = dict(error.trailing_metadata() or ()).get("srv-code")
    if code is Code.DEADLINE_EXCEEDED:
        if deadline is None:
            return Outcome.HUNG, f"{code.name}: {said}"
        if took < EARLY * deadline:
            return Outcome.WRONG, f"{code.name} after {took:.3f} s of {deadline:g}: {said}"
        return Outcome.REFUSED, code.name
    if stated is not None and ALLOWED.get(stated) is code:
        return Outcome.REFUSED, f"{code.name} {stated}"
    if code is Code.UNAVAILABLE and deadline is not None and took >= EARLY * deadline:
        return Outcome.REFUSED, "UNAVAILABLE at the deadline"  # the server saw it pass first, and closed as it stopped
    if code in (Code.UNAVAILABLE, Code.CANCELLED):
        return Outcome.LOST, f"{code.name} after {took:.3f} s: {said}"
    return Outcome.WRONG, f"{code.name}: {said}"


class Caller:
    """Calls one model after the other's answer, on a channel that stays open."""

    def __init__(self, server: Server, records: Records, model: str, *, deadline: float | None = None) -> None:
        self.name = f"grpc {model}" + (" deadline" if deadline else "")
        self._records, self._model, self._deadline = records, MODELS[model], deadline
        self._channel = grpc.insecure_channel(server.grpc_address, options=OPTIONS)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    def once(self) -> None:
        """Call once and record the outcome."""
        number = self._records.number()
        row = row_of(self._model, number)
        began = time.monotonic()
        try:
            response = self._stub.ModelInfer(message_of(self._model.name, row), timeout=self._deadline or HUNG)
        except grpc.RpcError as error:
            took = time.monotonic() - began
            outcome, detail = judged(error, self._deadline or self._model.deadline, took)
        else:
            took = time.monotonic() - began
            expected = [self._model.expected(value) for value in row]
            values, _ = values_of(response)
            right = values == expected
            outcome, detail = (Outcome.RIGHT, "") if right else (Outcome.WRONG, f"expected {expected}, got {values}")
        self._records.add(self.name, number, outcome, detail, alive=began - BACKOFF, took=took)
        if outcome is Outcome.LOST:
            time.sleep(0.05)  # the channel connects again

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()


class StreamCaller(Caller):
    """Asks for one stream after the other."""

    def __init__(self, server: Server, records: Records, model: str) -> None:
        super().__init__(server, records, model)
        self.name = f"grpc stream {model}"

    def once(self) -> None:
        """Take one stream to its end."""
        number = self._records.number()
        row = row_of(self._model, number)
        began = time.monotonic()
        place, outcome, detail = 0, Outcome.RIGHT, ""
        try:
            for response in self._stub.ModelStreamInfer(iter([message_of(self._model.name, row)]), timeout=HUNG):
                if response.error_message:
                    outcome, detail = told(response.error_message)
                    break
                if values_of(response.infer_response)[0] != [value + place for value in row]:
                    outcome, detail = Outcome.WRONG, f"response {place}"
                    break
                place += 1
            else:
                if place != ITEMS:
                    outcome, detail = Outcome.WRONG, f"ended well after {place} of {ITEMS} responses"
        except grpc.RpcError as error:
            outcome, detail = judged(error, None, time.monotonic() - began)
            detail += f" after {place} responses"
        self._records.add(self.name, number, outcome, detail, alive=began - BACKOFF, took=time.monotonic() - began)


def told(sentence: str) -> tuple[Outcome, str]:
    """Judge an error that came on a stream, which has a sentence and no code."""
    if "streams" in sentence or "stopping" in sentence or "is not ready" in sentence or "loading" in sentence:
        return Outcome.REFUSED, f"on the stream: {sentence[:60]}"
    return Outcome.WRONG, f"on the stream: {sentence[:160]}"


class CallLeaver(Caller):
    """Cancels calls and streams at any moment."""

    def __init__(self, server: Server, records: Records) -> None:
        super().__init__(server, records, "double")
        self.name = "grpc leaving"

    def once(self) -> None:
        """Begin a call or a stream, and cancel it."""
        number = self._records.number()
        if random.random() < 0.7:
            model = MODELS[random.choice(("double", "batched", "slow", "slow_async", "slow_batched", "patient"))]
            call = self._stub.ModelInfer.future(message_of(model.name, row_of(model, number)), timeout=HUNG)
        else:
            model = MODELS[random.choice(("count", "count_async"))]
            call = self._stub.ModelStreamInfer(iter([message_of(model.name, row_of(model, number))]), timeout=HUNG)
        time.sleep(random.uniform(0, 0.06))
        call.cancel()
        self._records.add(self.name, number, Outcome.LEFT)
