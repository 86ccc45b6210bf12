"""Protobuf messages of Tern's services, made when this module is imported.

They live in a descriptor pool of their own: Tern's copies of google.rpc and
grpc.health then never meet those of other packages in the same process, and
no generated code ties the package to one protobuf release.
"""

from __future__ import annotations

import importlib.resources
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory


def _load() -> descriptor_pool.DescriptorPool:
    data = (importlib.resources.files("tern") / "descriptors.binpb").read_bytes()
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(data).file:
        # Dependencies come first in the set.
        pool.AddSerializedFile(file.SerializeToString())
    return pool


_POOL = _load()


def _message(name: str) -> Any:
    descriptor = _POOL.FindMessageTypeByName(name)
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(descriptor)
    # Protobuf before 4.22.
    factory: Any = message_factory.MessageFactory(_POOL)
    return factory.GetPrototype(descriptor)


ClassifyRequest = _message("tern.v1.ClassifyRequest")
ClassifyResponse = _message("tern.v1.ClassifyResponse")
Image = _message("tern.v1.Image")
UploadRequest = _message("tern.v1.UploadRequest")
UploadResponse = _message("tern.v1.UploadResponse")
ListModelsRequest = _message("tern.v1.ListModelsRequest")
ListModelsResponse = _message("tern.v1.ListModelsResponse")
GetModelRequest = _message("tern.v1.GetModelRequest")
GetModelResponse = _message("tern.v1.GetModelResponse")
LoadModelRequest = _message("tern.v1.LoadModelRequest")
LoadModelResponse = _message("tern.v1.LoadModelResponse")
UnloadModelRequest = _message("tern.v1.UnloadModelRequest")
UnloadModelResponse = _message("tern.v1.UnloadModelResponse")
DeleteModelRequest = _message("tern.v1.DeleteModelRequest")
DeleteModelResponse = _message("tern.v1.DeleteModelResponse")
HealthCheckRequest = _message("grpc.health.v1.HealthCheckRequest")
HealthCheckResponse = _message("grpc.health.v1.HealthCheckResponse")
Status = _message("google.rpc.Status")
RetryInfo = _message("google.rpc.RetryInfo")
BadRequest = _message("google.rpc.BadRequest")

_MODEL_STATES = _POOL.FindEnumTypeByName("tern.v1.ModelState").values_by_number


def state_name(number: int) -> str:
    """"ready", "failed", ... of a tern.v1.ModelState."""
    value = _MODEL_STATES.get(number)
    if value is None:
        return f"unknown ({number})"
    return value.name.replace("MODEL_STATE_", "").lower()
