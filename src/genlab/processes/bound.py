"""The variational bound of a discrete-time diffusion, term by term.

Ho et al. 2020 (arXiv:2006.11239, equation 5):

    -log p(x_0) <= KL(q(x_T|x_0) || p(x_T)) + sum_{t>1} KL(q(x_{t-1}|x_t,x_0) || p(x_{t-1}|x_t))
                   - log p(x_0|x_1)

Both Gaussians of a middle term are reverse steps, one given x_0 and one given the predicted x_0;
their means differ by the coefficient of x_0 times the prediction's error. The variance of p is that
of q ("fixed small") or a learned one (Nichol & Dhariwal 2021, arXiv:2102.09672, equation 15). The
last term is the probability that p gives to the bin of each grey value; the outermost bins are open
(Ho et al., equation 13). Index i = t - 1 counts from 0. All values are in nats, float64.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from genlab.processes.gaussian import Prediction, interpolated_log_variance, over_pixels
from genlab.processes.paths import DiscretePath

HALF_BIN = 1 / 255  # of grey values on [-1, 1]


def reverse_step_terms(path: DiscretePath, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Coefficient of x_0 in the mean of q(x_s|x_t,x_0), log beta~ and log beta, float64 [B].

    The step goes from `index` i, int64 [B], to s = i - 1. At i = 0, where q is a point, the
    variance is that of i = 1 (Nichol & Dhariwal 2021, section 3.1; as in DDPM's code).
    """
    alpha_bar, _ = path.tables(index.device)
    before = torch.cat([alpha_bar.new_ones(1), alpha_bar])[index]  # alpha_bar_s, 1 at s = -1
    now = alpha_bar[index]
    beta = 1 - now / before
    from_x0 = before.sqrt() * beta / (1 - now)
    a0, a1 = alpha_bar[0], alpha_bar[1]
    first = (1 - a1 / a0) * (1 - a0) / (1 - a1)
    small = torch.where(index == 0, first, beta * (1 - before) / (1 - now))
    return from_x0, small.log(), beta.log()


def log_mass(low: Tensor, high: Tensor) -> Tensor:
    """log(Phi(high) - Phi(low)) for low < high, Phi of N(0, 1); accurate far out in the tails."""
    # Mirror both ends to the left, where log Phi is accurate.
    mirrored = low + high > 0
    low, high = torch.where(mirrored, -high, low), torch.where(mirrored, -low, high)
    below, above = torch.special.log_ndtr(low), torch.special.log_ndtr(high)
    mass: Tensor = above + torch.log(-torch.expm1(below - above))
    return mass


def decoder_nats(x0: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """-log p(x_0|x_1) in nats of every pixel, for grey values x_0 [B, C, H, W] on [-1, 1]."""
    inverse = (-log_variance / 2).exp()
    low, high = (x0 - HALF_BIN - mean) * inverse, (x0 + HALF_BIN - mean) * inverse
    inner = log_mass(low, high)
    inner = torch.where(x0 < -1 + HALF_BIN, torch.special.log_ndtr(high), inner)
    return -torch.where(x0 > 1 - HALF_BIN, torch.special.log_ndtr(-low), inner)


def step_nats(path: DiscretePath, x0: Tensor, index: Tensor, prediction: Prediction) -> Tensor:
    """The bound's term for the step from index i to i - 1, or from 0 to x_0: float64 [B].

    Args:
        x0: grey values [B, C, H, W] on [-1, 1].
        index: int64 [B], in 0..T-1.
        prediction: a denoiser's, from x_t = alpha x_0 + sigma eps at `index`, with the variance if
            it learned one. The term is an estimate from this one eps.
    """
    x0, predicted = x0.double(), prediction.x0.double()
    from_x0, small, large = (over_pixels(part) for part in reverse_step_terms(path, index))
    log_variance = small.expand_as(x0)  # that of p; q's is `small`
    if prediction.variance is not None:
        log_variance = interpolated_log_variance(prediction.variance.double(), small, large)
    squared_error = (from_x0 * (x0 - predicted)).square()
    log_ratio = small - log_variance
    kl = (squared_error * (-log_variance).exp() + log_ratio.exp() - log_ratio - 1) / 2
    nats = torch.where(over_pixels(index == 0), decoder_nats(x0, predicted, log_variance), kl)
    return nats.flatten(1).sum(dim=1)


def prior_nats(path: DiscretePath, x0: Tensor) -> Tensor:
    """KL(q(x_T|x_0) || N(0, I)), nats float64 [B]."""
    a = path.tables(x0.device)[0][-1]
    kl = (a * x0.double().square() - a - torch.log1p(-a)) / 2
    return kl.flatten(1).sum(dim=1)


def blocks(timesteps: int, count: int) -> list[range]:
    """Split the indices 0..T-1 into `count` blocks, or into T blocks of one if T is less.

    Blocks widen with the index: near 0 the terms are large and change most.
    """
    count = min(count, timesteps)
    edges = [max(i, round(timesteps * (i / count) ** 2)) for i in range(count + 1)]
    return [range(low, high) for low, high in pairwise(edges)]
