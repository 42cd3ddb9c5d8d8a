"""What srv rests on in grpcio to have messages received before a thread is woken."""

import threading
from types import SimpleNamespace

import grpc
import pytest
from grpc import _server

from srv.grpc import grpcio_internals, pools
from srv.grpc.grpcio_internals import placed
from srv.grpc.pools import Pool


class Handlers(grpc.GenericRpcHandler):
    def __init__(self, handler):
        self.handler = handler

    def service(self, details):
        return self.handler


@pytest.fixture(params=[True, False], ids=["this grpcio", "another grpcio"])
def asked(request, monkeypatch):
    """What `receive` said of each call, with a grpcio that is known and with one that is not."""
    monkeypatch.setattr(grpcio_internals, "_KNOWN", request.param)
    said = []
    monkeypatch.setattr(pools, "receive", lambda *args: said.append(grpcio_internals.receive(*args)) or said[-1])
    yield said
    assert set(said) == {request.param}


@pytest.fixture
def served(asked):
    """A channel to a pool of one thread that gives back what it gets, the pool, and what it got."""
    pool, got = Pool("mine", 1, 5), []
    handler = grpc.unary_unary_rpc_method_handler(placed(lambda request, _: got.append(request) or request, pool))
    server = grpc.server(pool, handlers=(Handlers(handler),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel, pool, got
    server.stop(0).wait()
    pool.shutdown()


def test_this_grpcio_is_as_srv_takes_it():
    assert grpcio_internals.known()


@pytest.mark.parametrize("name", ["_unary_request", "_receive_message", "_abort", "_CLOSED"])
def test_a_grpcio_of_another_form_is_not_known(name):
    parts = vars(_server) | {name: lambda own: None}
    if name == "_CLOSED":
        del parts[name]
    assert not grpcio_internals.known(SimpleNamespace(**parts))


def test_a_function_with_the_same_arguments_and_another_body_is_not_known():
    def other(rpc_event, state, request_deserializer):
        return rpc_event.call.start_server_batch(state)

    assert not grpcio_internals.known(SimpleNamespace(**vars(_server) | {"_unary_request": other}))


def test_a_grpcio_without_the_names_of_its_serving_thread_is_served_unwatched(monkeypatch):
    server = grpc.server(Pool("mine", 1, 1))
    monkeypatch.setattr(grpcio_internals, "_SERVING", ("no such name",))
    serving = grpcio_internals.ServingThread(server)
    serving.start()
    assert not serving.revive()
    server.stop(0).wait()


def test_a_grpcio_that_shows_no_call_has_no_peer_and_ends_nothing():
    arguments = (SimpleNamespace(), object())
    assert grpcio_internals.peer_port(arguments) is None
    grpcio_internals.end_call(arguments, grpc.StatusCode.UNAVAILABLE, "")
    grpcio_internals.guard_callbacks(SimpleNamespace())


def test_a_call_is_answered_with_its_message(served, until):
    channel, pool, got = served
    assert [channel.unary_unary("/a/b")(each) for each in (b"", b"second")] == [b"", b"second"]
    assert got == [b"", b"second"]
    until(lambda: pool.count == 0)


def test_a_client_that_sends_no_message_is_told_so_and_its_thread_is_free_again(served, until):
    channel, pool, got = served
    with pytest.raises(grpc.RpcError) as caught:
        channel.stream_unary("/a/b")(iter(()))
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert "requires exactly one request message." in caught.value.details()
    until(lambda: pool.count == 0)
    assert channel.unary_unary("/a/b")(b"next") == b"next"
    assert got == [b"next"]


def test_a_client_that_leaves_before_its_message_has_come_leaves_a_free_thread(served, until):
    channel, pool, got = served
    hold = threading.Event()
    messages = (hold.wait(10) and b"late" for _ in range(1))
    call = channel.stream_unary("/a/b").future(messages)
    until(lambda: pool.count == 1)
    waiting = channel.unary_unary("/a/b").future(b"waits")
    until(lambda: pool.count == 2)
    assert not waiting.done()
    call.cancel()
    assert waiting.result(10) == b"waits"
    hold.set()
    until(lambda: pool.count == 0)
    assert got == [b"waits"]
