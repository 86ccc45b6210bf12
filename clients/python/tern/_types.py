"""What the clients return and raise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, NamedTuple, Optional, Tuple

import grpc


class TernError(Exception):
    """A call failed. `code` is gRPC's, `message` says what was wrong.

    `retry_after`: seconds after which the server asked to be tried again.
    """

    def __init__(self, code: grpc.StatusCode, message: str,
                 retry_after: Optional[float] = None) -> None:
        super().__init__(f"{code.name}: {message}")
        self.code = code
        self.message = message
        self.retry_after = retry_after


class ClassScore(NamedTuple):
    """One class of one picture. `label` is "" where the model has none."""
    index: int  # type: ignore[assignment]  # Not tuple's index().
    label: str
    probability: float
    logit: float


class Result(NamedTuple):
    """What one picture shows, most probable class first.

    `error` is set, and `classes` empty, where this picture could not be
    classified (its neighbours in a batch can). `logits` only when asked for.
    """
    classes: Tuple[ClassScore, ...]
    logits: Optional[Tuple[float, ...]]
    batch_size: int
    model: str
    version: int
    error: Optional[TernError]

    @property
    def best(self) -> ClassScore:
        if self.error is not None:
            raise self.error
        return self.classes[0]

    @property
    def label(self) -> str:
        """Name of the most probable class, its number where it has none."""
        return self.best.label or str(self.best.index)

    @property
    def probability(self) -> float:
        return self.best.probability


@dataclass(frozen=True)
class ModelStatus:
    """One version of a model. `state` is "ready", "unloaded", "failed", ..."""
    model: str
    version: int
    state: str
    error: str
    digest: str
    file_bytes: int
    packed_bytes: int
    float32_bytes: int
    inference_count: int
    execution_count: int


@dataclass(frozen=True)
class ModelDetails:
    """A loaded version: its status, what it takes and what it gives."""
    status: ModelStatus
    height: int
    width: int
    channels: int
    classes: int
    labels: List[str]
    facts: Dict[str, str]


@dataclass(frozen=True)
class Uploaded:
    """`existed`: the same bytes were there already, nothing changed."""
    model: str
    version: int
    digest: str
    existed: bool
