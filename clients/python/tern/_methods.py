"""The RPCs of Tern's services."""

from __future__ import annotations

from typing import Any, NamedTuple

from tern import _messages as pb


class Method(NamedTuple):
    path: str
    request: Any
    response: Any
    streams_request: bool = False


METHODS = {
    "Classify": Method("/tern.v1.InferenceService/Classify",
                       pb.ClassifyRequest, pb.ClassifyResponse),
    "Check": Method("/grpc.health.v1.Health/Check", pb.HealthCheckRequest,
                    pb.HealthCheckResponse),
    "Upload": Method("/tern.v1.RepositoryService/Upload", pb.UploadRequest,
                     pb.UploadResponse, streams_request=True),
    "ListModels": Method("/tern.v1.RepositoryService/ListModels",
                         pb.ListModelsRequest, pb.ListModelsResponse),
    "GetModel": Method("/tern.v1.RepositoryService/GetModel",
                       pb.GetModelRequest, pb.GetModelResponse),
    "LoadModel": Method("/tern.v1.RepositoryService/LoadModel",
                        pb.LoadModelRequest, pb.LoadModelResponse),
    "UnloadModel": Method("/tern.v1.RepositoryService/UnloadModel",
                          pb.UnloadModelRequest, pb.UnloadModelResponse),
    "DeleteModel": Method("/tern.v1.RepositoryService/DeleteModel",
                          pb.DeleteModelRequest, pb.DeleteModelResponse),
}
