"""Images drawn from p(x|z) itself, noise and all: what bidirectional Monte Carlo needs."""

from __future__ import annotations

import torch
from torch import Tensor

from genlab.evaluation.elbo.bounds import normal
from genlab.nn.likelihoods import Bernoulli, DiscretizedLogistic, Gaussian, Likelihood


def draw_pixels(likelihood: Likelihood, decoded: Tensor, random: torch.Generator) -> Tensor:
    """x ~ p(x|z) [B, C, H, W], given the parameters `decoded` [B, C, H, W].

    On the scale where white is 1: black and white of a Bernoulli, any real number of a Gaussian,
    one of the 256 grey values of a discretised logistic.
    """
    mean = likelihood.mean(decoded)
    if isinstance(likelihood, Gaussian):
        return mean + likelihood.log_sigma.exp() * normal(random, mean, *mean.shape)
    u = torch.rand(mean.shape, generator=random, dtype=mean.dtype).to(mean.device)
    if isinstance(likelihood, Bernoulli):
        return (u < mean).to(mean.dtype)
    if isinstance(likelihood, DiscretizedLogistic):
        x = mean + likelihood.log_scale.exp() * u.logit(eps=1e-7)
        return (255 * x).round().clamp(0, 255) / 255  # the bins at both ends are open
    raise TypeError(f"{type(likelihood).__name__} has no way to be drawn from")
