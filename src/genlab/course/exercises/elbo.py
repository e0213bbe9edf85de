"""Lesson 1: the bound of a VAE of binary images."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Bernoulli, Normal, kl_divergence

from genlab.course.exercises import Case, Exercise, Mistake


def elbo(x: Tensor, logits: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    """ELBO in nats of each image, with one draw z of q(z|x) = N(mu, diag(exp(logvar))).

    x [B, D] holds zeros and ones. logits [B, D] are the decoder's output for the draw z: a pixel
    is 1 with probability sigmoid(logits). mu and logvar [B, L] are the encoder's output, and the
    prior is N(0, I). Returns [B]. Use the closed form of the KL.
    """
    log_likelihood = -F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(dim=1)
    return log_likelihood - 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(dim=1)


def reconstruction(x: Tensor, logits: Tensor) -> Tensor:
    """log p(x|z) [B]."""
    return elbo(x, logits, torch.zeros(len(x), 1), torch.zeros(len(x), 1))


def rate(x: Tensor, logits: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    """The KL term [B]."""
    return reconstruction(x, logits) - elbo(x, logits, mu, logvar)


class Elbo(Exercise):
    """Reconstruction less rate."""

    number = "1.2"
    title = "The ELBO of a VAE"
    solution = staticmethod(elbo)
    mistakes = (
        Mistake(
            lambda *args: -elbo(*args),
            "the sign is wrong: this is the loss that training minimises. The ELBO is a lower "
            "bound of log p(x).",
        ),
        Mistake(
            lambda *args: elbo(*args) + 2 * rate(*args),
            "the two terms are there, but a larger KL should make the bound worse, not better.",
        ),
        Mistake(
            lambda x, logits, mu, logvar: (
                reconstruction(x, logits) / x.shape[1] - rate(x, logits, mu, logvar)
            ),
            "you average over the pixels. The pixels are independent given z: what happens to "
            "the logarithm of a product?",
        ),
        Mistake(
            lambda x, logits, mu, logvar: elbo(x, logits, mu, 2 * logvar),
            "you use exp(logvar) as a standard deviation. It is a variance.",
        ),
        Mistake(
            lambda *args: elbo(*args) - rate(*args),
            "the KL term is twice too large.",
        ),
        Mistake(
            lambda *args: elbo(*args) + rate(*args),
            "this is only how well the image is reconstructed. Which price does the code have?",
        ),
        Mistake(
            lambda *args: elbo(*args).mean(),
            "you return the mean over the batch. The exercise asks for one value for each image.",
        ),
    )

    def cases(self, seed: int) -> list[Case]:
        torch.manual_seed(seed)
        return [
            (
                torch.randint(0, 2, (batch, pixels)).float(),
                2 * torch.randn(batch, pixels),
                torch.randn(batch, latents),
                torch.randn(batch, latents),
            )
            for batch, pixels, latents in ((1, 4, 1), (5, 30, 3))
        ]

    def oracle(self, x: Tensor, logits: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        pixels: Any = Bernoulli(logits=logits)
        kl = kl_divergence(Normal(mu, (logvar / 2).exp()), Normal(0.0, 1.0))
        bound: Tensor = pixels.log_prob(x).sum(dim=1) - kl.sum(dim=1)
        return bound
