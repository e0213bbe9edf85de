"""Denoising diffusion probabilistic models (Ho, Jain & Abbeel 2020, arXiv:2006.11239).

The path has T levels, x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps (equation 4), and a
network learns to say which noise that was, by mean squared error (equation 14, "L_simple"). With
`prediction: v` it says v = alpha_t eps - sigma_t x_0 instead (Salimans & Ho 2022,
arXiv:2202.00512), which stays well-posed where alpha_t is near 0; with `x0`, the image.

`times: logit-normal` draws t / T = sigmoid(m + s u), u ~ N(0, 1): with m = 0 more often from the
middle, where the shape of the image is decided, than from the ends (`genlab.models.gaussian`).

`weighting: min-snr` weighs the error of x_0 by min(SNR, gamma), SNR = (alpha / sigma)^2, whatever
is predicted (Hang et al. 2023, arXiv:2303.09556, section 3.4).

`learned_variance` adds the bound's term at a random time, which teaches the variance alone
(Nichol & Dhariwal 2021, arXiv:2102.09672, equation 16, "hybrid", lambda = .001).
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from genlab.config.families import Likelihood
from genlab.config.families.ddpm import DDPMConfig
from genlab.models.base import Batch, Model
from genlab.models.gaussian import GaussianModel, logit_normal
from genlab.nn.likelihoods import grey_values
from genlab.processes.bound import blocks, prior_nats, step_nats
from genlab.processes.gaussian import over_pixels
from genlab.processes.paths import DiscretePath, Level
from genlab.processes.schedules import SCHEDULES, with_zero_terminal_snr

HYBRID = 0.001  # lambda
BOUND_TERMS = 100
"""Network evaluations that the bound of an image takes, of the T that all of it would."""


class DDPM(GaussianModel):
    """A network on a discrete Gaussian path."""

    config: DDPMConfig
    path: DiscretePath

    def __init__(
        self,
        config: DDPMConfig,
        shape: tuple[int, int, int],
        classes: int,
        first_stage: Model | None = None,
    ) -> None:
        super().__init__(config, shape, classes, first_stage)
        betas = SCHEDULES[config.schedule](config.timesteps)
        if config.zero_terminal_snr:
            betas = with_zero_terminal_snr(betas)
        self.path = DiscretePath(betas)
        self.prediction = config.prediction

    @property
    def multiple(self) -> int:
        """The target's number, and that of the variance where it is learned."""
        return 2 if self.config.learned_variance else 1

    def draw_times(self, n: int, device: torch.device) -> Tensor:
        """Times of whole indices i in 0..T-1, (i + 1) / T."""
        steps = len(self.path)
        if self.config.times == "uniform":
            index = torch.randint(steps, (n,), device=device)
        else:
            index = (logit_normal(self.config, n, device) * steps).long().clamp(max=steps - 1)
        return (index.double() + 1) / steps

    def weight(self, level: Level, of_target: tuple[Tensor, Tensor]) -> Tensor:
        """1, or min(SNR, gamma) times what turns an error of the target into one of x_0."""
        if self.config.weighting == "none":
            return super().weight(level, of_target)
        (alpha, sigma), (a, b) = level, of_target
        snr = (alpha / sigma) ** 2
        return snr.clamp(max=self.config.gamma) * (sigma / (alpha * b - sigma * a)) ** 2

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """L_simple; with a learned variance, L_simple + lambda L_vlb of the same evaluation.

        `bound` is the estimate of L_vlb, in bits a dimension as in the authors' code. Where times
        are drawn unevenly its terms are weighed just so; the best variance at each is the same.
        """
        if not self.config.learned_variance:
            return super().loss(batch)
        noised = self.noised(batch)
        answer = self.predict(noised.x, noised.t, self.drop(batch))
        said, variance = answer.chunk(2, dim=1)
        simple = noised.error(said)
        fixed_mean = torch.cat([said.detach(), variance], dim=1)
        found = self.denoiser().read(fixed_mean, noised.x, noised.t)
        nats = step_nats(self.path, noised.x0, self.path.index(noised.t).long(), found).mean()
        bound = (len(self.path) * nats / (math.prod(self.shape) * math.log(2))).float()
        return {"loss": simple + HYBRID * bound, "simple": simple, "bound": bound}

    def bound_terms(self, pixels: Tensor, count: int = BOUND_TERMS) -> tuple[list[range], Tensor]:
        """The variational bound of dequantised images [B, C, H, W] on [0, 1), in parts.

        Each of `count` blocks of timesteps is stood for by one of them, at random for every image,
        times the block's length: an unbiased estimate, and one network evaluation a block. Where
        `count` is T, each term stands for itself. Of a conditional model, that without a label.

        Returns:
            The blocks of indices, K of them, and nats float64 [B, K + 1]: the sum over each block,
            and last the KL of the prior.
        """
        x0 = 2 * grey_values(pixels) - 1
        parts = blocks(len(self.path), count)
        denoiser = replace(self.denoiser(), clip=True)  # the data are clipped, so it can't hurt
        terms = []
        for block in parts:
            index = torch.randint(block.start, block.stop, (len(x0),), device=x0.device)
            t = (index.double() + 1) / len(self.path)
            alpha, sigma = (over_pixels(part).float() for part in self.path.level(t))
            found = denoiser(alpha * x0 + sigma * torch.randn_like(x0), t)
            terms.append(len(block) * step_nats(self.path, x0, index, found))
        return parts, torch.stack([*terms, prior_nats(self.path, x0)], dim=1)

    def log_density(self, pixels: Tensor, kind: Likelihood, k: int) -> Tensor:
        """log p(y) in nats [B]: at least the variational bound ('elbo'), or by the ODE."""
        if kind == "ode":
            return super().log_density(pixels, kind, k)
        nats = self.bound_terms(pixels)[1].sum(dim=1)
        # A mass on 256 grey values is a density that is constant on each of their cells.
        return math.prod(self.shape) * math.log(256) - nats
