"""The messages of the gRPC face, made from compiled .proto files in a descriptor pool of their own.

A pool of their own, because protobuf's common one takes each symbol once, and a plugin may import tritonclient or
mlserver, which bring the same symbols, in the same process. No generated code, because that pins protobuf's version.
`scripts/protos` compiles the files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

INFERENCE = "inference.GRPCInferenceService"
HEALTH = "grpc.health.v1.Health"
REFLECTIONS = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")

_COMPILED = Path(__file__).with_name("protos") / "descriptors.binpb"


def _made_pool() -> DescriptorPool:
    pool = DescriptorPool()
    for file in FileDescriptorSet.FromString(_COMPILED.read_bytes()).file:
        pool.AddSerializedFile(file.SerializeToString())
    return pool


#: Filled once and never changed.
POOL = _made_pool()


def message(name: str) -> Any:
    """Return the class of a message by its full name: `inference.ModelInferRequest`."""
    return GetMessageClass(POOL.FindMessageTypeByName(name))


ModelInferRequest = message("inference.ModelInferRequest")
ModelInferResponse = message("inference.ModelInferResponse")
