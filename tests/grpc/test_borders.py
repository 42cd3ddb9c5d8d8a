"""Whatever a model, hook, interceptor or logging handler raises, calls are answered and no thread of the face dies."""

import io
import json
import logging
import sys
import threading
from contextlib import contextmanager
from types import SimpleNamespace

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2

from srv.grpc import pools
from srv.grpc.errors import told
from srv.hookspecs import hookimpl
from srv.safe_logging import never_raise

INFER = "/inference.GRPCInferenceService/ModelInfer"
STREAM = "/inference.GRPCInferenceService/ModelStreamInfer"
LIVE = "/inference.GRPCInferenceService/ServerLive"
WATCH = "/grpc.health.v1.Health/Watch"
Code = grpc.StatusCode

# Far beyond what an answer takes; a call that is never answered ends with it.
PATIENCE = 20
ERRORS = ["KeyboardInterrupt", "SystemExit", "asyncio.CancelledError", "GeneratorExit", "Own"]
CODE = """
import asyncio, time
import numpy as np
from srv import Runtime

class Own(BaseException):
    pass

ERRORS = dict(enumerate(({errors})))

class Sync(Runtime):
    def predict(self, x: np.ndarray) -> np.ndarray:
        if x[0] in ERRORS:
            raise ERRORS[x[0]]
        return x

class Async(Runtime):
    async def predict(self, x: np.ndarray) -> np.ndarray:
        await asyncio.sleep(0)
        if x[0] in ERRORS:
            raise ERRORS[x[0]]
        return x

class Streams(Runtime):
    def predict_stream(self, x: np.ndarray):
        yield x
        if x[0] in ERRORS:
            raise ERRORS[x[0]]

class Batched(Runtime):
    def predict(self, x: np.ndarray) -> np.ndarray:
        time.sleep(0.01)
        for value in x:
            if value in ERRORS:
                raise ERRORS[value]
        return x
"""
GOOD = 100.0


@pytest.fixture
def raising(tmp_path, face):
    """Make a face whose models raise the error of that number, and give back other numbers."""

    def make(**settings):
        for name in ("Sync", "Async", "Streams", "Batched"):
            place = tmp_path / name.lower()
            place.mkdir()
            batches = {"max_batch_size": 4, "max_batch_time": 5.0} if name == "Batched" else {}
            (place / "model-settings.json").write_text(json.dumps({"implementation": f"models.{name}", **batches}))
            (place / "models.py").write_text(CODE.format(errors=", ".join(ERRORS)))
        return face(grpc_threads=8, **settings)

    return make


def asked(model, value):
    request = service_pb2.ModelInferRequest(model_name=model)
    request.inputs.add(name="x", datatype="FP64", shape=[1])
    request.raw_input_contents.append(np.array([value], np.float64).tobytes())
    return request.SerializeToString()


def outcome(call, *arguments, **options):
    """Return what a call gives: its answer, or its status and sentence."""
    try:
        return call(*arguments, timeout=PATIENCE, **options)
    except grpc.RpcError as error:
        return error.code(), error.details()


def value_of(answer):
    return np.frombuffer(service_pb2.ModelInferResponse.FromString(answer).raw_output_contents[0])[0]


@contextmanager
def all_threads_live(face):
    """Check that as many threads of each pool are there as before."""

    def names():
        return sorted(each.name for each in threading.enumerate() if each.name.startswith("srv-grpc"))

    before = names()
    yield
    assert names() == before


# -- models ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["sync", "async"])
def test_what_a_model_raises_is_a_model_error_whatever_its_class(raising, channel, model):
    made = raising()
    infer = channel(made).unary_unary(INFER)
    with all_threads_live(made):
        for number, error in enumerate(ERRORS):
            name = error.rpartition(".")[2]
            sentence = f"Model '{model}' raised {name}; the server's log says more."
            assert outcome(infer, asked(model, number)) == (Code.INTERNAL, sentence)
        assert [value_of(outcome(infer, asked(model, GOOD))) for _ in range(9)] == [GOOD] * 9


def test_what_a_model_raises_between_two_values_ends_its_request_and_not_the_stream(raising, channel):
    made = raising()
    stream = channel(made).stream_stream(STREAM)
    requests = [asked("streams", value) for value in (*range(len(ERRORS)), GOOD)]
    with all_threads_live(made):
        answers = [service_pb2.ModelStreamInferResponse.FromString(each) for each in stream(iter(requests), timeout=20)]
    names = [error.rpartition(".")[2] for error in ERRORS]
    sentences = [f"Model 'streams' raised {name}; the server's log says more." for name in names]
    assert [answer.error_message for answer in answers] == [each for said in sentences for each in ("", said)] + [""]


@pytest.mark.parametrize("number", range(len(ERRORS)), ids=ERRORS)
def test_what_a_model_raises_in_a_batch_is_told_to_who_asked_for_it_alone(raising, channel, number):
    made = raising()
    infer = channel(made).unary_unary(INFER)
    values = [GOOD, number, GOOD, number, GOOD, GOOD]
    with all_threads_live(made):
        calls = [infer.future(asked("batched", value), timeout=PATIENCE) for value in values]
        outcomes = [outcome(call.result) for call in calls]
    refused = (
        Code.INTERNAL,
        f"Model 'batched' raised {ERRORS[number].rpartition('.')[2]}; the server's log says more.",
    )
    assert [each if isinstance(each, tuple) else value_of(each) for each in outcomes] == [
        GOOD if value == GOOD else refused for value in values
    ]


# -- hooks -------------------------------------------------------------------------------------------------------------


class Own(BaseException):
    pass


RAISED = [KeyboardInterrupt, SystemExit, GeneratorExit, Own]


@pytest.mark.parametrize("error", RAISED)
@pytest.mark.parametrize("hook", ["srv_before_infer", "srv_after_infer"])
def test_what_a_hook_raises_is_told_in_unary_calls_and_in_streams(face, channel, isolated_plugins, hook, error):
    def raises(request):
        if request.id == "bad":
            raise error

    isolated_plugins(hooks={"raises": SimpleNamespace(**{hook: hookimpl(raises, specname=hook)})})
    made = face()
    bad, good = (service_pb2.ModelInferRequest(model_name="echo", id=name).SerializeToString() for name in ("bad", ""))
    with all_threads_live(made):
        assert outcome(channel(made).unary_unary(INFER), bad)[0] is Code.INTERNAL
        answers = channel(made).stream_stream(STREAM)(iter([bad, good, bad, good]), timeout=PATIENCE)
        told = [service_pb2.ModelStreamInferResponse.FromString(each).error_message != "" for each in answers]
        assert told == [True, False, True, False]


# -- interceptors ------------------------------------------------------------------------------------------------------


class Raises(grpc.ServerInterceptor):
    """Raises where the call's metadata says, and what they say."""

    def intercept_service(self, continuation, details):
        metadata = dict(details.invocation_metadata)
        error = next((each for each in RAISED if each.__name__ == metadata.get("error")), grpc.RpcError)
        if metadata.get("where") == "taken":
            raise error
        if metadata.get("where") == "garbage":
            return "no handler"
        inner = continuation(details)
        where = metadata.get("where")
        if where not in ("called", "between", "callback") or inner is None:
            return inner

        def answer(request, context):
            if where == "callback":
                context.add_callback(fails)
                return inner.unary_unary(request, context)
            raise error

        def answers(requests, context):
            for place, response in enumerate(inner.stream_stream(requests, context)):
                if place:
                    raise error
                yield response

        def fails():
            raise error

        if inner.unary_unary:
            return grpc.unary_unary_rpc_method_handler(answer)
        return grpc.stream_stream_rpc_method_handler(answers)


@pytest.fixture
def intercepted(face, monkeypatch):
    monkeypatch.setattr("srv.hooks.Hooks.grpc_interceptors", lambda _: [Raises()])
    return face()


@pytest.mark.parametrize("error", [*RAISED, grpc.RpcError])
def test_what_an_interceptor_raises_is_told_and_the_server_goes_on(intercepted, channel, error):
    connection = channel(intercepted)
    infer = connection.unary_unary(INFER)
    request = service_pb2.ModelInferRequest(model_name="echo").SerializeToString()
    told = f"A plugin raised {error.__name__} in its gRPC interceptor; the server's log says which and why."
    with all_threads_live(intercepted):
        for where in ("taken", "called"):
            metadata = [("where", where), ("error", error.__name__)]
            assert outcome(infer, request, metadata=metadata) == (Code.INTERNAL, told)
        assert isinstance(outcome(infer, request), bytes)
        metadata = [("where", "between"), ("error", error.__name__)]
        answers = connection.stream_stream(STREAM)(iter([request] * 3), metadata=metadata, timeout=PATIENCE)
        next(answers)
        with pytest.raises(grpc.RpcError) as raised:
            next(answers)
        assert (raised.value.code(), raised.value.details()) == (Code.INTERNAL, told)
        assert isinstance(outcome(infer, request), bytes)


def test_what_an_interceptor_returns_that_is_no_handler_is_told_by_name(intercepted, channel):
    infer = channel(intercepted).unary_unary(INFER)
    code, sentence = outcome(infer, b"", metadata=[("where", "garbage")])
    assert (code, "in its gRPC interceptor" in sentence) == (Code.INTERNAL, True)


@pytest.mark.parametrize("error", [*RAISED, ValueError])
def test_what_an_interceptors_callback_raises_ends_no_thread(intercepted, channel, error):
    infer = channel(intercepted).unary_unary(INFER)
    request = service_pb2.ModelInferRequest(model_name="echo").SerializeToString()
    with all_threads_live(intercepted):
        for _ in range(3):
            metadata = [("where", "callback"), ("error", error.__name__)]
            assert isinstance(outcome(infer, request, metadata=metadata), bytes)
    assert intercepted.server._supervisor._serving._thread.is_alive()


# -- the log -----------------------------------------------------------------------------------------------------------


class Broken(logging.Handler):
    """A handler whose backend is down."""

    def __init__(self, error):
        super().__init__(0)
        self.error = error

    def handle(self, record):
        if record.name.startswith("srv"):
            raise self.error


@contextmanager
def broken_log(how, monkeypatch):
    """Break the log of this process, which is set up as a server's: a handler or filter raises, or stderr is closed."""
    for method in ("handle", "callHandlers", "makeRecord"):
        monkeypatch.setattr(logging.Logger, method, getattr(logging.Logger, method))
    monkeypatch.setattr(logging, "raiseExceptions", True)
    never_raise()
    root, handler = logging.getLogger(), Broken(KeyboardInterrupt if how == "interrupt" else ConnectionError("down"))
    if how == "filter":
        handler = logging.StreamHandler(io.StringIO())
        handler.addFilter(lambda record: record.user_id)
    elif how == "stderr":
        closed = io.StringIO()
        closed.close()
        monkeypatch.setattr(sys, "stderr", closed)
        handler = logging.StreamHandler(closed)
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        monkeypatch.undo()


@pytest.mark.parametrize("how", ["handler", "interrupt", "filter", "stderr"])
def test_a_log_that_cannot_be_written_is_no_calls_fault(face, channel, monkeypatch, caplog, how):
    caplog.set_level(logging.INFO, "srv.access")
    made = face(max_queue=0)
    connection = channel(made)
    infer = connection.unary_unary(INFER)
    stream = connection.stream_stream(STREAM)
    bad = service_pb2.ModelInferRequest(model_name="fails").SerializeToString()
    with all_threads_live(made), broken_log(how, monkeypatch):
        for _ in range(3):
            assert isinstance(outcome(connection.unary_unary(LIVE), b""), bytes)
            assert value_of(outcome(infer, asked("double", 1.0))) == 2.0
            assert outcome(infer, bad)[0] is Code.INTERNAL
            assert outcome(infer, asked("nobody", 1.0))[0] is Code.NOT_FOUND
            assert outcome(connection.unary_unary("/no/method"), b"")[0] is Code.UNIMPLEMENTED
            answers = list(stream(iter([bad, asked("double", 1.0)]), timeout=PATIENCE))
            told = [service_pb2.ModelStreamInferResponse.FromString(each).error_message != "" for each in answers]
            assert told == [True, False]
    assert made.server._supervisor._serving._thread.is_alive()


# -- threads -----------------------------------------------------------------------------------------------------------


def test_a_stream_for_which_no_thread_can_be_started_is_unavailable(face, channel, monkeypatch, until):
    made = face()
    connection = channel(made)

    class Refused(threading.Thread):
        def start(self):
            raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(pools, "threading", SimpleNamespace(Thread=Refused))
        with pytest.raises(grpc.RpcError) as raised:
            next(connection.unary_stream(WATCH)(b"", timeout=PATIENCE))
    assert raised.value.code() is Code.UNAVAILABLE
    until(lambda: made.server._open_streams.count == 0)
    assert next(connection.unary_stream(WATCH)(b"", timeout=PATIENCE))
    assert isinstance(outcome(connection.unary_unary(LIVE), b""), bytes)


def test_grpcios_own_thread_is_replaced_when_it_dies(face, channel, monkeypatch, caplog, until):
    made = face()
    live = channel(made).unary_unary(LIVE)
    own, died = made.server._routes.service, []
    hook, threading.excepthook = threading.excepthook, lambda arguments: died.append(arguments.exc_type)

    def dies(details):
        monkeypatch.setattr(made.server._routes, "service", own)
        raise KeyboardInterrupt

    try:
        monkeypatch.setattr(made.server._routes, "service", dies)
        lost = live.future(b"", timeout=PATIENCE)
        until(lambda: died)
        assert isinstance(outcome(live, b""), bytes)
        assert isinstance(outcome(live, b""), bytes)
    finally:
        threading.excepthook = hook
    lost.cancel()
    assert died == [KeyboardInterrupt]
    assert "has died, and was replaced" in caplog.text


def test_a_call_that_breaks_off_in_its_pool_is_answered(face, channel, monkeypatch, caplog):
    made = face()
    live = channel(made).unary_unary(LIVE)

    def broken(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("grpc._server._call_behavior", broken)
        assert outcome(live, b"")[0] is Code.INTERNAL
    assert isinstance(outcome(live, b""), bytes)
    assert "A gRPC call broke off." in caplog.text


def test_memory_that_ends_while_a_call_is_read_is_unavailable_and_blames_no_limit():
    code, status, sentence = told(MemoryError())

    assert (code, status) == ("UNAVAILABLE", grpc.StatusCode.UNAVAILABLE)
    assert sentence == "The server has no memory left for this request. Try again later, or send less at once."
