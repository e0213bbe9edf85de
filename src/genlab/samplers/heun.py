"""Heun's method on the probability-flow ODE, in the path's own time; of second order.

    x' = x_t + (s - t) dx/dt (x_t, t)
    x_s = x_t + (s - t) (dx/dt (x_t, t) + dx/dt (x', s)) / 2

The ODE is that of `genlab.samplers.euler`. The last step, to the clean image, is x_0 alone. What
other libraries call Heun, in the scale of x / alpha, is `genlab.samplers.edm` without churn.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from genlab.config.samplers import Spacing
from genlab.samplers import Denoiser, Prediction, SampleNoise, Step, sampling_loop, start


def sample(
    denoiser: Denoiser,
    noise: SampleNoise,
    shape: tuple[int, ...],
    *,
    steps: int,
    spacing: Spacing = "uniform",
) -> Iterator[Step]:
    """Draw len(noise) images [C, H, W] = `shape` in 2 steps - 1 network evaluations."""

    def move(x: Tensor, prediction: Prediction, t: float, s: float) -> Tensor:
        slope = denoiser.velocity_of(prediction, t)
        next_slope = denoiser.velocity(x + (s - t) * slope, s)
        return x + (s - t) * (slope + next_slope) / 2

    times = denoiser.times(steps, spacing)
    return sampling_loop(denoiser, start(denoiser, noise, shape, times[0]), times, move)
