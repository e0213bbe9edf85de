"""The keys of learning curves and budgets in a study file, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from genlab.config.curves import steps_at
from genlab.config.study import Study, load_study
from genlab.errors import ConfigError
from genlab.results.spec import curve_spec, run_spec
from genlab.results.stages import study_jobs

CONFIG = Path(__file__).parents[2] / "config"


def study(**changes: Any) -> Study:
    values: dict[str, Any] = {
        "name": "mine",
        "datasets": ["digits"],
        "models": ["vae", "ddpm", "vqvae", "reflow"],
        "samplers": {
            "prior": {"sampler": "prior"},
            "ddim-9": {"sampler": "ddim", "steps": 9},
            "heun-3": {"sampler": "heun", "steps": 3},
        },
        "curves": {},
    }
    return load_study(values | changes, CONFIG, "mine.yaml")


@pytest.mark.parametrize(
    ("curves", "message"),
    [
        ({"shares": [0.5, 0.2, 1]}, "curves.shares: must rise from above 0 to 1, the end, got 0.5"),
        ({"shares": [0.2, 0.5]}, "curves.shares: must rise from above 0 to 1"),
        ({"shares": [0, 1]}, "curves.shares: must rise from above 0 to 1"),
        ({"shares": [0.5, 0.5, 1]}, "curves.shares: two are the same in six digits: 0.5, 0.5, 1"),
        ({"shares": [1]}, "curves.shares: needs 2 or more items"),
        (
            {"samples": 63},
            "curves.samples: 63 are too few for FID in the 64 features of classifier",
        ),
        ({"sample": 64}, "curves: unknown key 'sample': did you mean 'samples'?"),
    ],
)
def test_a_curve_that_cannot_be_drawn_is_refused(curves: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=r"mine\.yaml") as caught:
        study(curves=curves)
    assert message in str(caught.value)


def test_each_model_that_draws_has_a_curve_by_its_first_sampler() -> None:
    planned = study()
    assert [job["model"] for job in study_jobs(planned)["curve"]] == [
        name for name in planned.models if name != "vqvae"
    ]
    rows = {}
    for name, entry in planned.models.items():
        spec = curve_spec(planned, entry, seed=3)
        rows[name] = spec and (spec.row, spec.seed, spec.samples)
    assert rows["vae"] == ("prior", 3, 1000)
    assert rows["ddpm"] == rows["reflow"] == ("ddim-9", 3, 1000)
    assert rows["vqvae"] is None


def test_what_draws_keeps_weights_and_nothing_else_does() -> None:
    """A first stage that draws has the spec of its own run."""
    planned = study()
    kept = {
        name: run_spec(planned, "digits", entry, 0).keep
        for name, entry in {**planned.models, **planned.evaluators}.items()
    }
    shares = (0.05, 0.1, 0.25, 0.5)
    assert kept["vae"] == kept["ddpm"] == kept["reflow"] == shares
    assert kept["vqvae"] == kept["classifier"] == ()
    below = run_spec(planned, "digits", planned.models["reflow"], 0).first_stage
    assert below == run_spec(planned, "digits", planned.models["flow"], 0)


def test_without_the_key_nothing_is_kept_or_drawn() -> None:
    planned = study(curves=None)
    assert study_jobs(planned)["curve"] == []
    assert run_spec(planned, "digits", planned.models["vae"], 0).keep == ()


@pytest.mark.parametrize(("share", "expected"), [(0.25, 2), (0.05, 1), (0.3, 2), (1.0, 8)])
def test_a_share_is_the_nearest_step(share: float, expected: int) -> None:
    assert steps_at(share, 8) == expected


def test_budgets_belong_to_the_models_and_not_to_their_evaluators() -> None:
    planned = study(training={"seconds": 60, "parameters": 100})
    assert planned.models["vae"].training.seconds == 60
    assert planned.models["vae"].training.parameters == 100
    assert planned.evaluators["classifier"].training.seconds is None


@pytest.mark.parametrize("training", [{"seconds": 0}, {"seconds": -1}, {"parameters": 0}])
def test_a_budget_is_more_than_nothing(training: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="must be greater than 0"):
        study(training=training)
