"""Copying: samples that are nearer to training images than held-out images are.

Let d_1 and d_2 be the distances of an image to its nearest and second-nearest training image. A
generator that has learned the distribution draws samples whose d_1 and d_2 are distributed as those
of held-out images. Three statistics use that:

- C_T compares all d_1 by ranks, within cells. It misses copies that are few, and takes blurred
  samples for copies, since they are near to everything.
- AuthPct compares d_1 of a sample with the distance of that training image to its own neighbours.
- The audit compares the ratios d_1 / d_2 (Gu et al. 2023, arXiv:2310.02664), which are small for
  copies alone: a blurred sample is near to several training images at once. It tests all ratios,
  and the smallest ones for themselves, so that a small share of copies shows. Another test looks
  for copied parts (`genlab.evaluation.memorisation.parts`).

All of them assume that held-out images are drawn as the training images were. A held-out set of
other people, places or writers makes a perfect model of the training set look like a copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from genlab.evaluation.intervals import QUANTILE, IntervalEstimate, share_interval
from genlab.evaluation.memorisation.neighbours import Double, Index, Neighbours, Space
from genlab.evaluation.memorisation.ratios import copy_mask

FEWEST = 10
"""Samples, and held-out images, that a cell needs to count in C_T."""
TAILS = (0.005, 0.02)
"""Shares of the smallest ratios that are tested for themselves."""
FEWEST_IN_TAIL = 10
LEVEL = 0.01
"""Below this p-value, combined from all tests, the verdict is copying: on 1 % of honest rows."""
P_RANGE = (1e-300, 0.99)
"""p-values are clipped to this range: one that is nearer to 1 could outweigh all others."""
LEAST_P = 1e-99
"""The smallest p-value that is printed as a number."""
WHOLE_VERDICT = "nearer to the training images than held-out images are"
"""The verdict on copies of whole images."""
PARTS_VERDICT = "parts are nearer to the training than to held-out images"
"""The verdict on copied parts."""
NO_VERDICT = "no sign of copying"
"""The verdict where nothing is found."""


def superiority(x: Double, y: Double) -> tuple[float, float]:
    """Return P(X > Y) + P(X = Y) / 2 and its variance.

    The first is U / (n m) with the Mann-Whitney U of x [n] and y [m], the second the estimate of
    DeLong et al. (1988): the variance of each set's placements among the other over its size.
    """
    x_in_y, y_in_x = _placements(x, y), _placements(y, x)
    variance = x_in_y.var(ddof=1) / len(x) + y_in_x.var(ddof=1) / len(y)
    return float(x_in_y.mean()), float(variance)


def _placements(x: Double, y: Double) -> Double:
    """The share of y [m] below each of x [n], ties counted half."""
    ordered = np.sort(y)
    below, at_most = (np.searchsorted(ordered, x, side) for side in ("left", "right"))
    placements: Double = (below + at_most) / (2 * len(y))
    return placements


def c_t(samples: Double, held_out: Double, sample_cells: Index, held_out_cells: Index
) -> IntervalEstimate | None:  # fmt: skip
    """C_T of distances d_1 (Meehan, Chaudhuri & Dasgupta 2020, arXiv:2004.05675, section 4.2).

    C_T = sum_pi P_n(pi) Z_pi / sum_pi P_n(pi) over the cells pi, with the share P_n(pi) of held-out
    images in a cell and the z score of its Mann-Whitney test,

        Z_pi = (U - n m / 2) / sqrt(n m (n + m + 1) / 12),

    where U counts the pairs in which the sample is farther from the training images. Negative
    values mean that samples are nearer. Cells with fewer than FEWEST of either set don't count. The
    interval is normal, with DeLong's variance of each U.

    Args:
        samples: distances [N] of samples to the nearest training image.
        held_out: those of held-out images, [M].
        sample_cells: the cell of each sample, [N].
        held_out_cells: the cell of each held-out image, [M].

    Returns:
        None if no cell has enough images.
    """
    weights, scores, variances = [], [], []
    for cell in np.unique(held_out_cells):
        x, y = samples[sample_cells == cell], held_out[held_out_cells == cell]
        if min(len(x), len(y)) < FEWEST:
            continue
        share, variance = superiority(x, y)
        null = (len(x) + len(y) + 1) / (12 * len(x) * len(y))  # variance of the share without ties
        weights.append(len(y))
        scores.append((share - 0.5) / np.sqrt(null))
        variances.append(variance / null)
    if not weights:
        return None
    w = np.array(weights) / sum(weights)
    half = QUANTILE * float(np.sqrt(w**2 @ variances))
    return IntervalEstimate.around(float(w @ scores), half)


def c_t_of(space: Space, samples: Neighbours, sample_cells: Index) -> IntervalEstimate | None:
    """C_T of samples in a space."""
    held_out = space.held_out_neighbours.nearest
    return c_t(samples.nearest, held_out, sample_cells, space.held_out_cells)


def authenticity(space: Space, samples: Neighbours) -> IntervalEstimate:
    """AuthPct (Alaa et al. 2022, arXiv:2102.08921, section 4): the share of authentic samples in %.

    A sample is authentic if it is farther from its nearest training image t than t is from its own
    nearest other training image.
    """
    authentic = samples.nearest > space.radii(samples.indices[:, 0])
    return share(int(authentic.sum()), len(authentic))


def copies(samples: Neighbours) -> IntervalEstimate:
    """The share of samples that are copies by their ratio d_1 / d_2, in %."""
    return share(int(copy_mask(samples.ratios).sum()), len(samples.ratios))


def share(k: int, n: int) -> IntervalEstimate:
    """k of n in %, with the score interval of Wilson (1927)."""
    return IntervalEstimate(k / n, *share_interval(k / n, n)).scaled(100)


def rank_test(samples: Double, held_out: Double) -> float:
    """p-value of a one-sided Mann-Whitney test: are samples [N] smaller than held-out ones [M]?

    The normal approximation, with the variance of U corrected for ties.
    """
    from scipy.special import ndtr

    n, m = len(samples), len(held_out)
    _, ties = np.unique(np.concatenate([samples, held_out]), return_counts=True)
    total = n + m
    null = (total + 1 - (ties**3 - ties).sum() / (total * (total - 1))) / (12 * n * m)
    if null <= 0:  # all values are equal
        return 1.0
    return float(ndtr((superiority(samples, held_out)[0] - 0.5) / np.sqrt(null)))


def tail_test(samples: Double, held_out: Double, tail: float) -> float:
    """p-value of Fisher's exact test: are samples too many among the smallest values of both sets?

    Of n samples and m held-out values the k = max(FEWEST_IN_TAIL, tail (n + m)) smallest are taken.
    If both sets have one distribution, the number of samples among them is hypergeometric. Values
    that tie with the last of them are taken as well.
    """
    n, m = len(samples), len(held_out)
    k = min(max(FEWEST_IN_TAIL, round(tail * (n + m))), n + m)
    pooled = np.concatenate([samples, held_out])
    bound = np.partition(pooled, k - 1)[k - 1]
    inside = int((samples <= bound).sum())
    k = int((pooled <= bound).sum())
    hits = np.arange(inside, min(n, k) + 1)
    probabilities = np.exp(_log_binomial(n, hits) + _log_binomial(m, k - hits)
                           - _log_binomial(n + m, np.array(k)))  # fmt: skip
    return min(1.0, float(probabilities.sum()))


def _log_binomial(n: int, k: Index) -> Double:
    """log of n over k; -inf for k > n or k < 0."""
    from scipy.special import gammaln

    valid = (k >= 0) & (k <= n)
    k = np.where(valid, k, 0)
    return np.where(valid, gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1), -np.inf)


class Audit(NamedTuple):
    """The verdict on a row."""

    p: float
    """Combined p-value of the hypothesis that samples copy nothing."""
    parts: bool
    """Whether the test of parts is stronger evidence against it than those of whole images."""

    @property
    def copying(self) -> bool:
        """Whether the samples are called copies."""
        return self.p < LEVEL

    @property
    def verdict(self) -> str:
        """The verdict in words."""
        if not self.copying:
            return NO_VERDICT
        p = f"p = {self.p:.1g}" if self.p > LEAST_P else f"p < {LEAST_P:g}"
        return f"{PARTS_VERDICT if self.parts else WHOLE_VERDICT} ({p})"


def ratio_tests(samples: Double, held_out: Double) -> list[float]:
    """p-values of the tests of one space: are ratios d_1 / d_2 of samples too small?

    There are the rank test and a test of each of the TAILS: of N = 1,000 samples with 5 % of
    copies, the 50 smallest ratios are copies, while the mean rank has hardly moved.
    """
    return [rank_test(samples, held_out), *(tail_test(samples, held_out, tail) for tail in TAILS)]


def audit(ratios: Sequence[float], parts: float) -> Audit:
    """Combine the tests for copies of whole images, in all spaces, with the test of parts.

    The tests depend on each other: a copied image is a copy in every space. So the p-values are
    combined by Cauchy's distribution, whose tail hardly changes under dependence (Liu & Xie 2020,
    arXiv:1808.09011, theorem 1):

        T = sum_k w_k cot(pi p_k),  p = arccot(T) / pi.

    The test of parts has half of the weight, and those of whole images share the other half.

    Args:
        ratios: p-values of the `ratio_tests` of all spaces.
        parts: p-value of `parts_test`.
    """
    *whole_terms, parts_term = 1 / np.tan(np.pi * np.clip([*ratios, parts], *P_RANGE))
    whole_mean = np.mean(whole_terms)
    p = np.arctan2(1, (whole_mean + parts_term) / 2) / np.pi
    return Audit(float(p), bool(parts_term >= whole_mean))
