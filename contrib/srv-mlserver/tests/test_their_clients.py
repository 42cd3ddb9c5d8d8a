"""MLServer's own stubs and types as clients of srv, over real sockets."""

import json
import urllib.request
from textwrap import dedent

import grpc
import pytest
from mlserver import types
from mlserver.codecs import StringCodec
from mlserver.grpc import converters, dataplane_pb2_grpc

from srv.testing import srv_server

CODE = """
    import asyncio

    from mlserver import MLModel, types
    from mlserver.codecs import StringCodec
    from mlserver.errors import InferenceError


    class Letters(MLModel):
        async def predict(self, payload):
            return self.said(payload, StringCodec.decode_input(payload.inputs[0])[0].upper())

        async def predict_stream(self, payloads):
            async for payload in payloads:
                for letter in StringCodec.decode_input(payload.inputs[0])[0]:
                    if letter == "!":
                        raise InferenceError("no such letter")
                    await asyncio.sleep(0)
                    yield self.said(payload, letter)

        def said(self, payload, text):
            return types.InferenceResponse(
                model_name=self.name, id=payload.id, outputs=[StringCodec.encode_output("said", [text])]
            )
"""
NATIVE = """
    from srv import Runtime


    class Native(Runtime):
        def predict(self, x: list[str]) -> list[str]:
            return x
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    for name, implementation, code in (("letters", "m.Letters", CODE), ("native", "m.Native", NATIVE)):
        (folder / name).mkdir()
        (folder / name / "m.py").write_text(dedent(code))
        (folder / name / "model-settings.json").write_text(json.dumps({"name": name, "implementation": implementation}))
    with srv_server(folder) as server:
        yield server


@pytest.fixture(scope="module")
def stub(served):
    with grpc.insecure_channel(served.grpc_address) as channel:
        yield dataplane_pb2_grpc.GRPCInferenceServiceStub(channel)


def asked(text, model="letters", **more):
    request = types.InferenceRequest(inputs=[StringCodec.encode_input("x", [text])], **more)
    return converters.ModelInferRequestConverter.from_types(request, model_name=model, model_version=None)


def said(response):
    return StringCodec.decode_output(converters.ModelInferResponseConverter.to_types(response).outputs[0])


def test_mlservers_stub_asks_and_reads_the_answer(stub):
    assert said(stub.ModelInfer(asked("so"))) == ["SO"]
    assert said(stub.ModelInfer(asked("so", "native"))) == ["so"]


def test_mlservers_stub_reads_a_stream_of_one_of_its_classes(stub):
    responses = [*stub.ModelStreamInfer(iter([asked("ab", id="one"), asked("c")]))]

    assert [said(each) for each in responses] == [["a"], ["b"], ["c"]]
    assert [each.id for each in responses[:2]] == ["one", "one"]
    assert {each.model_name for each in responses} == {"letters"}


def test_an_error_ends_a_stream_of_mlservers_with_its_status(stub):
    responses = stub.ModelStreamInfer(iter([asked("a!b")]))

    assert said(next(responses)) == ["a"]
    with pytest.raises(grpc.RpcError) as raised:
        next(responses)
    assert (raised.value.code(), raised.value.details()) == (grpc.StatusCode.INVALID_ARGUMENT, "no such letter")


def test_a_stream_of_another_model_keeps_tritons_form(served):
    with grpc.insecure_channel(served.grpc_address) as channel:
        ask = channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")
        request = asked("so", "native").SerializeToString()
        (answer,) = ask(iter([request]))
    assert answer[0] == 2 << 3 | 2  # the field infer_response of a ModelStreamInferResponse


def test_a_stream_of_nothing_and_one_of_nonsense_are_answered(served):
    with grpc.insecure_channel(served.grpc_address) as channel:
        ask = channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")
        assert [*ask(iter([]))] == []
        (answer,) = ask(iter([b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01nonsense"]))
    assert answer[0] == 1 << 3 | 2  # error_message


def test_mlservers_types_write_requests_and_read_answers_over_rest(served):
    sent = types.InferenceRequest(inputs=[StringCodec.encode_input("x", ["ü"])], id="one")
    request = urllib.request.Request(
        f"{served.url}/v2/models/letters/infer",
        data=sent.model_dump_json(exclude_none=True).encode(),
        headers={"Content-Type": "application/json"},
    )

    with urllib.request.urlopen(request) as answer:
        read = types.InferenceResponse.model_validate_json(answer.read())

    assert (read.id, StringCodec.decode_output(read.outputs[0])) == ("one", ["Ü"])
    assert (
        types.MetadataModelResponse.model_validate_json(
            urllib.request.urlopen(f"{served.url}/v2/models/letters").read()
        ).name
        == "letters"
    )
