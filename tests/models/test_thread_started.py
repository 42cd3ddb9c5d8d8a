"""`thread_started` and `cores` of runtimes: what srv does in each thread, and how much of the machine a worker has."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from srv import InferenceResponse, Runtime, Tensor
from srv.cores import cores
from srv.errors import LoadFailed
from srv.inference.model_failures import PredictFailed
from srv.messages import InferenceRequest
from srv.testing import Client, model

HERE = threading.local()


class Counts(Runtime):
    """Says for each answer how often its thread was set up, with what only a thread that was set up has."""

    routes = (("POST", "look", "look"), ("POST", "pieces", "pieces"))

    def load(self):
        self.threads = []
        HERE.__dict__.clear()

    def thread_started(self):
        self.threads.append(threading.get_ident())
        HERE.setups = self.threads.count(threading.get_ident())

    def predict(self, request):
        return np.array([HERE.setups])

    def predict_stream(self, request):
        for _ in range(3):
            yield InferenceResponse([Tensor("setups", [HERE.setups])])

    def look(self, request):
        return {"setups": HERE.setups}

    def pieces(self, request):
        yield {"setups": HERE.setups}


class Async(Counts):
    async def predict(self, request):
        return np.array([HERE.setups])

    async def predict_stream(self, request):
        for _ in range(3):
            yield InferenceResponse([Tensor("setups", [HERE.setups])])


class Awaitable(Counts):
    """Its methods are not async themselves, and return what is."""

    def predict(self, request):
        return Async.predict(self, request)

    async def predict_stream(self, request):
        return Async.predict_stream(self, request)


class Lists(Counts):
    """Its streams are an iterator that no async method would return, and one that is no generator."""

    async def predict_stream(self, request):
        return Counts.predict_stream(self, request)


class OneThread(Counts):
    same_thread = True


KINDS = [Counts, Async, Awaitable, Lists, OneThread]


def request():
    return InferenceRequest([Tensor("x", np.zeros((1, 2)))])


def infer(client):
    [setups] = client.assembled.dataplane.infer("m", None, request())["output"].tolist()
    return setups


def stream(client):
    return [
        each["setups"].tolist()
        for each in client.assembled.dataplane.stream("m", None, request(), lambda response: response)
    ]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def client(request):
    with Client.of(model(request.param, name="m")) as client:
        yield client


def runtime(client):
    return client.assembled.registry.find("m").runtime


def test_each_thread_is_set_up_once_before_its_first_predict(client):
    with ThreadPoolExecutor(8) as pool:
        answers = [*pool.map(lambda _: infer(client), range(200))]

    assert answers == [1] * 200
    assert len(set(runtime(client).threads)) == len(runtime(client).threads) <= 9


def test_streams_are_made_in_threads_that_were_set_up(client):
    with ThreadPoolExecutor(4) as pool:
        assert [*pool.map(lambda _: stream(client), range(20))] == [[[1]] * 3] * 20


def test_values_of_one_stream_may_be_asked_for_by_several_threads():
    with Client.of(model(Counts, name="m")) as client:
        values = client.assembled.dataplane.stream("m", None, request(), lambda response: response)
        first = next(values)["setups"].tolist()
        with ThreadPoolExecutor(1) as pool:
            second = pool.submit(next, values).result()["setups"].tolist()
        values.close()

    assert (first, second) == ([1], [1])


@pytest.mark.parametrize("kind", [Counts, OneThread])
def test_routes_run_in_threads_that_were_set_up(kind):
    with Client.of(model(kind, name="m")) as client:
        assert client.call("POST", "m", "look").json == {"setups": 1}
        assert b'"setups"' in client.call("POST", "m", "pieces").body


def test_a_batch_runs_in_a_thread_that_was_set_up():
    class Batched(Counts):
        def predict(self, request):
            return np.full(request["x"].shape[0], HERE.setups)

    batched = model(Batched, name="m", max_batch_size=8, max_batch_time=0.01)
    with Client.of(batched) as client, ThreadPoolExecutor(8) as pool:
        assert [*pool.map(lambda _: infer(client), range(50))] == [1] * 50


def test_a_reloaded_model_sets_up_its_threads_itself():
    with Client.of(model(Counts, name="m")) as client:
        assert infer(client) == 1
        first = runtime(client)
        client.assembled.modelplane.load("m")

        assert infer(client) == 1
        assert runtime(client) is not first
        assert runtime(client).threads == [threading.get_ident()]


def test_warm_up_requests_run_in_a_thread_that_was_set_up():
    warmup = [{"inputs": [{"name": "x", "datatype": "FP64", "shape": [1], "data": [0]}]}]
    with Client.of(model(Counts, name="m", warmup=warmup)) as client:
        assert len(runtime(client).threads) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_what_it_raises_is_the_error_of_the_request_and_the_next_one_tries_again(kind, caplog):
    class Fails(kind):
        def thread_started(self):
            if not self.threads:
                self.threads.append(0)
                raise OSError("no device")
            super().thread_started()

    with Client.of(model(Fails, name="m")) as client:
        with pytest.raises(PredictFailed, match="OSError"):
            infer(client)
        assert "in thread_started" in caplog.text
        assert infer(client) == 1
        runtime(client).threads.clear()


def test_an_async_thread_started_is_refused_at_load():
    class Wrong(Counts):
        async def thread_started(self):
            pass

    with pytest.raises(LoadFailed, match=r"Wrong\.thread_started is async"):
        Client.of(model(Wrong, name="m"))


# -- cores -------------------------------------------------------------------------------------------------------------


class Told(Runtime):
    def load(self):
        self.parameters["cores"] = self.cores

    def predict(self, x: np.ndarray) -> np.ndarray:
        return x


def test_a_runtime_is_told_its_share_of_the_cores_before_load():
    with Client.of(model(Told, name="m")) as client:
        assert client.metadata("m").json["parameters"]["cores"] == cores()


@pytest.mark.parametrize("workers, share", [(1, 8), (3, 2), (9, 1)])
def test_each_of_several_workers_has_its_share_of_the_cores(monkeypatch, workers, share):
    monkeypatch.setattr("srv.cores.cores", lambda: 8)
    with Client.of(model(Told, name="m"), settings={"workers": workers}) as client:
        assert runtime(client).cores == share


def test_cores_of_a_runtimes_own_stay_as_they_are():
    class Own(Told):
        cores = 3

    with Client.of(model(Own, name="m")) as client:
        assert runtime(client).cores == 3


def test_a_runtime_that_no_server_loads_has_all_cores(tmp_path):
    from srv import ModelSettings

    assert Told(ModelSettings(name="m")).cores == cores()
