"""The client over gRPC against servers that lack what srv adds, or have messages of their own."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import numpy as np
import pytest

from srv import InferenceRequest, Tensor
from srv.client import Client, NotTheProtocol
from srv.client.grpc_messages import as_message
from srv.errors import InvalidInput, SrvError, Unimplemented
from srv.grpc.descriptors import INFERENCE, message

pytestmark = pytest.mark.e2e
X = Tensor("x", np.array([1.0], np.float32))


def failing(status, sentence):
    def answer(_request, context):
        context.abort(status, sentence)

    return grpc.unary_unary_rpc_method_handler(answer)


def answering(name, /, **fields):
    """Answer with a message of the protocol; the requests that came stand in `came`."""
    response = message(f"inference.{name}Response")(**fields).SerializeToString()

    def answer(request, _context):
        came.append(message(f"inference.{name}Request").FromString(request))
        return response

    came = []
    handler = grpc.unary_unary_rpc_method_handler(answer)
    return handler, came


@contextmanager
def serving(**handlers):
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(INFERENCE, handlers)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with Client(f"grpc://127.0.0.1:{port}", retries=0) as client:
        yield client
    server.stop(None).wait()


def test_a_stream_of_responses_that_are_no_parts_of_another_message_is_read():
    """MLServer streams ModelInferResponse itself; its first fields are those of an error in Triton's message."""

    def answer(_requests, _context):
        for number in range(2):
            made = message("inference.ModelInferResponse")(model_name="m", model_version="v1")
            made.outputs.add(name="n", datatype="INT64", shape=[1]).contents.int64_contents.append(number)
            yield made.SerializeToString()

    with serving(ModelStreamInfer=grpc.stream_stream_rpc_method_handler(answer)) as client:
        assert [result["n"].tolist() for result in client.stream("m", X)] == [[0], [1]]


def test_an_error_in_a_stream_is_still_an_error():
    def answer(_requests, _context):
        yield message("inference.ModelStreamInferResponse")(error_message="no such luck").SerializeToString()

    streaming = grpc.stream_stream_rpc_method_handler(answer)
    with serving(ModelStreamInfer=streaming) as client, pytest.raises(SrvError, match="no such luck"):
        next(client.stream("m", X))


@pytest.mark.parametrize(
    "status, kind, code",
    [
        (grpc.StatusCode.INTERNAL, SrvError, "INTERNAL"),
        (grpc.StatusCode.UNKNOWN, SrvError, "INTERNAL"),
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidInput, "INVALID_INPUT"),
        (grpc.StatusCode.UNIMPLEMENTED, Unimplemented, "UNIMPLEMENTED"),
    ],
)
def test_a_status_without_srv_s_code_says_no_more_than_it_does(status, kind, code):
    with serving(ModelInfer=failing(status, "It failed.")) as client:
        with pytest.raises(kind, match="It failed") as raised:
            client.infer("m", X)
        assert (raised.value.code, raised.value.request_id) == (code, None)


def test_a_model_of_which_the_server_knows_nothing_is_not_ready():
    with serving(ModelReady=failing(grpc.StatusCode.UNKNOWN, "Unexpected ModelNotFound")) as client:
        assert not client.is_ready("m")


def test_states_are_words_of_the_protocol():
    row = message("inference.RepositoryIndexResponse.ModelIndex")(name="m", version="1", state="State.READY")
    handler, _ = answering("RepositoryIndex", models=[row])
    with serving(RepositoryIndex=handler) as client:
        assert client.models() == [{"name": "m", "version": "1", "state": "READY"}]


@pytest.mark.parametrize("server, field", [("kserve", "repository_name"), ("triton", "model_name")])
def test_a_model_is_named_where_the_server_looks_for_its_name(server, field):
    metadata, _ = answering("ServerMetadata", name=server)
    load, came = answering("RepositoryModelLoad")
    with serving(ServerMetadata=metadata, RepositoryModelLoad=load) as client:
        client.load("m")
    assert [getattr(request, field) for request in came] == ["m"]


def response_of(raw, **output):
    made = message("inference.ModelInferResponse")(model_name="m", raw_output_contents=raw)
    made.outputs.add(name="y", **output)
    return made.SerializeToString()


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xff",
        response_of([b"1234"], datatype="FP32", shape=[3]),
        response_of([b"1234"], datatype="FP32", shape=[-1]),
        response_of([b"1234"], datatype="FP99", shape=[1]),
        response_of([], datatype="FP32", shape=[1]),
    ],
    ids=["no message", "too few bytes", "a length below zero", "an unknown datatype", "no contents"],
)
def test_a_response_that_cannot_be_read_is_no_error_of_the_request(data):
    handler = grpc.unary_unary_rpc_method_handler(lambda _request, _context: data)
    streaming = grpc.stream_stream_rpc_method_handler(lambda _requests, _context: iter([data]))
    with serving(ModelInfer=handler, ModelStreamInfer=streaming) as client:
        for ask in (lambda: client.infer("m", X), lambda: next(client.stream("m", X))):
            with pytest.raises(NotTheProtocol, match="its message cannot be read"):
                ask()


def test_a_request_without_inputs_has_a_message_too():
    assert message("inference.ModelInferRequest").FromString(as_message("m", InferenceRequest([]))).model_name == "m"


@pytest.mark.parametrize("url", ["grpc://localhost", "grpc://localhost:1/path", "grpc://", "grpc://localhost:x"])
def test_a_url_without_a_port_is_refused_with_an_example(url):
    with pytest.raises(SrvError, match="grpc://host:port"):
        Client(url)
