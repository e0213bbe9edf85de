"""The stand-in for a trained VAE: one with a linear decoder, of which everything is known."""

from __future__ import annotations

import torch
from torch import Tensor

from genlab.evaluation.elbo.ppca import PPCA, mean_field, shifted, spectrum


def correlated(n: int, dimensions: int, seed: int = 0) -> Tensor:
    """n points [n, D], float64, of a Gaussian with a full covariance and a mean of its own."""
    random = torch.Generator().manual_seed(seed)
    mix = torch.randn(dimensions, dimensions, generator=random, dtype=torch.float64)
    x = torch.randn(n, dimensions, generator=random, dtype=torch.float64)
    return x @ (mix / dimensions**0.5) + torch.linspace(-1, 1, dimensions)


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def fitted(dimensions: int = 8, latent: int = 3) -> PPCA:
    """The pPCA of 400 such points."""
    return PPCA.fit(spectrum(correlated(400, dimensions)), latent, stream())


class LinearVAE:
    """Probabilistic PCA with a VAE's interface: images [B, 1, 1, D], float64.

    Its encoder is the best factorised Gaussian, moved by `shift` of its standard deviations.
    """

    def __init__(self, ppca: PPCA, shift: float = 0.5) -> None:
        self.ppca, self.shift = ppca, shift

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        q = shifted(mean_field(self.ppca.posterior(images.flatten(1))), self.shift)
        return q.mean, q.scale.diagonal().square().log().expand_as(q.mean)

    def decode(self, z: Tensor) -> Tensor:
        return (z @ self.ppca.weight.T + self.ppca.mean)[:, None, None]

    def log_likelihood(self, images: Tensor, decoded: Tensor) -> Tensor:
        p = torch.distributions.Normal(decoded, self.ppca.variance**0.5, validate_args=False)
        return p.log_prob(images).sum(dim=(1, 2, 3))

    def draw(self, decoded: Tensor, random: torch.Generator) -> Tensor:
        noise = torch.randn(decoded.shape, generator=random, dtype=decoded.dtype)
        return decoded + self.ppca.variance**0.5 * noise

    def log_p(self, images: Tensor) -> Tensor:
        return self.ppca.log_density(images.flatten(1))
