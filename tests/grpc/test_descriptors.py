"""The messages are those of the protocol and of Triton's clients, and live beside theirs in one process."""

import re
from pathlib import Path

import pytest
from google.protobuf.descriptor_pool import Default
from tritonclient.grpc import model_config_pb2, service_pb2

from srv.grpc import descriptors
from srv.grpc.descriptors import HEALTH, INFERENCE, POOL, REFLECTIONS, ModelInferRequest
from srv.grpc.prototext import NotProto, read_proto

PROTOS = Path(descriptors.__file__).with_name("protos")


def file(name):
    return POOL.FindFileByName(name)


def fields(message):
    """A message's fields as the wire has them, those of nested messages too."""
    found = {
        f"{message.full_name}.{field.name}": (field.number, field.type, field.is_repeated, of_type(field))
        for field in message.fields
    }
    for nested in message.nested_types:
        found |= fields(nested)
    return found


def of_type(field):
    kind = field.message_type or field.enum_type
    oneof = field.containing_oneof.name if field.containing_oneof else None
    return (kind.full_name if kind else None, oneof)


def of_file(file):
    found = {}
    for message in file.message_types_by_name.values():
        found |= fields(message)
    return found


def test_every_field_of_ours_is_tritons_too():
    theirs = of_file(service_pb2.DESCRIPTOR) | of_file(model_config_pb2.DESCRIPTOR)
    ours = of_file(file("srv/inference.proto"))
    properties = {name for name in ours if ".ModelMetadataResponse." in name and name not in theirs}
    assert {name.rpartition(".")[2] for name in properties} == {"properties", "key", "value"}
    assert {name: ours[name] for name in ours if name not in properties} == {
        name: theirs[name] for name in ours if name not in properties
    }


def test_what_the_protocol_says_is_whole():
    """Messages of inference have all of Triton's fields, which are all of the protocol's."""
    theirs = of_file(service_pb2.DESCRIPTOR)
    ours = of_file(file("srv/inference.proto"))
    wanted = re.compile(
        r"inference\.(Server|ModelReady|ModelMetadata|ModelInfer|ModelStream|Infer(Param|Tensor)|Repos)"
    )
    assert {name for name in theirs if wanted.match(name)} <= ours.keys()


def test_every_method_of_ours_is_tritons_too():
    theirs = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods_by_name
    ours = POOL.FindServiceByName(INFERENCE).methods_by_name
    for name, method in ours.items():
        assert method.input_type.full_name == theirs[name].input_type.full_name
        assert method.output_type.full_name == theirs[name].output_type.full_name
        assert (method.client_streaming, method.server_streaming) == (
            theirs[name].client_streaming,
            theirs[name].server_streaming,
        )


def test_datatypes_have_tritons_numbers():
    theirs = {value.name: value.number for value in model_config_pb2.DataType.DESCRIPTOR.values}
    assert {value.name: value.number for value in POOL.FindEnumTypeByName("inference.DataType").values} == theirs


def test_the_symbols_stand_in_a_pool_of_their_own():
    assert Default().FindMessageTypeByName("inference.ModelInferRequest") is service_pb2.ModelInferRequest.DESCRIPTOR
    assert POOL.FindMessageTypeByName("inference.ModelInferRequest") is ModelInferRequest.DESCRIPTOR
    assert ModelInferRequest is not service_pb2.ModelInferRequest
    with pytest.raises(KeyError):
        Default().FindFileByName("srv/inference.proto")


def test_what_ours_writes_theirs_reads():
    ours = ModelInferRequest(model_name="m", id="q")
    ours.parameters["p"].uint64_param = 2**64 - 1
    ours.inputs.add(name="x", datatype="INT8", shape=[1, 2]).contents.int_contents.extend([-1, 2])
    theirs = service_pb2.ModelInferRequest.FromString(ours.SerializeToString())
    assert str(theirs) == str(ours)


def test_health_and_reflection_have_their_standard_forms():
    health = POOL.FindServiceByName(HEALTH)
    assert health.methods_by_name["Watch"].server_streaming
    assert of_file(health.file)["grpc.health.v1.HealthCheckResponse.status"][0] == 1
    for name in REFLECTIONS:
        method = POOL.FindServiceByName(name).methods_by_name["ServerReflectionInfo"]
        assert method.client_streaming
        assert method.server_streaming
        numbers = {field.name: field.number for field in method.output_type.fields}
        assert numbers["list_services_response"] == 6
        assert numbers["error_response"] == 7


def test_protoc_reads_the_files_as_srv_does(tmp_path):
    protoc = pytest.importorskip("grpc_tools.protoc", reason="grpcio-tools is not installed")
    from google.protobuf.descriptor_pb2 import FileDescriptorSet

    for path in PROTOS.glob("*.proto"):
        out = tmp_path / path.name
        assert protoc.main(["protoc", f"-I{PROTOS}", f"--descriptor_set_out={out}", str(path)]) == 0
        (theirs,) = FileDescriptorSet.FromString(out.read_bytes()).file
        ours = read_proto(path.name, path.read_text())
        for message in theirs.message_type:
            strip(message)
        assert ours == theirs


def strip(message):
    for field in message.field:
        field.ClearField("json_name")
    for nested in message.nested_type:
        strip(nested)


@pytest.mark.parametrize(
    "text, why",
    [
        ("message M {", "ends in the middle"),
        ("message M { int32 a = 1 }", "'}' stands where ';' was expected"),
        ("message M { Nobody a = 1; }", "Nothing is called 'Nobody'"),
        ("import x;", "'import' begins nothing"),
        ("message M { int32 a = 1; } %", "'%' is no part"),
    ],
)
def test_text_that_is_no_proto_is_refused(text, why):
    with pytest.raises(NotProto, match=re.escape(why)):
        read_proto("a.proto", f'syntax = "proto3"; package a; {text}')
