"""An arbitrary network, as GenLab's samplers see it and as another library is fed it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from oracles import PATHS, StreamNoise
from torch import Tensor

from genlab.config.gaussian import PredictionType
from genlab.processes.gaussian import Denoiser, over_pixels
from genlab.processes.paths import DiscretePath, GaussianPath

SAMPLES, SHAPE = 4, (1, 3, 3)


def wavy(x: Tensor, time: Tensor, labels: Tensor | None = None) -> Tensor:
    """An answer [B, C, H, W] at `time` [B] in 0..1000, of values large enough to be clipped."""
    return 1.5 * torch.sin(x / 2 + time[:, None, None, None] / 300)


def with_variance(x: Tensor, time: Tensor, labels: Tensor | None = None) -> Tensor:
    """The same, and twice the channels: where between two variances a step's lies, -1 to 1."""
    return torch.cat([wavy(x, time), torch.sin(x + time[:, None, None, None] / 100)], dim=1)


class Case(NamedTuple):
    """A path, and what the network predicts on it."""

    path: str
    prediction: PredictionType
    clip: bool = False
    timesteps: int = 1000

    @property
    def levels(self) -> GaussianPath:
        """The path; of fewer timesteps, every so manyth level of it."""
        path = PATHS[self.path]
        if not isinstance(path, DiscretePath) or self.timesteps == len(path):
            return path
        alpha_bar = path.alpha_bar[:: len(path) // self.timesteps]
        return DiscretePath(1 - torch.cat([alpha_bar[:1], alpha_bar[1:] / alpha_bar[:-1]]))

    def denoiser(self, network: Callable[..., Tensor] = wavy, sigma_data: float = 1.0) -> Denoiser:
        """The network on the path, told the time on the scale 0..1000."""
        path = self.levels

        def rescaled_network(x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
            return network(at_unit_size(path, x, t), path.conditioning(t))

        return Denoiser(rescaled_network, path, self.prediction, self.clip, sigma_data)


def at_unit_size(path: GaussianPath, x: Tensor, t: Tensor) -> Tensor:
    """x_t [B, C, H, W] as networks are shown it, divided by sqrt(alpha^2 + sigma^2)."""
    alpha, sigma = path.level(t)
    return x * over_pixels((alpha**2 + sigma**2).rsqrt())


def noise() -> StreamNoise:
    return StreamNoise(0, SAMPLES)


def answer(path: GaussianPath, x: Tensor, t: float) -> Tensor:
    """What the denoiser's network says at time t of a path, for other libraries."""
    times = torch.full((len(x),), t, dtype=torch.float64)
    return wavy(at_unit_size(path, x, times), path.conditioning(times))


def assert_same(own: Iterable[Tensor], peer: Iterable[Tensor]) -> None:
    """All states agree to 1e-5, or to 1e-5 of their size where that is more than 1.

    diffusers rounds states to float32, 6e-8 of their size, which some samplers do in each step.
    """
    for ours, theirs in zip(own, peer, strict=True):
        torch.testing.assert_close(ours, theirs.double(), rtol=1e-5, atol=1e-5)
