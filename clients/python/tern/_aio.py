"""The asyncio client."""

from __future__ import annotations

import asyncio
import os
import time
from typing import (Any, Callable, List, Optional, Union, overload)

import grpc
import grpc.aio

from tern import _messages as pb
from tern import _wire
from tern._methods import METHODS
from tern._types import ModelDetails, ModelStatus, Result, Uploaded


class AsyncClient:
    """Client for asyncio: the same calls, awaited; see Client.

        async with AsyncClient("localhost:8500") as client:
            result = await client.classify("shoe.png")

    Make and use it inside one running event loop.
    """

    def __init__(self, target: str = "localhost:8500", *,
                 model: Optional[str] = None, timeout: float = 30.0,
                 max_attempts: int = 5) -> None:
        self._model = model
        self._timeout = timeout
        self._max_attempts = max_attempts
        self._channel = grpc.aio.insecure_channel(
            target, options=_wire.CHANNEL_OPTIONS)
        self._calls = {
            name: (self._channel.stream_unary if method.streams_request
                   else self._channel.unary_unary)(
                       method.path,
                       request_serializer=method.request.SerializeToString,
                       response_deserializer=method.response.FromString)
            for name, method in METHODS.items()}

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self.close()

    async def close(self) -> None:
        await self._channel.close()

    @overload
    async def classify(self, images: _wire.Picture, *,
                       model: Optional[str] = ...,
                       version: Optional[int] = ..., top_k: int = ...,
                       logits: bool = ..., timeout: Optional[float] = ...
                       ) -> Result: ...

    @overload
    async def classify(self, images: _wire.Pictures, *,
                       model: Optional[str] = ...,
                       version: Optional[int] = ..., top_k: int = ...,
                       logits: bool = ..., timeout: Optional[float] = ...
                       ) -> List[Result]: ...

    @overload
    async def classify(self, images: Any, *,
                       model: Optional[str] = ...,
                       version: Optional[int] = ..., top_k: int = ...,
                       logits: bool = ..., timeout: Optional[float] = ...
                       ) -> Any: ...

    async def classify(self, images: Any, *, model: Optional[str] = None,
                       version: Optional[int] = None, top_k: int = 5,
                       logits: bool = False, timeout: Optional[float] = None
                       ) -> Union[Result, List[Result]]:
        """As Client.classify."""
        values, single = _wire.split_images(images)
        name = model or await self._only_model()
        requests = _wire.classify_requests(values, name, version, top_k,
                                           logits)
        if single:
            return _wire.only(await self._classify(next(requests), timeout),
                              single)
        gate = asyncio.Semaphore(_wire.REQUESTS_AHEAD)

        async def run(request: Any) -> List[Result]:
            try:
                return await self._classify(request, timeout)
            finally:
                gate.release()

        tasks = []
        # The gate is passed before a request's pictures are read.
        await gate.acquire()
        for request in requests:
            tasks.append(asyncio.ensure_future(run(request)))
            await gate.acquire()
        gate.release()
        return [r for part in await asyncio.gather(*tasks) for r in part]

    async def upload(self, path: Union[str, "os.PathLike[str]"], model: str,
                     version: Optional[int] = None) -> Uploaded:
        """As Client.upload."""
        upload = await asyncio.get_running_loop().run_in_executor(
            None, _wire.Upload, path, model, version)
        response = await self._call("Upload", upload.messages,
                                    self._timeout * upload.mebibytes,
                                    upload.harmless)
        return upload.result(response)

    async def models(self, model: str = "") -> List[ModelStatus]:
        """As Client.models."""
        response = await self._unary("ListModels",
                                     pb.ListModelsRequest(model=model))
        return [_wire.status_of(m) for m in response.models]

    async def model(self, model: str, version: int = 0) -> ModelDetails:
        """As Client.model."""
        return _wire.details_of(await self._unary(
            "GetModel", pb.GetModelRequest(model=model, version=version)))

    async def load(self, model: str, version: int = 0) -> ModelStatus:
        response = await self._unary(
            "LoadModel", pb.LoadModelRequest(model=model, version=version))
        return _wire.status_of(response.status)

    async def unload(self, model: str, version: int) -> None:
        await self._unary(
            "UnloadModel",
            pb.UnloadModelRequest(model=model, version=version), False)

    async def delete(self, model: str, version: int) -> None:
        await self._unary(
            "DeleteModel",
            pb.DeleteModelRequest(model=model, version=version), False)

    async def is_serving(self, service: str = "") -> bool:
        """As Client.is_serving."""
        response = await self._unary("Check",
                                     pb.HealthCheckRequest(service=service))
        return bool(response.status == 1)

    async def _only_model(self) -> str:
        if self._model is None:
            self._model = _wire.only_model(
                await self._unary("ListModels", pb.ListModelsRequest()))
        return self._model

    async def _classify(self, request: Any,
                        timeout: Optional[float]) -> List[Result]:
        response = await self._call(
            "Classify", lambda: request,
            self._timeout if timeout is None else timeout, True)
        return _wire.results_of(request, response)

    async def _unary(self, method: str, request: Any,
                     harmless: bool = True) -> Any:
        return await self._call(method, lambda: request, self._timeout,
                                harmless)

    async def _call(self, method: str, make_request: Callable[[], Any],
                    timeout: float, harmless: bool) -> Any:
        deadline = time.monotonic() + timeout
        attempt = 1
        while True:
            try:
                return await self._calls[method](
                    make_request(), timeout=deadline - time.monotonic())
            except grpc.aio.AioRpcError as failed:
                error = _wire.error_of(failed.code(), failed.details(),
                                       failed.trailing_metadata())
            delay = None
            if attempt < self._max_attempts:
                delay = _wire.retry_delay(error, attempt, harmless,
                                          deadline - time.monotonic())
            if delay is None:
                raise error from None
            await asyncio.sleep(delay)
            attempt += 1
