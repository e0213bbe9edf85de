"""Gaussian paths x_t = alpha(t) x_0 + sigma(t) eps, from the image (t = 0) to noise (t = t_max).

Every continuous diffusion and every flow with a Gaussian end is such a path; they differ in two
functions. Its ratio r(t) = sigma(t) / alpha(t) grows with t and tells where on the way a state is,
whatever the path is called: two paths of the same r differ by a scaling of x_t.

    path         alpha(t)                  sigma(t)                    t          source
    discrete     sqrt(alpha_bar_t)         sqrt(1 - alpha_bar_t)       (i + 1)/T  Ho et al. 2020
    VP           exp(-B(t) / 2)            sqrt(1 - exp(-B(t)))        0..1       Song et al. 2021
    subVP        exp(-B(t) / 2)            1 - exp(-B(t))              0..1       Song et al. 2021
    VE           1                         s_min (s_max / s_min)^t     0..1       Song et al. 2021
    EDM          1                         t                           0..80      Karras et al. 2022
    linear       1 - t                     t                           0..1       Lipman et al. 2023

with B(t) = int_0^t beta(s) ds (arXiv:2011.13456, equations 29 and 31; 2206.00364; 2210.02747). Time
0 is the clean image on every path, (alpha, sigma) = (1, 0): where sigma does not fall to 0, as in
VE, the last step jumps there. All numbers are float64.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

from genlab.processes.schedules import respaced

CLEAN = 0.0
"""The time of the image itself."""

FAINT, FAINTEST = 0.002, 160.0
"""Steps are placed between these ratios at most: beyond them lies nothing to see or to decide."""


class Level(NamedTuple):
    """alpha(t) and sigma(t), or their derivatives; of the shape of t."""

    alpha: Tensor
    sigma: Tensor

    def scalars(self) -> tuple[float, float]:
        """(alpha, sigma) as numbers, of a time that is one."""
        return float(self.alpha), float(self.sigma)


class Path(ABC):
    """alpha(t), sigma(t) and what is the path's own: its scale of time and where it starts.

    Attributes:
        t_min: the least time that a network is trained at; below it the image is as good as clean.
        t_max: the time of pure noise.
        ratios: the least and the largest r(t) that steps are placed between.
    """

    t_min: float = 1e-5
    t_max: float = 1.0
    ratios: tuple[float, float] = (FAINT, 80.0)

    @abstractmethod
    def _level(self, t: Tensor) -> Level:
        """Levels at times t > 0, float64."""

    @abstractmethod
    def rates(self, t: Tensor) -> Level:
        """(d alpha / dt, d sigma / dt) at times t > 0, float64, of the shape of t."""

    @abstractmethod
    def time_of(self, ratio: Tensor) -> Tensor:
        """The times t, float64, at which sigma / alpha is `ratio` > 0."""

    @abstractmethod
    def conditioning(self, t: Tensor) -> Tensor:
        """How a network is told the time t: 0..1000, EDM's -1550..1100; of the shape of t."""

    def level(self, t: Tensor | float) -> Level:
        """(alpha, sigma) at times t, float64, of the shape of t; t = 0 is the clean image."""
        t = torch.as_tensor(t, dtype=torch.float64)
        clean = t <= CLEAN
        alpha, sigma = self._level(torch.where(clean, self.t_max, t))
        return Level(torch.where(clean, 1.0, alpha), torch.where(clean, 0.0, sigma))

    @staticmethod
    def _within(low: Tensor, high: Tensor) -> tuple[float, float]:
        """The ratios `low` and `high` of a path, if they are worth a step."""
        return max(float(low), FAINT), min(float(high), FAINTEST)

    def prior_std(self, t: float) -> float:
        """The standard deviation of the noise that a walk from time t starts with."""
        return float(self.level(t).sigma)

    def uniform(self, steps: int) -> list[float]:
        """`steps` evenly spaced times that fall from t_max; the next one would be the image's."""
        return [self.t_max * (1 - i / steps) for i in range(steps)]


class _OfUnitVariance(Path):
    """A path whose ends both are scaled to variance 1: noise is drawn from N(0, I)."""

    def prior_std(self, t: float) -> float:
        return 1.0


class DiscretePath(_OfUnitVariance):
    """T levels of alpha_bar = prod (1 - beta), index i at time (i + 1) / T.

    Between two levels the angle phi, (alpha, sigma) = (cos phi, sin phi), is interpolated linearly,
    so that steps may be placed anywhere, also where nothing of the image is left (phi = pi / 2).
    Before the first level the path stands still.

    Args:
        betas: float64 [T], T at least 2.
    """

    def __init__(self, betas: Tensor) -> None:
        self.alpha_bar = torch.cumprod(1 - betas.double(), dim=0)
        self.angles = torch.atan2((1 - self.alpha_bar).sqrt(), self.alpha_bar.sqrt())
        self.t_min = 1 / len(betas)
        self.ratios = self._within(self.angles[0].tan(), self.angles[-1].tan())

    def __len__(self) -> int:
        return len(self.alpha_bar)

    def index(self, t: Tensor) -> Tensor:
        """The index 0..T-1, perhaps between two, of times t; those before the first are it."""
        index = t * len(self) - 1
        whole = index.round()  # (i + 1) / T * T need not be i + 1 to the last bit
        index = torch.where((index - whole).abs() < 1e-6, whole, index)
        return index.clamp(0, len(self) - 1)

    def _segment(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """phi at the levels before and after times t, and the share of the way between them.

        A level begins its segment; the last one ends it.
        """
        index, angles = self.index(t), self.angles.to(t.device)
        low = index.floor().long().clamp(max=len(self) - 2)
        return angles[low], angles[low + 1], index - low

    def _level(self, t: Tensor) -> Level:
        angle = torch.lerp(*self._segment(t))
        # cos(pi / 2) would be 6e-17: some of the image
        return Level((torch.pi / 2 - angle).sin(), angle.sin())

    def rates(self, t: Tensor) -> Level:
        before, after, _ = self._segment(t)
        speed = (after - before) * len(self)
        alpha, sigma = self.level(t)
        return Level(-sigma * speed, alpha * speed)

    def time_of(self, ratio: Tensor) -> Tensor:
        wanted, angles = ratio.double().atan(), self.angles.to(ratio.device)
        high = torch.searchsorted(angles, wanted).clamp(1, len(self) - 1)
        before, after = angles[high - 1], angles[high]
        share = ((wanted - before) / (after - before)).clamp(0, 1)
        return (high + share) / len(self)

    def conditioning(self, t: Tensor) -> Tensor:
        return self.index(t) * (1000 / len(self))

    def uniform(self, steps: int) -> list[float]:
        """Times of whole indices, 'trailing' spacing.

        Raises:
            ValueError: more steps than there are levels.
        """
        return [(i + 1) / len(self) for i in respaced(len(self), steps)]


class VPPath(_OfUnitVariance):
    """Variance preserving: beta(t) rises linearly from `low` to `high`."""

    def __init__(self, low: float = 0.1, high: float = 20.0) -> None:
        self.low, self.high = low, high
        # 1e-3 is where the paper's sampling ends (appendix C); t_min where its likelihood does.
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

    def _level(self, t: Tensor) -> Level:
        b = self.integral(t)
        return Level((-b / 2).exp(), (-torch.expm1(-b)).sqrt())

    def rates(self, t: Tensor) -> Level:
        alpha, sigma = self.level(t)
        beta = self.beta(t)
        return Level(-beta * alpha / 2, beta * alpha**2 / (2 * sigma))

    def time_of(self, ratio: Tensor) -> Tensor:
        return self._time_of_integral(torch.log1p(ratio.double() ** 2))

    def _time_of_integral(self, b: Tensor) -> Tensor:
        """B's inverse, the positive root of its quadratic."""
        slope = self.high - self.low
        return 2 * b / (self.low + (self.low**2 + 2 * slope * b).sqrt())

    def conditioning(self, t: Tensor) -> Tensor:
        return 999 * t


class SubVPPath(VPPath):
    """The VP path with the smaller variance (1 - alpha^2)^2."""

    def _level(self, t: Tensor) -> Level:
        b = self.integral(t)
        return Level((-b / 2).exp(), -torch.expm1(-b))

    def rates(self, t: Tensor) -> Level:
        alpha = self.level(t).alpha
        beta = self.beta(t)
        return Level(-beta * alpha / 2, beta * alpha**2)

    def time_of(self, ratio: Tensor) -> Tensor:
        # (1 - alpha^2) / alpha = r, solved for 1 / alpha, which for large r is the stable side
        r = ratio.double()
        return self._time_of_integral(2 * ((r + (r**2 + 4).sqrt()) / 2).log())


class VEPath(Path):
    """Variance exploding: the image stays, sigma grows geometrically."""

    def __init__(self, sigma_min: float = 0.01, sigma_max: float = 50.0) -> None:
        self.sigma_min, self.growth = sigma_min, math.log(sigma_max / sigma_min)
        first = self.level(self.t_min).sigma
        self.ratios = self._within(first, self.level(self.t_max).sigma)

    def _level(self, t: Tensor) -> Level:
        return Level(torch.ones_like(t), self.sigma_min * (self.growth * t).exp())

    def rates(self, t: Tensor) -> Level:
        return Level(torch.zeros_like(t), self.growth * self.level(t).sigma)

    def time_of(self, ratio: Tensor) -> Tensor:
        return (ratio.double() / self.sigma_min).log() / self.growth

    def conditioning(self, t: Tensor) -> Tensor:
        return 999 * t


class EDMPath(Path):
    """Time is the noise level: alpha = 1, sigma = t."""

    t_min, t_max = FAINT, 80.0

    def _level(self, t: Tensor) -> Level:
        return Level(torch.ones_like(t), t)

    def rates(self, t: Tensor) -> Level:
        return Level(torch.zeros_like(t), torch.ones_like(t))

    def time_of(self, ratio: Tensor) -> Tensor:
        return ratio.double()

    def conditioning(self, t: Tensor) -> Tensor:
        """1000 c_noise, c_noise = ln(sigma) / 4."""
        return 250 * t.log()


class LinearPath(Path):
    """The straight line from image to noise: alpha = 1 - t, sigma = t.

    Flow matching counts time the other way round in some papers, with noise at 0.
    """

    def _level(self, t: Tensor) -> Level:
        return Level(1 - t, t)

    def rates(self, t: Tensor) -> Level:
        return Level(-torch.ones_like(t), torch.ones_like(t))

    def time_of(self, ratio: Tensor) -> Tensor:
        return 1 / (1 + 1 / ratio.double())

    def conditioning(self, t: Tensor) -> Tensor:
        return 1000 * t
