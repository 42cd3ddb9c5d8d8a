"""What only Triton's gRPC clients do: streams, and messages that gRPC compresses."""

import threading

import numpy as np
import pytest
from triton import GRPC

pytestmark = [pytest.mark.e2e, pytest.mark.parametrize("name", GRPC)]


def heard_over_grpc(client, requests):
    """What a callback hears: every response and error of a stream, in order."""
    heard, more = [], threading.Semaphore(0)

    def take(result, error):
        heard.append(str(error) if error else int(result.as_numpy("output")[0]))
        more.release()

    client.start_stream(take)
    for model, inputs, answers in requests:
        client.async_stream_infer(model, inputs)
        assert all(more.acquire(timeout=10) for _ in range(answers))
    client.stop_stream()
    return heard


def heard_over_asyncio(client, requests):
    """The same of an asyncio client."""
    answers = client.streamed({"model_name": model, "inputs": inputs} for model, inputs, _ in requests)
    return [str(error) if error else int(result.as_numpy("output")[0]) for result, error in answers]


HEAR = {"grpc": heard_over_grpc, "grpc.aio": heard_over_asyncio}


def test_a_stream_gives_every_response_in_its_order_and_outlives_an_error(clients, name, tensor):
    def to(value):
        return [tensor(np.array([value]), "INT64")]

    requests = [("count", to(2), 2), ("nobody", to(2), 1), ("count", to(3), 3)]
    for _ in range(3):  # each on a connection of its own
        heard = HEAR[name](clients(name), requests)
        assert heard == [0, 1, "No model is called 'nobody'.", 0, 1, 2]


def test_what_answers_once_answers_on_a_stream_too(clients, name, tensor):
    doubled = ("double", [tensor(np.array([3], np.float32), "FP32")], 1)
    assert HEAR[name](clients(name), [doubled, doubled]) == [6, 6]


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_compressed_message_is_read(client, name, tensor, coding):
    many = np.arange(2000, dtype=np.float32)
    answer = client.infer("double", [tensor(many, "FP32")], compression_algorithm=coding)
    assert np.array_equal(answer.as_numpy("output"), 2 * many)
