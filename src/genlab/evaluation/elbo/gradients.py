"""Why reparameterise: the variance of two unbiased estimators of the same gradient.

With q = N(m, diag(s^2)) and f(z) = log p(x, z) - log q(z), the ELBO's gradient in (m, log s) is

    score function   E[(f(z) - b) grad log q(z)]         (Williams 1992; any baseline b will do)
    pathwise         E[grad f(m + s u)],  u ~ N(0, I)    (Kingma & Welling 2014, arXiv:1312.6114)

The first uses only values of f, the second its gradient. The baseline here is the mean of f over
the other draws (Kool et al. 2019, "Buy 4 REINFORCE samples, get a baseline for free"). In the
second, grad f contains a term grad log q of mean 0; without that term the variance vanishes where
q is the posterior (Roeder et al. 2017, arXiv:1703.09194, equation 7).

On probabilistic PCA, whose posterior has mean m* and precision P, the exact gradient is known:

    d ELBO / d m = P (m* - m),      d ELBO / d log s_j = 1 - s_j^2 P_jj
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from genlab.evaluation.elbo.ppca import PPCA, Gaussian

Estimators = dict[str, Tensor]


def exact_gradient(model: PPCA, x: Tensor, q: Gaussian) -> Tensor:
    """The ELBO's gradient in (m, log s), [2 L], for one x [1, D] and a factorised `q`."""
    precision = model.precision
    grad_mean = (model.posterior(x).mean - q.mean)[0] @ precision
    return torch.cat([grad_mean, 1 - q.scale.diagonal().square() * precision.diagonal()])


def gradient_estimates(model: PPCA, x: Tensor, q: Gaussian, u: Tensor) -> Estimators:
    """Estimates [R, 2 L] by each estimator, from the same draws u [R, K, 1, L] of N(0, I).

    Each of the R independent estimates is the mean over K draws.
    """
    s, z = q.scale.diagonal(), q.at(u)
    f = model.log_weight(x, q, u)  # [R, K, 1]
    others = (f.sum(dim=1, keepdim=True) - f) / (f.shape[1] - 1)
    score = torch.cat([u / s, u.square() - 1], dim=-1)  # grad log q, [R, K, 1, 2 L]
    slope = (model.posterior(x).mean - z) @ model.precision  # gradient of log p(x, z) in z
    landing = slope + u / s  # gradient of f in z with q held fixed, as in Roeder et al.
    estimates = {
        "pathwise": torch.cat([slope, s * u * slope + 1], dim=-1),
        "pathwise, score dropped": torch.cat([landing, s * u * landing], dim=-1),
        "score function": f[..., None] * score,
        "score function, baseline": (f - others)[..., None] * score,
    }
    return {name: value.mean(dim=(1, 2)) for name, value in estimates.items()}


def spread(estimates: Estimators, exact: Tensor) -> dict[str, Any]:
    """Variance (summed over parameters) and bias of each estimator, and the errors of both.

    `bias` is the distance of the mean from the `exact` gradient; `bias_error` is its root mean
    square for an unbiased estimator, by chance alone.
    """
    statistics = {}
    for name, values in estimates.items():
        squares = (values - values.mean(dim=0)).square().sum(dim=1)  # [R]
        n = len(values)
        variance = float(squares.sum()) / (n - 1)
        statistics[name] = {
            "variance": variance,
            "variance_error": float(squares.std()) / n**0.5,
            "bias": float((values.mean(dim=0) - exact).norm()),
            "bias_error": (variance / n) ** 0.5,
        }
    return statistics
