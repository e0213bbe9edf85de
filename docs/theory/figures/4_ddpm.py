"""Draw the log-SNR of the noise schedules, and how much each loss counts an error of x_0.

    python docs/theory/figures/4_ddpm.py

Writes docs/images/theory/4-ddpm.png and prints the numbers that chapter 4 quotes.
"""

from pathlib import Path

import matplotlib
import torch

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from genlab.processes.paths import SCHEDULES, with_zero_terminal_snr

OUT = Path(__file__).parents[2] / "images" / "theory" / "4-ddpm.png"
BLUE, ORANGE, GREEN, PINK, BLACK = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#000000"
T = 1000

plt.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False})
figure, (left, right) = plt.subplots(1, 2, figsize=(7.4, 3.4), layout="constrained")

t = torch.arange(1, T + 1) / T
for (name, betas), colour in zip(SCHEDULES.items(), (BLUE, ORANGE, GREEN), strict=True):
    alpha_bar = torch.cumprod(1 - betas(T), dim=0)
    left.plot(t, (alpha_bar / (1 - alpha_bar)).log(), color=colour, label=name)
    print(f"{name}: alpha_bar_T = {float(alpha_bar[-1]):.3g}")
alpha_bar = torch.cumprod(1 - with_zero_terminal_snr(SCHEDULES["linear"](T)), dim=0)
snr = (alpha_bar / (1 - alpha_bar))[:-1]  # 0 at T
left.plot(t[:-1], snr.log(), color=BLUE, ls=":", label="linear, zero\nterminal SNR")
left.set(xlabel="t / T", ylabel="log SNR", ylim=(-16, 10), title="Schedules, T = 1000")
left.legend(frameon=False, fontsize=9, loc="lower left")

log_snr = torch.linspace(-8, 8, 400)
snr, gamma = log_snr.exp(), 5.0
for label, weight, colour, style in (
    ("eps: SNR", snr, BLUE, "-"),
    ("v: SNR + 1", snr + 1, ORANGE, "-"),
    ("x0: 1", torch.ones_like(snr), GREEN, "-"),
    ("min-SNR: min(SNR, 5)", snr.clamp(max=gamma), BLACK, "--"),
):
    right.plot(log_snr, weight, color=colour, ls=style, label=label)
right.set(xlabel="log SNR (noise on the left)", ylabel="weight of the error of x_0")
right.set(yscale="log", ylim=(3e-4, 3e3), title="What each loss counts")
right.legend(frameon=False, fontsize=9, loc="lower right")

OUT.parent.mkdir(parents=True, exist_ok=True)
figure.savefig(OUT, dpi=150)

beta = SCHEDULES["linear"](T)
before = torch.cumprod(1 - beta, dim=0)[:-1]  # alpha_bar_{t-1} for t = 2..T
weight = beta[1:] / (2 * (1 - beta[1:]) * (1 - before))  # (SNR_{t-1} / SNR_t - 1) / 2
print(f"linear: weight of eps at t = 2: {weight[0]:.4f}, at t = T: {weight[-1]:.4f}")
