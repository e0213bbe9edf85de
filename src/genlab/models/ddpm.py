"""Denoising diffusion probabilistic models (Ho, Jain & Abbeel 2020, arXiv:2006.11239).

An image is noised at a random time t, x_t = alpha_t x_0 + sigma_t eps (equation 4), and a U-Net
learns to say which noise that was, by mean squared error (equation 14, "L_simple"). With
`prediction: v` it says v = alpha_t eps - sigma_t x_0 instead (Salimans & Ho 2022,
arXiv:2202.00512), which stays well-posed where alpha_t is near 0.

`times: logit-normal` draws t / T = sigmoid(n), n ~ N(0, 1), more often from the middle, where the
shape of the image is decided, than from the ends (Esser et al. 2024, arXiv:2403.03206, sec. 3.1).

Sampling is not here: `denoiser()` gives the samplers all they need.
"""

from __future__ import annotations

import torch
from torch import Tensor

from genlab.config.families.ddpm import DDPMConfig
from genlab.models.base import Batch, Model
from genlab.nn.unet import UNet
from genlab.processes.gaussian import Denoiser, DiscretePath, target
from genlab.processes.schedules import SCHEDULES


class DDPM(Model):
    """A U-Net on a discrete Gaussian path; images are scaled to [-1, 1]."""

    def __init__(self, config: DDPMConfig, shape: tuple[int, int, int], classes: int) -> None:
        super().__init__(config, shape, classes)
        self.path = DiscretePath(SCHEDULES[config.schedule](config.timesteps))
        self.network = UNet(shape[0], config.network)

    def draw_times(self, n: int, device: torch.device) -> Tensor:
        """Indices t [n] of the times to train on, in 0..T-1."""
        steps = len(self.path)
        if self.config.times == "uniform":
            return torch.randint(steps, (n,), device=device)
        share = torch.randn(n, device=device).sigmoid()
        return (share * steps).long().clamp(max=steps - 1)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """L_simple: mean squared error of the prediction, mean over pixels and batch."""
        x0 = 2 * batch.images - 1
        t = self.draw_times(len(x0), x0.device)
        eps = torch.randn_like(x0)
        x, alpha, sigma = self.path.noise(x0, eps, t)
        output = self.network(x, t * (1000 / len(self.path))).float()
        wanted = target(self.config.prediction, x0, eps, alpha, sigma)
        return {"loss": (output - wanted).square().mean()}

    def denoiser(self) -> Denoiser:
        """The network on its path, as the samplers see it."""
        return Denoiser(
            self.network, self.path.alpha_bar, self.config.prediction, clip=self.config.clip
        )
