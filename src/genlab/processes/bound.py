"""The variational bound of a discrete-time diffusion, term by term.

Ho et al. 2020 (arXiv:2006.11239, equation 5):

    -log p(x_0) <= KL(q(x_T|x_0) || p(x_T)) + sum_{t>1} KL(q(x_{t-1}|x_t,x_0) || p(x_{t-1}|x_t))
                   - log p(x_0|x_1)

Both Gaussians of a middle term are posteriors, one given x_0, one given what the denoiser takes for
it, so that their means differ by their coefficient of x_0; p's variance is the posterior's own
("fixed small") or a learned one (Nichol & Dhariwal 2021, arXiv:2102.09672, equation 15). The last
term is the mass that p gives to the bin of each grey value, whose outermost ones are open (equation
13 of the first). Index i = t - 1 counts from 0. All in nats, float64.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from genlab.processes.gaussian import Ends, log_variance, over_pixels
from genlab.processes.paths import DiscretePath

HALF_BIN = 1 / 255  # of grey values on [-1, 1]


def posterior_terms(path: DiscretePath, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of q(x_s|x_t,x_0) from index i to s = i - 1: the mean's factor of x_0, log beta~, log beta.

    float64 [B], `index` int64 [B]. At i = 0, where the posterior is a point, the variance is that
    of i = 1 (Nichol & Dhariwal 2021, section 3.1; as DDPM's code does).
    """
    alpha_bar = path.alpha_bar.to(index.device)
    before = torch.cat([alpha_bar.new_ones(1), alpha_bar])[index]  # alpha_bar_s, 1 at s = -1
    now = alpha_bar[index]
    beta = 1 - now / before
    from_x0 = before.sqrt() * beta / (1 - now)
    a0, a1 = alpha_bar[0], alpha_bar[1]
    first = (1 - a1 / a0) * (1 - a0) / (1 - a1)
    small = torch.where(index == 0, first, beta * (1 - before) / (1 - now))
    return from_x0, small.log(), beta.log()


def log_mass(low: Tensor, high: Tensor) -> Tensor:
    """log(Phi(high) - Phi(low)) of the standard normal's Phi, for low < high, however far out."""
    # Both ends on the left, where the logarithm of Phi keeps its digits.
    mirrored = low + high > 0
    low, high = torch.where(mirrored, -high, low), torch.where(mirrored, -low, high)
    below, above = torch.special.log_ndtr(low), torch.special.log_ndtr(high)
    mass: Tensor = above + torch.log(-torch.expm1(below - above))
    return mass


def decoder_nats(x0: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """-log p(x_0|x_1), nats of every pixel, of grey values x_0 [B, C, H, W] on [-1, 1]."""
    inverse = (-log_variance / 2).exp()
    low, high = (x0 - HALF_BIN - mean) * inverse, (x0 + HALF_BIN - mean) * inverse
    inner = log_mass(low, high)
    inner = torch.where(x0 < -1 + HALF_BIN, torch.special.log_ndtr(high), inner)
    return -torch.where(x0 > 1 - HALF_BIN, torch.special.log_ndtr(-low), inner)


def step_nats(path: DiscretePath, x0: Tensor, index: Tensor, found: Ends) -> Tensor:
    """The bound's term of one step, from index i to the one before it or to x_0: float64 [B].

    Args:
        x0: grey values [B, C, H, W] on [-1, 1].
        index: int64 [B], in 0..T-1.
        found: what a denoiser says of x_t = alpha x_0 + sigma eps at `index`, with the variance if
            it learned one. The term is an estimate for this one eps.
    """
    x0, guess = x0.double(), found.x0.double()
    from_x0, small, large = (over_pixels(part) for part in posterior_terms(path, index))
    of_p = small.expand_as(x0)  # the logarithm of p's variance
    if found.variance is not None:
        of_p = log_variance(found.variance.double(), small, large)
    apart = (from_x0 * (x0 - guess)).square()
    ratio = small - of_p
    kl = (apart * (-of_p).exp() + ratio.exp() - ratio - 1) / 2
    nats = torch.where(over_pixels(index == 0), decoder_nats(x0, guess, of_p), kl)
    return nats.flatten(1).sum(dim=1)


def prior_nats(path: DiscretePath, x0: Tensor) -> Tensor:
    """KL(q(x_T|x_0) || N(0, I)), nats float64 [B]."""
    a = path.alpha_bar[-1].to(x0.device)
    kl = (a * x0.double().square() - a - torch.log1p(-a)) / 2
    return kl.flatten(1).sum(dim=1)


def blocks(timesteps: int, count: int) -> list[range]:
    """The indices 0..T-1 in `count` blocks, or T if that is less: then each holds one.

    They widen with the index from single ones: that is where the terms are large and change most.
    """
    count = min(count, timesteps)
    edges = [max(i, round(timesteps * (i / count) ** 2)) for i in range(count + 1)]
    return [range(low, high) for low, high in pairwise(edges)]
