"""What srv_after_infer is told of a stream: how many responses, their bytes, when the first one came, who left."""

from types import SimpleNamespace

import pytest

from srv import InferenceRequest, InferenceResponse, InvalidInput, Runtime, Tensor
from srv.client.grpc_messages import as_message
from srv.grpc.descriptors import INFERENCE
from srv.hookspecs import StreamSummary, hookimpl
from srv.testing import model

GREETING = "grüße"  # with more bytes than letters


class Words(Runtime):
    """As many words as the request asks for, and then the error that it asks for."""

    def predict(self, text_input: list[str]) -> list[str]:
        return text_input

    def predict_stream(self, request):
        for _ in range(request.parameters.get("words", 3)):
            yield {"text_output": [GREETING]}
        if request.parameters.get("fail"):
            raise InvalidInput("No further.")


class Whole(Runtime):
    def predict(self, text_input: list[str]) -> list[str]:
        return text_input


class Listener:
    """Notes what it is told, and answers in the model's place where a request asks for that."""

    def __init__(self):
        self.told = []
        self.server = None

    @hookimpl
    def srv_worker_started(self, server):
        self.server = server

    @hookimpl
    def srv_before_infer(self, request):
        if request.parameters.get("early"):
            return InferenceResponse([Tensor("text_output", ["early"])])
        return None

    @hookimpl
    def srv_after_infer(self, error, timings, stream):
        self.told.append((error, timings, stream))


def stream_of(listener):
    """The summary of the only stream."""
    ((_, _, stream),) = listener.told
    return stream


@pytest.fixture
def listener():
    return Listener()


@pytest.fixture
def client(srv_client, isolated_plugins, listener):
    isolated_plugins(hooks={"listener": listener})
    return srv_client(model(Words, name="m"), model(Whole, name="whole"))


def events(client, path="infer_stream", **parameters):
    body = {"inputs": [{"name": "text_input", "datatype": "BYTES", "shape": [1], "data": ["a"]}]}
    if path == "generate_stream":
        body = {"text_input": "a"}
    return client.post(f"/v2/models/m/{path}", body | {"parameters": parameters})


def messages(client, name="m", **parameters):
    """The bytes of each message of ModelStreamInfer."""
    request = InferenceRequest([Tensor("text_input", ["a"])], parameters=parameters)
    with client.grpc_channel() as channel:
        return [*channel.stream_stream(f"/{INFERENCE}/ModelStreamInfer")(iter([as_message(name, request)]))]


@pytest.mark.parametrize("path", ["infer_stream", "generate_stream"])
def test_srv_after_infer_hears_how_many_events_a_stream_had_and_their_bytes(client, listener, path):
    answer = events(client, path)

    assert answer.body.count(b"data: ") == stream_of(listener).responses == 3
    assert stream_of(listener).bytes == len(answer.body)
    assert GREETING in answer.body.decode()


def test_srv_after_infer_hears_how_many_messages_a_stream_had_and_their_bytes(client, listener):
    answers = messages(client)

    assert stream_of(listener).responses == len(answers) == 3
    assert stream_of(listener).bytes == sum(map(len, answers))


def test_the_time_to_the_first_response_is_a_part_of_the_whole(client, listener):
    events(client)

    ((_, timings, stream),) = listener.told
    assert timings.queue <= stream.time_to_first <= timings.total


def test_of_a_stream_that_fails_those_before_count_and_not_the_event_of_the_error(client, listener):
    answer = events(client, words=2, fail=True)

    ((error, _, stream),) = listener.told
    *before, last = answer.body.split(b"\n\n")[:-1]
    assert (str(error), b"No further." in last) == ("No further.", True)
    assert (stream.responses, stream.bytes) == (2, sum(len(event) + 2 for event in before))
    assert stream.client_left is False


def test_a_stream_without_a_response_has_no_first_one(client, listener):
    events(client, words=0)

    assert stream_of(listener) == StreamSummary(0, 0, None, client_left=False)


def test_a_plugins_early_response_is_the_streams_only_one(client, listener):
    answer = events(client, early=True)

    assert (stream_of(listener).responses, stream_of(listener).bytes) == (1, len(answer.body))


def test_an_answer_of_one_response_has_no_stream_also_over_grpcs_stream(client, listener):
    client.infer("whole", {"text_input": ["a"]})
    client.infer("whole", {"text_input": ["a"]}, form="grpc")
    messages(client, "whole")

    assert [stream for _, _, stream in listener.told] == 3 * [None]


def test_the_client_of_a_stream_that_is_closed_early_has_left(client, listener):
    request = InferenceRequest([Tensor("text_input", ["a"])])
    stream = client.assembled.dataplane.stream("m", None, request, lambda response: b"12345")

    next(stream)
    next(stream)
    stream.close()

    assert (stream_of(listener).responses, stream_of(listener).bytes, stream_of(listener).client_left) == (2, 10, True)


def test_a_stream_that_a_plugin_asks_for_has_responses_and_no_bytes(client, listener):
    request = InferenceRequest([Tensor("text_input", ["a"])])

    assert len([*listener.server.stream("m", request)]) == 3
    with listener.server.stream("m", request) as responses:
        next(responses)

    whole, part = (stream for _, _, stream in listener.told)
    assert (whole.responses, whole.bytes, whole.client_left) == (3, 0, False)
    assert (part.responses, part.bytes, part.client_left) == (1, 0, True)
    assert whole.time_to_first > 0


def test_a_hook_that_does_not_name_the_stream_is_called_as_before(srv_client, isolated_plugins):
    told = []

    def after(model, request, response, error, timings):
        told.append((model.name, request.id, response["output"].tolist(), error, timings.total > 0))

    look = hookimpl(after, specname="srv_after_infer")
    isolated_plugins(hooks={"look": SimpleNamespace(srv_after_infer=look)})

    srv_client(model(Whole, name="whole")).infer("whole", {"text_input": ["a"]}, id="one")

    assert told == [("whole", "one", [b"a"], None, True)]
