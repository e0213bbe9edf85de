"""tr (C_1 C_2)^(1/2) of two population covariances, estimated from samples.

The trace tr (S_1 S_2)^(1/2) of the sample covariances is too small, and most of the bias of the
Frechet distance comes from it. Let lambda_1 ... lambda_p be the eigenvalues of S_1 S_2,
c_1 = p / (N - 1), c_2 = p / (M - 1) and

    s(z) = (1 / p) sum_i lambda_i / (lambda_i - z).

If p, N and M grow in proportion, s tells the spectrum H of C_1 C_2 (the law of Marchenko & Pastur,
once for each sample; Tiomoko & Couillet 2019, arXiv:1903.03447):

    s(z) = integral of t / (t - u) dH(t)    with    u(z) = z / ((1 - c_1 s) (1 - c_2 s)).

Cauchy's formula then gives the trace as an integral around all lambda, which is deformed into the
imaginary axis, where nothing is singular:

    T = tr (C_1 C_2)^(1/2) = (p / (pi i)) contour integral of sqrt(u) s'(z) dz
      = 2 sum_i lambda_i w_i
    w_i = dT / d lambda_i = (1 / (2 pi i)) contour integral of P(s) sqrt(z) / (lambda_i - z)^2 dz
    P(s) = ((1 - c_1 s) (1 - c_2 s))^(-1/2)

For infinite samples, c = 0, w_i is 1 / (2 sqrt(lambda_i)) and T the plug-in.

What is left of the bias has the order 1 / N without a factor p. The jackknife removes it, also for
features that are not Gaussian. It needs T without sample k: the covariance changes by a matrix of
rank one, so the resolvent is known (Sherman & Morrison) and so is s.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Complex = NDArray[np.complex128]

STEP = 0.6
"""Distance of the nodes in log |z|. The trapezoidal rule errs by exp(-pi^2 / STEP), 7e-8: the
integrands are analytic for |arg z - pi / 2| < pi / 2."""
BELOW, ABOVE = 15.0, 36.0
"""How far nodes reach below log(min lambda) and above log(max lambda). The integrands decay as
|z|^(3/2) and |z|^(-1/2) there, so that less than 1e-7 of an integral is cut off."""


@dataclass(frozen=True)
class Sample:
    """One of the two samples."""

    squares: Float
    """Squares [N, p] of the centred features' coordinates, in which S_1 S_2 is diagonal."""

    @property
    def n(self) -> int:
        """Number of vectors."""
        return len(self.squares)


@dataclass(frozen=True)
class RootTrace:
    """Estimates of tr (C_1 C_2)^(1/2)."""

    value: float
    """T, jackknifed."""
    influence: tuple[Float, Float]
    """What each vector of the first [N] and the second sample [M] adds to T; N and M times the
    change of T by leaving one out."""


def root_trace(eigenvalues: Float, first: Sample, second: Sample) -> RootTrace:
    """Estimate T from the eigenvalues [p] of S_1 S_2.

    Needs N and M of p + 2 at least. p is 0, and T as well, where all vectors of a sample are equal.
    """
    if not len(eigenvalues):
        return RootTrace(0.0, (np.zeros(first.n), np.zeros(second.n)))
    nodes = _Nodes(eigenvalues)
    p = len(eigenvalues)
    counts = (first.n, second.n)
    ratios = [p / (n - 1) for n in counts]
    value = full = nodes.trace(*ratios)
    influences = []
    for k, sample in enumerate((first, second)):
        changed = [p / (n - 1 - (j == k)) for j, n in enumerate(counts)]
        without = nodes.without_each(sample, *changed)  # [N]
        value += (sample.n - 1) * (full - without.mean())
        influences.append((sample.n - 1) * (without.mean() - without))
    return RootTrace(float(value), (influences[0], influences[1]))


class _Nodes:
    """Quadrature on the positive imaginary axis; the negative one holds the complex conjugates."""

    def __init__(self, eigenvalues: Float) -> None:
        low, high = np.log(eigenvalues.min()) - BELOW, np.log(eigenvalues.max()) + ABOVE
        self.eigenvalues = eigenvalues
        self.z: Complex = 1j * np.exp(np.arange(low, high, STEP))  # [Q]
        self.resolvent: Complex = 1 / (eigenvalues - self.z[:, None])  # [Q, p]
        self.s: Complex = (eigenvalues * self.resolvent).mean(axis=1)  # [Q]

    def trace(self, c1: float, c2: float) -> float:
        """T = 2 sum_i lambda_i w_i. The plug-in's part of P(s), which is 1, is known exactly."""
        excess = 1 / (np.sqrt(1 - c1 * self.s) * np.sqrt(1 - c2 * self.s)) - 1
        integrand = (np.sqrt(self.z) * excess * self.z.imag)[:, None] * self.resolvent**2
        w = 0.5 / np.sqrt(self.eigenvalues) - STEP / np.pi * integrand.real.sum(axis=0)
        return float(2 * (self.eigenvalues * w).sum())

    def without_each(self, sample: Sample, c1: float, c2: float) -> Float:
        """T without each vector [N], with the ratios `c1` and `c2` of the smaller sample.

        S without y is a (S - b y y^T); T changes by the integral of P ds / sqrt(z), to third order
        in the change ds of s, which is of the order 1 / N.
        """
        n, p = sample.squares.shape
        a, b = (n - 1) / (n - 2), n / (n - 1) ** 2
        t1, t2 = c1 / (1 - c1 * self.s), c2 / (1 - c2 * self.s)
        p0 = 1 / (np.sqrt(1 - c1 * self.s) * np.sqrt(1 - c2 * self.s))
        p1 = p0 * (t1 + t2) / 2
        p2 = p1 * (t1 + t2) / 2 + p0 * (t1**2 + t2**2) / 2
        q1 = _times(sample.squares, self.resolvent)  # y^T (H - z)^-1 y, [N, Q]
        q2 = _times(sample.squares, self.resolvent**2)  # y^T (H - z)^-2 y
        ds = (b / p * self.z) * q2 / (1 - b * q1)
        change = ds * (p0 + ds * (p1 / 2 + ds * p2 / 6)) @ (self.z.imag / np.sqrt(self.z))
        result: Float = np.sqrt(a) * (self.trace(c1, c2) + p * STEP / np.pi * change.real)
        return result


def _times(x: Float, resolvent: Complex) -> Complex:
    """x [N, p] times the transpose of `resolvent` [Q, p], by one real product."""
    parts = np.ascontiguousarray(resolvent.T).view(np.float64)  # [p, 2 Q]
    return np.ascontiguousarray(x @ parts).view(np.complex128)
