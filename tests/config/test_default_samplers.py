"""A study without `samplers:` draws from each model by the samplers of its family."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from genlab.config.families import FamilyConfig, build_family, family_names
from genlab.config.study import Study, load_sampler, load_study
from genlab.errors import ConfigError

CONFIG = Path(__file__).parents[2] / "config"
FAMILIES = [
    build_family(values, "here")
    for values in (
        *({"family": name} for name in family_names()),
        {"family": "ddpm", "conditional": True},
        {"family": "latent_diffusion", "text": True},
    )
]


def load(**changes: Any) -> Study:
    """A study of digits without samplers, with `changes`."""
    return load_study(
        {"name": "mine", "datasets": ["digits"], "models": ["vae"], **changes}, CONFIG, "mine.yaml"
    )


def rows(study: Study) -> dict[str, list[str]]:
    """The rows of each model of a study."""
    return {name: entry.samplers(study.samplers) for name, entry in study.models.items()}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.variant)
def test_a_family_s_samplers_fit_it(family: FamilyConfig) -> None:
    samplers = family.default_samplers
    assert bool(samplers) == (family.generates != "nothing")
    for row, settings in samplers.items():
        assert load_sampler(settings, row).fits(family)


def test_a_row_s_name_means_the_same_in_every_family() -> None:
    for one, other in itertools.combinations(FAMILIES, 2):
        for row in one.default_samplers.keys() & other.default_samplers.keys():
            assert one.default_samplers[row] == other.default_samplers[row], row


def test_each_model_is_drawn_by_its_family_s_samplers_alone() -> None:
    study = load(models=["vae", "glow", "ddpm", "edm", "flow", "vqvae-prior", "dalle", "ldm"])
    assert rows(study) == {
        "vae": ["prior"],
        "glow": ["prior", "prior-t0.7"],
        "ddpm": ["sde-dpm-12"],
        "edm": ["sde-dpm-12", "edm-18"],
        "flow": ["sde-dpm-12"],
        "vqvae": [],
        "vqvae-prior": ["prior"],
        "dalle": ["prior", "tokens-w2"],
        "autoencoder": [],
        "ldm": ["sde-dpm-12", "dpm-10-w2"],
    }
    assert study.notes == []


def test_a_model_that_knows_classes_is_guided() -> None:
    assert rows(load(models=["ddpm-conditional"])) == {
        "ddpm-conditional": ["sde-dpm-12", "dpm-10-w2"]
    }


def test_the_settings_are_those_of_the_same_row_written_out() -> None:
    written = {"sampler": "dpm-solver", "steps": 12, "spacing": "aligned", "stochastic": True}
    assert load(models=["ddpm"]) == load(models=["ddpm"], samplers={"sde-dpm-12": written})


def test_an_empty_list_of_samplers_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="samplers: needs 1 or more items"):
        load(samplers={})
