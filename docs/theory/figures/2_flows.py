"""Draws chapter 2's figure: two couplings, and what dequantisation costs a Gaussian.

Run `python docs/theory/figures/2_flows.py`.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import erf

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#999999"  # Okabe & Ito
SIDE = 0.4


def generate(z):
    """x = f^-1(z) [2, ...] of two couplings made by hand, and log |det df/dx| at x."""
    a, b = z
    log_s = 0.5 * np.sin(a)
    b = b * np.exp(-log_s) + 0.8 * np.cos(1.3 * a)  # a gives scale and shift of b
    log_r = 0.3 * np.tanh(b)
    a = a * np.exp(-log_r) + 0.3 * b  # then b those of a
    return np.stack([a, b]), log_s + log_r


def area(path):
    """Area inside a polygon [2, N], by the shoelace formula."""
    x, y = path
    return 0.5 * abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))


fig, axes = plt.subplots(1, 3, figsize=(9.4, 3.5), layout="constrained")
long, t = np.linspace(-2.0, 2.0, 200), np.linspace(0, 1, 50)
for value in np.linspace(-2.0, 2.0, 11):
    for line in (np.stack([long, 0 * long + value]), np.stack([0 * long + value, long])):
        axes[0].plot(*line, color=GREY, linewidth=0.7)
        axes[1].plot(*generate(line)[0], color=GREY, linewidth=0.7)
outline = np.array([[*t, *(1 + 0 * t), *(1 - t), *(0 * t)], [*(0 * t), *t, *(1 + 0 * t), *(1 - t)]])
for corner, colour in (((-1.6, -0.4), BLUE), ((0.0, 1.2), ORANGE), ((0.8, -1.2), GREEN)):
    square = np.array(corner)[:, None] + SIDE * outline
    image, (where, log_det) = generate(square)[0], generate(np.array(corner) + SIDE / 2)
    ratio = area(image) / SIDE**2
    axes[0].fill(*square, color=colour)
    axes[1].fill(*image, color=colour)
    style = {"color": colour, "fontsize": 12, "weight": "bold", "textcoords": "offset points"}
    axes[1].annotate(f"{ratio:.2f}", where, (11, 11), **style)
    print(f"area ratio {ratio:.4f}, 1 / |det df/dx| at the centre {np.exp(-log_det):.4f}")
axes[0].set(xlabel="z1", ylabel="z2", title="z ~ N(0, I)", aspect="equal")
axes[1].set(xlabel="x1", ylabel="x2", title="x = f⁻¹(z) and area ratios", aspect="equal")
std = np.geomspace(0.1, 3, 200)  # in grey values
bound = 0.5 * np.log2(2 * np.pi * std**2) + 1 / (24 * std**2 * np.log(2))
axes[2].semilogx(std, bound, color=ORANGE, label="bound, by dequantisation")
axes[2].semilogx(std, -np.log2(erf(0.5 / (2**0.5 * std))), "--", color=BLUE, label="exact")
axes[2].axvline(12**-0.5, color=GREY, linestyle=":")
axes[2].set(xlabel="Gaussian's std [grey values]", ylabel="bits/dim", title="one known grey value")
axes[2].set_ylim(-0.2, 4)
axes[2].legend(fontsize=9, loc="upper center")
print(f"least bound {0.5 * np.log2(2 * np.pi * np.e / 12):.4f} bits at std {12**-0.5:.4f}")
out = Path(__file__).parents[2] / "images/theory/2-flows.png"
fig.savefig(out, dpi=100, metadata={"Software": None})
