"""log p(x) by annealed importance sampling, bounded from both sides.

AIS (Neal 2001, arXiv:physics/9803008) walks from q, which can be drawn from, to p(z|x) along
f_beta = q^(1-beta) p(x, z)^beta, 0 = beta_0 < ... < beta_T = 1, with a transition that leaves
f_beta as it is at each stop. Its weight

    log w = sum_t (beta_t - beta_t-1) log (p(x, z_t-1) / q(z_t-1|x))

has E[w] = p(x), so that E[log w] <= log p(x), and log of a mean over chains is nearer still (Wu et
al. 2017, arXiv:1611.04273). Walked backwards from a draw of p(z|x) itself, E[1/w] = 1/p(x), an
upper bound. Such a draw there is for images that the model made: z from the prior, x from p(x|z)
(bidirectional Monte Carlo, Grosse et al. 2015, arXiv:1511.02543). The width of the sandwich says
how far off the lower bound is at these settings.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from genlab.evaluation.elbo.bounds import normal
from genlab.evaluation.elbo.hmc import Target, transition
from genlab.nn.densities import log_mean_exp

ACCEPTANCE = 0.65  # where HMC moves farthest for its cost (Neal 2011, section 4.2)
SPREAD = 4.0  # temperatures lie densest at both ends


class Schedule(NamedTuple):
    """Inverse temperatures [T + 1] from 0 to 1; step sizes at each of them, [T + 1, 1, B, 1]."""

    betas: list[float]
    steps: Tensor


def inverse_temperatures(n: int) -> list[float]:
    """n + 1 numbers from 0 to 1 along a sigmoid (Wu et al. 2017, section 4.2)."""
    s = torch.sigmoid(SPREAD * torch.linspace(-1, 1, n + 1, dtype=torch.float64))
    betas: list[float] = ((s - s[0]) / (s[-1] - s[0])).tolist()
    return betas


def tune(
    at: Target, like: Tensor, temperatures: int, leapfrog: int, random: torch.Generator
) -> Schedule:
    """Step sizes for every image and temperature, found by one forward chain for each image.

    The chain's step grows while it accepts more than `ACCEPTANCE` and shrinks otherwise (Robbins &
    Monro 1951). It is thrown away then: chains that count keep to the schedule, for a step that
    looked at its own chain would not leave f_beta as it is.

    Args:
        like: mu of the images, [B, L].
    """
    betas = inverse_temperatures(temperatures)
    point = at(normal(random, like, 1, *like.shape))
    step = like.new_full((1, len(like), 1), like.shape[1] ** -0.25)  # steady for N(0, I) in L dims
    steps = [step]
    for beta in betas[1:]:
        point, acceptance = transition(at, point, beta, step, leapfrog, random)
        step = step * (0.5 * (acceptance - ACCEPTANCE)).exp()[..., None]
        steps.append(step)
    return Schedule(betas, torch.stack(steps))


def anneal(
    at: Target,
    u: Tensor,
    schedule: Schedule,
    leapfrog: int,
    random: torch.Generator,
    backward: bool = False,
) -> tuple[Tensor, float]:
    """log w [C, B], float64, of chains that start at u [C, B, L]; and their mean acceptance.

    Forward chains start at draws of N(0, I), backward ones at draws of p(z|x), in u's coordinates.
    """
    betas, point = schedule.betas, at(u)
    log_w = torch.zeros_like(point.log_weight, dtype=torch.float64)
    accepted = []
    stretches = range(len(betas) - 1)
    for t in reversed(stretches) if backward else stretches:
        log_w += (betas[t + 1] - betas[t]) * point.log_weight.double()
        here = t if backward else t + 1
        if 0 < here < len(betas) - 1:  # beyond the ends nothing is weighed any more
            step = schedule.steps[here]
            point, acceptance = transition(at, point, betas[here], step, leapfrog, random)
            accepted.append(acceptance.mean())
    return log_w, float(torch.stack(accepted).mean())


def lower_bound(log_w: Tensor) -> Tensor:
    """From forward chains [C, B]: at most log p(x) [B] in expectation."""
    return log_mean_exp(log_w, dim=0)


def upper_bound(log_w: Tensor) -> Tensor:
    """From backward chains [C, B]: at least log p(x) [B] in expectation."""
    return -log_mean_exp(-log_w, dim=0)
