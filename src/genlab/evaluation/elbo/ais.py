"""log p(x) by annealed importance sampling, bounded from both sides.

AIS (Neal 2001, arXiv:physics/9803008) moves samples of q towards p(z|x) through the densities
f_beta = q^(1-beta) p(x, z)^beta, 0 = beta_0 < ... < beta_T = 1, with a transition that leaves
f_beta invariant at each beta. Its weight

    log w = sum_t (beta_t - beta_t-1) log (p(x, z_t-1) / q(z_t-1|x))

has E[w] = p(x), so E[log w] <= log p(x), and the log of the mean over several chains is a tighter
lower bound (Wu et al. 2017, arXiv:1611.04273). A chain that runs backwards from an exact sample of
p(z|x) has E[1/w] = 1/p(x), which gives an upper bound. An exact sample is available for simulated
images: z from the prior, x from p(x|z) (bidirectional Monte Carlo, Grosse et al. 2015,
arXiv:1511.02543). The difference of the two bounds limits the error of the lower one at these
settings.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from genlab.evaluation.elbo.hmc import Target, transition
from genlab.evaluation.elbo.randomness import normal
from genlab.nn.densities import log_mean_exp

ACCEPTANCE = 0.65  # where HMC moves farthest for its cost (Neal 2011, section 4.2)
SIGMOID_RANGE = 4.0  # temperatures are densest at both ends


class Schedule(NamedTuple):
    """Inverse temperatures [T + 1] from 0 to 1; step sizes at each of them, [T + 1, 1, B, 1]."""

    betas: list[float]
    steps: Tensor


def inverse_temperatures(n: int) -> list[float]:
    """n + 1 numbers from 0 to 1 along a sigmoid (Wu et al. 2017, section 4.2)."""
    s = torch.sigmoid(SIGMOID_RANGE * torch.linspace(-1, 1, n + 1, dtype=torch.float64))
    betas: list[float] = ((s - s[0]) / (s[-1] - s[0])).tolist()
    return betas


def tune(
    target: Target, like: Tensor, temperatures: int, leapfrog: int, random: torch.Generator
) -> Schedule:
    """Tune step sizes for every image and temperature on one forward chain per image.

    The step grows while the chain accepts more than `ACCEPTANCE` and shrinks otherwise (Robbins &
    Monro 1951). The chain is then discarded, and other chains use the fixed schedule: a step size
    that adapts to its own chain would not leave f_beta invariant.

    Args:
        like: mu of the images, [B, L].
    """
    betas = inverse_temperatures(temperatures)
    point = target(normal(random, like, 1, *like.shape))
    step = like.new_full((1, len(like), 1), like.shape[1] ** -0.25)  # stable for N(0, I) in L dims
    steps = [step]
    for beta in betas[1:]:
        point, acceptance = transition(target, point, beta, step, leapfrog, random)
        step = step * (0.5 * (acceptance - ACCEPTANCE)).exp()[..., None]
        steps.append(step)
    return Schedule(betas, torch.stack(steps))


def anneal(
    target: Target,
    u: Tensor,
    schedule: Schedule,
    leapfrog: int,
    random: torch.Generator,
    backward: bool = False,
) -> tuple[Tensor, float]:
    """log w [C, B], float64, of chains that start at u [C, B, L], and their mean acceptance.

    Forward chains start at samples of N(0, I), backward ones at samples of p(z|x) in the
    coordinates u.
    """
    betas, point = schedule.betas, target(u)
    log_w = torch.zeros_like(point.log_weight, dtype=torch.float64)
    acceptances = []
    intervals = range(len(betas) - 1)
    for t in reversed(intervals) if backward else intervals:
        log_w += (betas[t + 1] - betas[t]) * point.log_weight.double()
        stop = t if backward else t + 1
        if 0 < stop < len(betas) - 1:  # a move at either end would not change the weight
            step = schedule.steps[stop]
            point, acceptance = transition(target, point, betas[stop], step, leapfrog, random)
            acceptances.append(acceptance.mean())
    return log_w, float(torch.stack(acceptances).mean())


def lower_bound(log_w: Tensor) -> Tensor:
    """Bound log p(x) [B] from below, in expectation, by forward chains [C, B]."""
    return log_mean_exp(log_w, dim=0)


def upper_bound(log_w: Tensor) -> Tensor:
    """Bound log p(x) [B] from above, in expectation, by backward chains [C, B]."""
    return -log_mean_exp(-log_w, dim=0)
