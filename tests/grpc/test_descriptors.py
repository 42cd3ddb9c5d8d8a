"""The messages are those of the protocol and of Triton's clients, and live beside theirs in one process."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import Default
from tritonclient.grpc import model_config_pb2, service_pb2

from srv.grpc import descriptors
from srv.grpc.descriptors import HEALTH, INFERENCE, POOL, REFLECTIONS, ModelInferRequest

TOP = Path(__file__).parents[2]
PROTOS = Path(descriptors.__file__).with_name("protos")


def file(name):
    return POOL.FindFileByName(name)


def fields(message):
    """A message's fields as the wire has them, those of nested messages too."""
    found = {
        f"{message.full_name}.{field.name}": (field.number, field.type, is_repeated(field), of_type(field))
        for field in message.fields
    }
    for nested in message.nested_types:
        found |= fields(nested)
    return found


def is_repeated(field):
    # Newer protobuf has this, and warns of `label`.
    return field.is_repeated if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED


def of_type(field):
    kind = field.message_type or field.enum_type
    oneof = field.containing_oneof.name if field.containing_oneof else None
    return (kind.full_name if kind else None, oneof)


def of_file(file):
    found = {}
    for message in file.message_types_by_name.values():
        found |= fields(message)
    return found


def test_every_field_of_ours_but_those_of_metadata_is_tritons_too():
    theirs = of_file(service_pb2.DESCRIPTOR) | of_file(model_config_pb2.DESCRIPTOR)
    ours = of_file(file("srv/inference.proto"))
    properties = {name for name in ours if ".ModelMetadataResponse." in name and name not in theirs}
    assert {name.rpartition(".")[2] for name in properties} == {"parameters", "key", "value"}
    assert {name: ours[name] for name in ours if name not in properties} == {
        name: theirs[name] for name in ours if name not in properties
    }


def test_metadata_have_parameters_where_mlserver_has_them():
    ours = of_file(file("srv/inference.proto"))
    metadata = "inference.ModelMetadataResponse"
    numbers = {f"{metadata}.TensorMetadata.parameters": 4, f"{metadata}.parameters": 6}
    assert {name: ours[name][0] for name in numbers} == numbers
    for name in numbers:
        entry = POOL.FindFieldByName(name).message_type
        assert entry.fields_by_name["value"].message_type.full_name == "inference.InferParameter"


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


def test_the_descriptors_are_compiled_from_the_files_as_they_are():
    pytest.importorskip("grpc_tools", reason="grpcio-tools is not installed")
    run = subprocess.run([sys.executable, TOP / "scripts" / "protos", "--check"], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("path", sorted(PROTOS.glob("*.proto")), ids=lambda path: path.stem)
def test_the_descriptors_have_each_numbered_name_of_the_files(path):
    """Looked at by plain text, so that it is looked at also where nothing can compile."""
    text = re.sub(r"//[^\n]*", "", path.read_text())
    written = sorted(re.findall(r"(\w+) = (\d+);", text))
    name = {"inference": "srv/inference.proto", "health": "grpc/health/v1/health.proto"}.get(path.stem)
    for each in [name] if name else ["grpc/reflection/v1/reflection.proto", "grpc/reflection/v1alpha/reflection.proto"]:
        proto = FileDescriptorProto.FromString(file(each).serialized_pb)
        assert sorted((name, str(number)) for name, number in numbered(proto.message_type, proto.enum_type)) == written
        calls = {method.name for service in proto.service for method in service.method}
        assert calls == set(re.findall(r"\brpc (\w+)", text))


def numbered(messages, enums):
    """Yield the name and number of each field and enum value, but those of maps' entries, which no file names."""
    for enum in enums:
        yield from ((value.name, value.number) for value in enum.value)
    for message in messages:
        if not message.options.map_entry:
            yield from ((field.name, field.number) for field in message.field)
            yield from numbered(message.nested_type, message.enum_type)
