"""What a training logs of every step: checked, averaged, and handed on in rows."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor
from tqdm import tqdm

from genlab.errors import DivergenceError
from genlab.io.history import Row

LOGGED_ROWS = 1000  # a longer run logs means over several steps, so that no store drowns

OnRows = Callable[[list[Row]], None]


def not_finite(name: str, step: int, values: dict[str, float]) -> DivergenceError:
    """Return the error of a training whose `values` after `step` steps hold NaN or infinity.

    Args:
        name: what the training is called in messages.
    """
    numbers = ", ".join(f"{name} = {value:g}" for name, value in values.items())
    return DivergenceError(
        f"{name}: step {step}: {numbers}",
        "Lower training.learning_rate or use training.precision: fp32 to train anew; unchanged, "
        "training goes on from the last checkpoint before this step",
    )


class Log:
    """Collects and checks what every step reports, without waiting for the device each time.

    Args:
        name: what the training is called in messages.
        steps: of the whole training.
        on_rows: called with the rows collected since the last call.
        lines: whether each flush prints a line of numbers.
        checks: whether numbers that are not finite end the training.
    """

    def __init__(
        self, name: str, steps: int, on_rows: OnRows, lines: bool = True, checks: bool = True
    ) -> None:
        self.name, self.steps, self.every = name, steps, max(1, steps // LOGGED_ROWS)
        self.on_rows, self.lines, self.checks = on_rows, lines, checks
        self.bar = sys.stderr.isatty()  # a progress bar on a terminal, plain lines in a log
        self.pending: list[tuple[int, float, float, dict[str, Tensor]]] = []
        self.rows: list[Row] = []
        self.last: Row = {}

    def add(self, step: int, rate: float, values: dict[str, Tensor]) -> None:
        """Note the learning rate and the values of a step; they stay on their device."""
        self.pending.append((step, time.time(), rate, values))

    def add_held_out(self, losses: dict[str, float]) -> None:
        """Note the losses on held-out images after the step that was added last.

        One that is not finite is left out: the next step's own loss ends the training if it is not
        finite either, and so does the held-out loss at the end.
        """
        self.drain()
        finite = {name: value for name, value in losses.items() if math.isfinite(value)}
        self.rows[-1] |= {f"held_out_{name}": value for name, value in finite.items()}

    def drain(self) -> None:
        """Bring the numbers of all pending steps to the CPU and refuse any that is not finite."""
        if not self.pending:
            return
        names = list(self.pending[0][3])
        table = torch.stack([torch.stack([v[n].detach().float() for n in names])
                             for *_, v in self.pending]).cpu()  # fmt: skip
        finite = table.isfinite().all(dim=1)
        if self.checks and not finite.all():
            bad = int((~finite).nonzero()[0])
            step, values = self.pending[bad][0], table[bad].tolist()
            raise not_finite(self.name, step, dict(zip(names, values, strict=True)))
        for start in range(0, len(self.pending), self.every):
            end = min(start + self.every, len(self.pending))
            step, now, rate, _ = self.pending[end - 1]
            means = table[start:end].mean(dim=0).tolist()
            row = {"step": step, "time": now, **dict(zip(names, means, strict=True)), "lr": rate}
            self.rows.append(row)
        self.last = self.rows[-1]
        self.pending = []

    def flush(self, images_per_second: float) -> list[Row]:
        """Return the rows collected since the last call, and hand them on."""
        self.drain()
        for row in self.rows:
            row["images_per_second"] = images_per_second
        self.on_rows(self.rows)
        if self.rows and self.lines:
            row = self.last
            shown = {k: v for k, v in row.items() if k not in ("step", "time") and "/" not in k}
            numbers = "  ".join(f"{k} {v:.4g}" for k, v in shown.items())
            tqdm.write(f"step {int(row['step'])}/{self.steps}  {numbers}")
        rows, self.rows = self.rows, []
        return rows
