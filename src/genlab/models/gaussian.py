"""What all families on a Gaussian path share: the loss, and the denoiser that samplers see.

An image is noised at a random time t, x_t = alpha(t) x_0 + sigma(t) eps, and a network learns to
say what it is asked for, a x_0 + b eps (`genlab.processes.gaussian`), by mean squared error

    loss = E_t,eps  w(t) || network(s(t) x_t, t) - (a x_0 + b eps) ||^2

A family says which path, which target, how times are drawn, and the weight w(t); s(t) scales what
the network is shown to about the same size at every t. Sampling is not here: `denoiser()` gives
the samplers all they need.

A conditional network learns with the label and, `label_dropout` of the time, without it: with a
label of its own that stands for none (Ho & Salimans 2022, arXiv:2207.12598, algorithm 1).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from genlab.config.families import Likelihood
from genlab.config.gaussian import GaussianConfig, Prediction
from genlab.models.base import Batch, Model
from genlab.nn.backbone import make_network
from genlab.processes.gaussian import Denoiser, over_pixels, row
from genlab.processes.ode_likelihood import log_density
from genlab.processes.paths import Level, Path


class Noised(NamedTuple):
    """Images on their paths at random times.

    Attributes:
        x0, x, target: image, x_t, and what the network should say of it, [B, C, H, W] each.
        t: float64 [B].
        weight: w(t), [B].
    """

    x0: Tensor
    x: Tensor
    t: Tensor
    target: Tensor
    weight: Tensor

    def error(self, answer: Tensor) -> Tensor:
        """The weighted mean squared error of the network's `answer` [B, C, H, W]."""
        return (self.weight * (answer - self.target).square().mean(dim=(1, 2, 3))).mean()


class GaussianModel(Model):
    """A network on `path`, which a family sets; images are scaled to [-1, 1]."""

    config: GaussianConfig
    path: Path
    prediction: Prediction

    def __init__(
        self,
        config: GaussianConfig,
        shape: tuple[int, int, int],
        classes: int,
        first_stage: Model | None = None,
    ) -> None:
        super().__init__(config, shape, classes, first_stage)
        known = classes if config.conditional else 0
        self.network: nn.Module = make_network(config.network, shape, known, self.multiple)

    @property
    def multiple(self) -> int:
        """How many numbers the network says of each pixel and channel: the target's alone."""
        return 1

    @property
    def sigma_data(self) -> Tensor | float:
        """The standard deviation of the data, where the family makes use of it."""
        return 1.0

    def draw_times(self, n: int, device: torch.device) -> Tensor:
        """Times t [n] to train at, float64."""
        raise NotImplementedError

    def weight(self, level: Level, of_target: tuple[Tensor, Tensor]) -> Tensor:
        """w(t) at levels [B], for targets a x_0 + b eps, `of_target` being (a, b) [B]; [B]."""
        return torch.ones_like(level.alpha)

    def input_scale(self, level: Level) -> Tensor:
        """s(t) at levels [B]; [B]."""
        return torch.ones_like(level.alpha)

    def pair(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The two ends (x_0, eps) of paths from images [B, C, H, W] on [0, 1], on [-1, 1]."""
        return 2 * images - 1, torch.randn_like(images)

    def drop(self, labels: Tensor) -> Tensor | None:
        """The labels int64 [B] that the network is told, some of them 'none'."""
        if not self.config.conditional:
            return None
        dropped = torch.rand(len(labels), device=labels.device) < self.config.label_dropout
        return torch.where(dropped, self.classes, labels)

    def predict(self, x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        """The network's answer at x_t [B, C, H, W], times t [B] and labels int64 [B], in float32.

        [B, C, H, W], or `multiple` times the channels. A conditional network that is given no
        labels is told 'none'.
        """
        weights = next(self.network.parameters())
        t = t.double()
        x = over_pixels(self.input_scale(self.path.level(t))).to(x.dtype) * x
        if labels is None and self.config.conditional:
            labels = torch.full((len(x),), self.classes, device=x.device)
        conditioning = self.path.conditioning(t).to(weights.dtype)
        answer: Tensor = self.network(x.to(weights.dtype), conditioning, labels)
        return answer.float() if answer.dtype == torch.bfloat16 else answer

    def noised(self, batch: Batch) -> Noised:
        """The images of `batch` on their paths, at random times."""
        x0, eps = self.pair(batch.images)
        t = self.draw_times(len(x0), x0.device)
        level = self.path.level(t)
        of_target = row(self.prediction, level, self.path.rates(t), self.sigma_data)
        alpha, sigma, a, b = (over_pixels(part).float() for part in (*level, *of_target))
        weight = self.weight(level, of_target).float()
        return Noised(x0, alpha * x0 + sigma * eps, t, a * x0 + b * eps, weight)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The weighted mean squared error of the prediction."""
        noised = self.noised(batch)
        answer = self.predict(noised.x, noised.t, self.drop(batch.labels))
        return {"loss": noised.error(answer)}

    def denoiser(self, labels: Tensor | None = None, guidance: float = 1.0) -> Denoiser:
        """The network on its path, as the samplers see it.

        Args:
            labels: int64 [B], the classes of the images to draw; a conditional model draws without
                any where they are None.
            guidance: see `genlab.processes.gaussian.Denoiser`.
        """
        return Denoiser(
            self.predict,
            self.path,
            self.prediction,
            clip=self.config.clip,
            sigma_data=float(self.sigma_data),
            labels=labels if self.config.conditional else None,
            guidance=guidance,
            null=self.classes,
        )

    def log_density(self, pixels: Tensor, kind: Likelihood, k: int) -> Tensor:
        """log p(y) by the probability-flow ODE, in nats [B]; `pixels` y as in HasLikelihood.

        Of a conditional model, that without a label.
        """
        return log_density(self.denoiser(), pixels)
