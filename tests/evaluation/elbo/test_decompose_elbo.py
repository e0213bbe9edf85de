"""The bound of a VAE whose log p(x) is known, and the parts of its gap."""

from __future__ import annotations

import pytest
import torch
from linear import LinearVAE, correlated, fitted, stream

from genlab.config.elbo_study import ElboStudyConfig
from genlab.evaluation.elbo.local import local_posterior
from genlab.evaluation.elbo.ppca import mean_field
from genlab.evaluation.elbo.vae import annealing, decomposition, two_sided
from genlab.models.vae import log_weight

SMALL = ElboStudyConfig.model_validate(
    {
        "annealing": {"images": 4, "simulated": 4, "temperatures": 12, "leapfrog": 2},
        "bounds": {"images": 4, "samples": [1, 5, 50], "draws": 400},
        "local": {"steps": 20, "final_draws": 20},
    }
)


def test_a_weight_is_the_one_of_the_closed_form() -> None:
    """log w from encode, decode and log_likelihood, for images of their own shape."""
    model, x = LinearVAE(fitted()), correlated(5, 8, seed=1)
    u = torch.randn(20, 5, 3, generator=stream(), dtype=torch.float64)
    mu, logvar = model.encode(x[:, None, None])
    result = log_weight(model, x[:, None, None], mu, logvar)(u)
    torch.manual_seed(0)
    torch.testing.assert_close(result, _weights(model, x, u), rtol=1e-9, atol=1e-9)


def _weights(model: LinearVAE, x: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    q = mean_field(model.ppca.posterior(x))
    mean = q.at(torch.full_like(q.mean, model.shift))
    return model.ppca.log_weight(x, q._replace(mean=mean), u)


def test_the_local_posterior_is_the_best_factorised_one() -> None:
    """Of the pPCA it is known: 400 steps from a poor encoder lead there."""
    model, x = LinearVAE(fitted(), shift=1.5), correlated(6, 8, seed=1)
    config = ElboStudyConfig.model_validate({"local": {"steps": 400, "draws": 16}}).local
    mu, logvar = local_posterior(model, x[:, None, None], config, stream())
    best = mean_field(model.ppca.posterior(x))
    std = best.scale.diagonal()
    # Of the best's standard deviation, a few per cent: what the noise of the last steps leaves.
    assert float(((mu - best.mean) / std).abs().max()) < 0.1
    assert float(((logvar / 2).exp() / std - 1).abs().max()) < 0.1
    start = model.encode(x[:, None, None])[0]
    assert float(((start - best.mean) / std).abs().min()) > 1


def test_the_gap_and_its_parts_are_the_known_ones() -> None:
    """log p(x), KL(mean field || posterior), and what the encoder's shift adds to that."""
    model, x = LinearVAE(fitted(), shift=1.0), correlated(40, 8, seed=1)
    config = ElboStudyConfig.model_validate(
        {
            "annealing": {"temperatures": 30, "chains": 20},
            "local": {"steps": 200, "draws": 8, "final_draws": 2000},
        }
    )
    result = annealing(model, x[:, None, None], config, seed=0)
    exact = float(model.log_p(x).mean())
    posterior = model.ppca.posterior(x)
    approximation = float(mean_field(posterior).kl(posterior).mean())
    # A shift by s moves the mean by s std_j, which costs P_jj (s std_j)^2 / 2 in each direction,
    # and std_j^2 = 1 / P_jj; the rest of the precision adds s^2 std' (P - diag P) std / 2.
    std = mean_field(posterior).scale.diagonal()
    amortisation = 0.5 * float(std @ model.ppca.precision @ std)
    assert result["log_p"]["error"] < 0.02
    assert result["log_p"]["value"] == pytest.approx(exact, abs=4 * result["log_p"]["error"])
    # 40 x 2000 draws of log w, whose standard deviation is about 2: 0.007. Three of those.
    assert result["approximation_gap"]["value"] == pytest.approx(approximation, abs=0.02)
    assert result["amortisation_gap"]["value"] == pytest.approx(amortisation, abs=0.02)
    total = result["approximation_gap"]["value"] + result["amortisation_gap"]["value"]
    assert result["gap"]["value"] == pytest.approx(total, abs=1e-9)
    # The ELBO of the very images that log p(x) is of, and the spread of both over them
    elbo, log_p = result["elbo"], result["log_p_over_images"]
    assert log_p["value"] == result["log_p"]["value"]
    assert elbo["value"] == pytest.approx(log_p["value"] - result["gap"]["value"], abs=1e-9)
    assert log_p["error"] == pytest.approx(float(model.log_p(x).std()) / 40**0.5, rel=0.02)
    assert approximation > 0.06 and amortisation > 0.5  # so that a missing part would be noticed


def test_the_two_sided_check_holds_the_known_truth() -> None:
    model, z = LinearVAE(fitted()), torch.randn(200, 3, generator=stream(1), dtype=torch.float64)
    x = model.draw(model.decode(z), stream(2))
    result = two_sided(model, x, z, SMALL, stream(3))
    exact = float(model.log_p(x).mean())
    # The errors here are those of the difference from each image's own log p(x), far below those
    # over images; half a nat is what 12 temperatures leave at most.
    assert exact - 0.5 < result["lower"]["value"] < exact < result["upper"]["value"] < exact + 0.5
    difference = result["upper"]["value"] - result["lower"]["value"]
    assert result["gap"]["value"] == pytest.approx(difference, abs=1e-9)


def test_the_elbo_is_reconstruction_less_kl() -> None:
    """And the closed form's."""
    model, x = LinearVAE(fitted()), correlated(100, 8, seed=1)
    config = ElboStudyConfig.model_validate({"decomposition": {"draws": 100}}).decomposition
    result = decomposition(model, x[:, None, None], config, stream())
    q = mean_field(model.ppca.posterior(x))
    q = q._replace(mean=q.at(torch.full_like(q.mean, model.shift)))
    expected = float(model.ppca.elbo(x, q).mean())
    error = result["reconstruction"]["error"]  # the KL has none: it is known of each image
    assert error < 0.03
    assert result["elbo"]["value"] == pytest.approx(expected, abs=4 * error)
    spread = float(model.ppca.elbo(x, q).std()) / 100**0.5
    # Draws make up less than a tenth of the spread over images.
    assert result["elbo"]["error"] == pytest.approx(spread, rel=0.1)
    assert result["kl"] == pytest.approx(float(q.kl(model.ppca.prior()).mean()), abs=1e-9)
