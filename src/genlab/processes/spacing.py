"""Where along a path a sampler takes its steps.

    uniform    evenly in the path's own time ('trailing': from pure noise, the image comes next)
    quadratic  the squares of even steps: denser near the image (DDIM, arXiv:2010.02502, D.2)
    karras     r^(1/rho) evenly, rho = 7: EDM's (arXiv:2206.00364, equation 5)
    log-snr    log r evenly: as DPM-Solver's (arXiv:2206.00927, section 3.1)

The last two place noise-to-signal ratios r = sigma / alpha between the path's least and largest,
which both get a step.
"""

from __future__ import annotations

import torch

from genlab.config.samplers import Spacing
from genlab.processes.paths import Path

RHO = 7.0


def times(path: Path, steps: int, spacing: Spacing) -> list[float]:
    """`steps` falling times of `path`, the last one above 0.

    Raises:
        ValueError: fewer than one step, or more than the path has levels.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, not {steps}")
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
    placed: list[float] = path.time_of(ratios).tolist()
    return placed
