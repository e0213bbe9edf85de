"""Denoising diffusion probabilistic models (Ho, Jain & Abbeel 2020, arXiv:2006.11239).

An image is noised at a random time t, x_t = alpha_t x_0 + sigma_t eps (equation 4), and a U-Net
learns to say which noise that was, by mean squared error (equation 14, "L_simple"). With
`prediction: v` it says v = alpha_t eps - sigma_t x_0 instead (Salimans & Ho 2022,
arXiv:2202.00512), which stays well-posed where alpha_t is near 0.

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

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """L_simple: mean squared error of the prediction, mean over pixels and batch."""
        x0 = 2 * batch.images - 1
        t = torch.randint(len(self.path), (len(x0),), device=x0.device)
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
