"""Networks whose right answer is known in closed form, or none of whose branches is silent.

And noise for thousands of samples at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from genlab.config.families.vqvae import VQVAEConfig
from genlab.config.gaussian import PredictionType
from genlab.models.vqvae import VQVAE
from genlab.processes.gaussian import Denoiser, target_row
from genlab.processes.noise import SampleNoise
from genlab.processes.paths import (
    DiscretePath,
    EDMPath,
    GaussianPath,
    LinearPath,
    SubVPPath,
    VEPath,
    VPPath,
    cosine_betas,
    linear_betas,
    sigmoid_betas,
    with_zero_terminal_snr,
)

M = TypeVar("M", bound=nn.Module)

PATHS: dict[str, GaussianPath] = {
    "linear": DiscretePath(linear_betas(1000)),
    "cosine": DiscretePath(cosine_betas(1000)),
    "sigmoid": DiscretePath(sigmoid_betas(1000)),
    "zero-snr": DiscretePath(with_zero_terminal_snr(linear_betas(1000))),
    "vp": VPPath(),
    "subvp": SubVPPath(),
    "ve": VEPath(),
    "edm": EDMPath(),
    "flow": LinearPath(),
}
"""One of every kind of path."""
MEAN = torch.tensor([0.5, -0.3, 0.0, 0.2], dtype=torch.float64)
_MIX = torch.tensor(
    [[0.6, 0.0, 0.0, 0.0], [0.3, 0.5, 0.0, 0.0], [0.0, 0.2, 0.4, 0.0], [0.1, 0.0, -0.2, 0.3]],
    dtype=torch.float64,
)
COVARIANCE = _MIX @ _MIX.T
"""Of Gaussian data of four pixels."""
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


def ideal_denoiser(
    posterior_mean: PosteriorMean,
    path: GaussianPath,
    prediction: PredictionType,
    sigma_data: float = 1.0,
) -> Denoiser:
    """A network of unlimited capacity and training: it says E[target | x_t]; x_0 is not clipped."""

    def network(x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        level = path.level(t)
        alpha, sigma = level.alpha[:, None], level.sigma[:, None]
        flat = x.double().flatten(1)
        x0 = posterior_mean(flat, alpha, sigma)
        eps = (flat - alpha * x0) / sigma
        a, b = target_row(prediction, level, path.rates(t), sigma_data)
        return (a[:, None] * x0 + b[:, None] * eps).reshape(x.shape).to(x.dtype)

    return Denoiser(network, path, prediction, clip=False, sigma_data=sigma_data)


class StreamNoise(SampleNoise):
    """One torch stream for all samples: quick for thousands, and another library can replay it.

    In float64, so that whole walks of a sampler can be compared without its rounding.
    """

    def __init__(self, seed: int, samples: int) -> None:
        self.indices, self.device = range(samples), "cpu"
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


def first_stage(shape: tuple[int, int, int], codes: int) -> VQVAE:
    """An awake VQ-VAE whose codes have been taken from encodings of noise, so that all are used."""
    first = awake(VQVAE(VQVAEConfig(codes=codes, latent=3, channels=4), shape, 10))
    first.quantiser.train()
    first.quantise(torch.rand(16, *shape))
    return first.eval()


class UnitNoise(SampleNoise):
    """The noise of a walk, one number of it at a time.

    Sample 0 gets none; each other sample gets a single 1, in one of the `draws` of `size` numbers,
    and 0 elsewhere. A walk that is affine in its noise, as every sampler's is on Gaussian data,
    thus shows its coefficients: x = x[0] + sum_i z_i (x[i] - x[0]).
    """

    def __init__(self, draws: int, size: int) -> None:
        self.indices, self.device = range(1 + draws * size), "cpu"
        self.size, self.used = size, 0

    def __len__(self) -> int:
        return len(self.indices)

    def normal(self, *shape: int) -> Tensor:
        z = torch.zeros(len(self), self.size, dtype=torch.float64)
        first = 1 + self.used * self.size
        z[first : first + self.size] = torch.eye(self.size, dtype=torch.float64)
        self.used += 1
        return z.reshape(len(self), *shape)
