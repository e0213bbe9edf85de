"""What all families on a Gaussian path share: the loss, and the denoiser that samplers see.

An image is noised at a random time t, x_t = alpha(t) x_0 + sigma(t) eps, and a network learns to
say what it is asked for, a x_0 + b eps (`genlab.processes.gaussian`), by mean squared error

    loss = E_t,eps  w(t) || network(s(t) x_t, t) - (a x_0 + b eps) ||^2

A family says which path, which target, how times are drawn, and the weight w(t); s(t) scales what
the network is shown to about the same size at every t. Sampling is not here: `denoiser()` gives
the samplers all they need.

A conditional network learns with the label and, `label_dropout` of the time, without it: with a
label of its own that stands for none (Ho & Salimans 2022, arXiv:2207.12598, algorithm 1).

What walks are the pixels, scaled to [-1, 1], or whatever a family has in their place: `to_path` and
`from_path` lead there and back.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from genlab.config.families import Likelihood
from genlab.config.gaussian import GaussianConfig, Prediction, UnitTimeConfig
from genlab.models.base import Batch, Model
from genlab.nn.backbone import make_network
from genlab.nn.unet import Texts, widened
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


def logit_normal(
    config: UnitTimeConfig, n: int, device: torch.device, dtype: torch.dtype | None = None
) -> Tensor:
    """Times t [n] = sigmoid(m + s u), u ~ N(0, 1): m and s are the config's logit_mean and _std.

    Esser et al. 2024, arXiv:2403.03206, section 3.1.
    """
    draws = torch.randn(n, device=device, dtype=dtype)
    return (config.logit_mean + config.logit_std * draws).sigmoid()


class GaussianModel(Model):
    """A network on `path`, which a family sets, in the space that `to_path` leads to."""

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
        self.network: nn.Module = make_network(
            config.network, self.path_shape, known, self.multiple, self.context
        )

    @property
    def path_shape(self) -> tuple[int, int, int]:
        """The shape of what walks the path, without the batch; that of the images."""
        return self.shape

    def to_path(self, images: Tensor) -> Tensor:
        """images [B, C, H, W] on [0, 1] -> x_0 [B, *path_shape]; scaled to [-1, 1]."""
        return 2 * images - 1

    def from_path(self, x: Tensor) -> Tensor:
        """What `to_path` leads to, or is near that, [B, *path_shape] -> images on [0, 1]."""
        return ((x + 1) / 2).clamp(0, 1)

    def known_on_path(self, known: Tensor) -> Tensor:
        """Which numbers of x_0 are known, bool [B, *path_shape], where these pixels are."""
        return known

    @property
    def context(self) -> int:
        """The width of the states of texts that the network reads; 0: it reads none."""
        return 0

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

    def pair(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The two ends (x_0, eps) [B, *path_shape] of paths from the images of `batch`."""
        x0 = self.to_path(batch.images)
        return x0, torch.randn_like(x0)

    def drop(self, batch: Batch) -> Tensor | None:
        """The labels int64 [B] that the network is told, some of them 'none'."""
        if not self.config.conditional:
            return None
        return torch.where(self.dropped(batch), self.classes, batch.labels)

    def dropped(self, batch: Batch) -> Tensor:
        """Of which images the network isn't told, bool [B]."""
        draws = torch.rand(len(batch.images), device=batch.images.device)
        return draws < self.config.label_dropout

    def predict(self, x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        """The network's answer at x_t [B, *path_shape], times t [B] and labels int64 [B].

        In float32, [B, *path_shape] or `multiple` times the channels. A conditional network that is
        given no labels is told 'none'.
        """
        if labels is None and self.config.conditional:
            labels = torch.full((len(x),), self.classes, device=x.device)
        return self.answer(x, t, labels)

    def answer(self, x: Tensor, t: Tensor, labels: Tensor | None = None, **told: Texts) -> Tensor:
        """What the network says of x_t scaled for it, as `predict`."""
        weights = next(self.network.parameters())
        t = t.double()
        x = over_pixels(self.input_scale(self.path.level(t))).to(x.dtype) * x
        conditioning = self.path.conditioning(t).to(weights.dtype)
        return widened(self.network(x.to(weights.dtype), conditioning, labels, **told))

    def noised(self, batch: Batch) -> Noised:
        """The images of `batch` on their paths, at random times."""
        x0, eps = self.pair(batch)
        t = self.draw_times(len(x0), x0.device)
        level = self.path.level(t)
        of_target = row(self.prediction, level, self.path.rates(t), self.sigma_data)
        alpha, sigma, a, b = (over_pixels(part).float() for part in (*level, *of_target))
        weight = self.weight(level, of_target).float()
        return Noised(x0, alpha * x0 + sigma * eps, t, a * x0 + b * eps, weight)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The weighted mean squared error of the prediction."""
        noised = self.noised(batch)
        answer = self.predict(noised.x, noised.t, self.drop(batch))
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
