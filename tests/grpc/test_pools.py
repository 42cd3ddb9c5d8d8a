"""What srv rests on in grpcio beyond its documented names, and the pools themselves."""

import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from srv.grpc.grpcio_internals import placed
from srv.grpc.pools import InlinePool, Pool, StreamPool


class Handlers(grpc.GenericRpcHandler):
    def __init__(self, handler):
        self.handler = handler

    def service(self, details):
        return self.handler


@pytest.fixture
def served():
    """A channel to a plain grpcio server with one handler."""
    ends = []

    def serve(handler, default=None):
        server = grpc.server(default or ThreadPoolExecutor(1), handlers=(Handlers(handler),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        ends.append((channel, server))
        return channel

    yield serve
    for channel, server in ends:
        channel.close()
        server.stop(0).wait()


def name_of_thread(request, context):
    return threading.current_thread().name.encode()


def test_grpcio_runs_a_behaviour_in_the_pool_that_it_names(served):
    pool = Pool("mine", 1, 1)
    assert (
        served(grpc.unary_unary_rpc_method_handler(placed(name_of_thread, pool))).unary_unary("/a/b")(b"") == b"mine-0"
    )
    pool.shutdown()


def test_grpcio_runs_a_stream_in_a_thread_of_its_own_where_the_pool_says_so(served):
    def behaviour(request, context):
        yield threading.current_thread().name.encode()

    channel = served(grpc.unary_stream_rpc_method_handler(placed(behaviour, StreamPool("stands", 2))))
    assert list(channel.unary_stream("/a/b")(b"")) == [b"stands"]


def test_grpcio_lets_a_call_be_refused_in_its_own_thread_without_reading_it(served):
    threads = []

    def refuse(requests, context):
        threads.append(threading.current_thread())
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "full")

    channel = served(grpc.stream_unary_rpc_method_handler(placed(refuse, InlinePool())))
    for kind in (channel.unary_unary, channel.stream_unary):
        with pytest.raises(grpc.RpcError) as caught:
            kind("/a/b")(b"" if kind == channel.unary_unary else iter([b"", b""]))
        assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "full")
    with pytest.raises(grpc.RpcError) as caught:
        list(channel.unary_stream("/a/b")(b""))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert len(set(threads)) == 1


def test_grpcio_tells_a_pool_when_the_client_of_a_waiting_call_leaves(served, until):
    gate = threading.Event()
    pool = Pool("mine", 1, 5)
    ran = []

    def behaviour(request, context):
        ran.append(request)
        gate.wait(10)
        return b""

    call = served(grpc.unary_unary_rpc_method_handler(placed(behaviour, pool))).unary_unary("/a/b")
    first = call.future(b"first")
    until(lambda: ran)
    waiting = [call.future(b"waiting") for _ in range(3)]
    until(lambda: pool.waiting() == 3)
    for each in waiting:
        each.cancel()
    until(lambda: pool.waiting() == 0)
    gate.set()
    first.result(10)
    assert call(b"last") == b""
    assert ran == [b"first", b"last"]
    pool.shutdown()


def test_a_pool_is_full_when_all_threads_are_busy_and_all_places_are_taken(until):
    gate = threading.Event()
    pool = Pool("mine", 2, 1)
    for expected in (False, False, False):
        assert pool.full() is expected
        pool.submit(gate.wait, 10)
    assert pool.full()
    assert pool.waiting() == 1
    pool.grow(4)
    assert not pool.full()
    gate.set()
    until(lambda: pool.count == 0)
    pool.shutdown()


def test_a_pool_outlives_what_its_calls_raise(caplog):
    pool = Pool("mine", 1, 1)
    done = threading.Event()

    def fails():
        raise SystemExit

    pool.submit(fails)
    pool.submit(done.set)
    assert done.wait(10)
    assert "A gRPC call broke off." in caplog.text
    pool.shutdown()


def test_the_threads_of_a_pool_end_with_it(until):
    def threads():
        return [thread for thread in threading.enumerate() if thread.name.startswith("ends-")]

    pool = Pool("ends", 3, 1)
    assert len(threads()) == 3
    pool.shutdown()
    until(lambda: not threads())
