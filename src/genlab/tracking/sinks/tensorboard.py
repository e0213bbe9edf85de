"""TensorBoard: event files in the run's folder; `tensorboard --logdir results` shows all runs."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from genlab.config.study import TrackingConfig
from genlab.io.history import Row
from genlab.results.layout import RunFolder
from genlab.results.spec import RunSpec
from genlab.tracking.sink import Sink, Status


class TensorBoardSink(Sink):
    """The event files in the run's folder `tensorboard`; every opening adds one.

    The writer is TensorBoard's own, because torch's SummaryWriter would import all of torch.
    """

    def __init__(self, run: RunFolder, spec: RunSpec, tracking: TrackingConfig) -> None:
        self.id = spec.digest
        self.folder = run.folder / "tensorboard" / spec.digest

    @classmethod
    def enabled(cls, tracking: TrackingConfig) -> bool:
        return tracking.tensorboard

    def find(self, ids: Sequence[str]) -> str | None:
        return self.id if self.id in ids and any(self.folder.glob("events.*")) else None

    def open(self, run_id: str | None) -> None:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        if run_id is None and self.folder.exists():
            shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.writer = EventFileWriter(str(self.folder))

    def _add(self, step: int, time: float, **value: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        summary = Summary(value=[Summary.Value(**value)])
        self.writer.add_event(Event(step=step, wall_time=time, summary=summary))

    def steps(self, rows: list[Row]) -> None:
        for row in rows:
            for name, value in row.items():
                if name not in ("step", "time"):
                    self._add(
                        int(row["step"]), row["time"], tag=f"train/{name}", simple_value=value
                    )

    def record(self, stage: str, record: dict[str, Any], folder: Path) -> None:
        from PIL import Image
        from tensorboard.compat.proto.summary_pb2 import Summary

        now = time.time()
        for name, value in record["metrics"].items():
            self._add(0, now, tag=name, simple_value=value)
        for path in record["artifacts"]:
            if path.endswith(".png"):
                width, height = Image.open(folder / path).size
                content = (folder / path).read_bytes()
                picture = Summary.Image(
                    width=width, height=height, colorspace=3, encoded_image_string=content
                )
                self._add(0, now, tag=path, image=picture)

    def close(self, status: Status) -> None:
        self.writer.close()
