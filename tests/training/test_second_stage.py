"""A second stage: planned with its first, trained on top of it, and bound to just that one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import STUDY

from genlab.config.base import merge
from genlab.config.study import Study, load_study
from genlab.errors import ConfigError, GenLabError
from genlab.models.code_prior import CodePrior
from genlab.models.store import RAW, read_tensors
from genlab.results.layout import StudyFolder
from genlab.results.spec import read_run, run_spec
from genlab.workflow.models import load_trained
from genlab.workflow.train import train

PRIOR = {"models": ["vqvae-prior"], "samplers": {"prior": {"sampler": "prior"}}}


def resolved(config: Path, **changes: Any) -> Study:
    values = {key: value for key, value in STUDY.items() if key != "samplers"}
    return load_study(merge(values, PRIOR) | changes, config, "tiny.yaml")


def test_a_first_stage_that_is_not_named_is_added_before(tiny_config: Path) -> None:
    study = resolved(tiny_config)
    assert list(study.models) == ["vqvae", "vqvae-prior"]
    assert study.models["vqvae"].training.images == 256  # the study's budget


def test_a_first_stage_that_is_named_is_taken_as_it_is(tiny_config: Path) -> None:
    changed = {"preset": "vqvae", "codes": 4}
    study = resolved(tiny_config, models=["vqvae-prior", changed])
    assert list(study.models) == ["vqvae", "vqvae-prior"]
    assert study.models["vqvae"].model.model_dump()["codes"] == 4
    other = {"preset": "vqvae", "name": "coarse", "codes": 4}
    prior = {"preset": "vqvae-prior", "first_stage": "coarse"}
    assert list(resolved(tiny_config, models=[prior, other]).models) == ["coarse", "vqvae-prior"]


def test_all_that_a_chain_builds_on_is_added_and_the_classifier_is_the_study_s(
    tiny_config: Path,
) -> None:
    """Which has seed 0 whatever the run's, and is none of the models."""
    perceptual = {"preset": "kl_autoencoder", "name": "seen", "perceptual": 0.1}
    ldm = {"preset": "latent_diffusion", "first_stage": "seen", "network": {"multipliers": [1]}}
    ddim = {"ddim": {"sampler": "ddim", "steps": 3}}
    study = resolved(tiny_config, models=[ldm, perceptual, "ddpm"], samplers=ddim)
    assert list(study.models) == ["seen", "latent_diffusion", "ddpm"]
    trained_on = {name: study.trained_on(name) for name in study.models}
    assert trained_on == {"seen": ("classifier",), "latent_diffusion": ("classifier",), "ddpm": ()}
    above = run_spec(study, "stripes", study.models["latent_diffusion"], 3)
    seen = above.first_stage
    assert seen is not None and seen.first_stage is not None
    assert [(each.name, each.seed) for each in (above, seen, seen.first_stage)] == [
        ("latent_diffusion", 3), ("seen", 3), ("classifier", 0)
    ]  # fmt: skip
    assert seen.first_stage == run_spec(study, "stripes", study.evaluators["classifier"], 0)


def test_the_side_that_a_network_must_divide_is_that_of_the_latents(tiny_config: Path) -> None:
    ddim = {"ddim": {"sampler": "ddim", "steps": 3}}
    ldm = {"preset": "latent_diffusion", "network": {"multipliers": [1, 2, 2]}}
    with pytest.raises(ConfigError, match=r"'stripes': network: the latent side 2 must be divisib"):
        resolved(tiny_config, models=[ldm], samplers=ddim)


def test_no_model_builds_on_itself(tiny_config: Path) -> None:
    flow = {"preset": "flow_matching", "network": {"multipliers": [1]}}
    models = [{**flow, "name": "a", "first_stage": "a"}]
    ddim = {"ddim": {"sampler": "ddim", "steps": 3}}
    with pytest.raises(ConfigError, match="'a': first_stage: 'a' builds on 'a' itself"):
        resolved(tiny_config, models=models, samplers=ddim)


@pytest.mark.parametrize(
    ("first", "said"),
    [
        ("vae", "models: 'vqvae-prior': first_stage: "),
        ("vqvea", "models: unknown model 'vqvea': did you mean 'vqvae'?"),
    ],
)
def test_a_first_stage_that_does_not_fit_is_refused(
    tiny_config: Path, first: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=r"^tiny\.yaml: ") as error:
        resolved(tiny_config, models=[{"preset": "vqvae-prior", "first_stage": first}])
    assert said in str(error.value)


def test_a_temperature_draws_only_from_families_that_know_one(tiny_config: Path) -> None:
    rows = {"prior": {"sampler": "prior"}, "cold": {"sampler": "prior", "temperature": 0.7}}
    study = resolved(tiny_config, models=["vqvae-prior", "vae"], samplers=rows)
    assert study.models["vqvae-prior"].samplers(study.samplers) == ["prior", "cold"]
    assert study.models["vae"].samplers(study.samplers) == ["prior"]
    (note,) = resolved(tiny_config, models=["vae"], samplers=rows).notes
    assert note == (
        "samplers: 'cold' is left out, because it fits no model of this study "
        "(vae: the model supports no temperature other than 1)"
    )
    with pytest.raises(ConfigError, match="temperature: must be greater than 0, got 0"):
        resolved(tiny_config, samplers={"hot": {"sampler": "prior", "temperature": 0}})


def test_another_first_stage_is_another_spec(tiny_config: Path) -> None:
    """So that no checkpoint of the one is continued on top of the other."""

    def digest(**changes: Any) -> str:
        study = resolved(tiny_config, models=["vqvae-prior", {"preset": "vqvae", **changes}])
        return run_spec(study, "stripes", study.models["vqvae-prior"], 0).digest

    assert digest() == digest()
    assert digest() != digest(training={"warmup": 0.1})


def test_the_second_stage_holds_the_first_one_unchanged(
    tiny_study: Callable[..., StudyFolder],
) -> None:
    at = tiny_study(models=["vqvae-prior", "ddpm"])
    below, run = (at.run("stripes", name, 0) for name in ("vqvae", "vqvae-prior"))
    with pytest.raises(GenLabError, match=r"vqvae/seed0/model/weights\.safetensors: no such"):
        train(run, cpu=True)
    train(below, cpu=True)
    train(run, cpu=True)
    first, _ = read_tensors(below.weights)
    second, _ = read_tensors(run.weights)
    for name, tensor in first.items():
        if name.startswith(RAW):
            kept = second[f"{RAW}first_stage.{name.removeprefix(RAW)}"]
            assert torch.equal(kept, tensor), name
    below.weights.unlink()  # not needed any more
    model = load_trained(run)
    assert isinstance(model, CodePrior)
    assert not model.train().first_stage.training

    below.config.write_text(below.config.read_text().replace("warmup: 0.05", "warmup: 0.1"))
    train(below, cpu=True)
    other = read_run(below.config).digest
    with pytest.raises(GenLabError, match=rf"vqvae/seed0/config\.yaml: its digest is {other}, but"):
        train(run, cpu=True)
