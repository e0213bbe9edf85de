"""The Gaussian path x_t = alpha_t x_0 + sigma_t eps, and a network that walks it back.

Diffusion, score SDEs, EDM and flow matching differ in alpha and sigma and in what the network is
asked to predict; a sampler needs to know neither. It sees noise levels (alpha, sigma) and a
denoiser that turns x_t into the two ends of the path, x_0 and eps.

    prediction   target of the network        x_0
    eps          eps                          (x_t - sigma eps) / alpha
    v            alpha eps - sigma x_0        alpha x_t - sigma v       (alpha^2 + sigma^2 = 1)

The v-prediction is that of Salimans & Ho 2022 (arXiv:2202.00512), appendix D.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

Prediction = Literal["eps", "v"]


def over_pixels(level: Tensor) -> Tensor:
    """[B] -> [B, 1, 1, 1], to multiply images."""
    return level[:, None, None, None]


def target(prediction: Prediction, x0: Tensor, eps: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """What the network should say for x_0, eps [B, C, H, W] at levels alpha, sigma [B, 1, 1, 1]."""
    return eps if prediction == "eps" else alpha * eps - sigma * x0


def ends(
    prediction: Prediction, output: Tensor, x: Tensor, alpha: Tensor, sigma: Tensor
) -> tuple[Tensor, Tensor]:
    """(x_0, eps) that the network's `output` at x_t implies; all [B, C, H, W] or broadcastable."""
    if prediction == "eps":
        return (x - sigma * output) / alpha, output
    return alpha * x - sigma * output, sigma * x + alpha * output


class DiscretePath(nn.Module):
    """alpha_t = sqrt(alpha_bar_t), sigma_t = sqrt(1 - alpha_bar_t) for t = 0..T-1.

    Calculated in float64 from `betas` [T]; kept as float32 buffers.
    """

    alpha: Tensor  # [T]
    sigma: Tensor  # [T]

    def __init__(self, betas: Tensor) -> None:
        super().__init__()
        alpha_bar = torch.cumprod(1 - betas.double(), dim=0)
        self.register_buffer("alpha", alpha_bar.sqrt().float(), persistent=False)
        self.register_buffer("sigma", (1 - alpha_bar).sqrt().float(), persistent=False)
        self.alpha_bar = alpha_bar  # float64, for the samplers' scalars

    def __len__(self) -> int:
        return len(self.alpha_bar)

    def noise(self, x0: Tensor, eps: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x_t [B, C, H, W] at the indices t [B], with alpha_t and sigma_t [B, 1, 1, 1]."""
        alpha, sigma = over_pixels(self.alpha[t]), over_pixels(self.sigma[t])
        return alpha * x0 + sigma * eps, alpha, sigma


@dataclass
class Denoiser:
    """What a sampler sees of a model: x_t -> (x_0, eps), and the levels of its path.

    Attributes:
        network: (x [B, C, H, W], t [B] on the scale 0..1000) -> [B, C, H, W].
        alpha_bar: squared alpha of every index t, float64 [T]; sigma^2 = 1 - alpha^2.
        clip: whether x_0 is clipped to [-1, 1], and eps derived anew from the clipped x_0.
        evaluations: how often the network was called so far; one call counts for the batch.
    """

    network: Callable[[Tensor, Tensor], Tensor]
    alpha_bar: Tensor
    prediction: Prediction
    clip: bool = True
    evaluations: int = 0

    def __len__(self) -> int:
        return len(self.alpha_bar)

    def level(self, t: int) -> tuple[float, float]:
        """(alpha, sigma) at index t; t = -1 is the clean image, (1, 0)."""
        if t < 0:
            return 1.0, 0.0
        alpha_bar = float(self.alpha_bar[t])
        return alpha_bar**0.5, (1 - alpha_bar) ** 0.5

    def __call__(self, x: Tensor, t: int) -> tuple[Tensor, Tensor]:
        """(x_0, eps) predicted from x_t [B, C, H, W], all samples at the same index t."""
        alpha, sigma = self.level(t)
        scale = 1000 / len(self)
        times = torch.full((len(x),), t * scale, dtype=torch.float32, device=x.device)
        output = self.network(x, times)
        self.evaluations += 1
        levels = torch.tensor([alpha, sigma], dtype=x.dtype, device=x.device)
        x0, eps = ends(self.prediction, output.to(x.dtype), x, levels[0], levels[1])
        if self.clip:
            x0 = x0.clamp(-1, 1)
            eps = (x - alpha * x0) / sigma
        return x0, eps
