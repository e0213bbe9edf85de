"""Networks whose right answer is known in closed form, or none of whose branches is silent.

And noise for thousands of samples at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from genlab.processes.gaussian import Denoiser, Prediction
from genlab.processes.noise import SampleNoise
from genlab.processes.schedules import SCHEDULES

M = TypeVar("M", bound=nn.Module)
PosteriorMean = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(x_t [B, D], alpha [B, 1], sigma [B, 1]) -> E[x_0 | x_t] [B, D], all float64."""


def posterior_mean_of_points(points: Tensor) -> PosteriorMean:
    """Of data uniform over `points` [N, D]: p(point | x_t) is a softmax of squared distances."""

    def mean(x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        distances = (x[:, None] - alpha[:, None] * points).square().sum(dim=2)  # [B, N]
        return (-distances / (2 * sigma**2)).softmax(dim=1) @ points

    return mean


def posterior_mean_of_gaussian(mean: Tensor, covariance: Tensor) -> PosteriorMean:
    """Of data N(mean [D], covariance [D, D]), by linear regression of x_0 on x_t."""
    variances, axes = torch.linalg.eigh(covariance)

    def posterior(x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        gain = alpha * variances / (alpha**2 * variances + sigma**2)  # [B, D], along the axes
        return mean + ((x - alpha * mean) @ axes * gain) @ axes.T

    return posterior


class IdealNetwork(nn.Module):
    """What a network of unlimited capacity and training would predict: E[eps | x_t] or E[v | x_t].

    Args:
        alpha_bar: float64 [T]; times on the scale 0..1000 are turned back into its indices.
    """

    def __init__(
        self, posterior_mean: PosteriorMean, alpha_bar: Tensor, prediction: Prediction
    ) -> None:
        super().__init__()
        self.posterior_mean, self.alpha_bar = posterior_mean, alpha_bar
        self.prediction = prediction

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        alpha_bar = self.alpha_bar[(t * len(self.alpha_bar) / 1000).round().long()][:, None]
        alpha, sigma = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
        flat = x.double().flatten(1)
        x0 = self.posterior_mean(flat, alpha, sigma)
        eps = (flat - alpha * x0) / sigma
        out = eps if self.prediction == "eps" else alpha * eps - sigma * x0
        return out.reshape(x.shape).to(x.dtype)


def ideal_denoiser(
    posterior_mean: PosteriorMean, schedule: str, timesteps: int, prediction: Prediction
) -> Denoiser:
    """The ideal network on a path, x_0 not clipped."""
    alpha_bar = torch.cumprod(1 - SCHEDULES[schedule](timesteps), dim=0)
    network = IdealNetwork(posterior_mean, alpha_bar, prediction)
    return Denoiser(network, alpha_bar, prediction, clip=False)


class StreamNoise(SampleNoise):
    """One torch stream for all samples: quick for thousands, and another library can replay it.

    In float64, so that whole walks of a sampler can be compared without its rounding.
    """

    def __init__(self, seed: int, samples: int) -> None:
        self.samples, self.stream = samples, torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return self.samples

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(self.samples, *shape, generator=self.stream, dtype=torch.float64)


def awake(module: M) -> M:
    """`module` in evaluation mode with random weights: no branch starts at zero any more."""
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_(0.3 * torch.randn(weight.shape, generator=random))
    return module.eval()
