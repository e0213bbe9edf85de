"""Draws chapter 8's figure: bias of the Frechet distance, the bootstrap, copies, uniform noise.

Run `python docs/theory/figures/8_metrics.py`.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.spatial.distance import cdist

COLOURS = "#0072B2", "#D55E00", "#009E73"  # Okabe & Ito
random, P, N = np.random.default_rng(0), 16, 500
real = random.standard_normal


def frechet(x, y):
    """Frechet distance of Gaussians fitted to features x [N, F] and y [M, F]."""
    s1, s2, d = np.cov(x.T), np.cov(y.T), x.mean(0) - y.mean(0)
    roots = np.sqrt(np.linalg.eigvals(s1 @ s2).real.clip(0))
    return d @ d + np.trace(s1) + np.trace(s2) - 2 * roots.sum()


plt.rcParams["axes.prop_cycle"] = plt.cycler(color=COLOURS)
figure, axes = plt.subplots(2, 2, figsize=(8, 6.6), layout="constrained")
reference, shift = real((20000, P)), np.eye(P)[0] / 2
counts = np.array([100, 150, 250, 500, 1000])
means = [np.mean([frechet(real((n, P)) + shift, reference) for _ in range(80)]) for n in counts]
slope, limit = np.polyfit(1 / counts, means, 1)
print("FD_inf and c by regression", limit, slope, "theory 0.25 and", P + P * (P + 1) / 4)
axes[0, 0].plot(1000 / counts, means, "o", [0, 10], [limit, limit + slope / 100], COLOURS[0])
axes[0, 0].axhline(0.25, color="black", ls="--", label="true distance")
axes[0, 0].set(title="FD falls to FD∞ as N grows", xlabel="1000 / N", ylabel="mean FD")
x = real((N, P)) + shift
draws = [frechet(real((N, P)) + shift, reference) for _ in range(300)]
resampled = [frechet(x[random.integers(N, size=N)], reference) for _ in range(300)]
print("FD of new samples", np.mean(draws), "resamples", np.mean(resampled), frechet(x, reference))
axes[0, 1].hist((draws, resampled), 20, label=["new samples", "bootstrap"])
axes[0, 1].axvline(0.25, color="black", ls="--", label="true distance")
axes[0, 1].set(title="the bootstrap adds the bias again", xlabel="FD", ylabel="count", ylim=(0, 90))
shares, results, lines = np.arange(6) / 5, np.zeros((6, 2)), []
for i in np.repeat(np.arange(6), 60):
    train, held_out, x = real((3, N, P))
    copied = random.random(N) < shares[i]
    x[copied] = train[random.integers(N, size=copied.sum())]
    results[i] += frechet(x, train) / 60, frechet(x, held_out) / 60
print("FD to training and held-out images, by share of copies", results.round(3).tolist())
axes[1, 0].plot(shares, results, "o-", label=["to training images", "to held-out images"])
axes[1, 0].set(title="copies of training images", xlabel="share of copies", ylabel="mean FD")
for d in (dimensions := 2 ** np.arange(1, 9)):
    y, x = real((N, d)), random.uniform(-0.8, 0.8, (N, d))
    radius_x, radius_y = (np.partition(cdist(a, a), 5, axis=1)[:, 5] for a in (x, y))
    in_real, in_noise = cdist(x, y) <= radius_y, cdist(x, y) <= radius_x[:, None]
    lines.append([in_real.any(1).mean(), in_noise.any(0).mean(), in_real.any(0).mean()])
print("precision, recall, coverage", np.round(lines, 2).tolist())
axes[1, 1].semilogx(dimensions, lines, "o-", base=2, label=["precision", "recall", "coverage"])
axes[1, 1].set(title="uniform noise in [−0.8, 0.8]", xlabel="dimensions d", ylabel="share")
for axis in axes.flat:
    axis.legend()
figure.savefig(Path(__file__).parents[2] / "images/theory/8-metrics.png", dpi=90)
