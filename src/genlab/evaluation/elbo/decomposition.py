"""Decomposition of the KL term of the ELBO.

Averaged over N images, with q(z) = 1/N sum_n q(z|x_n) (Hoffman & Johnson 2016, "ELBO surgery";
Chen et al. 2018, arXiv:1802.04942, equation 2):

    mean KL(q(z|x_n) || p(z)) =   I(z; n)                        index-code mutual information
                                + KL(q(z) || prod_j q(z_j))      total correlation
                                + sum_j KL(q(z_j) || p(z_j))     dimension-wise KL

q(z) is evaluated exactly, as a mixture of all N Gaussians instead of a minibatch of them. Only the
expectation over z is by Monte Carlo, with the same draws for all three terms, so they add up to the
mean KL of these draws. I(z; n) is at most log N.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from genlab.evaluation.elbo.bounds import estimate
from genlab.evaluation.elbo.randomness import normal
from genlab.nn.densities import gaussian_kl, log_mean_exp, log_normal

BLOCK = 64  # draws evaluated under all N Gaussians at a time


def aggregate(z: Tensor, mu: Tensor, logvar: Tensor) -> tuple[Tensor, Tensor]:
    """log q(z) [M] and the log q(z_j) [M, L] of z [M, L] under the mixture of mu, logvar [N, L]."""
    joint, marginals = [], []
    for block in torch.split(z, BLOCK):
        log_q = log_normal(block[:, None], mu, logvar)  # [BLOCK, N, L]
        joint.append(log_mean_exp(log_q.sum(dim=-1), dim=1))
        marginals.append(log_mean_exp(log_q, dim=1))
    return torch.cat(joint), torch.cat(marginals)


def decompose(mu: Tensor, logvar: Tensor, draws: int, random: torch.Generator) -> dict[str, Any]:
    """Estimate the three terms and the mean KL in nats, with standard errors.

    Args:
        mu, logvar: parameters of q(z|x_n) for all N images, [N, L].
        draws: number of draws of z for each image.

    Returns:
        Estimates mutual_information, total_correlation, dimension_wise_kl, kl_of_draws (the sum of
        the three), and `dimensions`, the KL(q(z_j) || p(z_j)) of each; the closed-form mean `kl`;
        and `log_images`, the upper bound of the mutual information.
    """
    mu, logvar = mu.double(), logvar.double()
    terms: dict[str, list[Tensor]] = {
        name: [] for name in ("mutual_information", "total_correlation", "dimensions")
    }
    for _ in range(draws):
        z = mu + (0.5 * logvar).exp() * normal(random, mu, *mu.shape)
        log_q_given_n = log_normal(z, mu, logvar).sum(dim=1)
        log_q, log_q_each = aggregate(z, mu, logvar)
        log_p_each = log_normal(z, torch.zeros_like(z), torch.zeros_like(z))
        terms["mutual_information"].append(log_q_given_n - log_q)
        terms["total_correlation"].append(log_q - log_q_each.sum(dim=1))
        terms["dimensions"].append(log_q_each - log_p_each)
    values = {name: torch.stack(term) for name, term in terms.items()}  # [S, N] or [S, N, L]
    dimensions = values.pop("dimensions")
    values["dimension_wise_kl"] = dimensions.sum(dim=-1)
    values["kl_of_draws"] = torch.stack(list(values.values())).sum(dim=0)
    return {
        **{name: estimate(value)._asdict() for name, value in values.items()},
        "dimensions": [estimate(value)._asdict() for value in dimensions.unbind(dim=-1)],
        "kl": float(gaussian_kl(mu, logvar).sum(dim=1).mean()),
        "log_images": math.log(len(mu)),
    }
