"""The messages of the gRPC face, made from .proto text in a pool of their own.

A pool of their own, because protobuf's common one takes each symbol once, and a plugin may import tritonclient or
mlserver, which bring the same symbols, in the same process. No generated code, because that pins protobuf's version.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from srv.grpc.prototext import read_proto

INFERENCE = "inference.GRPCInferenceService"
HEALTH = "grpc.health.v1.Health"
REFLECTIONS = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")

#: What each service's file is called in descriptors, and where its text stands.
_FILES = {
    "srv/inference.proto": "inference.proto",
    "grpc/health/v1/health.proto": "health.proto",
    "grpc/reflection/v1/reflection.proto": "reflection.proto",
    "grpc/reflection/v1alpha/reflection.proto": "reflection.proto",
}
_FOLDER = Path(__file__).with_name("protos")


def _made_pool() -> DescriptorPool:
    pool = DescriptorPool()
    for name, file in _FILES.items():
        text = (_FOLDER / file).read_text(encoding="utf-8")
        if "/v1alpha/" in name:
            text = text.replace("package grpc.reflection.v1;", "package grpc.reflection.v1alpha;")
        pool.AddSerializedFile(read_proto(name, text).SerializeToString())
    return pool


#: Filled once and never changed.
POOL = _made_pool()


def message(name: str) -> Any:
    """The class of a message by its full name: `inference.ModelInferRequest`."""
    return GetMessageClass(POOL.FindMessageTypeByName(name))


ModelInferRequest = message("inference.ModelInferRequest")
ModelInferResponse = message("inference.ModelInferResponse")
