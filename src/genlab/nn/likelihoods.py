"""Likelihoods p(x|z) of images on [0, 1], whose parameters a decoder computes.

The decoder's output [B, C, H, W] goes through `link` and is then the likelihood's parameter, one
for each pixel. Each likelihood gives log p of every pixel in nats, a mean image, and random images.

    Bernoulli           black and white images, or grey values taken as probabilities of white
    Gaussian            N(m, sigma^2), a density on [0, 1]; sigma is fixed, or a single one is
                        learned ("sigma-VAE", Rybkin et al. 2021, arXiv:2006.13202)
    DiscretisedLogistic probabilities of the 256 grey values (Salimans et al. 2017,
                        arXiv:1701.05517, equation 2, with one component and one learned scale)
    PredictedLogistic   the same, with a decoded scale for each pixel
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Likelihood(nn.Module):
    """p(x|z) of every pixel, given the decoder's output for it.

    `discrete`: whether `log_prob` is a probability of grey values instead of a density on [0, 1].
    """

    discrete: bool
    link: nn.Module

    def mean(self, decoded: Tensor) -> Tensor:
        """The mean of p(x|z), on [0, 1], for parameters `decoded` [B, C, H, W]."""
        return decoded

    def log_prob(self, images: Tensor, decoded: Tensor) -> Tensor:
        """log p(x|z) [B, C, H, W] of every pixel of images on [0, 1], in nats."""
        raise NotImplementedError

    def draw(self, decoded: Tensor, random: torch.Generator) -> Tensor:
        """Draw x ~ p(x|z) [B, C, H, W] for parameters `decoded`; `random` is a CPU generator.

        Values are 0 and 1 for a Bernoulli, real numbers for a Gaussian, and multiples of 1 / 255
        for a logistic.
        """
        raise NotImplementedError


def uniform(random: torch.Generator, like: Tensor) -> Tensor:
    """u ~ U[0, 1) in the shape of `like`, from a CPU generator."""
    return torch.rand(like.shape, generator=random, dtype=like.dtype).to(like.device)


class Bernoulli(Likelihood):
    """log p = x log m + (1 - x) log(1 - m) = x l - log(1 + exp l), of logits l of m."""

    discrete = True

    def __init__(self) -> None:
        super().__init__()
        self.link = nn.Identity()

    def mean(self, decoded: Tensor) -> Tensor:
        return decoded.sigmoid()

    def log_prob(self, images: Tensor, decoded: Tensor) -> Tensor:
        return images * decoded - F.softplus(decoded)

    def draw(self, decoded: Tensor, random: torch.Generator) -> Tensor:
        return (uniform(random, decoded) < self.mean(decoded)).to(decoded.dtype)


class Gaussian(Likelihood):
    """log p = -1/2 ((x - m) / sigma)^2 - log sigma - 1/2 log 2 pi, of means m.

    Args:
        sigma: fixed standard deviation, where white is 1; None learns it.
    """

    discrete = False
    log_sigma: Tensor

    def __init__(self, sigma: float | None = None) -> None:
        super().__init__()
        self.link = nn.Sigmoid()
        # A learned sigma starts near the standard deviation of pixels.
        log_sigma = torch.tensor(-1.0 if sigma is None else math.log(sigma))
        if sigma is None:
            self.log_sigma = nn.Parameter(log_sigma)
        else:
            self.register_buffer("log_sigma", log_sigma)

    def log_prob(self, images: Tensor, decoded: Tensor) -> Tensor:
        error = (images - decoded) / self.log_sigma.exp()
        return -0.5 * error.square() - self.log_sigma - 0.5 * math.log(2 * math.pi)

    def draw(self, decoded: Tensor, random: torch.Generator) -> Tensor:
        noise = torch.randn(decoded.shape, generator=random, dtype=decoded.dtype)
        return decoded + self.log_sigma.exp() * noise.to(decoded.device)


def discretised_logistic(images: Tensor, m: Tensor, log_s: Tensor) -> Tensor:
    """log P of grey values: the mass of a logistic distribution between the edges of their bins.

    P(x) = S(a) - S(b), S the sigmoid, a = (x + 1/510 - m) / s, b = (x - 1/510 - m) / s. The first
    bin is open below and the last one above, so the 256 values sum to 1. The identity
    S(a) - S(b) = S(a) S(-b) (1 - exp(b - a)) avoids cancellation in the tails.

    Args:
        images: [B, C, H, W], grey values as multiples of 1 / 255.
        m, log_s: location and log scale, where white is 1; broadcast to `images`.
    """
    inverse = torch.exp(-log_s)
    grey = (255 * images).round()  # neighbouring bins share an edge exactly
    above, below = ((grey + 0.5) / 255 - m) * inverse, ((grey - 0.5) / 255 - m) * inverse
    inner = torch.log(-torch.expm1(-inverse / 255))
    # 0 where a bin is open to that side; products are faster than `where`, forward and backward
    upper, lower = (grey < 255).to(inner.dtype), (grey > 0).to(inner.dtype)
    return upper * F.logsigmoid(above) + lower * F.logsigmoid(-below) + upper * lower * inner


def draw_logistic(m: Tensor, log_s: Tensor, random: torch.Generator) -> Tensor:
    """Grey values of `discretised_logistic`, by the inverse x = m + s logit(u), then rounded."""
    x = m + log_s.exp() * uniform(random, m).logit(eps=1e-7)
    return (255 * x).round().clamp(0, 255) / 255  # the bins at both ends are open


class DiscretisedLogistic(Likelihood):
    """`discretised_logistic` of decoded locations and one learned scale for all pixels."""

    discrete = True

    def __init__(self) -> None:
        super().__init__()
        self.link = nn.Sigmoid()
        self.log_scale = nn.Parameter(torch.tensor(-2.0))

    def log_prob(self, images: Tensor, decoded: Tensor) -> Tensor:
        return discretised_logistic(images, decoded, self.log_scale)

    def draw(self, decoded: Tensor, random: torch.Generator) -> Tensor:
        return draw_logistic(decoded, self.log_scale, random)


class PredictedLogistic(Likelihood):
    """`discretised_logistic` whose location and log scale are both decoded, [B, 2 C, H, W].

    An output of zeros is a grey image of medium scale.
    """

    discrete = True
    MIDDLE = (0.5, -2.0)
    # 97 % of the mass lies within one grey value of the location; a bin holds at most 79 %.
    MIN_LOG_SCALE = -7.0

    def __init__(self) -> None:
        super().__init__()
        self.link = nn.Identity()

    def parameters_of(self, decoded: Tensor) -> tuple[Tensor, Tensor]:
        """The location and the log scale of every pixel, [B, C, H, W] each."""
        location, log_scale = decoded.chunk(2, dim=1)
        log_scale = (log_scale + self.MIDDLE[1]).clamp(min=self.MIN_LOG_SCALE)
        return location + self.MIDDLE[0], log_scale

    def mean(self, decoded: Tensor) -> Tensor:
        """The mean of the logistic with its tails moved to 0 and 1.

        The integral of P(X > t) = S((m - t) / s) over t in 0..1: s (F(m / s) - F((m - 1) / s)),
        F the softplus.
        """
        m, log_s = self.parameters_of(decoded)
        s = log_s.exp()
        mean = s * (F.softplus(m / s) - F.softplus((m - 1) / s))
        return mean.clamp(0, 1)  # rounding may leave the range

    def log_prob(self, images: Tensor, decoded: Tensor) -> Tensor:
        return discretised_logistic(images, *self.parameters_of(decoded))

    def draw(self, decoded: Tensor, random: torch.Generator) -> Tensor:
        return draw_logistic(*self.parameters_of(decoded), random)


def make_likelihood(name: str, sigma: float | None) -> Likelihood:
    """The likelihood that a configuration names; `sigma` is that of a fixed Gaussian."""
    if name == "bernoulli":
        return Bernoulli()
    return DiscretisedLogistic() if name == "logistic" else Gaussian(sigma)
