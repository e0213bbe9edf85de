"""The laboratory on a VAE that is known, on real tiny ones, and its config's mistakes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from linear import LinearVAE, correlated, fitted, stream

from genlab.config.base import merge
from genlab.config.elbo_study import ElboStudyConfig, read_laboratory
from genlab.errors import ConfigError, GenLabError
from genlab.evaluation.elbo.local import local_posterior
from genlab.evaluation.elbo.ppca import mean_field
from genlab.evaluation.elbo.stages import laboratory, take_apart
from genlab.evaluation.elbo.vae import annealing, decomposition, two_sided
from genlab.io.files import read_json
from genlab.models.vae import log_weight
from genlab.results.layout import StudyFolder
from genlab.workflow.models import load_trained
from genlab.workflow.train import train

SMALL = ElboStudyConfig.model_validate(
    {
        "ppca": {"latent": 4, "bounds": {"images": 3, "samples": [1, 10], "draws": 200}},
        "gradients": {"latents": [1, 4], "estimates": 50, "samples": 4},
        "decomposition": {"images": 40},
        "bounds": {"images": 4, "samples": [1, 5, 50], "draws": 400},
        "annealing": {"images": 4, "simulated": 4, "temperatures": 12, "leapfrog": 2},
        "local": {"steps": 20, "final_draws": 20},
    }
)


def test_a_weight_is_the_one_of_the_closed_form() -> None:
    """log w from encode, decode and log_likelihood, for images of their own shape."""
    model, x = LinearVAE(fitted()), correlated(5, 8, seed=1)
    u = torch.randn(20, 5, 3, generator=stream(), dtype=torch.float64)
    mu, logvar = model.encode(x[:, None, None])
    found = log_weight(model, x[:, None, None], mu, logvar)(u)
    torch.manual_seed(0)
    torch.testing.assert_close(found, _weights(model, x, u), rtol=1e-9, atol=1e-9)


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
    found = annealing(model, x[:, None, None], config, seed=0)
    exact = float(model.log_p(x).mean())
    posterior = model.ppca.posterior(x)
    approximation = float(mean_field(posterior).kl(posterior).mean())
    # A shift by s moves the mean by s std_j, which costs P_jj (s std_j)^2 / 2 in each direction,
    # and std_j^2 = 1 / P_jj; the rest of the precision adds s^2 std' (P - diag P) std / 2.
    std = mean_field(posterior).scale.diagonal()
    amortisation = 0.5 * float(std @ model.ppca.precision @ std)
    assert found["log_p"]["error"] < 0.02
    assert found["log_p"]["value"] == pytest.approx(exact, abs=4 * found["log_p"]["error"])
    # 40 x 2000 draws of log w, whose standard deviation is about 2: 0.007. Three of those.
    assert found["approximation_gap"]["value"] == pytest.approx(approximation, abs=0.02)
    assert found["amortisation_gap"]["value"] == pytest.approx(amortisation, abs=0.02)
    total = found["approximation_gap"]["value"] + found["amortisation_gap"]["value"]
    assert found["gap"]["value"] == pytest.approx(total, abs=1e-9)
    # The ELBO of the very images that log p(x) is of, and the spread of both over them
    elbo, log_p = found["elbo"], found["log_p_over_images"]
    assert log_p["value"] == found["log_p"]["value"]
    assert elbo["value"] == pytest.approx(log_p["value"] - found["gap"]["value"], abs=1e-9)
    assert log_p["error"] == pytest.approx(float(model.log_p(x).std()) / 40**0.5, rel=0.02)
    assert approximation > 0.06 and amortisation > 0.5  # so that a missing part would be noticed


def test_the_two_sided_check_holds_the_known_truth() -> None:
    model, z = LinearVAE(fitted()), torch.randn(200, 3, generator=stream(1), dtype=torch.float64)
    x = model.draw(model.decode(z), stream(2))
    found = two_sided(model, x, z, SMALL, stream(3))
    exact = float(model.log_p(x).mean())
    # The errors here are those of the difference from each image's own log p(x), far below those
    # over images; half a nat is what 12 temperatures leave at most.
    assert exact - 0.5 < found["lower"]["value"] < exact < found["upper"]["value"] < exact + 0.5
    difference = found["upper"]["value"] - found["lower"]["value"]
    assert found["gap"]["value"] == pytest.approx(difference, abs=1e-9)


def test_the_elbo_is_reconstruction_less_kl() -> None:
    """And the closed form's."""
    model, x = LinearVAE(fitted()), correlated(100, 8, seed=1)
    config = ElboStudyConfig.model_validate({"decomposition": {"draws": 100}}).decomposition
    found = decomposition(model, x[:, None, None], config, stream())
    q = mean_field(model.ppca.posterior(x))
    q = q._replace(mean=q.at(torch.full_like(q.mean, model.shift)))
    expected = float(model.ppca.elbo(x, q).mean())
    error = found["reconstruction"]["error"]  # the KL has none: it is known of each image
    assert error < 0.03
    assert found["elbo"]["value"] == pytest.approx(expected, abs=4 * error)
    spread = float(model.ppca.elbo(x, q).std()) / 100**0.5
    # Draws make up less than a tenth of the spread over images.
    assert found["elbo"]["error"] == pytest.approx(spread, rel=0.1)
    assert found["kl"] == pytest.approx(float(q.kl(model.ppca.prior()).mean()), abs=1e-9)


@pytest.fixture
def tiny_vaes(tiny_study: Callable[..., StudyFolder]) -> StudyFolder:
    """Trained VAEs of two likelihoods; and a diffusion model, which nobody trained."""
    at = tiny_study(
        models=["vae", {"preset": "vae", "name": "binary", "likelihood": "bernoulli",
                        "binarise": "dynamic"}, "ddpm"],
    )  # fmt: skip
    for model in ("vae", "binary"):
        train(at.run("stripes", model, 0), cpu=True)
    return at


def _errors(content: Any) -> list[float]:
    if isinstance(content, dict):
        own = [content["error"]] if "error" in content else []
        return own + [e for value in content.values() for e in _errors(value)]
    if isinstance(content, list):
        return [e for value in content for e in _errors(value)]
    return []


def test_taking_apart_a_trained_vae(tiny_vaes: StudyFolder) -> None:
    for name, said in (("vae", "Gaussian, learned variance"), ("binary", "Bernoulli")):
        run = tiny_vaes.run("stripes", name, 0)
        take_apart(run, SMALL, cpu=True)
        first = run.elbo.read_bytes()
        take_apart(run, SMALL, cpu=True)
        assert run.elbo.read_bytes() == first  # bit for bit
        found = read_json(run.elbo)
        assert found["likelihood"].startswith(said)
        assert found["discrete"] == (name == "binary")
        assert all(error >= 0 and math.isfinite(error) for error in _errors(found))
        curve = [point["value"] for point in found["bounds"]["curve"]]
        assert curve == sorted(curve)
        annealed = found["annealing"]
        # Below log p(x) the curve stays, but for the draws' luck.
        slack = 4 * (found["bounds"]["curve"][-1]["error"] + annealed["log_p"]["error"])
        assert curve[-1] < annealed["log_p"]["value"] + slack
        assert len(found["decomposition"]["dimensions"]) == load_trained(run).config.latent
        # The same four images: their ELBO by two sets of draws.
        elbo = annealed["elbo"]["value"]
        assert elbo == pytest.approx(curve[0], abs=4 * found["bounds"]["curve"][0]["error"] + 1)
        assert (found["decomposition"]["images"], annealed["images"]) == (40, 4)
        assert set(read_json(run.outbox / "elbo.json")["metrics"]) >= {"elbo_gap"}
    with pytest.raises(GenLabError, match=r"model\.family: 'ddpm' has no Gaussian posterior"):
        take_apart(tiny_vaes.run("stripes", "ddpm", 0), SMALL, cpu=True)


def test_the_data_set_s_part(tiny_study: Callable[..., StudyFolder]) -> None:
    at = tiny_study()
    folder = at.laboratory("stripes")
    laboratory(at, "stripes", SMALL, cpu=True)
    first = [(folder / name).read_bytes() for name in ("ppca.json", "gradients.json")]
    laboratory(at, "stripes", SMALL, cpu=True)
    assert [(folder / name).read_bytes() for name in ("ppca.json", "gradients.json")] == first
    found = read_json(folder / "ppca.json")
    assert (found["train"], found["held_out"]) == (96, 64)
    assert 0 < found["held_out_bits_per_dim"]["value"] < 9
    for posterior in found["posteriors"]:
        # 1e-3 nats are asked for; float64 gives far more.
        assert posterior["worst_difference"] < 1e-8
        assert posterior["worst_difference_by_cubature"] < 1e-8
        drawn = posterior["gap_of_draws"]
        assert drawn["value"] == pytest.approx(posterior["kl"], abs=5 * drawn["error"] + 1e-9)
    rows = read_json(folder / "gradients.json")["rows"]
    assert len(rows) == 2 * 2 * 4
    # Means of 50 estimates by chance off: hardly ever by three times the root mean square.
    assert all(row["bias"] < 3 * row["bias_error"] for row in rows)


def test_more_dimensions_than_the_images_have_are_refused(
    tiny_study: Callable[..., StudyFolder],
) -> None:
    config = ElboStudyConfig.model_validate({"ppca": {"latent": 64}})
    with pytest.raises(GenLabError, match=r"stripes: ppca\.latent: 64 dimensions .* have 64"):
        laboratory(tiny_study(), "stripes", config, cpu=True)


@pytest.mark.parametrize(
    ("changes", "dimensions", "images", "said"),
    [
        ({}, 3072, None, []),
        ({}, 3 * 64**2, None, ["ppca.train_images: 10000 images of 12288 .* 4096 at most"]),
        ({}, 3 * 64**2, 4096, []),
        ({"train_images": 4096, "held_out": 20_000}, 3 * 64**2, None, ["ppca.held_out: .* 10922"]),
        ({"train_images": 2000}, 3 * 256**2, None, ["ppca.train.* 682 at", "ppca.held_out: .*"]),
        ({"train_images": 16}, 784, None, ["ppca.latent: 16 .* have 15", "gradients.latents: 32"]),
    ],
)
def test_what_is_too_large_is_refused_from_the_config_alone(
    changes: dict[str, int], dimensions: int, images: int | None, said: list[str]
) -> None:
    config = ElboStudyConfig.model_validate({"ppca": changes})
    found = sorted(config.problems(dimensions, images), reverse=True)
    assert len(found) == len(said)
    assert all(re.search(pattern, problem) for pattern, problem in zip(said, found, strict=True))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ("bounds: {samples: [1, 10], draws: 19}", "bounds: draws: 19 is too few: .* 20 draws"),
        ("bounds: {samples: [10, 1]}", "bounds: samples: must rise"),
        ("ppca: {widen: 1}", "ppca.widen"),
        ("annealing: {chains: 1}", "annealing.chains"),
        ("annealing: {temperature: 9}", "unknown key 'temperature': did you mean 'temperatures'"),
        ("local: {steps: -1}", "local.steps"),
    ],
)
def test_mistakes_are_named(changes: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "laboratory.yaml"
    path.write_text(changes)
    with pytest.raises(ConfigError, match=said) as caught:
        read_laboratory(path)
    assert str(caught.value).startswith(str(path))


def test_a_config_survives_its_file(tmp_path: Path) -> None:
    from genlab.config.base import dump_yaml

    path = tmp_path / "laboratory.yaml"
    path.write_text(dump_yaml(SMALL))
    assert read_laboratory(path) == SMALL
    assert merge({}, SMALL.model_dump()) != ElboStudyConfig().model_dump()
