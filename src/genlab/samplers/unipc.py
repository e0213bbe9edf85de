"""UniPC: DPM-Solver++ of any order, with a corrector that needs no further evaluation.

Zhao et al. 2023 (arXiv:2302.04867). In lambda = log(alpha / sigma) the probability-flow ODE has the
exact solution (DPM-Solver++, arXiv:2211.01095, equation 8)

    x_s = sigma_s / sigma_t x_t + alpha_s integral_t^s exp(lambda - lambda_s) x_0(lambda) d lambda

A multistep method puts a polynomial through known values of x_0 in the place of x_0(lambda). With u
= lambda - lambda_t, h = lambda_s - lambda_t and nodes u_j, the integral is a sum w_j x_0(u_j) whose
weights are exact for the powers of u:

    sum_j w_j u_j^k = I_k,   I_k = integral_0^h exp(u - h) u^k du,   I_0 = 1 - e^-h,
                                                                     I_k = h^k - k I_(k-1)

    predictor  UniP-p: nodes at the last p evaluations, u <= 0; order p
    corrector  UniC-p: the same and the evaluation at x_s, u = h; order p + 1

The corrector does the step to x_s once more when x_0 at x_s is known. The next step starts from the
corrected state, but the network is not evaluated there again: the prediction at the first state is
kept. The first steps have fewer evaluations behind them and a lower order, and so have those after
a level without signal, where lambda is infinite.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor

from genlab.config.samplers import Spacing
from genlab.samplers import (
    Denoiser,
    Prediction,
    SampleNoise,
    Step,
    log_snr,
    sampling_loop,
    start,
)


class Evaluation(NamedTuple):
    """The predicted image [B, C, H, W] at log SNR lambda."""

    log_snr: float
    x0: Tensor


def weights(nodes: Sequence[float], h: float) -> list[float]:
    """Weights w_j of x_0 at `nodes` u_j in integral_0^h exp(u - h) x_0(u) du.

    One node may have an infinite h, the step from a level without signal; its weight is I_0 = 1.
    """
    moments = [-math.expm1(-h)]
    for k in range(1, len(nodes)):
        moments.append(h**k - k * moments[-1])
    powers = np.vander(nodes, increasing=True).T  # row k holds u_j^k
    solution: list[float] = np.linalg.solve(powers, moments).tolist()
    return solution


def sample(
    denoiser: Denoiser,
    noise: SampleNoise,
    shape: tuple[int, ...],
    *,
    steps: int,
    spacing: Spacing = "log-snr",
    order: int = 2,
    corrector: bool = True,
) -> Iterator[Step]:
    """Draw len(noise) images [C, H, W] = `shape` in `steps` network evaluations."""
    evaluations: list[Evaluation] = []  # of the last steps, the newest first
    before: tuple[Tensor, float] | None = None  # state and time of the step that led here

    def step(x: Tensor, t: float, s: float, through: list[Evaluation]) -> Tensor:
        """x_t to x_s, with x_0 interpolated through some evaluations."""
        (alpha_t, sigma_t), (alpha_s, sigma_s) = denoiser.level(t), denoiser.level(s)
        origin = log_snr(alpha_t, sigma_t)
        h = log_snr(alpha_s, sigma_s) - origin
        nodes = [0.0 if e.log_snr == origin else e.log_snr - origin for e in through]
        x = sigma_s / sigma_t * x
        for weight, evaluation in zip(weights(nodes, h), through, strict=True):
            x = x + alpha_s * weight * evaluation.x0
        return x

    def move(x: Tensor, prediction: Prediction, t: float, s: float) -> Tensor:
        nonlocal evaluations, before
        newest = Evaluation(log_snr(*denoiser.level(t)), prediction.x0)
        # Levels without signal, and two times of one level of a discrete path, are no nodes.
        earlier = [e for e in evaluations if -math.inf < e.log_snr < newest.log_snr]
        if corrector and before is not None and earlier:
            x = step(*before, t, [newest, *earlier])
        evaluations = [newest, *earlier][:order]
        before = x, t
        return step(x, t, s, evaluations)

    times = denoiser.times(steps, spacing)
    return sampling_loop(denoiser, start(denoiser, noise, shape, times[0]), times, move)
