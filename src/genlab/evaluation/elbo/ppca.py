"""Probabilistic PCA (Tipping & Bishop 1999, J. R. Stat. Soc. B 61): a VAE in closed form.

    z ~ N(0, I_L),   x | z ~ N(W z + mean, sigma^2 I_D)

The marginal is N(mean, C) with C = W W' + sigma^2 I, so log p(x) is known, and so is the posterior
(equations 4 to 8)

    p(z|x) = N(M^-1 W' (x - mean), sigma^2 M^-1),   M = W' W + sigma^2 I_L

With any Gaussian approximation q(z|x) = N(m, S), the ELBO has a closed form too,

    E_q[log p(x|z)] = -D/2 log(2 pi sigma^2) - (|x - mean - W m|^2 + tr(W S W')) / (2 sigma^2)

so log p(x) - ELBO = KL(q(z|x) || p(z|x)) can be checked numerically. All numbers are float64.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from genlab.evaluation.elbo.randomness import normal

LOG_2PI = math.log(2 * math.pi)


class Gaussian(NamedTuple):
    """N(mean, scale scale'): means [B, L], and one lower triangular scale [L, L] for all."""

    mean: Tensor
    scale: Tensor

    def at(self, u: Tensor) -> Tensor:
        """The points mean + scale u, [..., B, L], of standard normal u."""
        return self.mean + u @ self.scale.T

    def log_prob(self, z: Tensor) -> Tensor:
        """log density [..., B] at z [..., B, L]."""
        u = torch.linalg.solve_triangular(self.scale.T, z - self.mean, upper=True, left=False)
        log_p: Tensor = -0.5 * (u.square().sum(dim=-1) + self.mean.shape[-1] * LOG_2PI)
        return log_p - self.scale.diagonal().log().sum()

    def kl(self, other: Gaussian) -> Tensor:
        """KL(self || other) [B] in nats."""
        a = torch.linalg.solve_triangular(other.scale, self.scale, upper=False)
        d = torch.linalg.solve_triangular(
            other.scale.T, self.mean - other.mean, upper=True, left=False
        )
        log_det = (other.scale.diagonal() / self.scale.diagonal()).log().sum()
        squares: Tensor = a.square().sum() + d.square().sum(dim=-1)
        return 0.5 * (squares - self.mean.shape[-1]) + log_det


class Spectrum(NamedTuple):
    """Mean [D] and the R largest eigenvalues [R], descending, of a covariance.

    `axes` [D, R] are the eigenvectors. The D - R other eigenvalues are 0.
    """

    mean: Tensor
    values: Tensor
    axes: Tensor


def spectrum(x: Tensor) -> Spectrum:
    """Spectrum of the sample covariance S = X' X / N, with X = x [N, D] - mean; R = min(N, D).

    With fewer images than dimensions, the N x N matrix X X' / N is decomposed instead: it has the
    nonzero eigenvalues of S, and its eigenvector v gives X' v of S (Bishop 2006, section 12.1.4).
    """
    x = x.double()
    mean = x.mean(dim=0)
    x = x - mean
    few = len(x) < x.shape[1]
    values, axes = torch.linalg.eigh((x @ x.T if few else x.T @ x) / len(x))
    if few:
        axes = F.normalize(x.T @ axes, dim=0)
    return Spectrum(mean, values.flip(0), axes.flip(1))


class PPCA(NamedTuple):
    """The model: mean [D], weight W [D, L], variance sigma^2."""

    mean: Tensor
    weight: Tensor
    variance: float

    @classmethod
    def fit(cls, data: Spectrum, latent: int, random: torch.Generator) -> PPCA:
        """Maximum likelihood parameters (equations 7 and 8) for 0 < latent < D.

        sigma^2 is the mean of the discarded eigenvalues, and W = U (Lambda - sigma^2)^1/2 R with
        any rotation R; `random` chooses one. With R = I the posterior would factorise over the
        dimensions of z, and a mean-field q would be exact.
        """
        variance = float(data.values[latent:].sum()) / (len(data.mean) - latent)
        scale = (data.values[:latent] - variance).clamp(min=0).sqrt()
        rotation = torch.linalg.qr(normal(random, scale, latent, latent)).Q
        return cls(data.mean, data.axes[:, :latent] * scale @ rotation, variance)

    @property
    def precision(self) -> Tensor:
        """M / sigma^2 [L, L], the precision of the posterior for every x."""
        gram = self.weight.T @ self.weight
        return gram / self.variance + torch.eye(len(gram)).to(gram)

    def log_density(self, x: Tensor) -> Tensor:
        """log p(x) [B] in nats of x [B, D]; inverts an L x L matrix instead of the covariance."""
        d, cholesky = x - self.mean, torch.linalg.cholesky(self.precision)
        v = torch.linalg.solve_triangular(
            cholesky, (d @ self.weight).T / self.variance, upper=False
        )
        squares = d.square().sum(dim=1) / self.variance - v.square().sum(dim=0)
        constant = x.shape[1] * (math.log(self.variance) + LOG_2PI)
        log_p: Tensor = -0.5 * (squares + constant) - cholesky.diagonal().log().sum()
        return log_p

    def posterior(self, x: Tensor) -> Gaussian:
        """p(z|x) of x [B, D]."""
        covariance = torch.linalg.inv(self.precision)
        mean = (x - self.mean) @ self.weight @ covariance / self.variance
        return Gaussian(mean, torch.linalg.cholesky(covariance))

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x|z) [..., B] of x [B, D] under z [..., B, L], with the square expanded."""
        d = x - self.mean
        squares = (
            d.square().sum(dim=1)
            - 2 * (z * (d @ self.weight)).sum(dim=-1)
            + (z @ (self.weight.T @ self.weight) * z).sum(dim=-1)
        )
        return -0.5 * (squares / self.variance + x.shape[1] * (LOG_2PI + math.log(self.variance)))

    def prior(self) -> Gaussian:
        """p(z)."""
        latent = self.weight.shape[1]
        return Gaussian(self.weight.new_zeros(1, latent), torch.eye(latent).to(self.weight))

    def log_weight(self, x: Tensor, q: Gaussian, u: Tensor) -> Tensor:
        """log p(x, z) - log q(z|x) [..., B] at z = q.at(u), u [..., B, L]."""
        z = q.at(u)
        return self.log_likelihood(x, z) + self.prior().log_prob(z) - q.log_prob(z)

    def elbo(self, x: Tensor, q: Gaussian) -> Tensor:
        """The ELBO [B] with q(z|x) = `q`, in closed form."""
        spread = (self.weight @ q.scale).square().sum() / self.variance
        return self.log_likelihood(x, q.mean) - 0.5 * spread - q.kl(self.prior())

    def elbo_by_cubature(self, x: Tensor, q: Gaussian) -> Tensor:
        """The ELBO [B] as the mean of log w over the 2 L points u = +-sqrt(L) e_j.

        The rule is exact for polynomials of u up to degree 3, and log w has degree 2 (spherical
        radial rule; Arasaratnam & Haykin 2009, IEEE Trans. Autom. Control 54, section IV).
        """
        latent = self.weight.shape[1]
        points = math.sqrt(latent) * torch.eye(latent).to(x)
        u = torch.cat([points, -points])[:, None].expand(-1, len(x), -1)  # [2 L, B, L]
        return self.log_weight(x, q, u).mean(dim=0)


def mean_field(posterior: Gaussian) -> Gaussian:
    """The factorised q that minimises KL(q || posterior); it keeps the diagonal precisions."""
    precision = torch.cholesky_inverse(posterior.scale).diagonal()
    return Gaussian(posterior.mean, precision.rsqrt().diag())


def shifted(posterior: Gaussian, by: float) -> Gaussian:
    """`posterior` moved by `by` standard deviations along each of L directions: KL = L by^2 / 2."""
    return Gaussian(posterior.at(torch.full_like(posterior.mean, by)), posterior.scale)


def widened(posterior: Gaussian, by: float) -> Gaussian:
    """`posterior`, `by` times as wide in every direction: KL = L ((by^2 - 1) / 2 - log by)."""
    return Gaussian(posterior.mean, by * posterior.scale)
