"""Between Python values and messages; shared by both clients."""

from __future__ import annotations

import hashlib
import io
import os
import random
import re
from typing import (Any, Iterator, List, Optional, Protocol, Sequence, Tuple,
                    Union)

import grpc

from tern import _messages as pb
from tern._types import (ClassScore, ModelDetails, ModelStatus, Result,
                         TernError, Uploaded)

CHUNK_BYTES = 1 << 18
BATCH_IMAGES = 32
BATCH_BYTES = 8 << 20
REQUESTS_AHEAD = 4
CHANNEL_OPTIONS = [("grpc.max_receive_message_length", 64 << 20),
                   ("grpc.max_send_message_length", 64 << 20),
                   ("grpc.initial_reconnect_backoff_ms", 100),
                   ("grpc.min_reconnect_backoff_ms", 100)]



class PilImage(Protocol):
    """What tells a PIL image from the rest; Pillow need not be installed."""

    def getexif(self) -> Any: ...


# For type checkers: one picture is a path, an encoded JPEG or PNG, or a PIL
# image. A numpy array is Any: one picture or many, as its shape says.
Picture = Union[str, "os.PathLike[str]", bytes, bytearray, memoryview,
                PilImage]
Pictures = Union[List[Any], Tuple[Any, ...]]


def _is_array(value: Any) -> bool:
    return hasattr(value, "__array_interface__") and hasattr(value, "dtype")


def _raw_image(array: Any) -> Any:
    if array.dtype != "uint8":
        raise TypeError(f"image array: want dtype uint8, got {array.dtype}")
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3):
        raise ValueError("image array: want height x width or height x width "
                         f"x 1 or 3, got shape {array.shape}")
    image = pb.Image()
    image.raw.height, image.raw.width, image.raw.channels = array.shape
    image.raw.pixels = array.tobytes()
    return image


def _pil_image(picture: Any) -> Any:
    """As PNG, which loses nothing; orientation goes along."""
    exif = picture.getexif()
    if picture.mode not in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        picture = picture.convert("RGB")
    file = io.BytesIO()
    picture.save(file, "PNG", exif=exif)
    return pb.Image(encoded=file.getvalue())


def to_image(value: Any) -> Any:
    """A tern.v1.Image of a Picture or of the numpy array of one."""
    if isinstance(value, (str, os.PathLike)):
        with open(value, "rb") as file:
            return pb.Image(encoded=file.read())
    if isinstance(value, (bytes, bytearray, memoryview)):
        return pb.Image(encoded=bytes(value))
    # A PIL image has an array interface as well, but no dtype.
    if _is_array(value):
        return _raw_image(value)
    if hasattr(value, "save") and hasattr(value, "mode"):
        return _pil_image(value)
    raise TypeError("image: want a path, bytes, a numpy array or a PIL image, "
                    f"got {type(value).__name__}")


def split_images(images: Any) -> Tuple[List[Any], bool]:
    """The pictures, and whether the caller gave just one.

    An array of four dimensions is a batch, and so is one of three whose last
    is no channel count.
    """
    if isinstance(images, (list, tuple)):
        return list(images), False
    # A picture with alpha, much sooner than a batch of pictures 4 wide.
    if _is_array(images) and images.ndim == 3 and images.shape[2] in (2, 4):
        raise ValueError(
            f"image array: want 1 or 3 channels, got shape {images.shape}; "
            "without alpha it is array[:, :, :-1], and a batch is N x height "
            "x width x channels")
    if _is_array(images) and (images.ndim == 4 or
                              (images.ndim == 3 and
                               images.shape[2] not in (1, 3))):
        return list(images), False
    return [images], True


def classify_requests(images: Sequence[Any], model: str,
                      version: Optional[int], top_k: int,
                      logits: bool) -> Iterator[Any]:
    """Requests of at most BATCH_IMAGES pictures and about BATCH_BYTES."""
    if top_k < 1:
        raise ValueError(f"top_k: want at least 1, got {top_k}")
    request = None
    size = 0
    for value in images:
        if request is None:
            request = pb.ClassifyRequest(top_k=top_k, return_logits=logits)
            request.model.name = model
            if version is not None:
                request.model.version = version
            size = 0
        image = to_image(value)
        request.images.append(image)
        size += image.ByteSize()
        if len(request.images) >= BATCH_IMAGES or size >= BATCH_BYTES:
            yield request
            request = None
    if request is not None:
        yield request


def results_of(request: Any, response: Any) -> List[Result]:
    if len(response.results) != len(request.images):
        raise TernError(grpc.StatusCode.INTERNAL,
                        f"sent {len(request.images)} pictures, the server "
                        f"answered {len(response.results)}")
    model, version = response.answered_by.model, response.answered_by.version
    results = []
    for result in response.results:
        error = None
        if result.status.code != 0:
            # Without the place in this request, which is none in a list
            # that was sent in several.
            error = TernError(code_of(result.status.code),
                              re.sub(r"^images\[\d+\][.\w]*: ", "",
                                     result.status.message))
        results.append(Result(
            tuple(ClassScore(c.index, c.label, c.probability, c.logit)
                  for c in result.classes),
            tuple(result.logits) if request.return_logits else None,
            result.batch_size, model, version, error))
    return results


def only(results: List[Result], single: bool) -> Union[Result, List[Result]]:
    if not single:
        return results
    if results[0].error is not None:
        raise results[0].error
    return results[0]


def status_of(message: Any) -> ModelStatus:
    return ModelStatus(message.model, message.version,
                       pb.state_name(message.state), message.error.message,
                       message.digest, message.file_bytes,
                       message.packed_bytes, message.float32_bytes,
                       message.inference_count, message.execution_count)


def details_of(message: Any) -> ModelDetails:
    return ModelDetails(status_of(message.status), message.input.height,
                        message.input.width, message.input.channels,
                        message.classes, list(message.labels),
                        {f.name: f.value for f in message.card.fact})


def only_model(response: Any) -> str:
    """The name to use where the caller gave none."""
    names: List[str] = sorted({m.model for m in response.models
                               if pb.state_name(m.state) == "ready"})
    if len(names) == 1:
        return names[0]
    raise TernError(
        grpc.StatusCode.INVALID_ARGUMENT,
        "model: the server has no model that is ready" if not names else
        "model: say which one, the server has " + ", ".join(names))


class Upload:
    """A model file on its way: first message, then its bytes in pieces."""

    def __init__(self, path: Union[str, "os.PathLike[str]"], model: str,
                 version: Optional[int]) -> None:
        self._path = path
        self._start = pb.UploadRequest()
        digest = hashlib.sha256()
        size = 0
        with open(path, "rb") as file:
            while piece := file.read(CHUNK_BYTES):
                digest.update(piece)
                size += len(piece)
        self.digest = digest.hexdigest()
        self.mebibytes = 1 + (size >> 20)
        # Without a number, a repetition after a lost answer would store the
        # same file again under the next one.
        self.harmless = version is not None
        self._start.start.model = model
        self._start.start.version = version or 0
        self._start.start.size = size
        self._start.start.digest = self.digest

    def messages(self) -> Iterator[Any]:
        yield self._start
        with open(self._path, "rb") as file:
            while piece := file.read(CHUNK_BYTES):
                yield pb.UploadRequest(chunk=piece)

    def result(self, response: Any) -> Uploaded:
        if response.digest != self.digest:
            raise TernError(grpc.StatusCode.DATA_LOSS,
                            f"{self._path}: SHA-256 is {self.digest}, the "
                            f"server stored {response.digest}")
        return Uploaded(response.model, response.version, response.digest,
                        response.existed)


_CODES = {code.value[0]: code for code in grpc.StatusCode}


def code_of(number: int) -> grpc.StatusCode:
    return _CODES.get(number, grpc.StatusCode.UNKNOWN)


def _details(metadata: Any) -> List[Any]:
    for key, value in metadata or ():
        if key == "grpc-status-details-bin":
            try:
                return list(pb.Status.FromString(value).details)
            except Exception:  # pylint: disable=broad-except
                return []  # Whatever a proxy made of it, the status counts.
    return []


def error_of(code: grpc.StatusCode, message: Optional[str],
             trailing_metadata: Any) -> TernError:
    """With the wrong fields named and the server's advice on retries."""
    text = message or ""
    retry_after = None
    for detail in _details(trailing_metadata):
        kind = detail.type_url.rpartition("/")[2]
        if kind == "google.rpc.RetryInfo":
            delay = pb.RetryInfo.FromString(detail.value).retry_delay
            retry_after = max(0.0, delay.seconds + delay.nanos * 1e-9)
        elif kind == "google.rpc.BadRequest":
            bad = pb.BadRequest.FromString(detail.value)
            for violation in bad.field_violations:
                if violation.field not in text:
                    text += f"; {violation.field}: {violation.description}"
    return TernError(code, text, retry_after)


def retry_delay(error: TernError, attempt: int, harmless: bool,
                left: float) -> Optional[float]:
    """Seconds to wait before the next attempt; None: raise the error.

    What the server asked for plus up to a quarter, or else, where a repetition
    changes nothing, 50 ms doubling to 2 s less up to a half; never past the
    deadline.
    """
    pushed_back = error.code in (grpc.StatusCode.RESOURCE_EXHAUSTED,
                                 grpc.StatusCode.UNAVAILABLE)
    if pushed_back and error.retry_after is not None:
        delay = error.retry_after * (1 + random.random() / 4)
    elif harmless and error.code == grpc.StatusCode.UNAVAILABLE:
        delay = (min(0.05 * 2 ** min(attempt - 1, 10), 2.0) *
                 (1 - random.random() / 2))
    else:
        return None
    return delay if delay < left else None
