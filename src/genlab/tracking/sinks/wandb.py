"""Weights & Biases, if the study has `tracking: {wandb: online}` or `{wandb: offline}`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from genlab.config.study import TrackingConfig
from genlab.io.history import Row
from genlab.results.layout import RunFolder
from genlab.results.spec import RunSpec
from genlab.tracking.description import row_note, row_tags, run_name, run_note, run_tags
from genlab.tracking.record import artifact_name, step_metrics
from genlab.tracking.sink import Sink, Status


class WandbSink(Sink):
    """A run of Weights & Biases, and one in its group for each row of its samples.

    Offline runs stay in the run's folder until synchronised. The run's `id` is MODE/PROJECT/RUN,
    because another mode or project has not received the same data.
    """

    def __init__(self, run: RunFolder, spec: RunSpec, tracking: TrackingConfig) -> None:
        self.folder, self.mode, self.spec = run.folder, tracking.wandb, spec
        self.project = tracking.experiment_of(spec.study)

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
        name, tags = run_name(self.spec), run_tags(self.spec)
        self.run = self._init(name, run_id and run_id.rpartition("/")[2], run_note(self.spec), tags)
        self.run.define_metric("train/step")
        self.run.define_metric("train/*", step_metric="train/step")
        self.id = f"{self.mode}/{self.project}/{self.run.id}"

    def _init(self, name: str, run_id: str | None, note: str, tags: dict[str, str]) -> Any:
        """Open a run, whose tags are entries of its configuration; None opens a new one."""
        import wandb

        return wandb.init(
            project=self.project,
            name=name,
            group=run_name(self.spec),
            job_type=tags["role"],
            notes=note,
            config=tags,
            id=run_id,
            resume="allow",
            dir=str(self.folder),
            mode="offline" if self.mode == "offline" else "online",
            reinit="create_new",  # the run of a row, while that of its model is open
            settings=wandb.Settings(silent=True, console="off"),
        )

    def steps(self, rows: list[Row]) -> None:
        for row in rows:
            self.run.log({"train/step": row["step"], **step_metrics(row)})

    def record(self, stage: str, record: dict[str, Any], folder: Path) -> None:
        import wandb

        row = record["row"]
        if row is None:
            run = self.run
        else:
            name, run_id = f"{run_name(self.spec)}/{row}", f"{self.run.id}-{row}"
            run = self._init(name, run_id, row_note(self.spec, row), row_tags(self.spec, row))
        run.config.update(record["params"], allow_val_change=True)
        run.summary.update({**record["metrics"], **record["tags"]})
        pictures = [path for path in record["artifacts"] if path.endswith(".png")]
        if pictures:
            run.log({artifact_name(path): wandb.Image(str(folder / path)) for path in pictures})
        if row is not None:
            run.finish()

    def close(self, status: Status) -> None:
        self.run.finish()
