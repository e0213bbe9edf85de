"""TensorBoard event files in the run's folder; `tensorboard --logdir results` shows all runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from genlab.config.layout import RunFolder
from genlab.config.spec import RunSpec
from genlab.config.study import TrackingConfig
from genlab.tracking.mirror import Status
from genlab.tracking.record import Row


class TensorBoardSink:
    """One event file more in the run's `tensorboard/`."""

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.id = str(folder)
        self.writer: Any = SummaryWriter(self.id)

    def steps(self, rows: list[Row]) -> None:
        for row in rows:
            for name, value in row.items():
                if name not in ("step", "time"):
                    self.writer.add_scalar(
                        f"train/{name}", value, int(row["step"]), row.get("time")
                    )

    def record(self, stage: str, record: dict[str, Any], folder: Path) -> None:
        import numpy as np
        from PIL import Image

        for name, value in record["metrics"].items():
            self.writer.add_scalar(name, value, 0)
        for path in record["artifacts"]:
            if path.endswith(".png"):
                pixels = np.asarray(Image.open(folder / path).convert("RGB"))
                self.writer.add_image(path, pixels, 0, dataformats="HWC")

    def close(self, status: Status) -> None:
        self.writer.close()


def open_run(
    run: RunFolder, spec: RunSpec, tracking: TrackingConfig, run_id: str | None
) -> TensorBoardSink:
    """A writer that appends to the run's event files."""
    return TensorBoardSink(run.folder / "tensorboard" / spec.digest)
