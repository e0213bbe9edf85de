"""Where a sampler takes its steps: falling times of a path.

The ratio r = sigma / alpha orders the noise levels of every path in the same way.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from genlab.config.samplers import PathSpacing
from genlab.processes.paths import GaussianPath

RHO = 7.0
"""Exponent of EDM's spacing."""
TINY = 1e-12  # speed that is added, so that a prediction that never moves has a spacing, too


def step_times(path: GaussianPath, steps: int, spacing: PathSpacing) -> list[float]:
    """`steps` falling times of `path`, the last one above 0; sampling ends with a step from it.

        uniform    even in the path's own time ('trailing': from pure noise, the image comes next)
        quadratic  squares of even steps: denser near the image (DDIM, arXiv:2010.02502, D.2)
        karras     r^(1/rho) even, rho = 7: EDM's (arXiv:2206.00364, equation 5)
        log-snr    log r even: as DPM-Solver's (arXiv:2206.00927, section 3.1)

    The last two place ratios r = sigma / alpha between the path's least and largest, both included.
    The spacing `aligned` depends on a model: `aligned_times`.

    Raises:
        ValueError: fewer than one step, or more than the path has levels.
    """
    _check(steps)
    if spacing == "uniform":
        return path.uniform(steps)
    if spacing == "quadratic":
        return [path.t_max * (1 - i / steps) ** 2 for i in range(steps)]
    low, high = torch.tensor(path.ratios, dtype=torch.float64)
    share = torch.linspace(0, 1, steps, dtype=torch.float64)
    if spacing == "karras":
        root = high ** (1 / RHO)
        ratios = (root + share * (low ** (1 / RHO) - root)) ** RHO
    else:
        ratios = torch.exp(high.log() + share * (low.log() - high.log()))
    times: list[float] = path.time_of(ratios).tolist()
    return times


def _check(steps: int) -> None:
    """Refuse fewer than one step.

    Raises:
        ValueError: `steps` is less than 1.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, not {steps}")


class PredictionSpeed(NamedTuple):
    """How fast a model's predicted image moves along its own trajectories.

    Attributes:
        log_ratios: float64 [K + 1], falling values of log r.
        squared: Q float64 [K]: E |d x_0 / d log r|^2 between them, per value of the image.
    """

    log_ratios: Tensor
    squared: Tensor


def aligned_times(path: GaussianPath, steps: int, speed: PredictionSpeed) -> list[float]:
    """`steps` falling times of `path`, near each other where the predicted image moves fast.

    The idea is that of Align Your Steps (Sabour et al. 2024, arXiv:2404.14507): choose the times by
    the error that the model itself makes. A solver of first order holds x_0 over a step of length h
    in log r. At distance b into the step the squared error of the held x_0 is Q b^2; integrated
    over the step it is Q h^3 / 3. The sum over all steps is least for a step density proportional
    to Q^(1/3). The first step is at the path's largest ratio; the other N - 1 are at the quantiles
    (i + 1/2) / (N - 1) of that density.

    Raises:
        ValueError: fewer than one step.
    """
    _check(steps)
    weights = (speed.squared + TINY) ** (1 / 3) * -speed.log_ratios.diff()
    reached = np.concatenate([[0.0], weights.cumsum(0) / weights.sum()])  # at each of log_ratios
    middles = (np.arange(steps - 1) + 0.5) / max(steps - 1, 1)
    logs = np.interp(middles, reached, speed.log_ratios)
    ratios = torch.from_numpy(np.exp(logs))
    highest = torch.tensor([path.ratios[1]], dtype=torch.float64)
    times: list[float] = path.time_of(torch.cat([highest, ratios])).tolist()
    return times
