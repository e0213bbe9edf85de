"""What all families on a Gaussian path share: the loss, and the denoiser for samplers.

An image is noised at a random time t, x_t = alpha(t) x_0 + sigma(t) eps, and a network learns the
target a x_0 + b eps (`genlab.processes.gaussian`) by mean squared error

    loss = E_t,eps || network(s(t) x_t, t) - (a x_0 + b eps) ||^2

A family chooses the path, the target and the distribution of times; s(t) scales the network's input
to about the same size at every t. Sampling is not here: `denoiser()` gives samplers all they need.

A conditional network learns with the label and, with probability `label_dropout`, without it: an
additional label stands for none (Ho & Salimans 2022, arXiv:2207.12598, algorithm 1).

x_0 is the image scaled to [-1, 1], or what a family defines by `to_path` and `from_path`. The best
prediction of x_0 is its mean given x_t, which lies on [-1, 1] as well, so samplers clip predictions
to that range (`clip`). The loss does the same at its ends: where x_0 = -1, a prediction below -1
has no error, and likewise at 1. For a probability p of x_0 = -1 and any other values above it,

    E[error(D)] = p max(D + 1, 0)^2 + (1 - p) E[(D - x_0)^2 | x_0 > -1]

is least at the same mean: below -1 only the second part is left, and it grows. But a pixel that is
surely black, p = 1, may be predicted anywhere below -1. A network that must hit -1 exactly errs to
both sides, and clipping mends one of them: half of the black ground of its samples isn't black.
"""

from __future__ import annotations

from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from genlab.config.families import DensityKind
from genlab.config.gaussian import GaussianConfig, PredictionType, UnitTimeConfig
from genlab.models.base import Batch, Model
from genlab.nn.backbone import make_network
from genlab.nn.layers import upcast
from genlab.nn.unet import Texts
from genlab.processes.gaussian import (
    Denoiser,
    EvaluationCounter,
    over_pixels,
    prediction_speed,
    target_row,
    x0_slope,
)
from genlab.processes.noise import SampleNoise
from genlab.processes.ode_likelihood import log_density
from genlab.processes.paths import GaussianPath, NoiseLevel
from genlab.processes.spacing import PredictionSpeed

SPEED_SAMPLES = 16
"""Trajectories along which the speed of a prediction is measured."""


class NoisedBatch(NamedTuple):
    """Images with noise of random times.

    Attributes:
        x0, x, target: x_0, x_t, and the network's target, [B, C, H, W] each.
        t: float64 [B].
        slope: d x_0 / d target at x_t, [B, 1, 1, 1].
        clip: whether predictions of x_0 are clipped to [-1, 1].
    """

    x0: Tensor
    x: Tensor
    t: Tensor
    target: Tensor
    slope: Tensor
    clip: bool

    def errors(self, output: Tensor) -> Tensor:
        """Mean squared errors [B] of the network's `output` [B, C, H, W].

        A prediction beyond the end of [-1, 1] that x_0 lies on counts as exact, if it is clipped.
        """
        error = output - self.target
        if self.clip:
            outwards = self.slope * error * self.x0 > 0  # the predicted x_0 is too far from 0
            error = error.masked_fill(outwards & (self.x0.abs() >= 1), 0)
        return error.square().mean(dim=(1, 2, 3))


def logit_normal(
    config: UnitTimeConfig, n: int, device: torch.device, dtype: torch.dtype | None = None
) -> Tensor:
    """Times t [n] = sigmoid(m + s u), u ~ N(0, 1), with m = logit_mean and s = logit_std.

    Esser et al. 2024, arXiv:2403.03206, section 3.1.
    """
    u = torch.randn(n, device=device, dtype=dtype)
    return (config.logit_mean + config.logit_std * u).sigmoid()


class GaussianModel(Model):
    """A network on a Gaussian path. A family sets `path` and `prediction`.

    Args:
        outputs: output channels of the network for each channel of x_0.
        context: width of the encoded texts that the network reads; 0 if it reads none.
    """

    config: GaussianConfig
    path: GaussianPath
    prediction: PredictionType

    def __init__(
        self,
        config: GaussianConfig,
        shape: tuple[int, int, int],
        classes: int,
        first_stage: Model | None = None,
        *,
        outputs: int = 1,
        context: int = 0,
    ) -> None:
        super().__init__(config, shape, classes, first_stage)
        labels = classes if config.conditional else 0
        self.network: nn.Module = make_network(
            config.network, self.path_shape, labels, outputs, context
        )
        self._speed: PredictionSpeed | None = None

    @property
    def path_shape(self) -> tuple[int, int, int]:
        """Shape of x_t, without the batch; that of the images unless a family overrides it."""
        return self.shape

    def to_path(self, images: Tensor) -> Tensor:
        """Turn images [B, C, H, W] on [0, 1] into x_0 [B, *path_shape]: scaled to [-1, 1]."""
        return 2 * images - 1

    def from_path(self, x: Tensor) -> Tensor:
        """Turn x_0 [B, *path_shape] into images on [0, 1]."""
        return ((x + 1) / 2).clamp(0, 1)

    def observed_on_path(self, observed: Tensor) -> Tensor:
        """Which values of x_0 these pixels determine, bool [B, *path_shape]."""
        return observed

    @property
    def sigma_data(self) -> Tensor | float:
        """s_d, the standard deviation of the data; other than 1 for the target `edm` only."""
        return 1.0

    def draw_times(self, n: int, device: torch.device) -> Tensor:
        """Random training times t [n], float64."""
        raise NotImplementedError

    def input_scale(self, level: NoiseLevel) -> Tensor:
        """s(t) at levels [B]; [B]."""
        return torch.ones_like(level.alpha)

    def pair(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The two ends (x_0, eps) [B, *path_shape] of paths from the images of `batch`."""
        x0 = self.to_path(batch.images)
        return x0, torch.randn_like(x0)

    def condition(self, batch: Batch) -> Tensor | None:
        """Labels int64 [B] for the network, some replaced by the label for none."""
        if not self.config.conditional:
            return None
        return torch.where(self.dropout_mask(batch), self.classes, batch.labels)

    def dropout_mask(self, batch: Batch) -> Tensor:
        """Samples whose condition is left out, bool [B]; random."""
        u = torch.rand(len(batch.images), device=batch.images.device)
        return u < self.config.label_dropout

    def predict(self, x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        """The network's output at x_t [B, *path_shape], times t [B] and labels int64 [B].

        In float32, [B, *path_shape] or `outputs` times the channels. A conditional network gets the
        label for none where `labels` is None.
        """
        if labels is None and self.config.conditional:
            labels = torch.full((len(x),), self.classes, device=x.device)
        return self.evaluate(x, t, labels)

    def evaluate(
        self, x: Tensor, t: Tensor, labels: Tensor | None = None, texts: Texts | None = None
    ) -> Tensor:
        """Call the network on s(t) x_t, with labels or with texts; output as of `predict`."""
        weights = next(self.network.parameters())
        t = t.double()
        x = over_pixels(self.input_scale(self.path.level(t))).to(x.dtype) * x
        conditioning = self.path.conditioning(t).to(weights.dtype)
        kwargs = {} if texts is None else {"texts": texts}
        return upcast(self.network(x.to(weights.dtype), conditioning, labels, **kwargs))

    def add_noise(self, batch: Batch) -> NoisedBatch:
        """Noise the images of `batch` at random times."""
        x0, eps = self.pair(batch)
        t = self.draw_times(len(x0), x0.device)
        level = self.path.level(t)
        row = target_row(self.prediction, level, self.path.rates(t), self.sigma_data)
        slope = over_pixels(x0_slope(level, row)).float()
        alpha, sigma, a, b = (over_pixels(part).float() for part in (*level, *row))
        x, target = alpha * x0 + sigma * eps, a * x0 + b * eps
        return NoisedBatch(x0, x, t, target, slope, self.config.clip)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The mean squared error of the prediction."""
        noised = self.add_noise(batch)
        output = self.predict(noised.x, noised.t, self.condition(batch))
        return {"loss": noised.errors(output).mean()}

    def denoiser(self, labels: Tensor | None = None, guidance: float = 1.0) -> Denoiser:
        """Return the network on its path as a denoiser for samplers.

        Args:
            labels: int64 [B], classes of the images to draw; None draws from a conditional model
                without a class.
            guidance: guidance scale, see `genlab.processes.gaussian.Denoiser`.
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
            speed=self.speed,
            counter=EvaluationCounter(),  # not by default: torch.compile can't follow a factory
        )

    def speed(self) -> PredictionSpeed:
        """How fast the prediction moves, measured without condition, and once for these weights.

        It takes 320 network evaluations, which the cost of a sample doesn't count.
        """
        if self._speed is None:
            noise = SampleNoise(0, range(SPEED_SAMPLES), next(self.parameters()).device)
            with torch.no_grad():
                self._speed = prediction_speed(self.denoiser(), noise, self.path_shape)
        return self._speed

    def train(self, mode: bool = True) -> Self:
        self._speed = None  # weights change after this call
        return super().train(mode)

    def log_density(self, pixels: Tensor, kind: DensityKind, k: int) -> Tensor:
        """log p(y) by the probability-flow ODE, in nats [B]; `pixels` y as in HasLikelihood.

        A conditional model is evaluated without a label.
        """
        return log_density(self.denoiser(), pixels)
