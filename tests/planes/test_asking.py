"""Plugins and models ask models: in process, where the order of what happens can be forced."""

import asyncio
import gc
import threading
import time
from types import SimpleNamespace

import grpc
import numpy as np
import pytest

from srv import Forbidden, InferenceRequest, InvalidInput, Runtime, Tensor, hookimpl
from srv.busy_threads import BusyThreads
from srv.cancellation import Caller
from srv.errors import ClientLeft, DeadlinePassed, ModelError, NotFound, QueueFull, Unavailable
from srv.planes.asking import BlocksEventLoop
from srv.testing import Client, isolated_plugins, model

PATIENCE = 30.0


def floats(*values):
    return InferenceRequest([Tensor("x", np.array(values or (1.0,), np.float64))])


class Doubled(Runtime):
    def predict(self, x: np.ndarray):
        if (x < 0).any():
            raise InvalidInput("Input 'x' has a negative number.")
        return x * 2


class Broken(Runtime):
    def predict(self, request):
        raise KeyError("secret")


class Asks(Runtime):
    """Asks the model that its settings name, with what it was given."""

    def predict(self, request):
        return self.server.infer(self.settings.parameters.extra["of"], request)


class AsksAsync(Runtime):
    async def predict(self, request):
        return await self.server.ainfer(self.settings.parameters.extra["of"], request)


class AsksInOwnThread(Asks):
    same_thread = True


class Alone(Asks):
    concurrency = 1


class Gate(Runtime):
    """Waits until it is let go; one at a time."""

    concurrency = 1

    def load(self):
        self.began, self.go, self.runs = threading.Event(), threading.Event(), 0

    def predict(self, request):
        self.runs += 1
        self.began.set()
        assert self.go.wait(PATIENCE)
        return {"y": [1.0]}


class AsyncGate(Runtime):
    """Waits for what never comes."""

    def load(self):
        self.began, self.cancelled = threading.Event(), threading.Event()

    async def predict(self, request):
        self.began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


class Counts(Runtime):
    def load(self):
        self.closed = threading.Event()

    def predict_stream(self, x: np.ndarray):
        try:
            for number in range(int(x[0])):
                yield {"n": [number]}
        finally:
            self.closed.set()


class Plugin:
    """Hooks that keep the server, and note the requests that they see."""

    def __init__(self):
        self.server = None
        self.seen = []

    @hookimpl
    def srv_worker_started(self, server):
        self.server = server

    @hookimpl
    def srv_before_infer(self, model, request):
        self.seen.append((model.name, request.headers.get("x-request-id"), request.headers.get("x-mine")))


class Writes(Runtime):
    def predict(self, x: np.ndarray):
        x += 1
        return x


class WritesACopy(Writes):
    writable_inputs = True


class Relays(Runtime):
    def predict_stream(self, request):
        yield from self.server.stream("counts", request)


class RelaysAsync(Runtime):
    async def predict_stream(self, request):
        async for response in self.server.astream("counts", request):
            yield response


class Many(Runtime):
    times = 3

    async def predict(self, request):
        of = self.settings.parameters.extra["of"]
        answers = await asyncio.gather(*(self.server.ainfer(of, request) for _ in range(self.times)))
        return {"output": sum(answer["output"] for answer in answers)}


class Six(Many):
    times = 6


KINDS = {"sync": Asks, "async": AsksAsync, "own": AsksInOwnThread, "alone": Alone}


def asking(name, kind, of, **settings):
    return model(kind, name=name, parameters={"extra": {"of": of}}, **settings)


MODELS = [
    *(model(kind, name=kind.__name__.lower()) for kind in (Doubled, Broken, Writes, WritesACopy, Counts, Relays, RelaysAsync)),
    *(asking(f"{kind}-{of}", KINDS[kind], of) for kind in KINDS for of in ("doubled", "broken", "absent", f"{kind}-itself")),
    *(asking(f"{kind}-itself", KINDS[kind], f"{kind}-itself") for kind in KINDS),
    *(asking(f"{first}-to-{second}", KINDS[first], f"{second}-from-{first}") for first in KINDS for second in KINDS),
    *(asking(f"{second}-from-{first}", KINDS[second], f"{first}-to-{second}") for first in KINDS for second in KINDS),
    asking("to-batched", Alone, "batched"),
    asking("batched", Asks, "to-batched", max_batch_size=4),
]  # fmt: skip


@pytest.fixture(scope="module")
def shared():
    """Serve MODELS for all tests that leave them as they are."""
    plugin = Plugin()
    with isolated_plugins(hooks={"asker": plugin}), Client.of(*MODELS, settings={"threads": 1}) as client:
        client.server, client.seen = plugin.server, plugin.seen
        yield client


@pytest.fixture
def counts(shared):
    """Give what was counted since the test began."""
    before = counted(shared)
    return lambda: {
        kind: count - before.get(kind, 0) for kind, count in counted(shared).items() if count > before.get(kind, 0)
    }


@pytest.fixture
def serve(srv_client, isolated_plugins):
    """Serve models in process; gives the client with `server` and `seen` of a plugin named `asker`."""

    def start(*models, **settings):
        plugin = Plugin()
        isolated_plugins(hooks={"asker": plugin})
        client = srv_client(*models, settings=settings)
        client.server, client.seen = plugin.server, plugin.seen
        return client

    return start


def runtime_of(client, name):
    return client.assembled.dataplane.model(name).runtime


def counted(client):
    return {(kind.model, kind.face, kind.outcome): sums.count for kind, sums in client.server.statistics().items()}


def in_thread(call, *arguments, **named):
    """Begin a call in a thread; gives a function that waits for what it returned or raised."""
    outcome = []

    def run():
        try:
            outcome.append(call(*arguments, **named))
        except Exception as error:  # noqa: BLE001  the test looks at it
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()

    def finished():
        thread.join(PATIENCE)
        return outcome[0]

    return finished


def as_a_face(client, caller, call, *arguments, **named):
    """Call as a thread of a face does that runs the caller's request."""
    faces = client.assembled.parts.threads() or {"HTTP": SimpleNamespace(busy=BusyThreads(), threads=1)}
    client.assembled.parts.threads = lambda: faces
    busy = faces["HTTP"].busy
    busy.begin(caller)
    try:
        return call(*arguments, **named)
    finally:
        busy.end()


def eventually(condition):
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


def test_a_plugin_asks_from_a_thread_of_its_own_and_is_counted_under_its_name(shared, counts):
    response = in_thread(shared.server.infer, "doubled", floats(1.0, 2.0))()

    assert (response["output"].tolist(), response.model_name, response.model_version) == ([2.0, 4.0], "doubled", "1")
    assert counts() == {("doubled", "asker", "ok"): 1}


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_asks_another_and_is_counted_as_model_and_its_name(shared, counts, kind):
    answer = shared.infer(f"{kind}-doubled", {"x": [1.5]})

    assert (answer["output"].tolist(), answer.response.model_name) == ([3.0], f"{kind}-doubled")
    assert counts() == {(f"{kind}-doubled", "rest", "ok"): 1, ("doubled", f"model:{kind}-doubled", "ok"): 1}


@pytest.mark.parametrize("kind", ["sync", "async", "own"])
@pytest.mark.parametrize(
    ("of", "values", "status", "said"),
    [
        ("doubled", [-1.0], 400, "Input 'x' has a negative number."),
        ("broken", [1.0], 500, "Model 'broken' raised KeyError; the server's log says more."),
        ("absent", [1.0], 500, "Model '{}-absent' raised UnknownModel; the server's log says more."),
    ],
)
def test_what_the_asked_model_says_reaches_the_client_of_the_outer_one(shared, kind, of, values, status, said):
    answer = shared.infer(f"{kind}-{of}", {"x": values})
    assert (answer.status, answer.error) == (status, said.format(kind))


def test_errors_are_those_that_a_client_of_a_face_gets(shared, counts):
    client = shared
    with pytest.raises(NotFound, match=r"No model is called 'doubld'\. Did you mean 'doubled'"):
        client.server.infer("doubld", floats())
    with pytest.raises(NotFound, match="has no version '7'"):
        client.server.infer("doubled", floats(), version="7")
    with pytest.raises(InvalidInput, match="negative"):
        client.server.infer("doubled", floats(-1.0))
    with pytest.raises(ModelError, match="raised KeyError"):
        client.server.infer("broken", floats())
    with pytest.raises(TypeError, match=r"with an srv\.InferenceRequest, and not with a dict"):
        client.server.infer("doubled", {"x": [1.0]})
    assert counts()["doubled", "asker", "INVALID_INPUT"] == 1


def test_the_models_metadata_and_readiness_are_those_of_the_faces(serve):
    client = serve(model(Doubled, name="doubled"))
    assert [*client.server.models()] == ["doubled"]
    assert client.server.metadata("doubled").name == "doubled"
    assert (client.server.ready(), client.server.ready("doubled"), client.server.ready("doubled", "1")) == (True,) * 3
    with pytest.raises(NotFound):
        client.server.ready("absent")
    client.assembled.drain()
    assert client.server.ready() is False
    assert client.server.infer("doubled", floats(2.0))["output"].tolist() == [4.0]


def test_before_the_first_load_a_plugin_hears_what_a_client_would(isolated_plugins, srv_client):
    heard = []

    class Early:
        @hookimpl
        def srv_http_routes(self, server):
            self.kept = server
            with pytest.raises(Unavailable, match="still loading"):
                server.models()
            return []

        @hookimpl
        def srv_worker_started(self, server):
            heard.append(server.ready())
            for kept in (server, self.kept):
                with pytest.raises(Unavailable, match="still loading"):
                    kept.infer("Doubled", floats())

        @hookimpl
        def srv_model_loaded(self):
            heard.append(self.kept.infer("Doubled", floats(3.0))["output"].tolist())

    isolated_plugins(hooks={"early": Early()})
    srv_client(Doubled)
    assert heard == [False, [6.0]]


# -- the request ------------------------------------------------------------------------------------------------------


def test_the_request_that_was_asked_is_as_before_and_its_arrays_are_read_only_for_the_model(shared):
    request = floats(1.0)

    with pytest.raises(ModelError):
        shared.server.infer("writes", request)
    answer = shared.server.infer("writesacopy", request)

    assert (request["x"].tolist(), request.model_name, {**request.headers}) == ([1.0], "", {})
    assert request["x"].flags.writeable
    assert answer["output"].tolist() == [2.0]
    assert not answer["output"].flags.writeable


def test_an_inner_request_brings_its_id_and_headers_to_the_hooks(shared):
    shared.seen.clear()
    body = {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1], "data": [1]}]}

    shared.server.infer("doubled", floats(), headers={"X-Request-Id": "one", "X-Mine": "yes"})
    shared.server.infer("doubled", floats())
    shared.post("/v2/models/sync-doubled/infer", body, headers={"X-Request-Id": "two", "X-Mine": "no"})

    assert shared.seen[0] == ("doubled", "one", "yes")
    assert shared.seen[1][1] not in (None, "one")
    assert shared.seen[2:] == [("sync-doubled", "two", "no"), ("doubled", "two", "no")]


# -- circles ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_model_that_asks_itself_is_told_after_eight_levels(shared, kind):
    answer = shared.infer(f"{kind}-itself", {"x": [1.0]})
    circle = " -> ".join([f"{kind}-itself"] * 9)
    assert (answer.status, answer.code) == (500, "MODEL_ERROR")
    assert answer.error == f"Models ask each other in a circle: {circle}. Mend what the last but one asks."


@pytest.mark.parametrize("kind", ["alone", "own"])
def test_a_model_that_would_wait_for_itself_is_told_at_once(shared, kind):
    name = f"{kind}-itself"
    assert shared.infer(name, {"x": [1.0]}).error.startswith(f"Models ask each other in a circle: {name} -> {name}.")


@pytest.mark.parametrize("first", ["alone", "own"])
@pytest.mark.parametrize("second", KINDS)
def test_a_circle_of_two_is_named_across_the_threads_of_srv(shared, first, second):
    one, other = f"{first}-to-{second}", f"{second}-from-{first}"
    answer = shared.infer(one, {"x": [1.0]})
    assert answer.error.startswith(f"Models ask each other in a circle: {one} -> {other} -> {one}.")


def test_a_circle_through_a_model_that_batches_is_named(shared):
    answer = shared.infer("to-batched", {"x": [1.0]})
    assert answer.error.startswith("Models ask each other in a circle: to-batched -> batched -> to-batched.")


def test_one_version_of_a_model_may_ask_another_one(serve, tmp_path):
    for version, kind in (("1", "return self.server.infer('m', request, version='2')"), ("2", "return {'y': [2.0]}")):
        folder = tmp_path / "m" / version
        folder.mkdir(parents=True)
        (folder / "models.py").write_text(
            f"from srv import Runtime\nclass M(Runtime):\n    concurrency = 1\n    def predict(self, request):\n        {kind}\n"
        )
        (folder / "model-settings.json").write_text('{"implementation": "models.M"}')
    client = serve(tmp_path)
    assert client.infer("m", {}, version="1")["y"].tolist() == [2.0]


# -- queues, deadlines, clients that leave ----------------------------------------------------------------------------


def test_the_queue_of_a_model_is_kept(serve):
    client = serve(model(Gate, name="gate", max_queue=0))
    gate = runtime_of(client, "gate")
    first = in_thread(client.server.infer, "gate", floats())
    assert gate.began.wait(PATIENCE)

    with pytest.raises(QueueFull, match="Model 'gate' is busy"):
        client.server.infer("gate", floats())

    gate.go.set()
    assert first()["y"].tolist() == [1.0]


def test_a_deadline_of_its_own_or_that_of_the_outer_request_ends_it_whichever_is_earlier(serve):
    client = serve(model(AsyncGate, name="gate"))
    outer = Caller(time.monotonic())
    outer.due = time.monotonic() + 0.05

    with pytest.raises(DeadlinePassed):
        client.server.infer("gate", floats(), deadline=time.monotonic() + 0.05)
    with pytest.raises(DeadlinePassed):
        as_a_face(client, outer, client.server.infer, "gate", floats(), deadline=time.monotonic() + 3600)
    with pytest.raises(DeadlinePassed):
        client.server.infer("gate", floats(), deadline=time.monotonic() - 1)
    assert runtime_of(client, "gate").cancelled.wait(PATIENCE)


def test_a_model_asks_within_the_time_that_its_own_client_has_left(serve):
    client = serve(asking("outer", AsksAsync, "gate", request_timeout=0.2), model(AsyncGate, name="gate"))
    assert client.infer("outer", {"x": [1.0]}).code == "DEADLINE"
    assert runtime_of(client, "gate").cancelled.wait(PATIENCE)


def test_a_request_whose_outer_client_leaves_leaves_the_queue_and_never_runs(serve):
    client = serve(model(Gate, name="gate"))
    gate, outer = runtime_of(client, "gate"), Caller(time.monotonic())
    first = in_thread(client.server.infer, "gate", floats())
    assert gate.began.wait(PATIENCE)
    second = in_thread(as_a_face, client, outer, client.server.infer, "gate", floats())
    eventually(lambda: client.assembled.dataplane.model("gate").waiting() == 1)

    outer.leave()

    assert isinstance(second(), ClientLeft)
    assert outer.callback is None
    gate.go.set()
    first()
    assert gate.runs == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_whose_client_leaves_cancels_what_it_asks_whichever_thread_it_runs_in(serve, kind):
    client = serve(asking("outer", KINDS[kind], "gate"), model(AsyncGate, name="gate"))
    gate, request = runtime_of(client, "gate"), floats()
    request.caller = Caller(time.monotonic())
    asked = in_thread(as_a_face, client, request.caller, client.assembled.dataplane.infer, "outer", None, request)
    assert gate.began.wait(PATIENCE)

    request.caller.leave()

    assert isinstance(asked(), ClientLeft)
    assert gate.cancelled.wait(PATIENCE)


def test_what_an_async_model_asks_in_a_thread_has_the_time_that_is_left(serve):
    class AsksInAThread(Runtime):
        async def predict(self, request):
            return await asyncio.to_thread(self.server.infer, "gate", request)

    client = serve(model(AsksInAThread, name="outer", request_timeout=0.2), model(AsyncGate, name="gate"))
    assert client.infer("outer", {"x": [1.0]}).code == "DEADLINE"
    assert runtime_of(client, "gate").cancelled.wait(PATIENCE)


def test_what_a_batch_asks_outlives_the_client_of_one_of_its_members(serve):
    class Leads(Asks):
        def predict(self, request):
            self.rows = request["x"].shape[0]
            if self.rows == 1:
                return {"output": request["x"]}
            self.began.set()
            assert self.go.wait(PATIENCE)
            return super().predict(request)

        def load(self):
            self.began, self.go = threading.Event(), threading.Event()

    client = serve(
        asking("batched", Leads, "doubled", max_batch_size=2, max_batch_time=PATIENCE), model(Doubled, name="doubled")
    )
    batched = runtime_of(client, "batched")
    client.assembled.dataplane.model("batched").answer.batching._running += 1  # as if another batch ran now
    leader, other = floats(1.0), floats(2.0)
    leader.caller, other.caller = Caller(time.monotonic()), Caller(time.monotonic())
    infer = client.assembled.dataplane.infer
    answers = [in_thread(as_a_face, client, leader.caller, infer, "batched", None, leader)]
    eventually(lambda: client.assembled.dataplane.model("batched").waiting() == 1)
    answers.append(in_thread(as_a_face, client, other.caller, infer, "batched", None, other))
    assert batched.began.wait(PATIENCE)

    leader.caller.leave()
    batched.go.set()

    assert isinstance(answers[0](), ClientLeft)
    assert answers[1]()["output"].tolist() == [4.0]
    assert counted(client)["doubled", "model:batched", "ok"] == 1


def test_after_its_client_has_left_a_request_asks_nothing_more(serve):
    client = serve(model(Gate, name="gate"))
    outer = Caller(time.monotonic())
    outer.leave()
    with pytest.raises(ClientLeft):
        as_a_face(client, outer, client.server.infer, "gate", floats())
    assert runtime_of(client, "gate").runs == 0


@pytest.mark.parametrize("ended_by", ["deadline", "cancel"])
def test_what_is_awaited_and_never_has_a_thread_never_runs_and_is_counted(serve, ended_by):
    client = serve(model(Gate, name="gate"), threads=1)
    gate = runtime_of(client, "gate")

    async def ask():
        first = asyncio.create_task(client.server.ainfer("gate", floats()))
        await asyncio.to_thread(gate.began.wait, PATIENCE)
        late = time.monotonic() + (0.05 if ended_by == "deadline" else PATIENCE)
        second = asyncio.create_task(client.server.ainfer("gate", floats(), deadline=late))
        await asyncio.sleep(0)
        if ended_by == "cancel":
            second.cancel()
        await asyncio.wait([second])
        gate.go.set()
        await first

    asyncio.run(ask())

    code = "DEADLINE" if ended_by == "deadline" else "CANCELLED"
    assert counted(client) == {("gate", "asker", "ok"): 1, ("gate", "asker", code): 1}
    assert gate.runs == 1


def test_the_time_of_a_routes_own_client_holds_until_its_stream_begins(serve):
    class Told(Caller):
        until_told = None

        def until(self, request_timeout):
            self.told = request_timeout
            return self.until_told

    client = serve(model(AsyncGate, name="gate"), request_timeout=7.0)
    outer = Told(time.monotonic())
    outer.until_told = time.monotonic() + 0.05
    with pytest.raises(DeadlinePassed):
        as_a_face(client, outer, client.server.infer, "gate", floats())
    assert outer.told == 7.0


# -- event loops ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "instead"),
    [
        (lambda server: server.infer("doubled", floats()), r"Write await server\.ainfer\(\.\.\.\) here"),
        (
            lambda server: server.stream("doubled", floats()),
            r"Write async for \.\.\. in server\.astream\(\.\.\.\) here",
        ),
        (lambda server: server.load("doubled"), r"Write await asyncio\.to_thread\(server\.load, \.\.\.\) here"),
    ],
)
def test_what_waits_is_refused_on_an_event_loop_and_says_what_to_write(shared, call, instead):
    async def wait():
        call(shared.server)

    with pytest.raises(BlocksEventLoop, match=instead):
        asyncio.run(wait())


def test_many_models_that_await_each_other_do_not_wait_for_each_others_threads(serve):
    client = serve(
        asking("nine", Many, "three"),
        asking("three", Many, "alone"),
        asking("alone", Alone, "doubled"),
        model(Doubled, name="doubled"),
        threads=1,
        request_timeout=PATIENCE,
    )
    assert client.infer("nine", {"x": [1.0]})["output"].tolist() == [18.0]


def test_a_plugin_on_an_event_loop_of_its_own_awaits_and_may_cancel(serve):
    client = serve(model(Doubled, name="doubled"), model(AsyncGate, name="gate"))
    gate = runtime_of(client, "gate")

    async def plugin():
        answer = await client.server.ainfer("doubled", floats(4.0))
        task = asyncio.create_task(client.server.ainfer("gate", floats()))
        await asyncio.to_thread(gate.began.wait, PATIENCE)
        task.cancel()
        await asyncio.wait([task])
        return answer["output"].tolist(), task.cancelled()

    assert asyncio.run(plugin()) == ([8.0], True)
    assert gate.cancelled.wait(PATIENCE)


@pytest.mark.parametrize("ended_by", ["deadline", "cancel"])
@pytest.mark.parametrize("asked", ["infer", "stream"])
def test_an_await_that_ends_early_leaves_no_error_behind_that_nobody_retrieves(serve, ended_by, asked):
    class Waits(AsyncGate):
        async def predict_stream(self, request):
            yield await self.predict(request)

    client = serve(model(Doubled, name="doubled"), model(Waits, name="gate"), threads=1)
    gate, server = runtime_of(client, "gate"), client.server
    told = []

    async def plugin():
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["message"]))
        late = time.monotonic() + (0.2 if ended_by == "deadline" else PATIENCE)
        call = server.ainfer if asked == "infer" else lambda *of, **named: anext(server.astream(*of, **named))
        task = asyncio.ensure_future(call("gate", floats(), deadline=late))
        await asyncio.to_thread(gate.began.wait, PATIENCE)
        if ended_by == "cancel":
            task.cancel()
        await asyncio.wait([task])
        assert task.cancelled() or isinstance(task.exception(), DeadlinePassed)
        del task
        await server.ainfer("doubled", floats())  # in the only thread, so what it did before has ended
        gc.collect()

    asyncio.run(plugin())
    assert told == []


def test_an_await_ends_at_its_deadline_also_where_a_sync_predict_runs_on(serve):
    client = serve(model(Gate, name="gate"))
    gate = runtime_of(client, "gate")
    with pytest.raises(DeadlinePassed):
        asyncio.run(client.server.ainfer("gate", floats(), deadline=time.monotonic() + 0.2))
    gate.go.set()


def test_a_deadline_that_lies_in_the_past_is_told_as_such(shared):
    past = time.monotonic() - 1

    with pytest.raises(DeadlinePassed, match="deadline had passed before it was asked"):
        shared.server.infer("doubled", floats(), deadline=past)
    with pytest.raises(DeadlinePassed, match="deadline had passed before it was asked"):
        asyncio.run(shared.server.ainfer("doubled", floats(), deadline=past))


def test_a_batch_may_be_as_large_as_its_model_says_also_where_it_is_awaited(serve):
    class Rows(Runtime):
        def predict(self, x: np.ndarray):
            return np.full_like(x, len(x))

    client = serve(
        model(Rows, name="rows", max_batch_size=6, max_batch_time=PATIENCE), asking("six", Six, "rows"), threads=1
    )
    client.assembled.dataplane.model("rows").answer.batching._running += 1  # as if another batch ran now
    assert client.infer("six", {"x": [1.0]})["output"].tolist() == [36.0]


def test_what_is_awaited_while_the_server_ends_is_told_so(serve):
    client = serve(model(Doubled, name="doubled"))
    client.assembled.parts.asking_threads.close()
    with pytest.raises(Unavailable, match="shutting down"):
        asyncio.run(client.server.ainfer("doubled", floats()))


# -- streams ----------------------------------------------------------------------------------------------------------


def test_a_stream_comes_piece_by_piece_and_is_counted_once(shared, counts):
    with shared.server.stream("counts", floats(3)) as responses:
        assert [response["n"].tolist() for response in responses] == [[0], [1], [2]]
    assert counts() == {("counts", "asker", "ok"): 1}


def test_an_error_before_the_first_response_is_raised_by_the_call(shared):
    with pytest.raises(InvalidInput):
        shared.server.stream("counts", InferenceRequest([]))
    with pytest.raises(NotFound):
        shared.server.stream("absent", floats())


def test_a_stream_that_is_closed_closes_the_models_own(serve):
    client = serve(model(Counts, name="counts"))
    responses = client.server.stream("counts", floats(1000))
    responses.close()
    assert runtime_of(client, "counts").closed.is_set()
    assert counted(client) == {("counts", "asker", "CANCELLED"): 1}


def test_a_stream_is_awaited_and_closed_early_on_an_event_loop(serve):
    client = serve(model(Counts, name="counts"))

    async def read(most):
        found = []
        responses = client.server.astream("counts", floats(5))
        async for response in responses:
            found.append(response["n"].tolist())
            if len(found) == most:
                break
        await responses.aclose()
        return found, runtime_of(client, "counts").closed.is_set()

    assert asyncio.run(read(9)) == ([[0], [1], [2], [3], [4]], True)
    assert asyncio.run(read(2)) == ([[0], [1]], True)


@pytest.mark.parametrize("name", ["relays", "relaysasync"])
def test_a_model_streams_what_another_one_streams(shared, counts, name):
    assert [answer["n"].tolist() for answer in shared.stream(name, {"x": [2.0]})] == [[0], [1]]
    assert counts() == {(name, "rest", "ok"): 1, ("counts", f"model:{name}", "ok"): 1}


# -- loading ----------------------------------------------------------------------------------------------------------


def test_models_are_loaded_and_unloaded_as_a_client_may(serve):
    client = serve(model(Doubled, name="doubled"), model_control=True)
    client.server.unload("doubled")
    assert client.server.ready("doubled") is False
    client.server.load("doubled")
    assert client.server.infer("doubled", floats(2.0))["output"].tolist() == [4.0]
    with pytest.raises(NotFound):
        client.server.load("absent")


def test_models_are_not_loaded_where_model_control_is_off(serve):
    client = serve(model(Doubled, name="doubled"), model_control=False)
    with pytest.raises(Forbidden, match="model_control"):
        client.server.unload("doubled")


def test_a_load_finds_the_server_and_may_not_change_models(serve):
    class Loads(Runtime):
        def load(self):
            self.found = self.server.server_name
            with pytest.raises(Forbidden, match=r"called server\.load while it was loaded itself"):
                self.server.load("doubled")

        def predict(self, request):
            return {"name": [self.found]}

    client = serve(model(Doubled, name="doubled"), model(Loads, name="loads"), server_name="mine", model_control=True)
    assert client.infer("loads", {})["name"].tolist() == [b"mine"]


def test_a_runtime_that_has_something_else_as_its_server_keeps_it(serve):
    class Own(Runtime):
        def __init__(self, settings):
            super().__init__(settings)
            self.server = "mine"

        def predict(self, request):
            return {"name": [self.server]}

    assert serve(model(Own, name="own")).infer("own", {})["name"].tolist() == [b"mine"]


# -- who asks ---------------------------------------------------------------------------------------------------------


class Guarded:
    """Middleware and interceptors that ask a model before they let anybody in."""

    @hookimpl
    def srv_http_middleware(self, server):
        return [GuardingMiddleware(server)]

    @hookimpl
    def srv_grpc_interceptors(self, server):
        return [GuardingInterceptor(server)]


class GuardingMiddleware:
    def __init__(self, server):
        self.server = server

    def process_request(self, req, resp):
        self.server.infer("guard", floats())
        req.context.server.infer("guard", floats())


class GuardingInterceptor(grpc.ServerInterceptor):
    def __init__(self, server):
        self.server = server

    def intercept_service(self, continuation, details):
        inner = continuation(details)
        if not details.method.endswith("ModelInfer"):
            return inner

        def guarded(request, context):
            self.server.infer("guard", floats())
            return inner.unary_unary(request, context)

        return grpc.unary_unary_rpc_method_handler(guarded, inner.request_deserializer, inner.response_serializer)


@pytest.mark.parametrize(
    ("form", "faces"), [("json", {("guarded", "ok"), ("middleware", "ok")}), ("grpc", {("guarded", "ok")})]
)
def test_middleware_and_interceptors_ask_before_they_let_a_request_pass(srv_client, isolated_plugins, form, faces):
    isolated_plugins(hooks={"guarded": Guarded()})
    client = srv_client(model(Doubled, name="guard"), model(Doubled, name="doubled"))
    assert client.infer("doubled", {"x": [1.0]}, form=form).ok
    kinds = client.assembled.running.statistics()
    assert {(kind.face, kind.outcome) for kind in kinds if kind.model == "guard"} == faces


def test_a_plugin_that_is_called_as_a_face_is_told_apart_from_it(srv_client, isolated_plugins):
    plugin = Plugin()
    isolated_plugins(hooks={"rest": plugin})
    client = srv_client(model(Doubled, name="doubled"))
    plugin.server.infer("doubled", floats())
    assert [kind.face for kind in client.assembled.running.statistics()] == ["plugin:rest"]
