"""The midpoint method on the probability-flow ODE, in the path's own time; of second order.

    x_m = x_t + (m - t) dx/dt (x_t, t),    m = (t + s) / 2
    x_s = x_t + (s - t) dx/dt (x_m, m)

The ODE is that of `genlab.samplers.euler`. The last step, to the clean image, is x_0 alone.
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
        middle = (t + s) / 2
        halfway = x + (middle - t) * denoiser.velocity_of(prediction, t)
        return x + (s - t) * denoiser.velocity(halfway, middle)

    times = denoiser.times(steps, spacing)
    return sampling_loop(denoiser, start(denoiser, noise, shape, times[0]), times, move)
