"""What a tracking service has to offer so that runs can be mirrored to it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from genlab.config.study import TrackingConfig
from genlab.io.history import Row
from genlab.results.layout import RunFolder
from genlab.results.spec import RunSpec

Status = Literal["RUNNING", "FINISHED", "FAILED"]


class Sink(ABC):
    """A tracking service for one run folder. Its library is imported only when it is used."""

    id: str
    """The service's own name of the open run."""

    @abstractmethod
    def __init__(self, run: RunFolder, spec: RunSpec, tracking: TrackingConfig) -> None: ...

    @classmethod
    @abstractmethod
    def enabled(cls, tracking: TrackingConfig) -> bool:
        """Return whether the study uses this service."""

    @abstractmethod
    def find(self, ids: Sequence[str]) -> str | None:
        """Return the newest of the runs `ids` that the service has; None if it has none."""

    @abstractmethod
    def open(self, run_id: str | None) -> None:
        """Open the run `run_id` to append to it; None opens a new run."""

    @abstractmethod
    def steps(self, rows: list[Row]) -> None:
        """Send logged steps."""

    @abstractmethod
    def record(self, stage: str, record: dict[str, Any], folder: Path) -> None:
        """Send a stage's parameters, tags and metrics, and its artifacts.

        Args:
            record: as `leave_record` writes it.
            folder: of the run; paths of artifacts are relative to it.
        """

    @abstractmethod
    def close(self, status: Status) -> None:
        """Flush, and set the status of the run."""
