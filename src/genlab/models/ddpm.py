"""Denoising diffusion probabilistic models (Ho, Jain & Abbeel 2020, arXiv:2006.11239).

The path has T levels, x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps (equation 4), and a
network learns to predict eps by mean squared error (equation 14, "L_simple"). With `prediction: v`
it predicts v = alpha_t eps - sigma_t x_0 instead (Salimans & Ho 2022, arXiv:2202.00512), which is
well-posed also where alpha_t is near 0; with `x0`, the image.

`times: logit-normal` draws t / T = sigmoid(m + s u), u ~ N(0, 1). With m = 0 times from the middle,
where the shape of the image is decided, are more frequent (`genlab.models.gaussian`).

`weighting: min-snr` weights the error of x_0 by min(SNR, gamma), SNR = (alpha / sigma)^2, for every
prediction type (Hang et al. 2023, arXiv:2303.09556, section 3.4).

`learned_variance` adds the bound's term at a random time, which trains the variance only (Nichol &
Dhariwal 2021, arXiv:2102.09672, equation 16, "hybrid", lambda = .001).

Sampling is `genlab.samplers.ddpm` (algorithm 2), or any other sampler.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from genlab.config.families import DensityKind
from genlab.config.families.ddpm import DDPMConfig
from genlab.models.base import Batch, Model
from genlab.models.gaussian import GaussianModel, logit_normal
from genlab.nn.densities import dequantised, grey_values
from genlab.processes.bound import blocks, prior_nats, step_nats
from genlab.processes.gaussian import over_pixels, target_row, x0_slope
from genlab.processes.paths import SCHEDULES, DiscretePath, with_zero_terminal_snr

HYBRID = 0.001  # lambda
BOUND_TERMS = 100
"""Network evaluations for the bound of an image; all of its terms would take T."""


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
        *,
        context: int = 0,
    ) -> None:
        outputs = 2 if config.learned_variance else 1  # the target, and the variance
        super().__init__(config, shape, classes, first_stage, outputs=outputs, context=context)
        betas = SCHEDULES[config.schedule](config.timesteps)
        if config.zero_terminal_snr:
            betas = with_zero_terminal_snr(betas)
        self.path = DiscretePath(betas)
        self.prediction = config.prediction

    def draw_times(self, n: int, device: torch.device) -> Tensor:
        """Times of whole indices i in 0..T-1, (i + 1) / T."""
        steps = len(self.path)
        if self.config.times == "uniform":
            index = torch.randint(steps, (n,), device=device)
        else:
            index = (logit_normal(self.config, n, device) * steps).long().clamp(max=steps - 1)
        return (index.double() + 1) / steps

    def weight(self, t: Tensor) -> Tensor:
        """Weights [B] of the errors at times t: 1, or those of min-SNR.

        min(SNR, gamma) is multiplied by the factor between an error of the target and one of x_0.
        """
        if self.config.weighting == "none":
            return torch.ones_like(t)
        level = self.path.level(t)
        row = target_row(self.prediction, level, self.path.rates(t))
        snr = (level.alpha / level.sigma) ** 2
        return snr.clamp(max=self.config.gamma) * x0_slope(level, row) ** 2

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """L_simple; with a learned variance, L_simple + lambda L_vlb of the same evaluation.

        `bound` is the estimate of L_vlb, in bits per dimension as in the authors' code. If times
        are not uniform, its terms are weighted accordingly; the best variance at each time is the
        same.
        """
        noised = self.add_noise(batch)
        output = self.predict(noised.x, noised.t, self.condition(batch))
        target, *variance = output.chunk(2 if self.config.learned_variance else 1, dim=1)
        simple = (self.weight(noised.t).float() * noised.errors(target)).mean()
        if not variance:
            return {"loss": simple}
        fixed_mean = torch.cat([target.detach(), *variance], dim=1)
        prediction = self.denoiser().interpret(fixed_mean, noised.x, noised.t)
        index = self.path.index(noised.t).long()
        nats = step_nats(self.path, noised.x0, index, prediction).mean()
        bound = (len(self.path) * nats / (math.prod(self.shape) * math.log(2))).float()
        return {"loss": simple + HYBRID * bound, "simple": simple, "bound": bound}

    def bound_terms(self, pixels: Tensor, count: int = BOUND_TERMS) -> tuple[list[range], Tensor]:
        """The variational bound of dequantised images [B, C, H, W] on [0, 1), in parts.

        Each of `count` blocks of timesteps is estimated by one random timestep, times the block's
        length: unbiased, at one network evaluation a block. With `count` = T every term is
        evaluated. A conditional model is evaluated without a label.

        Returns:
            The blocks of indices, K of them, and nats float64 [B, K + 1]: the sum over each block,
            and last the KL of the prior.
        """
        x0 = 2 * grey_values(pixels) - 1
        parts = blocks(len(self.path), count)
        denoiser = replace(self.denoiser(), clip=True)  # data lie on [-1, 1], so clipping helps
        terms = []
        for block in parts:
            index = torch.randint(block.start, block.stop, (len(x0),), device=x0.device)
            t = (index.double() + 1) / len(self.path)
            alpha, sigma = (over_pixels(part).float() for part in self.path.level(t))
            prediction = denoiser(alpha * x0 + sigma * torch.randn_like(x0), t)
            terms.append(len(block) * step_nats(self.path, x0, index, prediction))
        return parts, torch.stack([*terms, prior_nats(self.path, x0)], dim=1)

    def log_density(self, pixels: Tensor, kind: DensityKind, k: int) -> Tensor:
        """log p(y) in nats [B]: at least the variational bound ('elbo'), or by the ODE."""
        if kind == "ode":
            return super().log_density(pixels, kind, k)
        return dequantised(-self.bound_terms(pixels)[1].sum(dim=1), self.shape)
