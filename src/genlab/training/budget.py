"""A budget in seconds: how many images a training processes in them.

The learning rate, the progress that a family sees and a resumed training all need to know the
number of steps before the first one. So a trial of the training measures its speed, and the
training itself then has a number of images like any other. Two trials measure two speeds: trained
twice, a model processes other numbers of images and ends with other weights.

What the trial waits for a core is not counted. Otherwise other work that runs beside it for some
seconds would shorten the whole training.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from genlab.config.study import TrainingConfig
from genlab.errors import GenLabError
from genlab.training.trainer import Training

TRIAL_SHARE, LONGEST_TRIAL = 0.1, 20.0
"""The trial takes this share of the budget, and at most so many seconds."""
WARM_UP, CHUNK = 3, 5
"""Steps before the trial is timed, and steps between two looks at the clock."""
SCHEDULER = Path("/proc/thread-self/schedstat")
"""Linux: nanoseconds that this thread ran, and that it waited for a core; its turns."""


class Trial(NamedTuple):
    """The speed of a training.

    Attributes:
        preparation: seconds before the first step.
        rate: images per second after that.
    """

    preparation: float
    rate: float

    def images(self, seconds: float) -> int:
        """Number of images in `seconds`, at least 1."""
        return max(1, round((seconds - self.preparation) * self.rate))


def _waiting_time() -> float:
    """Seconds that this thread has waited for a core; 0 where the system doesn't say."""
    return int(SCHEDULER.read_text().split()[1]) / 1e9 if SCHEDULER.exists() else 0.0


def measure_speed(training: Training, seconds: float) -> Trial:
    """Take steps of `training` for `seconds` and return its speed; it is of no other use then.

    Raises:
        GenLabError: the training has several processes, which would measure different speeds.
    """
    if training.accelerator.num_processes > 1:
        raise GenLabError(
            f"{training.name}: training.seconds: a budget in seconds works in one process only; "
            "give training.images instead"
        )

    def take(steps: int) -> None:
        for _ in range(steps):
            _, values = training.step()
        float(values["loss"])  # waits for the device

    take(WARM_UP)
    start, waiting, steps = time.monotonic(), _waiting_time(), 0
    while not steps or time.monotonic() - start < seconds:
        take(CHUNK)
        steps += CHUNK
    elapsed = time.monotonic() - start - (_waiting_time() - waiting)
    return Trial(training.progress.seconds, steps * training.training.batch_size / elapsed)


def with_images(
    training: TrainingConfig, begin: Callable[[TrainingConfig], Training]
) -> TrainingConfig:
    """Return `training` with the number of images that its budget in seconds is enough for.

    Args:
        begin: makes a training, with a model of its own.
    """
    if training.seconds is None:
        return training
    state = begin(training)
    accelerator = state.accelerator
    trial = measure_speed(state, min(TRIAL_SHARE * training.seconds, LONGEST_TRIAL))
    del state
    accelerator.free_memory()  # its references to the trial's model and optimisers
    gc.collect()  # in mixed precision the model refers to itself, by its wrapped `forward`
    return training.model_copy(update={"images": trial.images(training.seconds)})
