"""With the ideal denoiser of known data, every sampler gives that data back, on every path.

What a trained model adds is the error of its network; here there is none, so that samples must
follow the data up to the length of the steps, and converge to it at the sampler's order.
"""

from __future__ import annotations

import math

import pytest
import torch
from oracles import (
    PATHS,
    StreamNoise,
    ideal_denoiser,
    posterior_mean_of_gaussian,
    posterior_mean_of_points,
)
from walks import EVERY, LEVELS, ORDER, TIMED, gaussian_flow, law, states

MEAN = torch.tensor([0.5, -0.3, 0.2], dtype=torch.float64)
MIX = torch.tensor([[0.6, 0.0, 0.0], [0.3, 0.5, 0.0], [0.1, -0.2, 0.3]], dtype=torch.float64)
COVARIANCE = MIX @ MIX.T
GAUSSIAN = posterior_mean_of_gaussian(MEAN, COVARIANCE)


@pytest.mark.parametrize("case", EVERY)
@pytest.mark.parametrize("path", PATHS)
def test_every_sample_is_a_point_of_a_finite_data_set(path: str, case: str) -> None:
    """Samples are the points themselves, all of them, each about equally often.

    The nearest point has all the weight at the last step, at a ratio sigma / alpha below .02 on all
    paths: float64 loses little on the way there.
    """
    points = 2 * torch.rand(5, 16, dtype=torch.float64) - 1
    denoiser = ideal_denoiser(posterior_mean_of_points(points), PATHS[path], "x0")
    n = 300
    *_, x = states(case, denoiser, StreamNoise(0, n), (1, 4, 4), steps=40, spacing="log-snr")
    distance, nearest = torch.cdist(x.flatten(1), points).min(dim=1)
    assert float(distance.max()) < 1e-6
    shares = torch.bincount(nearest, minlength=5) / n
    # Four standard errors of a share of 1/5
    assert shares.tolist() == pytest.approx([0.2] * 5, abs=4 * math.sqrt(0.2 * 0.8 / n))


@pytest.mark.parametrize("case", ORDER)
@pytest.mark.parametrize("path", PATHS)
def test_samples_have_mean_and_covariance_of_gaussian_data(path: str, case: str) -> None:
    """Both in standard deviations of the data, .37 to .6, without any error of sampling.

    The walk starts from pure noise at alpha = .006 (VP) to sigma = 50 (VE), as if there were
    nothing else: that hides up to 1 % of the mean. Steps of log r = .16 to .18 add an error of
    their order to the covariance; the constants are rounded up from the worst measured, reverse
    diffusion's and churned EDM's. To solve the ODE in the time of VE, where sigma falls
    exponentially, is harder: up to 4 times that.
    """
    steps = 64
    denoiser = ideal_denoiser(GAUSSIAN, PATHS[path], "x0")
    mean, covariance = law(case, denoiser, len(MEAN), steps, spacing="log-snr")
    std = COVARIANCE.diagonal().sqrt()
    assert float(((mean - MEAN) / std).abs().max()) < 0.01 + 1 / steps
    error = float(((covariance - COVARIANCE) / torch.outer(std, std)).abs().max())
    bound = {1: 14 / steps, 2: 100 / steps**2, 3: 100 / steps**2}[ORDER[case]]
    assert error < (4 * bound if path == "ve" and case in TIMED else bound)


ODE = [(path, case) for path in PATHS for case in LEVELS] + [
    # Of discrete paths the rates jump from level to level.
    (path, case) for path in ("vp", "subvp", "ve", "edm", "flow") for case in TIMED
    # There the midpoint method's terms of second order cancel at these steps: its order is 3.
    if (path, case) not in {("edm", "midpoint"), ("flow", "midpoint")}
]  # fmt: skip


def slope(errors: list[float], steps: list[int]) -> float:
    """Of log error against log step size, between the first and the last."""
    return math.log(errors[0] / errors[-1]) / math.log(steps[-1] / steps[0])


@pytest.mark.parametrize(("path", "case"), ODE)
def test_the_error_of_the_ode_falls_at_the_sampler_s_order(path: str, case: str) -> None:
    """Against the ODE's closed solution for Gaussian data, from the same noise to the last level.

    Orders are limits: between 48 and 96 steps the next order is still felt.
    """
    errors, steps = [], [48, 96]
    for n in steps:
        denoiser = ideal_denoiser(GAUSSIAN, PATHS[path], "x0")
        times = denoiser.times(n, "log-snr")
        result = states(case, denoiser, StreamNoise(0, 4), (1, 1, 3), steps=n, spacing="log-snr")
        x = denoiser.path.prior_std(times[0]) * StreamNoise(0, 4).normal(3)
        ends = denoiser.level(times[0]), denoiser.level(times[-1])
        exact = gaussian_flow(MEAN, COVARIANCE, x, *ends)
        errors.append(float((result[-2].flatten(1) - exact).abs().max()))
    assert slope(errors, steps) == pytest.approx(ORDER[case], abs=0.3)


@pytest.mark.parametrize("case", sorted(ORDER.keys() - {*LEVELS, *TIMED}))
def test_the_error_of_the_covariance_falls_at_the_sampler_s_order(case: str) -> None:
    """Of samplers that add noise, on the linear path: steps of uniform log r, weak convergence.

    Where the walk starts and ends costs 1e-4 of the covariance, a tenth of what is measured.
    """
    errors, steps = [], [48, 96]
    for n in steps:
        denoiser = ideal_denoiser(GAUSSIAN, PATHS["flow"], "x0")
        _, covariance = law(case, denoiser, len(MEAN), n, spacing="log-snr")
        errors.append(float((covariance - COVARIANCE).norm()))
    assert slope(errors, steps) == pytest.approx(ORDER[case], abs=0.3)


@pytest.mark.parametrize("predictor", ["reverse-diffusion", "ancestral"])
@pytest.mark.parametrize("path", ["vp", "ve", "flow"])
def test_corrections_make_good_a_predictor_s_error(path: str, predictor: str) -> None:
    """In 25 long steps predictors miss the variance by 30 %, one up, one down; corrected, by 15 %.

    Langevin dynamics of finite steps has an error of its own, 8 % at this snr, which is the same
    for both. Four standard errors of a variance in 200 x 64 draws are 5 %.
    """
    mean = torch.linspace(-0.5, 0.5, 64, dtype=torch.float64)
    variance = torch.linspace(0.05, 0.5, 64, dtype=torch.float64)
    ideal = posterior_mean_of_gaussian(mean, torch.diag(variance))
    ratios = {}
    for corrections in (0, 4):
        *_, x = states(
            "corrected",
            ideal_denoiser(ideal, PATHS[path], "x0"),
            StreamNoise(0, 200),
            (1, 8, 8),
            steps=25,
            spacing="log-snr",
            predictor=predictor,
            corrections=corrections,
        )
        ratios[corrections] = float((x.flatten(1).var(dim=0) / variance).mean())
    assert abs(ratios[0] - 1) > 0.25
    assert ratios[4] == pytest.approx(1.08, abs=0.07)
