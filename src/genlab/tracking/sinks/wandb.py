"""Weights & Biases, if the study has `tracking: {wandb: online}` or `{wandb: offline}`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from genlab.config.study import TrackingConfig
from genlab.io.history import Row
from genlab.results.layout import RunFolder
from genlab.results.spec import RunSpec
from genlab.tracking.sink import Sink, Status


class WandbSink(Sink):
    """A run of Weights & Biases; an offline run stays in the run's folder until synchronised.

    Its `id` is MODE/PROJECT/RUN, because another mode or project has not received the same data.
    """

    def __init__(self, run: RunFolder, spec: RunSpec, tracking: TrackingConfig) -> None:
        self.folder, self.mode = run.folder, tracking.wandb
        self.project = tracking.experiment or spec.study
        self.name = f"{spec.dataset}/{spec.name}/seed{spec.seed}"

    @classmethod
    def enabled(cls, tracking: TrackingConfig) -> bool:
        return tracking.wandb != "off"

    def find(self, ids: Sequence[str]) -> str | None:
        for name in reversed(ids):
            target, _, run_id = name.rpartition("/")
            exists = self.mode == "online" or any(self.folder.glob(f"wandb/offline-run-*-{run_id}"))
            if target == f"{self.mode}/{self.project}" and exists:
                return name
        return None

    def open(self, run_id: str | None) -> None:
        import wandb

        self.run = wandb.init(
            project=self.project,
            name=self.name,
            id=run_id and run_id.rpartition("/")[2],
            resume="allow",
            dir=str(self.folder),
            mode="offline" if self.mode == "offline" else "online",
            settings=wandb.Settings(silent=True, console="off"),
        )
        self.run.define_metric("train/step")
        self.id = f"{self.mode}/{self.project}/{self.run.id}"

    def steps(self, rows: list[Row]) -> None:
        for row in rows:
            values = {k: v for k, v in row.items() if k not in ("step", "time")}
            self.run.log({"train/step": row["step"], **values})

    def record(self, stage: str, record: dict[str, Any], folder: Path) -> None:
        import wandb

        self.run.config.update(record["params"], allow_val_change=True)
        self.run.summary.update({**record["metrics"], **record["tags"]})
        pictures = [path for path in record["artifacts"] if path.endswith(".png")]
        if pictures:
            self.run.log({path: wandb.Image(str(folder / path)) for path in pictures})

    def close(self, status: Status) -> None:
        self.run.finish()
