"""Euler's method on the probability-flow ODE, in the path's own time.

    x_s = x_t + (s - t) dx/dt,    dx/dt = alpha'(t) x_0 + sigma'(t) eps

The ODE has the marginals of the path (Song et al. 2021, arXiv:2011.13456, equation 13; Lipman et
al. 2023, arXiv:2210.02747, section 3). Where alpha and sigma are linear in t, as in flow matching
and EDM, this is DDIM with eta = 0; elsewhere DDIM is the better Euler, with x_s on the path.
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
    """Draw len(noise) images [C, H, W] = `shape` in `steps` network evaluations."""

    def move(x: Tensor, prediction: Prediction, t: float, s: float) -> Tensor:
        return x + (s - t) * denoiser.velocity_of(prediction, t)

    times = denoiser.times(steps, spacing)
    return sampling_loop(denoiser, start(denoiser, noise, shape, times[0]), times, move)
