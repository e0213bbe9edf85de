"""Gaussian paths x_t = alpha(t) x_0 + sigma(t) eps, from the image (t = 0) to noise (t = t_max).

Every diffusion model and every flow to a Gaussian follows such a path; they differ in two functions
of time. The ratio r(t) = sigma(t) / alpha(t) grows with t: two paths of the same r differ by a
scaling of x_t only.

    path         alpha(t)                  sigma(t)                    t          source
    discrete     sqrt(alpha_bar_t)         sqrt(1 - alpha_bar_t)       (i + 1)/T  Ho et al. 2020
    VP           exp(-B(t) / 2)            sqrt(1 - exp(-B(t)))        0..1       Song et al. 2021
    subVP        exp(-B(t) / 2)            1 - exp(-B(t))              0..1       Song et al. 2021
    VE           1                         s_min (s_max / s_min)^t     0..1       Song et al. 2021
    EDM          1                         t                           0..80      Karras et al. 2022
    linear       1 - t                     t                           0..1       Lipman et al. 2023

with B(t) = int_0^t beta(s) ds (arXiv:2011.13456, equations 29 and 31; 2206.00364; 2210.02747). Time
0 is the clean image on every path, (alpha, sigma) = (1, 0). Where sigma does not fall to 0, as in
VE, the last sampling step jumps there. All numbers are float64.

The discrete path is given by a noise schedule, variances beta_1..beta_T, with
alpha_bar_t = prod_{s<=t} (1 - beta_s) (Ho et al. 2020, arXiv:2006.11239, equation 4).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

CLEAN = 0.0
"""Time of the clean image."""
MIN_RATIO, MAX_RATIO = 0.002, 160.0
"""Bounds of the ratios sigma / alpha that steps are placed at: beyond them noise is invisible, or
the image is."""
MAX_BETA = 0.999
ROUNDING = 1e-6
"""Indices of levels that differ by less are the same."""


class NoiseLevel(NamedTuple):
    """alpha(t) and sigma(t), or their derivatives; of the shape of t."""

    alpha: Tensor
    sigma: Tensor

    def scalars(self) -> tuple[float, float]:
        """(alpha, sigma) as numbers, for a single time."""
        return float(self.alpha), float(self.sigma)


class GaussianPath(ABC):
    """alpha(t), sigma(t), the path's scale of time and the range of its steps.

    Attributes:
        t_min: least time that a network is trained at; below it the image counts as clean.
        t_max: time of pure noise.
        ratios: least and largest ratio sigma / alpha that steps are placed at.
    """

    t_min: float = 1e-5
    t_max: float = 1.0
    ratios: tuple[float, float] = (MIN_RATIO, 80.0)

    @abstractmethod
    def _level(self, t: Tensor) -> NoiseLevel:
        """Levels at times t > 0, float64."""

    @abstractmethod
    def rates(self, t: Tensor) -> NoiseLevel:
        """(d alpha / dt, d sigma / dt) at times t > 0, float64, of the shape of t."""

    @abstractmethod
    def time_of(self, ratio: Tensor) -> Tensor:
        """The times t, float64, at which sigma / alpha is `ratio` > 0."""

    @abstractmethod
    def conditioning(self, t: Tensor) -> Tensor:
        """The input by which a network is given the time t, of the shape of t.

        It lies on 0..1000; for EDM on about -1550..1100 in sampling, and unbounded in training.
        """

    def level(self, t: Tensor | float) -> NoiseLevel:
        """(alpha, sigma) at times t, float64, of the shape of t; t = 0 is the clean image."""
        t = torch.as_tensor(t, dtype=torch.float64)
        clean = t <= CLEAN
        alpha, sigma = self._level(torch.where(clean, self.t_max, t))
        return NoiseLevel(torch.where(clean, 1.0, alpha), torch.where(clean, 0.0, sigma))

    @staticmethod
    def _within(low: Tensor, high: Tensor) -> tuple[float, float]:
        """The ratios `low` and `high`, clipped to those that steps are placed at."""
        return max(float(low), MIN_RATIO), min(float(high), MAX_RATIO)

    def prior_std(self, t: float) -> float:
        """Standard deviation of the noise that sampling from time t starts with."""
        return float(self.level(t).sigma)

    def uniform(self, steps: int) -> list[float]:
        """`steps` evenly spaced times that fall from t_max; the next one would be the image's."""
        return [self.t_max * (1 - i / steps) for i in range(steps)]


class _UnitPriorPath(GaussianPath):
    """A path whose sampling starts from N(0, I), whatever trace of the image alpha(t) leaves."""

    def prior_std(self, t: float) -> float:
        return 1.0


class DiscretePath(_UnitPriorPath):
    """T levels of alpha_bar = prod (1 - beta), index i at time (i + 1) / T.

    Between two levels the angle phi, (alpha, sigma) = (cos phi, sin phi), is interpolated linearly.
    So steps may be placed anywhere, also where no image is left (phi = pi / 2). Before the first
    level the path is constant.

    Args:
        betas: float64 [T], T at least 2.
    """

    def __init__(self, betas: Tensor) -> None:
        self.alpha_bar = torch.cumprod(1 - betas.double(), dim=0)
        self.angles = torch.atan2((1 - self.alpha_bar).sqrt(), self.alpha_bar.sqrt())
        self.t_min = 1 / len(betas)
        self.ratios = self._within(self.angles[0].tan(), self.angles[-1].tan())
        self._copies = {self.angles.device: (self.alpha_bar, self.angles)}

    def tables(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """alpha_bar and the angles phi of all levels, float64 [T]; copied to a device once."""
        if device not in self._copies:
            self._copies[device] = (self.alpha_bar.to(device), self.angles.to(device))
        return self._copies[device]

    def __len__(self) -> int:
        return len(self.alpha_bar)

    def index(self, t: Tensor) -> Tensor:
        """The index 0..T-1 of times t, not always whole; 0 for times before the first level."""
        index = t * len(self) - 1
        whole = index.round()  # (i + 1) / T * T need not be i + 1 to the last bit
        index = torch.where((index - whole).abs() < ROUNDING, whole, index)
        return index.clamp(0, len(self) - 1)

    def _segment(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """phi at the levels before and after times t, and the share of the way between them.

        A level belongs to the segment that it begins; the last one to the segment that it ends.
        """
        index, (_, angles) = self.index(t), self.tables(t.device)
        low = index.floor().long().clamp(max=len(self) - 2)
        # Indexing by a single number of a GPU would wait for that number.
        return angles.take(low), angles.take(low + 1), index - low

    def _level(self, t: Tensor) -> NoiseLevel:
        angle = torch.lerp(*self._segment(t))
        # cos(pi / 2) would be 6e-17 instead of 0.
        return NoiseLevel((torch.pi / 2 - angle).sin(), angle.sin())

    def rates(self, t: Tensor) -> NoiseLevel:
        before, after, _ = self._segment(t)
        constant = t * len(self) < 1 - ROUNDING  # before the first level
        speed = torch.where(constant, 0.0, (after - before) * len(self))
        alpha, sigma = self.level(t)
        return NoiseLevel(-sigma * speed, alpha * speed)

    def time_of(self, ratio: Tensor) -> Tensor:
        target, (_, angles) = ratio.double().atan(), self.tables(ratio.device)
        high = torch.searchsorted(angles, target).clamp(1, len(self) - 1)
        before, after = angles.take(high - 1), angles.take(high)
        share = ((target - before) / (after - before)).clamp(0, 1)
        return (high + share) / len(self)

    def conditioning(self, t: Tensor) -> Tensor:
        return self.index(t) * (1000 / len(self))

    def uniform(self, steps: int) -> list[float]:
        """Times of whole indices, in 'trailing' spacing.

        Raises:
            ValueError: fewer than one step, or more than there are levels.
        """
        return [(i + 1) / len(self) for i in respaced(len(self), steps)]


class VPPath(_UnitPriorPath):
    """Variance preserving: beta(t) rises linearly from `low` to `high`."""

    def __init__(self, low: float = 0.1, high: float = 20.0) -> None:
        self.low, self.high = low, high
        # The paper's sampling ends at t = 1e-3 (appendix C), its likelihood at t_min.
        self.ratios = self._within(self._ratio(1e-3), self._ratio(1.0))

    def _ratio(self, t: float) -> Tensor:
        alpha, sigma = self._level(torch.tensor(t, dtype=torch.float64))
        return sigma / alpha

    def integral(self, t: Tensor) -> Tensor:
        """B(t), of the shape of t."""
        return self.low * t + (self.high - self.low) * t**2 / 2

    def beta(self, t: Tensor) -> Tensor:
        """beta(t) = B'(t)."""
        return self.low + (self.high - self.low) * t

    def _level(self, t: Tensor) -> NoiseLevel:
        b = self.integral(t)
        return NoiseLevel((-b / 2).exp(), (-torch.expm1(-b)).sqrt())

    def rates(self, t: Tensor) -> NoiseLevel:
        alpha, sigma = self.level(t)
        beta = self.beta(t)
        return NoiseLevel(-beta * alpha / 2, beta * alpha**2 / (2 * sigma))

    def time_of(self, ratio: Tensor) -> Tensor:
        return self._time_of_integral(torch.log1p(ratio.double() ** 2))

    def _time_of_integral(self, b: Tensor) -> Tensor:
        """The time t with B(t) = b: the positive root of a quadratic equation."""
        increase = self.high - self.low
        return 2 * b / (self.low + (self.low**2 + 2 * increase * b).sqrt())

    def conditioning(self, t: Tensor) -> Tensor:
        return 999 * t


class SubVPPath(VPPath):
    """The VP path with the smaller variance (1 - alpha^2)^2."""

    def _level(self, t: Tensor) -> NoiseLevel:
        b = self.integral(t)
        return NoiseLevel((-b / 2).exp(), -torch.expm1(-b))

    def rates(self, t: Tensor) -> NoiseLevel:
        alpha = self.level(t).alpha
        beta = self.beta(t)
        return NoiseLevel(-beta * alpha / 2, beta * alpha**2)

    def time_of(self, ratio: Tensor) -> Tensor:
        # Solves (1 - alpha^2) / alpha = r for 1 / alpha, which is stable for large r.
        r = ratio.double()
        return self._time_of_integral(2 * ((r + (r**2 + 4).sqrt()) / 2).log())


class VEPath(GaussianPath):
    """Variance exploding: the image is not scaled, sigma grows geometrically."""

    def __init__(self, sigma_min: float = 0.01, sigma_max: float = 50.0) -> None:
        self.sigma_min, self.growth = sigma_min, math.log(sigma_max / sigma_min)
        first = self.level(self.t_min).sigma
        self.ratios = self._within(first, self.level(self.t_max).sigma)

    def _level(self, t: Tensor) -> NoiseLevel:
        return NoiseLevel(torch.ones_like(t), self.sigma_min * (self.growth * t).exp())

    def rates(self, t: Tensor) -> NoiseLevel:
        return NoiseLevel(torch.zeros_like(t), self.growth * self.level(t).sigma)

    def time_of(self, ratio: Tensor) -> Tensor:
        return (ratio.double() / self.sigma_min).log() / self.growth

    def conditioning(self, t: Tensor) -> Tensor:
        return 999 * t


class EDMPath(GaussianPath):
    """Time is the noise level: alpha = 1, sigma = t."""

    t_min, t_max = MIN_RATIO, 80.0

    def _level(self, t: Tensor) -> NoiseLevel:
        return NoiseLevel(torch.ones_like(t), t)

    def rates(self, t: Tensor) -> NoiseLevel:
        return NoiseLevel(torch.zeros_like(t), torch.ones_like(t))

    def time_of(self, ratio: Tensor) -> Tensor:
        return ratio.double()

    def conditioning(self, t: Tensor) -> Tensor:
        """1000 c_noise, c_noise = ln(sigma) / 4."""
        return 250 * t.log()


class LinearPath(GaussianPath):
    """The straight line from image to noise: alpha = 1 - t, sigma = t.

    Some papers on flow matching count time from the noise instead.
    """

    def _level(self, t: Tensor) -> NoiseLevel:
        return NoiseLevel(1 - t, t)

    def rates(self, t: Tensor) -> NoiseLevel:
        return NoiseLevel(-torch.ones_like(t), torch.ones_like(t))

    def time_of(self, ratio: Tensor) -> Tensor:
        return 1 / (1 + 1 / ratio.double())

    def conditioning(self, t: Tensor) -> Tensor:
        return 1000 * t


def linear_betas(timesteps: int) -> Tensor:
    """beta [T] from 1e-4 to 0.02 at T = 1000 (Ho et al. 2020, section 4), float64.

    For another T both ends are scaled by 1000 / T, so that alpha_bar_T is near 0 for every T.
    Without scaling, T = 100 would leave sqrt(0.36) of the image in the last step.
    """
    scale = 1000 / timesteps
    betas = torch.linspace(scale * 1e-4, scale * 0.02, timesteps, dtype=torch.float64)
    return betas.clamp(max=MAX_BETA)


def cosine_betas(timesteps: int, s: float = 0.008) -> Tensor:
    """beta [T] with alpha_bar(t) proportional to cos^2((t/T + s) / (1 + s) pi/2), float64.

    Nichol & Dhariwal 2021 (arXiv:2102.09672), equation 17; beta is clipped at .999 as there.
    """
    t = torch.arange(timesteps + 1, dtype=torch.float64) / timesteps
    f = torch.cos((t + s) / (1 + s) * math.pi / 2) ** 2
    return (1 - f[1:] / f[:-1]).clamp(max=MAX_BETA)


def sigmoid_betas(
    timesteps: int, start: float = -3.0, end: float = 3.0, tau: float = 1.0
) -> Tensor:
    """beta [T] with alpha_bar(t) falling from 1 to 0 as a sigmoid between `start` and `end`.

    Jabri et al. 2022 (arXiv:2212.11972), as written out by Chen 2023 (arXiv:2301.10972, algorithm
    1); float64, beta clipped at .999 as above.
    """
    t = torch.arange(timesteps + 1, dtype=torch.float64) / timesteps
    falling = torch.sigmoid(-((end - start) * t + start) / tau)
    first, last = falling[0].clone(), falling[-1].clone()
    f = (falling - last) / (first - last)
    return (1 - f[1:] / f[:-1]).clamp(max=MAX_BETA)


def with_zero_terminal_snr(betas: Tensor) -> Tensor:
    """Rescale `betas` [T] so that alpha_bar_T = 0 and alpha_bar_1 is unchanged; float64.

    sqrt(alpha_bar) is shifted and scaled (Lin et al. 2023, arXiv:2305.08891, algorithm 1).
    """
    root = torch.cumprod(1 - betas, dim=0).sqrt()
    root = (root - root[-1]) * root[0] / (root[0] - root[-1])
    alpha_bar = root**2
    alphas = torch.cat([alpha_bar[:1], alpha_bar[1:] / alpha_bar[:-1]])
    return 1 - alphas


SCHEDULES = {"linear": linear_betas, "cosine": cosine_betas, "sigmoid": sigmoid_betas}
"""The betas of a schedule by its name in the configuration."""


def respaced(timesteps: int, steps: int) -> list[int]:
    """`steps` of the indices 0..T-1, falling from T-1, as evenly spaced as whole numbers can be.

    This is 'trailing' spacing (999, 899, .. 99 for T = 1000, steps = 10), which starts from pure
    noise, as the sampler does (Lin et al. 2023, arXiv:2305.08891, section 3.3).

    Raises:
        ValueError: fewer than one step, or more than T.
    """
    if not 1 <= steps <= timesteps:
        raise ValueError(f"steps must lie in 1..{timesteps}, not {steps}")
    return [round(timesteps - i * timesteps / steps) - 1 for i in range(steps)]
