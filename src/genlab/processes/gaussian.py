"""What a network predicts on a Gaussian path, the denoiser, and the loop of all samplers.

Diffusion, score SDEs, EDM and flow matching differ in the path (`genlab.processes.paths`) and in
what their network predicts. Each target is a row (a, b) of a 2 x 2 system,

    x_t    = alpha x_0 + sigma eps
    target = a     x_0 + b     eps

    prediction   a                       b                    source
    eps          0                       1                    Ho et al. 2020, arXiv:2006.11239
    x0           1                       0                    the same, section 3.2
    v            -sigma                  alpha                Salimans & Ho 2022, arXiv:2202.00512
    score        0                       -1 / sigma           Song et al. 2021, arXiv:2011.13456
    velocity     alpha'(t)               sigma'(t)            Lipman et al. 2023, arXiv:2210.02747
    edm          sigma / (s_d S)         -alpha s_d / S       Karras et al. 2022, arXiv:2206.00364

so that one formula gives x_0 and eps, whatever is predicted. In EDM's row s_d is the standard
deviation of the data, S^2 = alpha^2 s_d^2 + sigma^2 that of x_t. The row is the paper's
preconditioning D = c_skip x + c_out F (table 1) solved for F, written for any alpha. For s_d = 1
and alpha^2 + sigma^2 = 1 it is -v.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from genlab.config.gaussian import PredictionType
from genlab.config.samplers import Spacing
from genlab.processes.noise import SampleNoise
from genlab.processes.paths import CLEAN, GaussianPath, NoiseLevel
from genlab.processes.spacing import PredictionSpeed, aligned_times, step_times

ROW_MULTIPLE = 8
"""SIMD kernels treat the tail of an array differently. In float32 that changes a last bit, which
can flip the rounding to bfloat16 and move a sample by grey values. Batches padded to multiples of
this number have no tail, so a sample does not depend on its batch."""


def padded_rows(n: int, device: torch.device) -> Tensor:
    """Indices of n rows, int64, repeated until their number is a multiple of `ROW_MULTIPLE`."""
    return torch.arange(-(-n // ROW_MULTIPLE) * ROW_MULTIPLE, device=device) % n


def as_time(t: float | Tensor, device: torch.device) -> Tensor:
    """Times t as float64 on `device`; a number is filled in there, which needs no copy."""
    if isinstance(t, Tensor):
        return t.to(device, torch.float64)
    return torch.full((), t, dtype=torch.float64, device=device)


def over_pixels(values: Tensor) -> Tensor:
    """[B] -> [B, 1, 1, 1], to multiply images; a single number is unchanged."""
    return values[:, None, None, None] if values.ndim else values


def target_row(
    prediction: PredictionType,
    level: NoiseLevel,
    rates: NoiseLevel,
    sigma_data: float | Tensor = 1.0,
) -> tuple[Tensor, Tensor]:
    """(a, b) of target = a x_0 + b eps, of the shape of the levels.

    Args:
        rates: d alpha / dt and d sigma / dt, for the velocity.
        sigma_data: s_d, for EDM's target.
    """
    alpha, sigma = level
    zero, one = torch.zeros_like(alpha), torch.ones_like(alpha)
    if prediction == "eps":
        return zero, one
    if prediction == "x0":
        return one, zero
    if prediction == "v":
        return -sigma, alpha
    if prediction == "score":
        return zero, -1 / sigma
    if prediction == "velocity":
        return rates.alpha, rates.sigma
    std = marginal_std(level, sigma_data)
    return sigma / (sigma_data * std), -alpha * sigma_data / std


def marginal_std(level: NoiseLevel, sigma_data: float | Tensor = 1.0) -> Tensor:
    """S, the standard deviation of x_t for data of standard deviation s_d."""
    return (level.alpha**2 * sigma_data**2 + level.sigma**2).sqrt()


def x0_slope(level: NoiseLevel, row: tuple[Tensor, Tensor]) -> Tensor:
    """d x_0 / d target at a given x_t: an error of the target times this is one of x_0."""
    (alpha, sigma), (a, b) = level, row
    return -sigma / (alpha * b - sigma * a)


def solve_for_ends(
    target: Tensor, x: Tensor, level: NoiseLevel, row: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """Return (x_0, eps) for x_t = `x` and `target` [B, C, H, W]; levels and row broadcast."""
    (alpha, sigma), (a, b) = level, row
    determinant = alpha * b - sigma * a
    x0 = (b * x - sigma * target) / determinant
    eps = (alpha * target - a * x) / determinant
    return x0, eps


def interpolated_log_variance(
    share: Tensor, small: Tensor | float, large: Tensor | float
) -> Tensor:
    """The log of a learned variance: `share` on -1..1 interpolates between two log variances.

    Nichol & Dhariwal 2021, arXiv:2102.09672, equation 15.
    """
    weight = (share + 1) / 2
    return weight * large + (1 - weight) * small


def log_snr(alpha: float, sigma: float) -> float:
    """lambda = log(alpha / sigma), half the logarithm of the signal-to-noise ratio."""
    return math.log(alpha / sigma) if alpha > 0 else -math.inf


class Prediction(NamedTuple):
    """What a denoiser predicts from x_t.

    Attributes:
        x0, eps: the two ends of the path through x_t, [B, C, H, W].
        variance: for a network that learns the variance of a reverse step, its place [B, C, H, W]
            between the smallest (-1) and the largest (1); otherwise None.
    """

    x0: Tensor
    eps: Tensor
    variance: Tensor | None = None


@dataclass
class EvaluationCounter:
    """Counts the images that a network has evaluated."""

    images: int = 0


@dataclass(frozen=True)
class Denoiser:
    """A model as samplers see it: x_t -> (x_0, eps) on a path.

    Copies made by `dataclasses.replace` share the counter.

    Attributes:
        network: (x [B, C, H, W], t [B], labels int64 [B] or None) -> target [B, C, H, W], or twice
            the channels where the variance is learned. t is the path's time.
        clip: whether x_0 is clipped to [-1, 1], and eps computed from the clipped x_0.
        labels: int64 [B], the classes of the samples; None for an unconditional network.
        guidance: w of classifier-free guidance, x_0 = without + w (with - without): 1 is the
            conditional model, 0 the unconditional one (Ho & Salimans 2022, arXiv:2207.12598,
            equation 6, where w is counted from 0).
        null: the label that stands for no label.
        bf16: whether layers are computed in bfloat16.
        speed: measures how fast the model's prediction moves, for the spacing `aligned`.
        counter: counts evaluations: two a sample under guidance.
    """

    network: Callable[[Tensor, Tensor, Tensor | None], Tensor]
    path: GaussianPath
    prediction: PredictionType
    clip: bool = True
    sigma_data: float = 1.0
    labels: Tensor | None = None
    guidance: float = 1.0
    null: int = 0
    bf16: bool = False
    speed: Callable[[], PredictionSpeed] | None = None
    counter: EvaluationCounter = field(default_factory=EvaluationCounter, compare=False)

    @property
    def evaluations(self) -> int:
        """Number of images that the network has evaluated."""
        return self.counter.images

    def times(self, steps: int, spacing: Spacing = "uniform") -> list[float]:
        """`steps` falling times of the path, as `step_times` or, if `aligned`, `aligned_times`.

        Raises:
            ValueError: too few or too many steps; `aligned` without a model's `speed`.
        """
        if spacing == "aligned":
            if self.speed is None:
                raise ValueError("the spacing 'aligned' needs the speed of a model's prediction")
            return aligned_times(self.path, steps, self.speed())
        return step_times(self.path, steps, spacing)

    def level(self, t: float) -> tuple[float, float]:
        """(alpha, sigma) at time t; t = 0 is the clean image, (1, 0)."""
        return self.path.level(t).scalars()

    def __call__(self, x: Tensor, t: float | Tensor, which: Tensor | None = None) -> Prediction:
        """Predict x_0 and eps from x_t [B, C, H, W] at one time or at times [B], all > 0.

        Args:
            which: int64 [B], indices of these samples among those that `labels` belong to; None
                if x holds all of them.
        """
        t = as_time(t, x.device)
        labels = self.labels if self.labels is None or which is None else self.labels[which]
        return self._guided(x, t, labels)

    def interpret(self, output: Tensor, x: Tensor, t: Tensor) -> Prediction:
        """Turn the network's `output` for x_t [B, C, H, W] into x_0 and eps.

        t is one time, float64, or times [B].
        """
        output, variance = output.to(x.dtype), None
        if output.shape[1] == 2 * x.shape[1]:
            output, variance = output.chunk(2, dim=1)
        level, rates = self.path.level(t), self.path.rates(t)
        row = target_row(self.prediction, level, rates, self.sigma_data)
        level = NoiseLevel(*(over_pixels(part).to(x.dtype) for part in level))
        a, b = (over_pixels(part).to(x.dtype) for part in row)
        ends = solve_for_ends(output, x, level, (a, b))
        return Prediction(*self._clipped(*ends, x, level), variance)

    def _clipped(
        self, x0: Tensor, eps: Tensor, x: Tensor, level: NoiseLevel
    ) -> tuple[Tensor, Tensor]:
        """(x_0, eps) of x_t with x_0 on [-1, 1], where predictions are clipped."""
        if not self.clip:
            return x0, eps
        x0 = x0.clamp(-1, 1)
        return x0, (x - level.alpha * x0) / level.sigma

    def velocity(self, x: Tensor, t: float | Tensor, which: Tensor | None = None) -> Tensor:
        """dx/dt of the probability-flow ODE at x_t, [B, C, H, W]; one evaluation, as above."""
        return self.velocity_of(self(x, t, which), t)

    def velocity_of(self, prediction: Prediction, t: float | Tensor) -> Tensor:
        """dx/dt for a prediction at time t: alpha'(t) x_0 + sigma'(t) eps."""
        x0, eps, _ = prediction
        rates = self.path.rates(as_time(t, x0.device))
        alpha, sigma = (over_pixels(rate).to(x0.dtype) for rate in rates)
        return alpha * x0 + sigma * eps

    def _evaluate(self, x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        self.counter.images += len(x)
        if not self.bf16:
            return self.network(x, t, labels)
        rows = padded_rows(len(x), x.device)
        with torch.autocast(x.device.type, torch.bfloat16):
            labels = labels if labels is None else labels[rows]
            return self.network(x[rows], t[rows], labels)[: len(x)]

    def _guided(self, x: Tensor, t: Tensor, labels: Tensor | None) -> Prediction:
        """The prediction with classifier-free guidance of x_0 and eps; a variance is not guided.

        Predictions are clipped before they are guided as well: beyond the range of pixels a network
        may predict anything (`genlab.models.gaussian`).
        """
        times = t.expand(len(x))
        if labels is None or self.guidance == 1:
            return self.interpret(self._evaluate(x, times, labels), x, t)
        null = torch.full_like(labels, self.null)
        if self.guidance == 0:
            return self.interpret(self._evaluate(x, times, null), x, t)
        twice = (torch.cat([x, x]), torch.cat([times, times]), torch.cat([labels, null]))
        with_label, without = (
            self.interpret(output, x, t) for output in self._evaluate(*twice).chunk(2)
        )
        x0 = without.x0 + self.guidance * (with_label.x0 - without.x0)
        eps = without.eps + self.guidance * (with_label.eps - without.eps)
        level = NoiseLevel(*(over_pixels(part).to(x.dtype) for part in self.path.level(t)))
        return Prediction(*self._clipped(x0, eps, x, level), with_label.variance)


class Step(NamedTuple):
    """State of a sampler: x_t, and the x_0 predicted from the state before it; both [B, C, H, W].

    Only a clipped x_0 lies on [-1, 1].
    """

    x: Tensor
    x0: Tensor


Predict = Callable[[Tensor, float], Prediction]
"""(x_t [B, C, H, W], t) -> the prediction; a `Denoiser` is one."""
Move = Callable[[Tensor, Prediction, float, float], Tensor]
"""(x_t [B, C, H, W], the prediction from it, t, s) -> x_s, for t > s > 0."""
Perturb = Callable[[Tensor, float], tuple[Tensor, float]]
"""(x_t [B, C, H, W], t) -> x and time that the step from t begins with instead."""


def start(denoiser: Denoiser, noise: SampleNoise, shape: tuple[int, ...], t: float) -> Tensor:
    """Pure noise of the level t that sampling begins with, float64 [len(noise), *shape].

    float64, since sampling adds up many small steps; the network has its own precision.
    """
    return denoiser.path.prior_std(t) * noise.normal(*shape).double()


def times_with_signal(denoiser: Denoiser, steps: int, spacing: Spacing) -> list[float]:
    """Times for samplers that divide by alpha: at the first one some of the image is left.

    Where no image is left, sigma / alpha and the drift of the SDE are infinite. So the first time
    is that of the path's largest ratio, or of twice the ratio of the second time if that is larger.

    Raises:
        ValueError: as `Denoiser.times`.
    """
    first, *later = denoiser.times(steps, spacing)
    alpha, sigma = denoiser.level(later[0] if later else CLEAN)
    ratio = max(denoiser.path.ratios[1], 2 * sigma / alpha)
    latest = float(denoiser.path.time_of(torch.tensor(ratio, dtype=torch.float64)))
    return [min(first, latest), *later]


def sampling_loop(
    predict: Predict, x: Tensor, times: list[float], move: Move, perturb: Perturb | None = None
) -> Iterator[Step]:
    """Sample from x at times[0] along the falling `times`, and with a last step to the clean image.

    The clean image is the x_0 predicted at the last time, on every path: one last denoising.

    Args:
        perturb: applied before each step, such as EDM's churn.
    """
    for begin, s in pairwise([*times, CLEAN]):
        x, t = (x, begin) if perturb is None else perturb(x, begin)
        prediction = predict(x, t)
        x = prediction.x0 if s == CLEAN else move(x, prediction, t, s)
        yield Step(x, prediction.x0)


SPEED_STEPS = 20
"""Steps of the trajectories along which the speed of a prediction is measured."""


def prediction_speed(
    denoiser: Denoiser, noise: SampleNoise, shape: tuple[int, ...]
) -> PredictionSpeed:
    """Measure how fast x_0 moves along trajectories of DDIM that start from `noise`.

    Their steps are even in log r; images are of the given `shape`, without the batch.
    """

    def move(x: Tensor, prediction: Prediction, t: float, s: float) -> Tensor:
        alpha, sigma = denoiser.level(s)
        return alpha * prediction.x0 + sigma * prediction.eps

    times = denoiser.times(SPEED_STEPS, "log-snr")
    steps = sampling_loop(denoiser, start(denoiser, noise, shape, times[0]), times, move)
    moved = [(b.x0 - a.x0).square().mean() for a, b in pairwise(steps)]
    logs = torch.tensor([-log_snr(*denoiser.level(t)) for t in times], dtype=torch.float64)
    return PredictionSpeed(logs, torch.stack(moved).cpu() / logs.diff().square())
