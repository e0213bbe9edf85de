"""What a network predicts on a Gaussian path, and the denoiser that samplers see.

Diffusion, score SDEs, EDM and flow matching differ in the path (`genlab.processes.paths`) and in
what the network is asked for. Each such target is a row (a, b) of a 2 x 2 system,

    x_t    = alpha x_0 + sigma eps
    target = a     x_0 + b     eps

    prediction   a                       b                    source
    eps          0                       1                    Ho et al. 2020, arXiv:2006.11239
    x0           1                       0                    the same, section 3.2
    v            -sigma                  alpha                Salimans & Ho 2022, arXiv:2202.00512
    score        0                       -1 / sigma           Song et al. 2021, arXiv:2011.13456
    velocity     alpha'(t)               sigma'(t)            Lipman et al. 2023, arXiv:2210.02747
    edm          sigma / (s_d S)         -alpha s_d / S       Karras et al. 2022, arXiv:2206.00364

so that one formula solves it for both ends of the path, x_0 and eps, whatever was predicted. In
EDM's row s_d is the standard deviation of the data, S^2 = alpha^2 s_d^2 + sigma^2 that of x_t; it
is the paper's preconditioning D = c_skip x + c_out F (table 1) solved for F, written for any alpha.
For s_d = 1 and alpha^2 + sigma^2 = 1 it is -v.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from genlab.config.gaussian import Prediction
from genlab.config.samplers import Spacing
from genlab.processes.paths import Level, Path
from genlab.processes.spacing import times

EIGHT = 8


def in_eights(n: int, device: torch.device) -> Tensor:
    """The numbers of n rows, int64, and some of them again, so that they are whole eights.

    A processor computes the last few numbers of an array, those that don't fill its registers, by
    another exponential, and a single row by another product. Of float32 that moves a last bit, but
    where this bit decides how a bfloat16 is rounded, a walk may end grey values away. Whole eights
    fill the registers, so that a sample doesn't depend on its batch.
    """
    return torch.arange(-(-n // EIGHT) * EIGHT, device=device) % n


def over_pixels(level: Tensor) -> Tensor:
    """[B] -> [B, 1, 1, 1], to multiply images; a single number stays one."""
    return level[:, None, None, None] if level.ndim else level


def row(
    prediction: Prediction, level: Level, rates: Level, sigma_data: float | Tensor = 1.0
) -> tuple[Tensor, Tensor]:
    """(a, b) of target = a x_0 + b eps, of the shape of the levels.

    Args:
        rates: d alpha / dt and d sigma / dt, for the velocity.
        sigma_data: s_d, for EDM's.
    """
    alpha, sigma = level
    none, one = torch.zeros_like(alpha), torch.ones_like(alpha)
    if prediction == "eps":
        return none, one
    if prediction == "x0":
        return one, none
    if prediction == "v":
        return -sigma, alpha
    if prediction == "score":
        return none, -1 / sigma
    if prediction == "velocity":
        return rates.alpha, rates.sigma
    s = spread(level, sigma_data)
    return sigma / (sigma_data * s), -alpha * sigma_data / s


def spread(level: Level, sigma_data: float | Tensor = 1.0) -> Tensor:
    """S, the standard deviation of x_t of data with that of s_d, of the shape of the levels."""
    return (level.alpha**2 * sigma_data**2 + level.sigma**2).sqrt()


def log_variance(place: Tensor, small: Tensor | float, large: Tensor | float) -> Tensor:
    """The logarithm of a learned variance, at `place` -1..1 between the logarithms of two.

    Nichol & Dhariwal 2021, arXiv:2102.09672, equation 15.
    """
    share = (place + 1) / 2
    return share * large + (1 - share) * small


def ends(
    target: Tensor, x: Tensor, level: Level, of_target: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """(x_0, eps) of x_t = `x` and `target` [B, C, H, W]; levels and row broadcast over them."""
    (alpha, sigma), (a, b) = level, of_target
    determinant = alpha * b - sigma * a
    x0 = (b * x - sigma * target) / determinant
    eps = (alpha * target - a * x) / determinant
    return x0, eps


class Ends(NamedTuple):
    """What a denoiser says of x_t: the two ends of the path through it.

    Attributes:
        x0, eps: [B, C, H, W].
        variance: where the network learned the variance of a reverse step, its place [B, C, H, W]
            between the smallest (-1) and the largest (1).
    """

    x0: Tensor
    eps: Tensor
    variance: Tensor | None = None


@dataclass
class Denoiser:
    """What a sampler sees of a model: x_t -> (x_0, eps) on a path.

    Attributes:
        network: (x [B, C, H, W], t [B], labels int64 [B] or None) -> target [B, C, H, W], or twice
            the channels where the variance is learned. t is the path's time.
        clip: whether x_0 is clipped to [-1, 1], and eps derived anew from the clipped x_0.
        labels: int64 [B], the classes of the samples; None for a network that knows none.
        guidance: w of classifier-free guidance, out = without + w (with - without): 1 is the
            conditional model, 0 the unconditional one (Ho & Salimans 2022, arXiv:2207.12598,
            equation 6, where w is counted from 0).
        null: the label that stands for none.
        bf16: whether layers are computed in bfloat16.
        evaluations: how many images the network has seen so far, two a sample under guidance.
    """

    network: Callable[[Tensor, Tensor, Tensor | None], Tensor]
    path: Path
    prediction: Prediction
    clip: bool = True
    sigma_data: float = 1.0
    labels: Tensor | None = None
    guidance: float = 1.0
    null: int = 0
    bf16: bool = False
    evaluations: int = 0

    def times(self, steps: int, spacing: Spacing = "uniform") -> list[float]:
        """`steps` falling times of the path; a walk ends with the step from the last to 0."""
        return times(self.path, steps, spacing)

    def level(self, t: float) -> tuple[float, float]:
        """(alpha, sigma) at time t; t = 0 is the clean image, (1, 0)."""
        return self.path.level(t).scalars()

    def __call__(self, x: Tensor, t: float | Tensor, which: Tensor | None = None) -> Ends:
        """The ends of the path through x_t [B, C, H, W], at one time or at times [B], all > 0.

        Args:
            which: int64 [B], the samples that these are, where x holds not all that there are
                labels for.
        """
        t = torch.as_tensor(t, dtype=torch.float64, device=x.device)
        labels = self.labels if self.labels is None or which is None else self.labels[which]
        return self.read(self._guided(x, t.expand(len(x)), labels), x, t)

    def read(self, output: Tensor, x: Tensor, t: Tensor) -> Ends:
        """What the network's `output` says of x_t [B, C, H, W], at a time float64 or times [B]."""
        output, variance = output.to(x.dtype), None
        if output.shape[1] == 2 * x.shape[1]:
            output, variance = output.chunk(2, dim=1)
        level, rates = self.path.level(t), self.path.rates(t)
        of_target = row(self.prediction, level, rates, self.sigma_data)
        level = Level(*(over_pixels(part).to(x.dtype) for part in level))
        a, b = (over_pixels(part).to(x.dtype) for part in of_target)
        x0, eps = ends(output, x, level, (a, b))
        if self.clip:
            x0 = x0.clamp(-1, 1)
            eps = (x - level.alpha * x0) / level.sigma
        return Ends(x0, eps, variance)

    def velocity(self, x: Tensor, t: float | Tensor, which: Tensor | None = None) -> Tensor:
        """dx/dt of the probability-flow ODE at x_t, [B, C, H, W]; one evaluation, as above."""
        return self.flow(self(x, t, which), t)

    def flow(self, found: Ends, t: float | Tensor) -> Tensor:
        """That dx/dt from what was found at time t: alpha'(t) x_0 + sigma'(t) eps."""
        x0, eps, _ = found
        rates = self.path.rates(torch.as_tensor(t, dtype=torch.float64, device=x0.device))
        alpha, sigma = (over_pixels(rate).to(x0.dtype) for rate in rates)
        return alpha * x0 + sigma * eps

    def _evaluate(self, x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        self.evaluations += len(x)
        if not self.bf16:
            return self.network(x, t, labels)
        rows = in_eights(len(x), x.device)
        with torch.autocast(x.device.type, torch.bfloat16):
            labels = labels if labels is None else labels[rows]
            return self.network(x[rows], t[rows], labels)[: len(x)]

    def _guided(self, x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        """The network's output, under guidance where it is asked for."""
        if labels is None or self.guidance == 1:
            return self._evaluate(x, t, labels)
        none = torch.full_like(labels, self.null)
        if self.guidance == 0:
            return self._evaluate(x, t, none)
        both = self._evaluate(torch.cat([x, x]), torch.cat([t, t]), torch.cat([labels, none]))
        given, without = both.chunk(2)
        guided = without + self.guidance * (given - without)
        c = x.shape[1]  # a learned variance, in the channels after the target, is not exaggerated
        return torch.cat([guided[:, :c], given[:, c:]], dim=1)
