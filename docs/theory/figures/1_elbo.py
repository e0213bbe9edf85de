"""Draws chapter 1's figure: the gap of IWAE-K, and the variance of two gradient estimators.

Model: z ~ N(0, 1), x | z ~ N(z, 1/4), x = 2, so p(z|x) = N(1.6, 0.2) and log p(x) is known.

Run `python docs/theory/figures/1_elbo.py`.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

BLUE, ORANGE, GREEN, PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"  # Okabe & Ito
X, VARIANCE, DRAWS = 2.0, 0.25, 2**20
P, MEAN = 1 + 1 / VARIANCE, X / (1 + VARIANCE)  # precision and mean of the posterior
LOG_P = -0.5 * (np.log(2 * np.pi * (1 + VARIANCE)) + X**2 / (1 + VARIANCE))


def log_normal(z, mean, variance):
    """Log density of N(mean, variance) at z."""
    return -0.5 * ((z - mean) ** 2 / variance + np.log(2 * np.pi * variance))


def gap(mean, scale, k, u):
    """Log p(x) - L_K with q = N(mean, scale^2), by DRAWS / k groups of k importance samples.

    r = mean weight / p(x) has mean 1, so r - 1 cancels noise of log r where r has a variance.
    """
    z = mean + scale * u
    log_w = log_normal(X, z, VARIANCE) + log_normal(z, 0, 1) - log_normal(z, mean, scale**2)
    r = np.exp(log_w - LOG_P).reshape(-1, k).mean(axis=1)
    return ((r - 1) * (2 * P * scale**2 > 1) - np.log(r)).mean()


u, ks, std = np.random.default_rng(0).standard_normal(DRAWS), 2 ** np.arange(11), P**-0.5
kinds = (
    ("prior", 0.0, 1.0, GREEN, "s"),
    ("0.4 times as wide", MEAN, 0.4 * std, PINK, "v"),
    ("1.5 times as wide", MEAN, 1.5 * std, BLUE, "o"),
    ("shifted by 0.5 std", MEAN + 0.5 * std, std, ORANGE, "D"),
)
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.7), layout="constrained")
for name, mean, scale, colour, marker in kinds:
    gaps = [gap(mean, scale, k, u) for k in ks]
    left.loglog(ks, gaps, color=colour, marker=marker, markersize=5, label=f"q: {name}")
    print(f"{name}: gap {gaps[0]:.4f} at K = 1, {gaps[-1]:.6f} at K = {ks[-1]}")
for chi2, colour in ((2.25 / 3.5**0.5 - 1, BLUE), (np.e**0.25 - 1, ORANGE)):
    left.loglog(ks, chi2 / (2 * ks), color=colour, linestyle=":", linewidth=1.2)
left.set(xlabel="importance samples K", ylabel="log p(x) - L_K  [nats]", ylim=(5e-5, 20))
left.legend(fontsize=9)
d = np.linspace(-2, 2, 200) * std  # distance of q's mean from the posterior's, q as wide
s, a, b = std, LOG_P - P * d**2 / 2, P * std * d
right.semilogy(d / std, (a**2 + 2 * b**2) / s**2, color=ORANGE, label="score function")
right.semilogy(d / std, 2 * b**2 / s**2, color=PINK, label="score function, best baseline")
right.semilogy(d / std, 0 * d + P**2 * s**2, color=BLUE, label="pathwise")
right.set(xlabel="(m - m*) / posterior std", ylabel="variance of one draw", ylim=(2e-2, 3e3))
right.legend(fontsize=9, loc="upper center")
print(f"log p(x) = {LOG_P:.4f}; at m = m*: score {(LOG_P / s) ** 2:.3f}, pathwise {P * P * s * s}")
out = Path(__file__).parents[2] / "images/theory/1-elbo.png"
fig.savefig(out, dpi=110, metadata={"Software": None})
