"""The stage `elbo`: it decomposes the bound of trained VAEs, and of nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from elbo_sizes import SMALL

from genlab.errors import GenLabError
from genlab.io.files import read_json
from genlab.results.layout import StudyFolder
from genlab.workflow.elbo import elbo
from genlab.workflow.models import load_trained
from genlab.workflow.train import train


@pytest.fixture
def tiny_vaes(tiny_study: Callable[..., StudyFolder]) -> StudyFolder:
    """Trained VAEs of two likelihoods, and an untrained diffusion model."""
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


def test_the_elbo_of_a_trained_vae_is_decomposed(tiny_vaes: StudyFolder) -> None:
    for name, likelihood in (("vae", "Gaussian, learned variance"), ("binary", "Bernoulli")):
        run = tiny_vaes.run("stripes", name, 0)
        elbo(run, SMALL, cpu=True)
        first = run.elbo.read_bytes()
        elbo(run, SMALL, cpu=True)
        assert run.elbo.read_bytes() == first  # bit for bit
        result = read_json(run.elbo)
        assert result["likelihood"].startswith(likelihood)
        assert result["discrete"] == (name == "binary")
        assert all(error >= 0 and math.isfinite(error) for error in _errors(result))
        curve = [point["value"] for point in result["bounds"]["curve"]]
        assert curve == sorted(curve)
        annealed = result["annealing"]
        # The curve stays below log p(x), within the errors of the draws.
        slack = 4 * (result["bounds"]["curve"][-1]["error"] + annealed["log_p"]["error"])
        assert curve[-1] < annealed["log_p"]["value"] + slack
        assert len(result["decomposition"]["dimensions"]) == load_trained(run).config.latent
        # The same four images: their ELBO by two sets of draws.
        assert annealed["elbo"]["value"] == pytest.approx(
            curve[0], abs=4 * result["bounds"]["curve"][0]["error"] + 1
        )
        assert (result["decomposition"]["images"], annealed["images"]) == (40, 4)
        assert set(read_json(run.outbox / "elbo.json")["metrics"]) >= {"final/elbo_gap"}
    with pytest.raises(GenLabError, match=r"model\.family: 'ddpm' has no Gaussian posterior"):
        elbo(tiny_vaes.run("stripes", "ddpm", 0), SMALL, cpu=True)
