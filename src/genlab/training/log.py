"""What a training says of every step: checked, averaged, appended to the run's history."""

from __future__ import annotations

import sys
import time

import torch
from torch import Tensor
from tqdm import tqdm

from genlab.errors import GenLabError
from genlab.results.layout import RunFolder
from genlab.tracking.record import Row, append_history

LOGGED_ROWS = 1000  # a longer run logs means over several steps, so that no store drowns


def not_finite(run: RunFolder, step: int, values: dict[str, float]) -> GenLabError:
    """The error of a training whose `values` after `step` steps hold NaN or infinity."""
    numbers = ", ".join(f"{name} = {value:g}" for name, value in values.items())
    return GenLabError(
        f"{run.folder}: step {step}: {numbers}: not finite, training stopped and no weights saved. "
        "Lower training.learning_rate or use training.precision: fp32 to train anew; unchanged, "
        "the same command goes on from the last checkpoint before this step"
    )


class Log:
    """Collects what every step reports, and checks it, without waiting for the device each time."""

    def __init__(self, run: RunFolder, steps: int) -> None:
        self.run, self.steps, self.every = run, steps, max(1, steps // LOGGED_ROWS)
        self.bar = sys.stderr.isatty()  # a progress bar on a terminal, plain lines in a log
        self.pending: list[tuple[int, float, float, dict[str, Tensor]]] = []
        self.rows: list[Row] = []
        self.last: Row = {}

    def add(self, step: int, rate: float, values: dict[str, Tensor]) -> None:
        self.pending.append((step, time.time(), rate, values))

    def drain(self) -> None:
        """Bring the numbers of all pending steps to the CPU and refuse any that is not finite."""
        if not self.pending:
            return
        names = list(self.pending[0][3])
        table = torch.stack([torch.stack([v[n].detach().float() for n in names])
                             for *_, v in self.pending]).cpu()  # fmt: skip
        finite = table.isfinite().all(dim=1)
        if not finite.all():
            bad = int((~finite).nonzero()[0])
            step, values = self.pending[bad][0], table[bad].tolist()
            raise not_finite(self.run, step, dict(zip(names, values, strict=True)))
        for start in range(0, len(self.pending), self.every):
            end = min(start + self.every, len(self.pending))
            step, now, rate, _ = self.pending[end - 1]
            means = table[start:end].mean(dim=0).tolist()
            row = {"step": step, "time": now, **dict(zip(names, means, strict=True)), "lr": rate}
            self.rows.append(row)
        self.last = self.rows[-1]
        self.pending = []

    def flush(self, images_per_second: float) -> None:
        """Append the collected rows to the run's history."""
        self.drain()
        for row in self.rows:
            row["images_per_second"] = images_per_second
        append_history(self.run.history, self.rows)
        if self.rows:
            row = self.last
            shown = {k: v for k, v in row.items() if k not in ("step", "time") and "/" not in k}
            said = "  ".join(f"{k} {v:.4g}" for k, v in shown.items())
            tqdm.write(f"step {int(row['step'])}/{self.steps}  {said}")
        self.rows = []
