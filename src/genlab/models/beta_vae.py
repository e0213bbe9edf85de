"""The beta-VAE: a VAE whose KL term is weighted by beta.

Higgins et al. 2017 ("beta-VAE", ICLR, equation 4) maximise

    E_q[log p(x|z)] - beta KL(q(z|x) || p(z))

With beta above 1 less information passes through z, and its dimensions tend to represent
independent factors of the data; reconstructions are coarser. Burgess et al. 2018 (arXiv:1804.03599,
equation 8) keep the KL near a capacity C instead, which rises from 0 during training, so that the
model learns one factor after the other:

    E_q[log p(x|z)] - gamma |KL(q(z|x) || p(z)) - C|

With C = 0 the second is the first, since a KL is never negative. So both are one formula here, with
`beta` as the weight. |KL - C| is computed for each image, as in the equation.
"""

from __future__ import annotations

from torch import Tensor

from genlab.models.base import ramp
from genlab.models.vae import VAE


class BetaVAE(VAE):
    """A VAE whose regulariser is beta |KL - C|."""

    def regulariser(self, kl: Tensor, progress: float) -> Tensor:
        """beta E_x|KL(x) - C|, a scalar in nats, from `kl` [B, latent]."""
        capacity = self.config.capacity * ramp(progress, self.config.capacity_warmup)
        term: Tensor = self.config.beta * (kl.sum(dim=1) - capacity).abs().mean()
        return term
