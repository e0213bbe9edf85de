"""The samplers' settings: what the classes declare is what the functions take."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from pydantic import ValidationError

from genlab.config.families import build_family
from genlab.config.samplers import SAMPLERS, SteppedSampler, settings

ALONG_A_PATH = [name for name, kind in SAMPLERS.items() if kind.works_on == "gaussian"]


@pytest.mark.parametrize("name", ALONG_A_PATH)
def test_settings_and_their_defaults_are_those_of_the_function(name: str) -> None:
    """Only `steps` has no default there: who calls a sampler by hand says how many."""
    from genlab.samplers import find

    taken = {
        parameter.name: parameter.default
        for parameter in inspect.signature(find(name)).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    declared = settings(SAMPLERS[name](sampler=name))
    assert declared.keys() == taken.keys()
    for key in declared.keys() - {"steps"}:
        assert declared[key] == taken[key], key


def test_facts_of_the_samplers() -> None:
    """Which samplers draw noise only once is tested in tests/samplers."""
    deterministic = {name for name, kind in SAMPLERS.items() if kind.deterministic}
    assert deterministic < set(ALONG_A_PATH)
    for name, kind in SAMPLERS.items():
        assert kind.takes_steps == ("steps" in kind.model_fields), name
        assert kind.takes_guidance == ("guidance" in kind.model_fields), name
        assert kind.label and kind.explanation.endswith("."), name
        assert kind(sampler=name).sampler == name
    assert len({kind.place for kind in SAMPLERS.values()}) == len(SAMPLERS)


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        (name, {"steps": steps}, "greater than or equal to 1")
        for name in ALONG_A_PATH
        if issubclass(SAMPLERS[name], SteppedSampler)
        for steps in (0, -3)
    ]
    + [
        ("ddim", {"eta": 1.5}, "less than or equal to 1"),
        ("ddpm", {"variance": "huge"}, "'small', 'large' or 'learned'"),
        ("heun", {"spacing": "even"}, "'uniform', 'quadratic', 'karras', 'log-snr' or 'aligned'"),
        ("edm", {"churn": -1}, "greater than or equal to 0"),
        ("edm", {"churn_from": 60}, "churn_from 60.0 is above churn_to 50.0"),
        ("predictor-corrector", {"snr": 0}, "greater than 0"),
        ("predictor-corrector", {"corrections": -1}, "greater than or equal to 0"),
        ("predictor-corrector", {"predictor": "euler"}, "'euler-maruyama', 'reverse-diffusion' or"),
        ("dopri5", {"rtol": 0}, "greater than 0"),
        ("dopri5", {"steps": 10}, "unknown key 'steps': known: atol"),
        ("euler", {"guidance": -0.5}, "greater than or equal to 0"),
        ("tokens", {"guidance": -0.5}, "greater than or equal to 0"),
        ("tokens", {"temperature": 0}, "greater than 0"),
        ("tokens", {"top_k": 0}, "greater than 0"),
        ("tokens", {"top_p": 0}, "greater than 0"),
        ("tokens", {"top_p": 1.1}, "less than or equal to 1"),
        ("prior", {"top_k": 5}, "unknown key 'top_k'"),
    ],
)
def test_what_makes_no_sense_is_refused(name: str, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        SAMPLERS[name].model_validate({"sampler": name, **wrong})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("family", "values", "obstacle"),
    [
        ("dalle", {"guidance": 3, "top_k": 5, "top_p": 0.9, "temperature": 0.8}, None),
        ("code_prior", {"top_k": 5, "top_p": 0.9, "temperature": 0.8}, None),
        ("code_prior", {"guidance": 3}, "the model takes no prompts to guide it"),
        ("vae", {}, "the model draws no tokens"),
        ("glow", {"temperature": 0.8}, "the model draws no tokens"),
        ("ddpm", {}, "it draws in one pass, the model along a Gaussian path"),
        ("vqvae", {}, "it draws in one pass, the model nothing at all"),
    ],
)
def test_tokens_are_drawn_from_models_of_tokens(
    family: str, values: dict[str, Any], obstacle: str | None
) -> None:
    config = build_family({"family": family}, "here")
    sampler = SAMPLERS["tokens"].model_validate({"sampler": "tokens", **values})
    assert sampler.obstacle(config) == obstacle
    assert sampler.fits(config) == (obstacle is None)
