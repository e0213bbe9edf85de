"""The beta-VAE: a VAE with another price of information.

Higgins et al. 2017 ("beta-VAE", ICLR, equation 4) maximise

    E_q[log p(x|z)] - beta KL(q(z|x) || p(z))

A beta above 1 leaves less room in z, and what is left tends to lie along the data's independent
factors; the price is a coarser reconstruction. Burgess et al. 2018 (arXiv:1804.03599, equation 8)
hold the KL near a capacity C instead, which rises during the training from 0, so that one factor
after the other gets its room:

    E_q[log p(x|z)] - gamma |KL(q(z|x) || p(z)) - C|

With C = 0 the second is the first, since a KL is never negative: here both are one formula, and
`beta` is the weight in either. |KL - C| is taken for each image, as the equation has it.
"""

from __future__ import annotations

from torch import Tensor

from genlab.models.vae import VAE, rise


class BetaVAE(VAE):
    """A VAE whose regulariser is beta |KL - C|."""

    def regulariser(self, kl: Tensor, progress: float) -> Tensor:
        """beta E_x|KL(x) - C|, a scalar in nats, of `kl` [B, latent]."""
        capacity = self.config.capacity * rise(progress, self.config.capacity_warmup)
        price: Tensor = self.config.beta * (kl.sum(dim=1) - capacity).abs().mean()
        return price
