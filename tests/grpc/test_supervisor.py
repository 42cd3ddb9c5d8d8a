"""A face that stops: who waits for an answer gets it, and who is let down hears UNAVAILABLE, never CANCELLED."""

import threading
import time

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2

from srv.grpc import grpcio_internals, supervisor
from srv.grpc.errors import STOPPED

INFER = "/inference.GRPCInferenceService/ModelInfer"
STREAM = "/inference.GRPCInferenceService/ModelStreamInfer"
Code = grpc.StatusCode
PATIENCE = 30


def asked(model, **fields):
    return service_pb2.ModelInferRequest(model_name=model, **fields).SerializeToString()


def hang(face, call, count, until):
    """Start so many calls that hold a thread until the gate opens."""
    calls = [call(asked("gate", id=str(number))) for number in range(count)]
    until(lambda: len(face.module("gate").running) == count)
    return calls


def ended(call):
    """Return the status with which a call has failed; the sentence may be lost where its connection closes too."""
    return call.exception(PATIENCE).code()


def test_calls_that_outlast_the_grace_are_unavailable_those_in_the_queue_too(face, channel, until):
    made = face(grpc_threads=2)
    infer = channel(made).unary_unary(INFER)
    calls = hang(made, infer.future, 2, until)
    calls += [infer.future(asked("gate")) for _ in range(5)]
    until(lambda: made.server.waiting() == 5)
    made.server.stop(0.3)
    assert [ended(call) for call in calls] == [Code.UNAVAILABLE] * 7
    assert made.server.stopped(PATIENCE)
    assert len(made.module("gate").running) == 2


def test_calls_are_unavailable_at_once_where_there_is_no_grace(face, channel, until):
    made = face()
    calls = hang(made, channel(made).unary_unary(INFER).future, 3, until)
    made.server.stop(0)
    assert [ended(call) for call in calls] == [Code.UNAVAILABLE] * 3
    assert made.server.stopped(PATIENCE)


def test_streams_are_unavailable_at_their_end_idle_ones_and_those_that_outlast_the_grace(face, channel, until):
    made = face()
    stream = channel(made).stream_stream(STREAM)
    over = threading.Event()
    double = service_pb2.ModelInferRequest(model_name="double")
    double.inputs.add(name="x", datatype="FP64", shape=[1])
    double.raw_input_contents.append(np.ones(1).tobytes())

    def requests():
        yield double.SerializeToString()
        over.wait(PATIENCE)

    idle = stream(requests(), timeout=PATIENCE)
    assert next(idle)
    runs = stream(iter([asked("gate")]), timeout=PATIENCE)
    until(lambda: made.module("gate").running)
    made.server.stop(2.0)
    for each in (idle, runs):
        with pytest.raises(grpc.RpcError) as raised:
            next(each)
        assert raised.value.code() is Code.UNAVAILABLE
    assert made.server.stopped(PATIENCE)
    over.set()


def test_a_grpcio_that_ends_calls_otherwise_ends_them_all_the_same(face, channel, until, monkeypatch):
    made = face()
    calls = hang(made, channel(made).unary_unary(INFER).future, 1, until)

    class Inner:
        def cancel(self):
            raise AssertionError

    class Context:
        _rpc_event = type("Event", (), {"call": Inner()})
        cancelled = 0

        def cancel(self):
            self.cancelled += 1

    context = Context()
    grpcio_internals.end_call(context, Code.UNAVAILABLE, STOPPED)
    assert context.cancelled == 1

    monkeypatch.setattr("srv.grpc.pools.end_call", lambda *_: None)
    made.server.stop(0.3)
    assert ended(calls[0]) in (Code.CANCELLED, Code.UNAVAILABLE)
    assert made.server.stopped(PATIENCE)


def test_who_asks_while_clients_are_told_to_go_is_answered(face, channel, until, monkeypatch):
    made = face()
    infer = channel(made).unary_unary(INFER)
    assert infer(asked("echo"))
    asks, calls = made.server._inference, []

    moments = iter(["others close their ports", "answers are kept back"])

    def sleep(seconds):
        if next(moments) == "answers are kept back":
            for number in range(8):
                calls.append(infer.future(asked("echo")))
                until(lambda most=number + 1: asks.count == most)
            assert not any(call.done() for call in calls)
        else:
            assert infer(asked("echo"))  # nobody is told to go yet

    monkeypatch.setattr(supervisor, "time", type("Time", (), {"sleep": sleep, "monotonic": time.monotonic}))
    made.server.stop(PATIENCE)
    assert made.server.stopped(PATIENCE)
    assert all(call.result(PATIENCE) for call in calls)
    with pytest.raises(grpc.RpcError) as raised:
        infer(asked("echo"), timeout=PATIENCE)
    assert raised.value.code() is Code.UNAVAILABLE


def test_answers_are_not_kept_back_for_ever_where_the_shutdown_breaks_off(face, channel, monkeypatch, caplog):
    made = face()
    infer = channel(made).unary_unary(INFER)
    assert infer(asked("echo"), timeout=PATIENCE)
    monkeypatch.setattr(made.server._server, "stop", lambda grace: 1 / 0)
    made.server.stop(PATIENCE)
    assert made.server.stopped(PATIENCE)
    monkeypatch.undo()
    assert infer(asked("echo"), timeout=PATIENCE)
    assert "could not be stopped in order" in caplog.text
    made.server._server.stop(0)


def test_the_sentence_of_a_call_that_is_ended_says_why(face, channel, until):
    made = face()
    call = hang(made, channel(made).unary_unary(INFER).future, 1, until)[0]
    made.server._inference.end_calls()
    error = call.exception(PATIENCE)
    assert (error.code(), error.details()) == (Code.UNAVAILABLE, STOPPED)
