"""The sentence of a deadline names the time that was given, and who gave it: the client, the model or the server."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from srv import InferenceRequest, Runtime, Tensor
from srv.errors import DeadlinePassed
from srv.testing import Client, model

OF_CLIENT = "The request was not answered within the 0.1 seconds that its client gave."
OF_SERVER = "The request was not answered within its 0.1 seconds."
PATIENCE = 20


class Sync(Runtime):
    def predict(self, x: np.ndarray) -> np.ndarray:
        time.sleep(0.3)
        return x


class Async(Runtime):
    async def predict(self, x: np.ndarray) -> np.ndarray:
        await asyncio.sleep(PATIENCE)
        return x


class AsyncStream(Runtime):
    async def predict_stream(self, x: np.ndarray):
        await asyncio.sleep(PATIENCE)
        yield x


class OneAtATime(Runtime):
    """Its only place is taken until the test says otherwise."""

    concurrency = 1
    taken, goes_on = threading.Event(), threading.Event()

    def predict(self, x: np.ndarray) -> np.ndarray:
        self.taken.set()
        self.goes_on.wait(PATIENCE)
        return x


class Batched(Sync):
    pass


def refused(client, *, deadline=None, received=None):
    """Return the sentence with which a request to the only model is refused."""
    plane = client.assembled.dataplane
    (name,) = plane.model_names()
    request = InferenceRequest([Tensor("x", [1.0])])
    streams = hasattr(plane.model(name).runtime, "predict_stream")

    def ask():
        given = {"deadline": deadline, "received": received}
        return (
            list(plane.stream(name, None, request, lambda _: b"", **given))
            if streams
            else plane.infer(name, None, request, **given)
        )

    with pytest.raises(DeadlinePassed) as raised:
        ask()
    return str(raised.value)


@pytest.mark.parametrize("runtime", [Sync, Async, AsyncStream])
def test_while_a_model_runs(runtime):
    with Client.of(runtime) as client:
        now = time.monotonic()
        assert refused(client, received=now, deadline=now + 0.1) == OF_CLIENT
    with Client.of(runtime, settings={"request_timeout": 0.1}) as client:
        assert refused(client) == OF_SERVER
        assert refused(client, deadline=time.monotonic() + PATIENCE) == OF_SERVER


def test_while_a_request_waits_for_a_place():
    with Client.of(OneAtATime) as client, ThreadPoolExecutor(1) as threads:
        plane = client.assembled.dataplane
        (name,) = plane.model_names()
        first = threads.submit(plane.infer, name, None, InferenceRequest([Tensor("x", [1.0])]))
        assert OneAtATime.taken.wait(PATIENCE)
        now = time.monotonic()
        assert refused(client, received=now, deadline=now + 0.1) == OF_CLIENT
        OneAtATime.goes_on.set()
        assert first.result(PATIENCE)


def test_before_a_request_has_a_thread():
    with Client.of(Sync) as client:
        long_ago = time.monotonic() - 1
        assert refused(client, received=long_ago, deadline=long_ago + 0.1) == OF_CLIENT
    with Client.of(Sync, settings={"request_timeout": 0.1}) as client:
        assert refused(client, received=long_ago) == OF_SERVER


def test_in_a_batch_each_request_hears_of_its_own():
    with (
        Client.of(model(Batched, max_batch_size=8, max_batch_time=PATIENCE)) as client,
        ThreadPoolExecutor(8) as threads,
    ):
        deadlines = [0.1, 0.2, 0.1, 0.2, 0.1, 0.2, 0.1, 0.2]
        now = time.monotonic()
        calls = [threads.submit(refused, client, received=now, deadline=now + seconds) for seconds in deadlines]
        sentences = [call.result(PATIENCE) for call in calls]
    given = [float(said.split(" seconds")[0].rpartition(" ")[2]) for said in sentences]
    assert given == deadlines
    assert all(said.endswith("seconds that its client gave.") for said in sentences)
