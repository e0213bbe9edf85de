"""Draw the probability-flow ODE and the reverse SDE of a 1-D mixture, and Langevin's bias.

    python docs/theory/figures/5_score.py

The score of the mixture is exact, on the VP path. Writes docs/images/theory/5-score.png and prints
the numbers that chapter 5 quotes.
"""

from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

OUT = Path(__file__).parents[2] / "images" / "theory" / "5-score.png"
BLUE, ORANGE, BLACK = "#0072B2", "#D55E00", "#000000"
MEANS, STD, LOW, HIGH = np.array([-0.7, 0.7]), 0.12, 0.1, 20.0
STEPS, DRAWN, TOP = 500, 8, 2.8


def density_and_score(x, t):
    """Return p_t and its score at x [N]."""
    b = LOW * t + (HIGH - LOW) * t**2 / 2  # B(t)
    mean, variance = np.exp(-b / 2) * MEANS, np.exp(-b) * STD**2 - np.expm1(-b)
    parts = np.exp(-((x[:, None] - mean) ** 2) / (2 * variance)) / np.sqrt(8 * np.pi * variance)
    return parts.sum(1), (parts * (mean - x[:, None]) / variance).sum(1) / parts.sum(1)


rng = np.random.default_rng(0)
times, h = np.linspace(1, 0, STEPS + 1), 1 / STEPS
x = np.concatenate([np.linspace(-1.7, 1.7, DRAWN), rng.standard_normal(5_000)])
paths = {"Probability-flow ODE": [x], "Reverse SDE": [x]}
for t in times[:-1]:
    beta, z = LOW + (HIGH - LOW) * t, rng.standard_normal(x.shape)
    for states, share, noise in zip(paths.values(), (0.5, 1.0), (0.0, z), strict=True):
        drift = -beta * states[-1] / 2 - share * beta * density_and_score(states[-1], t)[1]
        states.append(states[-1] - h * drift + np.sqrt(beta * h) * noise)
print(f"standard deviation of the data: {np.hypot(MEANS[1], STD):.3f}")
figure, axes = plt.subplots(1, 3, figsize=(8.2, 3.1), layout="constrained")
image = np.stack([density_and_score(np.linspace(-TOP, TOP, 141), t)[0] for t in times[::5]], axis=1)
box = {"extent": (1, 0, -TOP, TOP), "origin": "lower", "aspect": "auto"}
for axis, (name, states), lines in zip(axes, paths.items(), (DRAWN, 4), strict=False):
    colour = BLUE if lines == DRAWN else ORANGE
    axis.imshow(image**0.5, cmap="Greys", vmax=1.8, **box)
    axis.plot(times, np.stack(states)[:, 0 : DRAWN : DRAWN // lines], color=colour, lw=0.8)
    axis.set(xlabel="t (noise on the left)", ylabel="x", title=name, ylim=(-TOP, TOP))
    print(f"{name}: standard deviation {states[-1][DRAWN:].std():.3f}")
sizes = (0.05, 0.4, 0.8, 1.2, 1.5)
x = rng.standard_normal((20_000, len(sizes)))
for _ in range(150):
    x += -np.array(sizes) * x + np.sqrt(2 * np.array(sizes)) * rng.standard_normal(x.shape)
curve = np.linspace(0, 1.6, 100)
axes[2].plot(curve, 1 / (1 - curve / 2), color=BLACK, label="formula: 1 / (1 - δ / 2)")
axes[2].plot(sizes, x.var(axis=0), "o", color=ORANGE, label="simulation")
axes[2].set(xlabel="step size δ", ylabel="variance", title="Langevin, N(0, 1)", ylim=(0, 5))
axes[2].legend(frameon=False, fontsize=9, loc="upper left")
figure.savefig(OUT, dpi=130)
print("Langevin, step sizes", sizes, "give the variances", x.var(axis=0).round(3))
