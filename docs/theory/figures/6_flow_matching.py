"""Draws chapter 6's figure: paths of a flow to two points, errors of solvers, costs of pairings.

Run `python docs/theory/figures/6_flow_matching.py`.
"""

from itertools import pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import norm

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#999999"  # Okabe & Ito
random, times = np.random.default_rng(0), np.linspace(1, 0, 1001)


def velocity(x, t, s):
    """E[eps - x_0 | x_t = x] for x_0 = -1 or 1 plus Gaussian noise of standard deviation s."""
    m = np.tanh((1 - t) * x / (v := ((1 - t) * s) ** 2 + t**2))
    return (x - m - (1 - t) * s**2 / v * (x - (1 - t) * m)) / t


def solve(x, steps, s, heun=False):
    """x at the times 1, ..., 0; the last step is Euler's, as in the code."""
    path = [x]
    for t, after in pairwise(np.linspace(1, 0, steps + 1)):
        v = velocity(path[-1], t, s)
        w = velocity(path[-1] + (after - t) * v, after, s) if heun and after > 0 else v
        path.append(path[-1] + (after - t) * (v + w) / 2)
    return np.array(path)


figure, axes = plt.subplots(2, 2, figsize=(8, 6.6), layout="constrained")
starts = norm.ppf((np.arange(14) + 0.5) / 14)
straight = np.outer(times, starts) + np.outer(1 - times, np.sign(starts))
left = np.tile([-1, 1], 7), solve(starts, 1000, 0), "independent pairs: curved paths"
right = np.sign(starts), straight, "optimal transport: straight paths"
for axis, (ends, paths, title) in zip(axes[0], (left, right), strict=True):
    axis.plot([0, 1], [ends, starts], GREY, times, paths, BLUE, lw=1.2)
    axis.set(title=title, xlabel="t (0 image, 1 noise)", ylabel="x")
u, grid, steps = (np.arange(2000) + 0.5) / 2000, np.linspace(-3, 3, 60001), 2 ** np.arange(9)
exact = np.interp(u, (norm.cdf((grid - 1) / 0.3) + norm.cdf((grid + 1) / 0.3)) / 2, grid)
for heun, name, style, colour in ((False, "Euler", "o-", BLUE), (True, "Heun", "s-", ORANGE)):
    errors = [((solve(norm.ppf(u), n, 0.3, heun)[-1] - exact) ** 2).mean() ** 0.5 for n in steps]
    print(name, np.round(errors, 5))
    axes[1, 0].loglog(steps, errors, style, color=colour, label=name)
axes[1, 0].legend()
axes[1, 0].set(title="solvers on curved paths", xlabel="steps", ylabel="RMS error at t = 0")
for d, style, colour in ((1, "o-", GREEN), (4, "s-", BLUE), (64, "^-", ORANGE)):
    costs = []
    for b in steps:
        pairs = [random.standard_normal((2, b, d)) for _ in range(2048 // b)]
        squares = [(x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T for x, y in pairs]
        costs.append(np.mean([c[linear_sum_assignment(c)] for c in squares]) / d)
    print(f"pairing, d = {d}:", np.round(costs, 2))
    axes[1, 1].semilogx(steps, costs, style, base=2, color=colour, label=f"d = {d}")
axes[1, 1].set(title="pairing in batches (optimum 0)", xlabel="batch size B", ylabel="cost / d")
axes[1, 1].legend()
figure.savefig(Path(__file__).parents[2] / "images/theory/6-flow-matching.png", dpi=90)
