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
from genlab.samplers import Denoiser, Ends, SampleNoise, Step, walk


def sample(
    denoiser: Denoiser,
    noise: SampleNoise,
    shape: tuple[int, ...],
    *,
    steps: int,
    spacing: Spacing = "uniform",
) -> Iterator[Step]:
    """Draw len(noise) images [C, H, W] = `shape` in 2 steps - 1 network evaluations."""

    def move(x: Tensor, found: Ends, t: float, s: float) -> Tensor:
        slope = denoiser.flow(found, t)
        ahead = denoiser.velocity(x + (s - t) * slope, s)
        return x + (s - t) * (slope + ahead) / 2

    return walk(denoiser, noise, shape, denoiser.times(steps, spacing), move)
