"""Where a runtime's methods run: in the process's main thread, or all in one thread of the model's own."""

import ctypes
import json
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from textwrap import dedent

import pytest

from srv.discovery import discover
from srv.errors import DeadlinePassed, LoadFailed
from srv.inference.execution import ModelBusy
from srv.inference.model_failures import PredictFailed
from srv.messages import InferenceRequest
from srv.models.own_thread import OwnThread
from srv.models.registry import ModelState
from srv.serve.assembly import assemble
from srv.settings import ServerSettings
from srv.tensors import Tensor


@pytest.fixture
def serve(tmp_path):
    """Makes a server of model folders, with nothing loaded yet: serve(code, settings)."""
    made = []

    def make(code, settings=None, *, names=("m",)):
        for name in names:
            folder = tmp_path / name
            folder.mkdir()
            (folder / "models.py").write_text(dedent(code))
            (folder / "model-settings.json").write_text(json.dumps({"implementation": "models.M"} | (settings or {})))
        made.append(assemble(ServerSettings(folder=tmp_path), discover()))
        return made[-1]

    yield make
    for server in made:
        server.close()


def load_all(server):
    server.load_models(lambda _: None, server.wanted())


def infer(server, *values):
    request = InferenceRequest([Tensor("x", [*values])])
    return server.dataplane.infer("m", None, request)["output"].tolist()


# -- one thread of the model's own -------------------------------------------------------------------------------------

SQLITE = """
    import sqlite3, threading
    from srv import InferenceResponse, Runtime, Tensor
    class M(Runtime):
        same_thread = True
        def __init__(self, settings):
            super().__init__(settings)
            self.threads = [threading.get_ident()]
            self.first = sqlite3.connect(":memory:")
        def load(self):
            try:
                self.first.execute("select 1")
            finally:
                self.first.close()
            self.second = sqlite3.connect(":memory:")
            self.second.execute("create table seen (x)")
        def predict(self, request):
            self.threads.append(threading.get_ident())
            self.second.execute("insert into seen values (?)", [int(request["x"][0])])
            return [str(sum(x for x, in self.second.execute("select x from seen")))]
        def predict_stream(self, request):
            try:
                for x, in self.second.execute("select x from seen order by x"):
                    yield InferenceResponse([Tensor("x", [x])])
            finally:
                self.second.execute("delete from seen")
        def unload(self):
            self.second.close()
            (self.settings.folder / "closed").touch()
"""


def threads_of_models():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("srv-model-")]


def test_all_of_a_model_runs_in_one_thread(serve):
    server = serve(SQLITE)
    load_all(server)
    runtime = server.registry.find("m").runtime

    with ThreadPoolExecutor(4) as pool:
        sums = sorted(int(each[0]) for each in pool.map(lambda x: infer(server, x), [1] * 20))
    streamed = [each["x"].tolist() for each in server.dataplane.stream("m", None, InferenceRequest([]), as_it_is)]

    assert sums == [*range(1, 21)]
    assert streamed == [[1]] * 20
    assert len(set(runtime.threads)) == 1
    assert threading.get_ident() not in runtime.threads
    assert infer(server, 5) == [b"5"]
    server.loader.unload(server.registry.find("m"))
    assert (server.settings.folder / "m" / "closed").exists()


def test_a_stream_that_is_closed_early_ends_in_the_models_thread(serve):
    server = serve(SQLITE)
    load_all(server)
    for x in (1, 2):
        infer(server, x)

    stream = server.dataplane.stream("m", None, InferenceRequest([]), as_it_is)
    assert next(iter(stream))["x"].tolist() == [1]
    stream.close()

    assert infer(server, 7) == [b"7"]


def test_the_models_thread_ends_with_the_model_and_with_a_load_that_fails(serve):
    server = serve(SQLITE)
    load_all(server)
    first = server.registry.find("m")
    assert threads_of_models() == ["srv-model-m"]

    server.loader.load(first.settings)
    (first.settings.folder / "models.py").write_text(dedent(SQLITE).replace("select 1", "select from"))
    with pytest.raises(LoadFailed, match="OperationalError"):
        server.loader.load(first.settings)
    assert infer(server, 3) == [b"3"]
    server.loader.unload(server.registry.find("m"))

    wait_until(lambda: threads_of_models() == [])


def wait_until(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


GATED = """
    import threading
    from srv import Runtime
    class M(Runtime):
        same_thread = True
        entered, go, ran = threading.Event(), threading.Event(), []
        def predict(self, request):
            self.entered.set()
            self.go.wait(10)
            self.ran.append(int(request["x"][0]))
            if self.ran[-1] < 0:
                raise ValueError(self.ran[-1])
            return request["x"]
"""


@pytest.mark.parametrize(
    "settings, refused", [({"request_timeout": 0.5}, DeadlinePassed), ({"max_queue": 0}, ModelBusy)]
)
def test_a_request_that_waits_for_the_thread_too_long_or_finds_the_queue_full_never_runs(serve, settings, refused):
    server = serve(GATED, settings)
    load_all(server)
    runtime = server.registry.find("m").runtime

    def asked_in_vain():
        with suppress(DeadlinePassed):
            infer(server, 1)

    first = threading.Thread(target=asked_in_vain)
    first.start()
    assert runtime.entered.wait(10)

    with pytest.raises(refused):
        infer(server, 2)
    runtime.go.set()
    first.join()

    assert runtime.ran == [1]


def test_how_many_wait_for_the_thread_is_told(serve):
    server = serve(GATED)
    load_all(server)
    model = server.registry.find("m")
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(infer, server, 1)]
        assert model.runtime.entered.wait(10)
        asked.append(pool.submit(infer, server, 2))
        wait_until(lambda: model.waiting() == 1)
        model.runtime.go.set()
        assert sorted(each.result() for each in asked) == [[1], [2]]


def test_an_error_of_predict_is_that_requests_and_the_thread_goes_on(serve):
    server = serve(GATED)
    load_all(server)
    server.registry.find("m").runtime.go.set()

    with pytest.raises(PredictFailed, match="ValueError"):
        infer(server, -1)

    assert infer(server, 4) == [4]


def test_requests_are_batched_in_front_of_the_thread(serve):
    code = """
        import threading
        from srv import Runtime
        class M(Runtime):
            same_thread = True
            seen = []
            def load(self):
                self.mine = threading.get_ident()
            def predict(self, request):
                assert threading.get_ident() == self.mine
                self.seen.append(len(request["x"]))
                return request["x"] * 2
    """
    server = serve(code, {"max_batch_size": 8, "max_batch_time": 0.05})
    load_all(server)

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(lambda x: infer(server, x), range(8))) == [[x * 2] for x in range(8)]
    assert sum(server.registry.find("m").runtime.seen) == 8


@pytest.mark.parametrize(
    "body, sentence",
    [
        ("same_thread = main_thread = True\n    def predict(self, request): pass", "M says main_thread and same_thread"),
        ("same_thread = True\n    async def predict(self, request): pass", "M says same_thread, and its predict is async"),
        ("same_thread = True\n    async def load(self): pass\n    def predict(self, request): pass", "its load is async"),
        ("same_thread = True\n    async def unload(self): pass\n    def predict(self, request): pass", "its unload is as"),
        ("same_thread = True\n    async def predict_stream(self, request):\n        yield 1", "its predict_stream is async"),
        ("main_thread = True\n    async def load(self): pass\n    def predict(self, request): pass",
         "M says main_thread, and its load is async, so it would run on the event loop, in another thread; write "),
    ],
)  # fmt: skip
def test_a_thread_in_which_a_method_cannot_run_is_refused_at_load(serve, body, sentence):
    server = serve(f"from srv import Runtime\nclass M(Runtime):\n    {body}\n")

    with pytest.raises(LoadFailed) as raised:
        load_all(server)

    assert sentence in str(raised.value)


# -- the main thread ---------------------------------------------------------------------------------------------------

SIGNALS = """
    import signal, threading
    from srv import Runtime
    class M(Runtime):
        main_thread = True
        parallel_load = True
        def load(self):
            self.before = signal.signal(signal.SIGALRM, self.rings)
        def rings(self, number, frame):
            pass
        def predict(self, request):
            return [str(threading.current_thread() is threading.main_thread())]
        def unload(self):
            signal.signal(signal.SIGALRM, self.before)
            (self.settings.folder / "unloaded").touch()
"""


@pytest.fixture
def beside():
    """Calls a function in another thread while this one, the main one, works: beside(server, function)."""

    def call(server, function):
        woken, ended = threading.Event(), threading.Event()
        server.main_thread.wake = woken.set
        outcome = []

        def run():
            try:
                outcome.append(function())
            except LoadFailed as error:
                outcome.append(error)
            ended.set()
            woken.set()

        thread = threading.Thread(target=run)
        thread.start()
        while not ended.is_set():
            assert woken.wait(10)
            woken.clear()
            server.main_thread.work()
        thread.join()
        return outcome[0]

    return call


def test_load_and_unload_run_in_the_main_thread_wherever_they_are_asked_for(serve, beside):
    server = serve(SIGNALS)
    before = signal.getsignal(signal.SIGALRM)

    assert beside(server, lambda: load_all(server)) is None
    assert signal.getsignal(signal.SIGALRM) == server.registry.find("m").runtime.rings
    assert beside(server, lambda: infer(server, 1)) == [b"False"]
    beside(server, lambda: server.loader.unload(server.registry.find("m")))

    assert signal.getsignal(signal.SIGALRM) is before
    assert (server.settings.folder / "m" / "unloaded").exists()


def test_the_main_thread_may_load_and_unload_itself(serve):
    server = serve(SIGNALS, names=("m", "n"))

    load_all(server)
    server.loader.load(server.registry.find("m").settings)
    server.close()

    assert server.registry.find("m").state is ModelState.UNAVAILABLE


def test_where_the_main_thread_takes_no_work_the_load_says_so_and_does_not_hang(serve):
    server = serve(SIGNALS)

    with ThreadPoolExecutor(1) as pool, pytest.raises(LoadFailed, match="here that takes no work from other threads"):
        pool.submit(load_all, server).result(10)


def test_a_load_in_the_main_thread_is_ended_by_the_signal_that_stops_the_process(serve, beside):
    code = """
        import os, signal, time
        from srv import Runtime
        class M(Runtime):
            main_thread = True
            def load(self):
                os.kill(os.getpid(), signal.SIGUSR2)
                while True:
                    time.sleep(0.01)
            def predict(self, request):
                return 1
    """
    server = serve(code)
    before = signal.signal(signal.SIGUSR2, lambda number, frame: server.main_thread.end_loads())
    try:
        assert "Interrupted: the server stops" in str(beside(server, lambda: load_all(server)))
        assert "The server stops, and loads nothing any more." in str(beside(server, lambda: load_all(server)))
    finally:
        signal.signal(signal.SIGUSR2, before)


@pytest.mark.parametrize(
    "statement, advice",
    [
        ("signal.signal(signal.SIGALRM, signal.SIG_DFL)", "Say main_thread = True in the runtime's class"),
        ("asyncio.get_event_loop()", "Write load with async, or say main_thread = True in the runtime's class."),
        ("asyncio.get_running_loop()", "Write load with async, and it runs on the event loop."),
    ],
)
def test_a_load_that_needs_another_thread_is_told_how_to_get_it(serve, statement, advice):
    code = f"""
        import asyncio, signal
        from srv import Runtime
        class M(Runtime):
            def load(self):
                {statement}
            def predict(self, request):
                return 1
    """
    server = serve(code)

    with ThreadPoolExecutor(1) as pool, pytest.raises(LoadFailed) as raised:
        pool.submit(load_all, server).result()

    assert advice in str(raised.value)


def test_a_predict_that_uses_another_threads_connection_is_told_in_the_log_how_to_share_it(serve, caplog):
    server = serve(SQLITE.replace("same_thread = True", "pass"))
    load_all(server)

    with ThreadPoolExecutor(1) as pool, pytest.raises(PredictFailed):
        pool.submit(infer, server, 1).result()
    server.registry.find("m").runtime.second.close()  # which its unload, in yet another thread, may not

    assert "Say same_thread = True in the runtime's class, and all of its methods run in one thread." in caplog.text


def as_it_is(response):
    return response


def test_the_thread_of_a_model_outlives_an_error_that_another_thread_raises_in_it():
    thread = OwnThread("own")
    ident = thread.run(threading.get_ident)
    set_error = ctypes.pythonapi.PyThreadState_SetAsyncExc
    assert set_error(ctypes.c_ulong(ident), ctypes.py_object(SystemExit)) == 1

    outcomes = []
    for _ in range(3):
        try:
            outcomes.append(thread.run(threading.get_ident))
        except SystemExit:  # it was raised in the call
            continue
    thread.stop()

    assert outcomes[-1] == ident
