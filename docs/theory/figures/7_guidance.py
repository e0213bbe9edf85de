"""Draws docs/images/theory/7-guidance.png: a guided Gaussian, and a Gaussian pair inpainted.

python docs/theory/figures/7_guidance.py
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.integrate import quad
from scipy.stats import norm

BLUE, ORANGE, BLACK = "#0072B2", "#E69F00", "#000000"
plt.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False})
V, D = 0.25, 0.75  # p(x) = N(0, 1), p(x|y) = N(1, V), D = 1 - V


def moments(w):
    """Mean and variance of the tilted density, of the guided SDE and of the guided ODE."""
    integral = quad(lambda alpha: (1 - D * alpha**2) ** (-1 - w / 2), 0, 1)[0]
    tilted = np.array([w, V]) / (1 + (w - 1) * D)
    sde = (1 - V**w) / D, (V - V ** (2 * w)) / (D * (2 * w - 1))
    return np.array([tilted, sde, (w * V ** (w / 2) * integral, V**w)])


def inpaint(repeats, rho=0.9, steps=30):
    """Mean and variance of the unknown pixel if the other one is 1: GenLab's `inpaint`, exactly."""
    r = np.linspace(152.2 ** (1 / 7), 0.0105 ** (1 / 7), steps) ** 7  # a VP path, Karras spacing
    alpha, sigma = 1 / np.hypot(1, r), r / np.hypot(1, r)
    mean, cov, clean = np.zeros(2), np.eye(2), np.array([[1, rho], [rho, 1]])
    for i in range(steps):
        A = alpha[i] * clean @ np.linalg.inv(alpha[i] ** 2 * clean + sigma[i] ** 2 * np.eye(2))
        A[1] = 0  # E[x_0 | x_t], with the known pixel in its place
        if i == steps - 1:
            return (A @ mean)[0], (A @ cov @ A.T)[0, 0]
        ratio, share = alpha[i] / alpha[i + 1], (sigma[i + 1] / sigma[i]) ** 2
        forward = sigma[i] ** 2 - ratio**2 * sigma[i + 1] ** 2
        M = ratio * share * np.eye(2) + (gain := alpha[i + 1] * forward / sigma[i] ** 2) * A
        for k in range(repeats):
            if k:
                mean, cov = ratio * mean, ratio**2 * cov + forward * np.eye(2)
            mean, cov = M @ mean + [0, gain], M @ cov @ M.T + forward * share * np.eye(2)


figure, (left, middle, right) = plt.subplots(1, 3, figsize=(10.5, 3.6), layout="constrained")
scales, x, repeats = np.linspace(1, 4, 31), np.linspace(-2, 3, 400), np.array([1, 2, 4, 8, 16, 32])
left.plot(x, norm.pdf(x, 1, V**0.5), color="0.6", label="$w$ = 1: $p(x|y)$")
for i, (name, style) in enumerate({"tilted": "-", "guided SDE": "--", "guided ODE": "-."}.items()):
    (mean, variance), colour = moments(2)[i], (BLACK, ORANGE, BLUE)[i]
    print(f"{name}, w = 2: mean {mean:.3f}, variance {variance:.4f}")
    left.plot(x, norm.pdf(x, mean, variance**0.5), style, color=colour, label=name)
    middle.semilogy(scales, [moments(w)[i, 1] for w in scales], style, color=colour, label=name)
left.set(title="guidance scale $w$ = 2", xlabel="$x$", ylabel="density")
middle.set(title="variance of samples", xlabel="guidance scale $w$", ylabel="variance")
means, variances = np.array([inpaint(n) for n in repeats]).T
print(
    "inpainting: repeats",
    repeats,
    "mean",
    means.round(3),
    "variance",
    variances.round(3),
    "; 16 repeats, 300 steps",
    inpaint(16, steps=300),
)
for values, style, colour, name in (
    (means, "o-", BLUE, "mean"),
    (variances, "s--", ORANGE, "variance"),
):
    right.semilogx(repeats, values, style, color=colour, base=2, label=name)
right.hlines([0.9, 0.19], 1, 32, colors="0.4", linewidths=0.8, label="exact")
right.set(
    title="inpainting one of two pixels",
    xlabel="repeats of each step",
    ylim=(0, 1),
    xticks=repeats,
    xticklabels=repeats,
    ylabel="mean and variance",
)
left.legend(fontsize=9), middle.legend(fontsize=9), right.legend(fontsize=9)
figure.savefig(Path(__file__).parents[2] / "images/theory/7-guidance.png", dpi=110)
