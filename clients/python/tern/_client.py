"""The blocking client."""

from __future__ import annotations

import collections
import os
import time
from typing import (Any, Callable, List, Optional, Union, overload)

import grpc

from tern import _messages as pb
from tern import _wire
from tern._methods import METHODS
from tern._types import ModelDetails, ModelStatus, Result, TernError, Uploaded


class Client:
    """A connection to a Tern server; may be used from many threads.

        with Client("localhost:8500") as client:
            print(client.classify("shoe.png").label)

    Every call takes at most `timeout` seconds, retries included. Calls that
    the server pushed back are tried again when it asked for, up to
    `max_attempts` attempts in all. Failures raise TernError.
    """

    def __init__(self, target: str = "localhost:8500", *,
                 model: Optional[str] = None, timeout: float = 30.0,
                 max_attempts: int = 5) -> None:
        self._model = model
        self._timeout = timeout
        self._max_attempts = max_attempts
        self._channel = grpc.insecure_channel(
            target, options=_wire.CHANNEL_OPTIONS)
        self._calls = {
            name: (self._channel.stream_unary if method.streams_request
                   else self._channel.unary_unary)(
                       method.path,
                       request_serializer=method.request.SerializeToString,
                       response_deserializer=method.response.FromString)
            for name, method in METHODS.items()}

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        self._channel.close()

    @overload
    def classify(self, images: _wire.Picture, *,
                 model: Optional[str] = ..., version: Optional[int] = ...,
                 top_k: int = ..., logits: bool = ...,
                 timeout: Optional[float] = ...) -> Result: ...

    @overload
    def classify(self, images: _wire.Pictures, *,
                 model: Optional[str] = ..., version: Optional[int] = ...,
                 top_k: int = ..., logits: bool = ...,
                 timeout: Optional[float] = ...) -> List[Result]: ...

    @overload
    def classify(self, images: Any, *,
                 model: Optional[str] = ..., version: Optional[int] = ...,
                 top_k: int = ..., logits: bool = ...,
                 timeout: Optional[float] = ...) -> Any: ...

    def classify(self, images: Any, *, model: Optional[str] = None,
                 version: Optional[int] = None, top_k: int = 5,
                 logits: bool = False, timeout: Optional[float] = None
                 ) -> Union[Result, List[Result]]:
        """Says what one picture or a list of pictures shows.

        A picture is a path, bytes of a JPEG or PNG file, a PIL image, or a
        numpy array of uint8 of exactly the model's size. For one picture the
        Result is returned, or TernError raised; for a list (or a batch array)
        a list, in which a bad picture has its `error` set.

        `model`: may be left out where the server has only one.
        """
        values, single = _wire.split_images(images)
        name = model or self._only_model()
        results: List[Result] = []
        ahead: collections.deque[Any] = collections.deque()
        for request in _wire.classify_requests(values, name, version, top_k,
                                               logits):
            ahead.append((request, self._start("Classify", request, timeout)))
            if len(ahead) >= _wire.REQUESTS_AHEAD:
                results += self._finish(*ahead.popleft())
        while ahead:
            results += self._finish(*ahead.popleft())
        return _wire.only(results, single)

    def upload(self, path: Union[str, "os.PathLike[str]"], model: str,
               version: Optional[int] = None) -> Uploaded:
        """Stores a .twn file and serves it; without a version, as the next."""
        upload = _wire.Upload(path, model, version)
        timeout = self._timeout * upload.mebibytes
        response = self._call("Upload", upload.messages, timeout,
                              upload.harmless)
        return upload.result(response)

    def models(self, model: str = "") -> List[ModelStatus]:
        """All versions of all models, or of one, loaded or not."""
        response = self._unary("ListModels", pb.ListModelsRequest(model=model))
        return [_wire.status_of(m) for m in response.models]

    def model(self, model: str, version: int = 0) -> ModelDetails:
        """Everything about a loaded version; 0 is the newest."""
        return _wire.details_of(self._unary(
            "GetModel", pb.GetModelRequest(model=model, version=version)))

    def load(self, model: str, version: int = 0) -> ModelStatus:
        return _wire.status_of(self._unary(
            "LoadModel",
            pb.LoadModelRequest(model=model, version=version)).status)

    def unload(self, model: str, version: int) -> None:
        """Stops serving a version; its file stays."""
        self._unary("UnloadModel",
                    pb.UnloadModelRequest(model=model, version=version), False)

    def delete(self, model: str, version: int) -> None:
        """Unloads a version and removes its file."""
        self._unary("DeleteModel",
                    pb.DeleteModelRequest(model=model, version=version), False)

    def is_serving(self, service: str = "") -> bool:
        """Health of a model, or of the whole server."""
        response = self._unary("Check", pb.HealthCheckRequest(service=service))
        return bool(response.status == 1)

    def _only_model(self) -> str:
        if self._model is None:
            self._model = _wire.only_model(
                self._unary("ListModels", pb.ListModelsRequest()))
        return self._model

    def _unary(self, method: str, request: Any, harmless: bool = True) -> Any:
        return self._call(method, lambda: request, self._timeout, harmless)

    def _start(self, method: str, request: Any,
               timeout: Optional[float]) -> Any:
        """The first attempt under way, and its deadline."""
        left = self._timeout if timeout is None else timeout
        deadline = time.monotonic() + left
        return self._calls[method].future(request, timeout=left), deadline

    def _finish(self, request: Any, started: Any) -> List[Result]:
        future, deadline = started
        try:
            response = future.result()
        except grpc.RpcError as error:
            response = self._again("Classify", lambda: request, deadline, True,
                                   error)
        return _wire.results_of(request, response)

    def _call(self, method: str, make_request: Callable[[], Any],
              timeout: float, harmless: bool) -> Any:
        deadline = time.monotonic() + timeout
        try:
            return self._calls[method](make_request(), timeout=timeout)
        except grpc.RpcError as error:
            return self._again(method, make_request, deadline, harmless, error)

    def _again(self, method: str, make_request: Callable[[], Any],
               deadline: float, harmless: bool, failed: Any) -> Any:
        """Repeats a call whose first attempt failed, while that makes sense."""
        attempt = 1
        while True:
            error = _wire.error_of(failed.code(), failed.details(),
                                   failed.trailing_metadata())
            delay = None
            if attempt < self._max_attempts:
                delay = _wire.retry_delay(error, attempt, harmless,
                                          deadline - time.monotonic())
            if delay is None:
                raise error from None
            time.sleep(delay)
            attempt += 1
            try:
                return self._calls[method](
                    make_request(), timeout=deadline - time.monotonic())
            except grpc.RpcError as again:
                failed = again
