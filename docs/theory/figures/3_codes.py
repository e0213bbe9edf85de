"""Draws docs/images/theory/3-codes.png.

Codes that follow vectors by moving averages, the gradient of a straight-through estimator against
the true one, and samples of the Gumbel-softmax at three temperatures.

    python docs/theory/figures/3_codes.py
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import norm

BLUE, ORANGE, GREEN, BLACK = "#0072B2", "#E69F00", "#009E73", "#000000"  # Okabe & Ito
plt.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False})
rng = np.random.default_rng(0)
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(10.5, 3.6), layout="constrained")

# Equations 6 to 8 with K = 4 codes, batches of 64 vectors in the plane, decay 0.9
centres = np.array([[-1.5, -1], [1.5, -1.2], [0, 1.5]])
growth = np.linspace(0.3, 1, 80)[:, None, None]  # the encoder moves
vectors = growth * centres[rng.integers(3, size=(80, 64))] + 0.4 * rng.standard_normal((80, 64, 2))
N = np.full(4, 16.0)
m = 16 * vectors[0, :4]
trail = [m / N[:, None]]
for z in vectors:
    e = m / N[:, None]
    k = np.square(z[:, None] - e).sum(axis=2).argmin(axis=1)
    members = np.eye(4)[k]
    N = 0.9 * N + 0.1 * members.sum(axis=0)
    m = 0.9 * m + 0.1 * members.T @ z
    trail.append(m / N[:, None])
trail = np.array(trail)
grid = np.stack(np.meshgrid(np.linspace(-3, 3, 240), np.linspace(-3, 3, 240)), axis=-1)
cells = np.square(grid[:, :, None] - trail[-1]).sum(axis=3).argmin(axis=2)
for k in range(4):
    left.contour(grid[..., 0], grid[..., 1], cells == k, [0.5], colors="0.6", linewidths=0.8)
left.scatter(*vectors[-3:].reshape(-1, 2).T, s=5, color=BLUE, label="vectors $z$")
left.plot(trail[:, :, 0], trail[:, :, 1], color=ORANGE, linewidth=1.5)
left.scatter(*trail[-1].T, s=70, marker="*", color=BLACK, zorder=3, label="codes $e_k$")
left.set(title="codes follow the vectors", xlabel="$z_1$", ylabel="$z_2$", aspect="equal")
left.legend(loc="upper right", fontsize=9, handletextpad=0.1)

# f(v) = (v - 0.3)^2 of codes 0 and 1, z with noise N(0, 0.1^2): E f, its slope, and the estimate
z, a, s = np.linspace(0.1, 0.9, 400), 0.3, 0.1
P = norm.cdf((z - 0.5) / s)
middle.plot(z, (1 - 2 * a) * norm.pdf((z - 0.5) / s) / s, color=BLUE, label="true slope")
middle.plot(z, 2 * (P - a), color=ORANGE, linestyle="--", label="straight-through")
middle.axhline(0, color="0.6", linewidth=0.8)
middle.set(
    title="straight-through, codes 0 and 1", xlabel="$z$", ylabel="slope of the expected loss"
)
middle.legend(fontsize=9, loc="lower right")

# K = 2, q_1 = 0.7: y_1 = sigmoid((logit q_1 + l) / tau) with l logistic, so its density is known
y = np.linspace(1e-4, 1 - 1e-4, 4000)
for tau, colour, style in ((1, BLUE, "-"), (0.5, ORANGE, "--"), (0.1, GREEN, "-.")):
    logit = tau * np.log(y / (1 - y)) - np.log(0.7 / 0.3)
    density = tau / (y * (1 - y)) / (4 * np.cosh(logit / 2) ** 2)
    right.plot(y, density, style, color=colour, label=rf"$\tau$ = {tau}")
right.set(title="Gumbel-softmax, $q_1$ = 0.7", xlabel="weight $y_1$", ylabel="density", ylim=(0, 4))
right.legend(fontsize=9, loc="upper left", bbox_to_anchor=(0.1, 1))
figure.savefig(Path(__file__).parents[2] / "images/theory/3-codes.png", dpi=110)
