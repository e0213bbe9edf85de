"""Weights & Biases, where `tracking: {wandb: online}` or `offline` asks for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from genlab.config.layout import RunFolder
from genlab.config.spec import RunSpec
from genlab.config.study import TrackingConfig
from genlab.tracking.mirror import Status
from genlab.tracking.record import Row


class WandbSink:
    """One run of Weights & Biases, opened to append."""

    def __init__(self, run: Any) -> None:
        self.run = run
        self.id: str = run.id

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


def open_run(
    run: RunFolder, spec: RunSpec, tracking: TrackingConfig, run_id: str | None
) -> WandbSink:
    """The run `run_id`, or a new one; offline runs lie in the run's folder until synchronised."""
    import wandb

    opened = wandb.init(
        project=tracking.experiment or spec.study,
        name=f"{spec.dataset}/{spec.name}/seed{spec.seed}",
        id=run_id,
        resume="allow",
        dir=str(run.folder),
        mode="offline" if tracking.wandb == "offline" else "online",
        settings=wandb.Settings(silent=True, console="off"),
    )
    opened.define_metric("train/step")
    return WandbSink(opened)
