"""What a family declares, which the workflow is planned from, is what its class does."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from genlab.config.families import FamilyConfig, build_family, family_class, family_names
from genlab.config.samplers import SAMPLERS
from genlab.config.study import TrainingConfig, load_model
from genlab.errors import ConfigError

HEAVY = {"torch", "torchvision", "numpy", "pandas", "mlflow", "PIL", "accelerate", "safetensors"}


@pytest.fixture(params=family_names())
def family(request: pytest.FixtureRequest) -> FamilyConfig:
    """Every family, with its defaults."""
    return build_family({"family": request.param}, "here")


def test_a_family_is_found_by_the_name_of_its_file(family: FamilyConfig) -> None:
    assert type(family).__module__ == f"genlab.config.families.{family.family}"
    assert family_class(family.family) is type(family)


def test_declaration_and_class_agree(family: FamilyConfig) -> None:
    from genlab.models.base import Model, model_class
    from genlab.models.capabilities import Encodes, Generates, HasLikelihood, Reconstructs
    from genlab.models.codes import CodeModel
    from genlab.models.dalle import DALLE
    from genlab.models.gaussian import GaussianModel

    kind = model_class(family)
    assert issubclass(kind, Model)
    assert issubclass(kind, Generates) == (family.generates == "direct")
    assert issubclass(kind, GaussianModel) == (family.generates == "gaussian")
    assert issubclass(kind, Reconstructs) == family.reconstructs
    assert issubclass(kind, Encodes) == family.encodes
    assert issubclass(kind, HasLikelihood) >= bool(family.likelihoods)  # a variant may have none
    if family.generates == "direct":
        takes_options = "options" in inspect.signature(kind.generate).parameters
        assert takes_options == (family.tempered or family.takes_prompts)
        assert issubclass(kind, CodeModel) == family.draws_tokens
        assert issubclass(kind, DALLE) == family.takes_prompts
    assert family.variant
    assert family.likelihoods or family.no_likelihood


def test_a_family_s_defaults_build_a_model_on_the_default_data(family: FamilyConfig) -> None:
    from genlab.models.base import Facts, Words, build_model

    facts = Facts((1, 28, 28), 10, Words(300, 6), {"class": 10})
    assert family.problems(channels=1, size=28) == []
    first = None
    if family.first_stage_name:
        below = build_family({"family": family.first_stage_name}, "here")
        assert family.first_stage_problems(below) == []
        first = build_model(below, facts, seed=0)
    model = build_model(family, facts, 0, first)
    assert sum(parameter.numel() for parameter in model.parameters()) > 0


def test_a_family_that_generates_has_a_sampler(family: FamilyConfig) -> None:
    fitting = [kind for name, kind in SAMPLERS.items() if kind(sampler=name).fits(family)]
    assert bool(fitting) == (family.generates != "nothing")


PRESETS = sorted((Path(__file__).parents[2] / "config" / "models").glob("*.yaml"))
OF_COLOUR = ("-cifar10", "-celeba", "-64", "-f4", "-f8")
"""Ends of the names of presets for colour images."""


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_a_preset_is_a_model_of_digits_or_of_colour_images(path: Path) -> None:
    """Its keys and its training's are known; it begins by saying what it is."""
    family = load_model(path.stem, {}, path.parents[1], "here").model
    sizes = ((3, 32), (3, 64)) if path.stem.endswith(OF_COLOUR) else ((1, 28),)
    assert any(not family.problems(channels, size) for channels, size in sizes)
    assert path.read_text().startswith("# ")


@pytest.mark.parametrize(
    ("preset", "shape", "published"),
    [
        ("ddpm-cifar10", (3, 32, 32), 35.7e6),  # Ho et al. 2020, appendix B
        # The same network with other heads, which have the same weights
        ("flow-cifar10", (3, 32, 32), 35.7e6),
    ],
)
def test_a_preset_of_a_paper_has_the_paper_s_number_of_parameters(
    preset: str, shape: tuple[int, int, int], published: float
) -> None:
    from genlab.models.base import Facts, build_model
    from genlab.training.size import parameter_count

    family = load_model(preset, {}, PRESETS[0].parents[1], "here").model
    assert parameter_count(build_model(family, Facts(shape, 10), 0)) == pytest.approx(
        published,
        abs=0.05e6,  # the paper's digits
    )


@pytest.mark.parametrize(
    ("values", "variant"),
    [
        ({"family": "ddpm", "learned_variance": True, "weighting": "min-snr"},
         "v-prediction, cosine schedule, min-SNR weighting, learned variance"),
        ({"family": "ddpm", "zero_terminal_snr": True, "conditional": True},
         "v-prediction, cosine schedule, zero terminal SNR, conditional"),
        ({"family": "score_sde", "sde": "subvp"}, "sub-VP SDE"),
        ({"family": "edm", "network": {"backbone": "dit"}}, "preconditioned, DiT"),
        (
            {"family": "edm", "network": {"backbone": "dit", "convolution": True}},
            "preconditioned, DiT with convolutions",
        ),
        ({"family": "flow_matching", "pairing": "ot"}, "linear path, OT pairing"),
        ({"family": "flow_matching", "first_stage": "flow"}, "linear path, reflow of flow"),
    ],
)  # fmt: skip
def test_the_variant_tells_models_along_a_path_apart(values: dict[str, Any], variant: str) -> None:
    family = build_family(values, "here")
    assert family.variant == variant
    assert family.knows_classes == values.get("conditional", False)
    kinds = ("elbo", "ode") if values["family"] == "ddpm" else ("ode",)
    assert family.likelihoods == kinds


def test_noise_cannot_be_predicted_where_there_is_nothing_else() -> None:
    with pytest.raises(ConfigError, match="prediction: eps can't be combined with zero_term"):
        build_family({"family": "ddpm", "zero_terminal_snr": True, "prediction": "eps"}, "here")


def test_sides_that_a_network_cannot_take_are_told_with_what_to_change() -> None:
    unet = {"multipliers": [1, 2, 2], "patch": 2}
    (problem,) = build_family({"family": "edm", "network": unet}, "here").problems(1, 28)
    assert problem.startswith("network: the image side 28 must be divisible by 8 (patch x 2 for")
    dit = {"backbone": "dit", "patch": 3}
    (problem,) = build_family({"family": "edm", "network": dit}, "here").problems(1, 28)
    assert "must be divisible by 3 (patch)" in problem


@pytest.mark.parametrize("sampler", [s for s in SAMPLERS if SAMPLERS[s].works_on == "gaussian"])
def test_a_sampler_along_a_path_is_found_by_its_name(sampler: str) -> None:
    from genlab.samplers import find

    assert find(sampler).__module__ == f"genlab.samplers.{sampler.replace('-', '_')}"


def test_the_config_floor_imports_nothing_heavy() -> None:
    """A dry run reads the study, every family and the code's hashes; it must start at once."""
    script = """
import importlib, pkgutil, sys
import genlab.config
for module in pkgutil.walk_packages(genlab.config.__path__, "genlab.config."):
    importlib.import_module(module.name)
from genlab.results.code import code
code("genlab.app.cli")
print(*{name.partition(".")[0] for name in sys.modules})
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    imported = set(ended.stdout.split())
    assert "genlab" in imported
    assert not imported & HEAVY


@pytest.mark.parametrize(("images", "batch", "steps"), [(64, 64, 1), (65, 64, 2), (1, 64, 1)])
def test_the_budget_is_counted_in_images(images: int, batch: int, steps: int) -> None:
    """The batch that reaches the budget is the last one."""
    assert TrainingConfig(images=images, batch_size=batch).steps == steps
