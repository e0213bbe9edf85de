"""A wrong study is refused before any job starts, by a message that says where and what to do."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel
from test_families import OF_COLOUR

from genlab.config.base import dump_yaml, merge, read_yaml
from genlab.config.evaluators import trained_evaluators
from genlab.config.study import Study, load_study
from genlab.errors import ConfigError, GenLabError
from genlab.results.spec import read_run, read_samples

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config"
GOOD: dict[str, Any] = {
    "name": "mine",
    "datasets": ["digits"],
    "models": ["vae", "ddpm"],
    "samplers": {"prior": {"sampler": "prior"}, "ddim": {"sampler": "ddim"}},
}


def load(changes: dict[str, Any], config: Path = CONFIG) -> Study:
    """The study GOOD with `changes`."""
    return load_study(merge(GOOD, changes), config, "mine.yaml")


@pytest.mark.parametrize(
    "path",
    [CONFIG / "config.yaml", *sorted((CONFIG / "studies").glob("*.yaml"))],
    ids=lambda p: p.stem,
)
@pytest.mark.usefixtures("pictures")
def test_every_study_that_is_shipped_is_valid(path: Path) -> None:
    """By its own name, with a sampler for each model that draws, and none that draws nothing."""
    study = load_study(read_yaml(path), CONFIG, path)
    assert study.name == {"config": "default"}.get(path.stem, path.stem)
    assert study.notes == []


@pytest.mark.parametrize("name", sorted(p.stem for p in (CONFIG / "datasets").glob("*.yaml")))
@pytest.mark.usefixtures("pictures")
def test_every_dataset_that_is_shipped_is_valid(name: str) -> None:
    """Of `pictures` the names are looked at."""
    assert name in load({"datasets": [name]}).datasets


@pytest.mark.parametrize("name", sorted(p.stem for p in (CONFIG / "models").glob("*.yaml")))
def test_every_model_that_is_shipped_is_valid_or_generates_nothing(name: str) -> None:
    changes = {
        "datasets": ["celeba" if name.endswith(OF_COLOUR) else "digits"],
        "models": ["vae", "ddpm", {"preset": name, "name": "another"}],
    }
    if name in trained_evaluators():
        with pytest.raises(ConfigError, match="'another' generates no images"):
            load(changes)
    else:
        assert load(changes).models["another"].preset == name


MISTAKES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "misspelt key": ({"sedes": [0]}, ["mine.yaml: unknown key 'sedes'", "did you mean 'seeds'?"]),
    "misspelt key of evaluation": (
        {"evaluation": {"sample": 100}},
        ["mine.yaml: evaluation: unknown key 'sample'", "did you mean 'samples'?"],
    ),
    "misspelt key of tracking": (
        {"tracking": {"wandbb": "off"}},
        ["mine.yaml: tracking: unknown key 'wandbb'", "did you mean 'wandb'?"],
    ),
    "misspelt key of the study's training": (
        {"training": {"imagse": 10}},
        ["mine.yaml: training: unknown key 'imagse'", "did you mean 'images'?"],
    ),
    "misspelt key of a model": (
        {"models": [{"preset": "vae", "latnet": 3}, "ddpm"]},
        ["mine.yaml: models: vae: unknown key 'latnet'", "did you mean 'latent'?"],
    ),
    "misspelt key of a model's network": (
        {"models": ["vae", {"preset": "ddpm", "network": {"chanels": 8}}]},
        ["mine.yaml: models: ddpm: network: unknown key 'chanels'", "did you mean 'channels'?"],
    ),
    "misspelt key of a model's training": (
        {"models": [{"preset": "vae", "training": {"ema_decay": 0.9}}, "ddpm"]},
        ["mine.yaml: models: vae: training: unknown key 'ema_decay'", "known: accumulation, b"],
    ),
    "misspelt key of the classifier's training": (
        {"evaluation": {"classifier": {"image": 10}}},
        ["mine.yaml: evaluation.classifier: unknown key 'image'", "did you mean 'images'?"],
    ),
    "misspelt key of a sampler": (
        {"samplers": {"ddim": {"sampler": "ddim", "step": 5}}},
        ["mine.yaml: samplers.ddim: unknown key 'step'", "did you mean 'steps'?"],
    ),
    "missing key": (
        {"name": None},
        ["mine.yaml: name: expected text, but it is empty; write a value"],
    ),
    "wrong type in the study": (
        {"seeds": ["zero"]},
        ["mine.yaml: seeds.0: expected a whole number, got 'zero'"],
    ),
    "wrong type in training": (
        {"models": [{"preset": "vae", "training": {"batch_size": "many"}}, "ddpm"]},
        ["mine.yaml: models: vae: training: batch_size: expected a whole number, got 'many'"],
    ),
    "value out of range": (
        {"models": [{"preset": "vae", "latent": 0}, "ddpm"]},
        ["mine.yaml: models: vae: latent: must be at least 1, got 0"],
    ),
    "value that isn't finite": (
        {"models": [{"preset": "vae", "training": {"learning_rate": float("inf")}}, "ddpm"]},
        ["models: vae: training: learning_rate: expected a finite number, got inf"],
    ),
    "wrong choice": (
        {"models": ["vae", {"preset": "ddpm", "prediction": "noise"}]},
        ["mine.yaml: models: ddpm: prediction: expected 'eps', 'x0' or 'v', got 'noise'"],
    ),
    "several misspelt keys": (
        {"sedes": [0], "modles": []},
        ["unknown key 'sedes': did you mean 'seeds'?", "unknown key 'modles': did you mean"],
    ),
    "one model, not a list": (
        {"models": "vae"},
        ["mine.yaml: models: expected a list such as [vae], got 'vae'"],
    ),
    "one seed, not a list": (
        {"seeds": 3},
        ["mine.yaml: seeds: expected a list such as [3], got 3"],
    ),
    "an empty section": (
        {"evaluation": None},
        ["mine.yaml: evaluation: expected 'key: value'", "is empty; write a value, or leave the"],
    ),
    "an evaluator among the models": (
        {"models": ["vae", {"preset": "autoencoder-latent", "training": {"images": 640}}]},
        [
            "mine.yaml: models: 'autoencoder-latent' is an evaluator; change its training under "
            "evaluation.autoencoder_latent"
        ],
    ),
    "an evaluator that the study doesn't need": (
        {"models": ["judge"]},
        ["models: 'judge' is an evaluator; change its training under prompts.judge"],
    ),
    "an entry without a preset": (
        {"models": [{"name": "mine"}]},
        ["mine.yaml: models: {'name': 'mine'} has no `preset:`; write {preset: NAME, ...}: known:"],
    ),
    "an entry that is a list": (
        {"models": [["vae"]]},
        ["mine.yaml: models.0: expected a name such as vae, or {preset: vae}, got ['vae']"],
    ),
    "a preset that is a list": (
        {"models": [{"preset": ["vae"]}]},
        ["mine.yaml: models: preset: expected a name, got ['vae']"],
    ),
    "a family that is a list": (
        {"models": [{"preset": "vae", "family": ["vae"]}]},
        ["mine.yaml: models: vae: family: expected a name, got ['vae']; known: autoencoder_latent"],
    ),
    "a sampler that is a list": (
        {"samplers": {"ddim": {"sampler": ["ddim"]}}},
        ["mine.yaml: samplers.ddim: sampler: expected a name, got ['ddim']; known: ddim, ddpm"],
    ),
    "a sampler that is a mapping": (
        {"samplers": {"ddim": {"sampler": {"ddim": 1}}}},
        ["mine.yaml: samplers.ddim: sampler: expected a name, got {'ddim': 1}; known: ddim"],
    ),
    "a backbone that is a list": (
        {"models": ["vae", {"preset": "ddpm", "network": {"backbone": ["unet"]}}]},
        ["models: ddpm: network: backbone: expected a name, got ['unet']; known: dit, unet"],
    ),
    "a network that is a number": (
        {"models": ["vae", {"preset": "ddpm", "network": 5}]},
        ["models: ddpm: network: expected a mapping such as {channels: 32}, got 5"],
    ),
    "true for a number": (
        {"samplers": {"ddim": {"sampler": "ddim", "steps": True}}},
        ["mine.yaml: samplers.ddim: steps: expected a number, got true"],
    ),
    "true among numbers": (
        {"seeds": [True]},
        ["mine.yaml: seeds: expected a number, got true"],
    ),
    "a number for text": (
        {"description": 5},
        ["mine.yaml: description: expected text, got 5; put it in quotes"],
    ),
    "an absurd width": (
        {"models": [{"preset": "vae", "channels": 1e30}, "ddpm"]},
        ["mine.yaml: models: vae: channels: expected a whole number, got 1e+30"],
    ),
    "an absurd rate": (
        {"training": {"learning_rate": 1e308}},
        [
            "mine.yaml: training: learning_rate: must lie between -4294967295 and "
            "4294967295, got 1e+308"
        ],
    ),
    "an empty path": (
        {"evaluation": {"weights": {"inception-v3-compat": ""}}},
        [
            "mine.yaml: evaluation.weights.inception-v3-compat: is empty; write a value, or leave "
            "the key out"
        ],
    ),
    "fewer samples than features": (
        {"evaluation": {"samples": 63}},
        ["evaluation.samples: 63 are too few for FID in the 64 features of classifier; take 64"],
    ),
    "fewer samples than Inception's features": (
        {"evaluation": {"extractors": ["inception-v3-compat"]}},
        [
            "mine.yaml: evaluation.samples: 1000 are too few for FID in the 2048 features of ",
            "inception-v3-compat; take 2048 or more, or remove inception-v3-compat from",
        ],
    ),
    "as many neighbours as samples": (
        {"evaluation": {"samples": 100, "neighbours": 100}},
        ["evaluation: neighbours: 100 needs at least 101 samples, but samples is 100; change one"],
    ),
    "more splits than samples": (
        {"evaluation": {"samples": 100, "splits": 101}},
        ["evaluation: splits: 101 needs at least 101 samples, but samples is 100; change one"],
    ),
    "no weights": (
        {
            "datasets": ["mnist"],
            "evaluation": {
                "samples": 2048,
                "extractors": ["inception-v3-compat"],
                "weights": {"inception-v3-compat": "none.pth"},
            },
        },
        ["mine.yaml: evaluation.weights: inception-v3-compat: none.pth: no such file"],
    ),
    "weights under their former key": (
        {"evaluation": {"inception_weights": "weights.pth"}},
        [
            "mine.yaml: evaluation: unknown key 'inception_weights': it is called "
            "'weights: {inception-v3-compat: FILE}' now"
        ],
    ),
    "weights of an extractor without any": (
        {"evaluation": {"weights": {"dinov2-vit-b": "weights.pth"}}},
        [
            "mine.yaml: evaluation.weights.dinov2-vit-b",
            "'dinov2-vit-b' reads no file of weights: did you mean 'dinov2-vit-b-14'?",
        ],
    ),
    "unknown data set": (
        {"datasets": ["digit"]},
        ["mine.yaml: datasets: unknown data set 'digit'", "did you mean 'digits'?"],
    ),
    "unknown model": (
        {"models": ["ddmp"]},
        ["mine.yaml: models: unknown model 'ddmp'", "did you mean 'ddpm'?"],
    ),
    "unknown sampler": (
        {"samplers": {"ddim": {"sampler": "dimm"}}},
        ["mine.yaml: samplers.ddim: sampler: unknown sampler 'dimm'", "did you mean 'ddim'?"],
    ),
    "sampler without a kind": (
        {"samplers": {"ddim": {"sampler": None, "steps": 5}}},
        ["mine.yaml: samplers.ddim: sampler: missing", "ddim, ddpm, ", "prior"],
    ),
    "unknown family": (
        {"models": [{"preset": "vae", "family": "vaee"}]},
        ["mine.yaml: models: vae: family: unknown family 'vaee'", "did you mean 'vae'?"],
    ),
    "unknown extractor": (
        {"evaluation": {"extractors": ["inception"]}},
        [
            "evaluation.extractors.0: unknown extractor 'inception'",
            "did you mean 'inception-v3-compat'?",
        ],
    ),
    "no model": ({"models": []}, ["mine.yaml: models: needs 1 or more items, got []"]),
    "model that no sampler fits": (
        {"samplers": {"ddim": None}},
        [
            "mine.yaml: samplers: none fits 'ddpm'",
            "prior: it draws in one pass, the model along a Gaussian path",
            "add a line such as `ddpm: {sampler: ddpm}` (sampler: ddpm or ddim or",
        ],
    ),
    "noise predicted where nothing else is left": (
        {"models": ["vae", {"preset": "ddpm", "prediction": "eps", "zero_terminal_snr": True}]},
        [
            "mine.yaml: models: ddpm: ",
            "eps can't be combined with zero_terminal",
            "predict v or x0",
        ],
    ),
    "an unknown backbone": (
        {"models": ["vae", {"preset": "ddpm", "network": {"backbone": "unett"}}]},
        ["mine.yaml: models: ddpm: network: backbone: unknown backbone 'unett'", "mean 'unet'?"],
    ),
    "more steps than timesteps": (
        {"samplers": {"ddim": {"sampler": "ddim", "steps": 1001}}},
        [
            "mine.yaml: samplers.ddim.steps: 1001 steps are more than the 1000 timesteps of 'ddpm'",
            "take 1000 or fewer",
        ],
    ),
    "bernoulli on colour": (
        {"datasets": ["cifar10"], "models": ["vae-bernoulli", "ddpm"]},
        [
            "mine.yaml: models: 'vae-bernoulli' on 'cifar10': likelihood: bernoulli needs grey",
            "; replace vae-bernoulli by vae-logistic",
            "the line is `models: [vae-logistic, ddpm]`",
        ],
    ),
    "bernoulli on colour, with changes that stay": (
        {
            "datasets": ["cifar10"],
            "models": [{"preset": "beta-vae", "name": "b-2", "beta": 2}, "vae-bernoulli", "ddpm"],
        },
        [
            "mine.yaml: models: 'b-2' on 'cifar10': likelihood: bernoulli needs grey",
            "; replace beta-vae by beta-vae-logistic",
            "is `models: [{preset: beta-vae-logistic, name: b-2, beta: 2}, vae-logistic, ddpm]`",
        ],
    ),
    "bernoulli on colour by a change of one's own": (
        {"datasets": ["cifar10"], "models": [{"preset": "vae", "likelihood": "bernoulli"}, "ddpm"]},
        ["likelihood: bernoulli needs grey images, but these have 3 channels; use likelihood: "],
    ),
    "a flow whose matrices are too large": (
        {"datasets": ["celeba"], "models": ["glow", "ddpm"]},
        [
            "mine.yaml: models: 'glow' on 'celeba': global_steps: the 2 levels",
            "; replace glow by glow-64",
            "the line is `models: [glow-64, ddpm]`",
        ],
    ),
    "side that can't be halved so often": (
        {"models": ["vae", {"preset": "ddpm", "network": {"multipliers": [1, 2, 2, 2]}}]},
        [
            "mine.yaml: models: 'ddpm' on 'digits': network: the image side 28 must be ",
            "divisible by 16",
        ],
    ),
    "more samples than are held out": (
        {"evaluation": {"samples": 1001}},
        [
            "mine.yaml: evaluation.samples: 1001 are more than the 1000 held-out images of",
            "which the calibration rows 'real', 'blur-2' consist of; take fewer, or remove these",
        ],
    ),
    "an unknown calibration row": (
        {"evaluation": {"calibration": ["real", "blurr-2"]}},
        [
            "mine.yaml: evaluation.calibration.1: unknown calibration row 'blurr-2': did you mean ",
            "'blur-2'?",
        ],
    ),
    "a flaw without its strength": (
        {"evaluation": {"calibration": ["grain"]}},
        ["unknown calibration row 'grain': did you mean 'grain-"],
    ),
    "more classes dropped than there are": (
        {"datasets": ["sprites"], "evaluation": {"calibration": ["dropped-class-3"]}},
        [
            "mine.yaml: evaluation.calibration: 'dropped-class-3' leaves out 3 of the classes of ",
            "'sprites', which has only 3; remove it",
        ],
    ),
    "a key that is gone": (
        {"evaluation": {"kid_subset_size": 100}},
        ["evaluation: unknown key 'kid_subset_size': KID takes all images now; remove this key"],
    ),
    "a model twice": (
        {"models": ["vae", "vae"]},
        ["models: 'vae' is listed twice", "another `name:`"],
    ),
    "a data set twice": ({"datasets": ["digits"] * 2}, ["datasets: 'digits' is listed twice"]),
    "a seed twice": ({"seeds": [1, 1]}, ["seeds: '1' is listed twice"]),
    "a taken model name": (
        {"models": [{"preset": "vae", "name": "calibration"}]},
        ["mine.yaml: models: the name 'calibration' is reserved; choose another `name:`"],
    ),
    "a taken study name": (
        {"name": "data"},
        ["mine.yaml: name: 'data' is reserved; choose another name"],
    ),
    "a name that is no file name": (
        {"models": [{"preset": "vae", "name": "a/b"}]},
        ["mine.yaml: models: a/b: name: a name has a-z, 0-9, ", "got 'a/b'"],
    ),
}


@pytest.mark.parametrize(("changes", "said"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_named_with_its_place_and_remedy(
    changes: dict[str, Any], said: list[str]
) -> None:
    values = merge(GOOD, changes)
    values["samplers"] = {k: v for k, v in values["samplers"].items() if v is not None}
    with pytest.raises(ConfigError) as caught:
        load_study(values, CONFIG, "mine.yaml")
    for part in said:
        assert part in str(caught.value)


def test_a_mapping_of_aliases_to_aliases_is_refused_in_a_short_message(own_config: Path) -> None:
    """Each level names the one before ten times: 10^9 words, if anything wrote them out."""
    levels = [f"  a{i}: &a{i} [{', '.join(10 * [f'*a{i - 1}'])}]" for i in range(1, 10)]
    text = "\n".join(["family: vae", "latent:", "  a0: &a0 x", *levels])
    (own_config / "models/vae.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"models/vae\.yaml: latent: expected a whole") as caught:
        load({}, own_config)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("text", "value"),
    [("off", "off"), ("no", "no"), ("true", True), ("010", 10), ("1:30", "1:30"), ("1e3", 1000.0),
     ("0x1f", 31), ("2024-01-01", "2024-01-01"), ("-.inf", -math.inf), ("~", None), ("", None)],
)  # fmt: skip
def test_scalars_are_those_of_yaml_1_2(text: str, value: object, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(f"x: {text}")
    (read,) = read_yaml(tmp_path / "x.yaml").values()
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize("text", ["off", "1e3", "2024-01-01", "0o17", "010", "~", "", "a: b"])
def test_text_that_is_written_is_read_back_as_text(text: str, tmp_path: Path) -> None:
    """Whatever it looks like."""
    config = Named(name=text)
    (tmp_path / "x.yaml").write_text(dump_yaml(config))
    assert read_yaml(tmp_path / "x.yaml") == {"name": text}
    assert yaml.safe_load(dump_yaml(config)) == {"name": text}


class Named(BaseModel):
    """Any configuration with a text."""

    name: str


NOTES: dict[str, tuple[dict[str, Any], str]] = {
    "no path": (
        {"models": ["vae"]},
        "samplers: 'ddim' is left out, because it fits no model of this study "
        "(vae: it draws along a Gaussian path, the model in one pass)",
    ),
    "guidance without classes": (
        {"samplers": {"guided": {"sampler": "ddim", "guidance": 2.0}}},
        "samplers: 'guided' is left out, because it fits no model of this study (vae, ddpm: the "
        "model has neither classes nor prompts to guide it (conditional: true, or text: true "
        "where the family has it))",
    ),
    "a variance that nobody learned": (
        {"samplers": {"learned": {"sampler": "ddpm", "variance": "learned"}}},
        "samplers: 'learned' is left out, because it fits no model of this study "
        "(vae, ddpm: the model learned no variance (learned_variance: true))",
    ),
}


@pytest.mark.parametrize(("changes", "note"), NOTES.values(), ids=NOTES.keys())
def test_a_sampler_that_fits_no_model_is_left_out_with_a_note(
    changes: dict[str, Any], note: str
) -> None:
    study = load(changes)
    assert study.notes == [note]
    assert load({}).notes == []


def test_all_models_that_do_not_fit_are_named_at_once_with_others_that_do() -> None:
    """The default study on colour images; the line that the message gives plans it."""
    values = read_yaml(CONFIG / "config.yaml") | {"datasets": ["cifar10"]}
    with pytest.raises(ConfigError) as caught:
        load_study(values, CONFIG, "mine.yaml")
    *problems, remedy = str(caught.value).splitlines()
    assert [problem.rsplit("; ")[-1] for problem in problems] == [
        "replace vae-bernoulli by vae",
        "replace beta-vae by beta-vae-logistic",
    ]
    line = remedy.split("`")[1]
    assert line.startswith("models: [ddpm, score-sde,")
    study = load_study(values | yaml.safe_load(line), CONFIG, "mine.yaml")
    replaced = {"vae-bernoulli": "vae", "beta-vae": "beta-vae-logistic"}
    assert [m for m in study.models if m in values["models"] or m in replaced.values()] == [
        replaced.get(name, name) for name in values["models"]
    ]


def test_several_mistakes_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        load({"seeds": ["zero"], "models": [{"preset": "vae"}], "datasets": []})
    places = {line.split(":")[1].strip() for line in str(caught.value).splitlines()}
    assert places >= {"datasets", "seeds.0"}


@pytest.fixture
def own_config(tmp_path: Path) -> Path:
    """A `config/` folder of one's own, to be edited."""
    return Path(shutil.copytree(CONFIG, tmp_path / "config"))


FILE_MISTAKES: dict[str, tuple[str, str, list[str]]] = {
    "a key twice": (
        "models/vae.yaml",
        "family: vae\nlatent: 3\ntraining: {ema: 0, batch_size: 8,\n  ema: 0.5}",
        ["models/vae.yaml: not valid YAML: line 4: duplicate key 'ema'"],
    ),
    "no number": (
        "models/vae.yaml",
        "family: vae\nlatent: !!int abc",
        ["models/vae.yaml: not valid YAML: line 2: 'abc' is not of type int"],
    ),
    "an impossible date": (
        "models/vae.yaml",
        "family: vae\nlatent: 2024-13-45",
        ["models/vae.yaml: latent: expected a whole number, got '2024-13-45'"],
    ),
    "a number without end": (
        "models/vae.yaml",
        "family: vae\nlatent: " + 5000 * "9",
        ["models/vae.yaml: not valid YAML: line 2: a number of 5000 digits"],
    ),
    "levels without end": (
        "models/vae.yaml",
        "family: vae\nlatent: " + 1500 * "[" + 1500 * "]",
        ["models/vae.yaml: not valid YAML: line 2: more than 50 levels of nesting"],
    ),
    "an alias inside itself": (
        "models/vae.yaml",
        "family: &a [*a]",
        ["models/vae.yaml: not valid YAML: line 1: "],
    ),
    "an object of Python": (
        "models/vae.yaml",
        "family: !!python/object/apply:os.system [true]",
        ["models/vae.yaml: not valid YAML: line 1: unknown tag '!!python/object/apply:os.system'"],
    ),
    "half a character": (
        "models/vae.yaml",
        'family: "\\uD800"',
        ["models/vae.yaml: not valid YAML: line 1: unprintable characters"],
    ),
    "a key that is a list": (
        "models/vae.yaml",
        "? [a]\n: 1",
        ["models/vae.yaml: not valid YAML: line 1: a key must be text or a number"],
    ),
    "data set, a source that is a list": (
        "datasets/digits.yaml",
        "source: [digits]",
        ["datasets/digits.yaml: source: expected a name, got ['digits']; known: celeba, digits"],
    ),
    "data set, too large": (
        "datasets/digits.yaml",
        "{source: celeba, size: 100000}",
        ["datasets/digits.yaml: size: must be at most 1024 pixels, got 100000"],
    ),
    "data set, without a path": (
        "datasets/digits.yaml",
        "{source: image_folder, size: 32, path: ''}",
        ["datasets/digits.yaml: path: is empty; write a value, or leave the key out"],
    ),
    "data set, names for other classes": (
        "datasets/digits.yaml",
        "{source: sprites, names: [a, b]}",
        ["datasets/digits.yaml: names: 2 names for 3 classes; give one per class"],
    ),
    "data set, smaller than the features": (
        "datasets/digits.yaml",
        "{source: scenes, train: 63, test: 2000}",
        [
            "mine.yaml: datasets: 'digits' has only 63 training images, but evaluation.",
            "extractors: classifier needs at least 64; add images, or change that key",
        ],
    ),
    "a classifier of another family": (
        "models/classifier.yaml",
        "family: vae",
        [
            "models/classifier.yaml: family: must be classifier, because other models are "
            "measured by it"
        ],
    ),
    "data set, misspelt key": (
        "datasets/digits.yaml",
        "source: digits\nsice: 3",
        ["datasets/digits.yaml: unknown key 'sice'", "did you mean 'source'?"],
    ),
    "data set, unknown source": (
        "datasets/digits.yaml",
        "source: digit",
        ["datasets/digits.yaml: source: unknown source 'digit'", "did you mean 'digits'?"],
    ),
    "data set, wrong type": (
        "datasets/digits.yaml",
        "{source: image_folder, path: x, size: big}",
        ["datasets/digits.yaml: size: expected a whole number, got 'big'"],
    ),
    "model, misspelt key": (
        "models/vae.yaml",
        "{family: vae, chanels: 3}",
        ["models/vae.yaml: unknown key 'chanels'", "did you mean 'channels'?"],
    ),
    "model, misspelt key of its training": (
        "models/vae.yaml",
        "{family: vae, training: {learning_rat: 3}}",
        ["models/vae.yaml: training: unknown key 'learning_rat'", "mean 'learning_rate'?"],
    ),
    "model, unknown family": (
        "models/vae.yaml",
        "family: ddmp",
        ["models/vae.yaml: family: unknown family 'ddmp'", "did you mean 'ddpm'?"],
    ),
    "model, no family": (
        "models/vae.yaml",
        "latent: 3",
        ["models/vae.yaml: family: missing; known: ", "classifier, ", "ddpm, ", "vae"],
    ),
    "model, builds on itself": (
        "models/vae.yaml",
        "preset: vae",
        ["models/vae.yaml: preset: 'vae' builds on itself: vae -> vae"],
    ),
    "model, builds on none": (
        "models/vae.yaml",
        "preset: vaee",
        ["models/vae.yaml: preset: unknown model 'vaee'", "did you mean 'vae'?"],
    ),
    "model, builds on a wrong one": (
        "models/ddpm.yaml",
        "{preset: score-sde, sdee: ve}",
        ["models/ddpm.yaml: unknown key 'sdee'", "did you mean 'sde'?"],
    ),
    "no YAML": ("models/vae.yaml", "family: [vae", ["models/vae.yaml: not valid YAML", "line 1"]),
    "no text": ("models/vae.yaml", "\x00\x01", ["models/vae.yaml: not valid YAML"]),
    "no mapping": (
        "models/vae.yaml",
        "- vae",
        ["models/vae.yaml: expected 'key: value' lines, got ['vae']"],
    ),
}


@pytest.mark.parametrize(("name", "text", "said"), FILE_MISTAKES.values(), ids=FILE_MISTAKES.keys())
def test_a_mistake_in_a_file_is_named_with_the_file(
    name: str, text: str, said: list[str], own_config: Path
) -> None:
    (own_config / name).write_text(text)
    with pytest.raises(ConfigError) as caught:
        load({}, own_config)
    for part in said:
        assert part in str(caught.value)


def test_a_preset_says_what_differs_from_the_one_it_builds_on(own_config: Path) -> None:
    """Key by key, nested ones as well; in its place a family gives its defaults."""
    folder = own_config / "models"
    (folder / "base.yaml").write_text("{preset: ddpm, training: {ema: 0.5, batch_size: 8}}")
    (folder / "top.yaml").write_text("{preset: base, gamma: 2.0, training: {ema: 0.25}}")
    (folder / "bare.yaml").write_text("{preset: ddpm, network: {channels: 8}}")
    study = load({"models": ["vae", "top", "bare"]}, own_config)
    top, bare = study.models["top"], study.models["bare"]
    given = read_yaml(folder / "ddpm.yaml")
    assert (top.training.ema, top.training.batch_size) == (0.25, 8)
    assert top.training.learning_rate == given["training"]["learning_rate"]
    assert top.model.model_dump()["gamma"] == 2.0
    network = bare.model.model_dump()["network"]
    assert (network["channels"], network["patch"]) == (8, given["network"]["patch"])


def test_side_of_own_pictures_must_suit_the_model(own_config: Path) -> None:
    for i in range(2):
        (own_config / f"{i}.png").touch()
    text = f"{{source: image_folder, path: {own_config}, size: 30}}"
    (own_config / "datasets/odd.yaml").write_text(text)
    with pytest.raises(ConfigError, match="'vae' on 'odd': the image side must be divisible by 4"):
        load({"datasets": ["odd"]}, own_config)


@pytest.mark.parametrize("name", ["benchmarks", "logs", "published", "report"])
def test_a_data_set_can_not_take_the_name_of_a_folder(name: str, own_config: Path) -> None:
    (own_config / f"datasets/{name}.yaml").write_text("source: digits")
    with pytest.raises(ConfigError, match=f"datasets: the name '{name}' is reserved"):
        load({"datasets": [name]}, own_config)


def test_the_strongest_layer_wins_and_the_others_fill_in() -> None:
    study = load(
        {
            "models": [
                "vae",
                {"preset": "ddpm", "network": {"channels": 8}, "training": {"ema": 0}},
            ],
            "training": {"images": 640, "learning_rate": 0.5, "ema": 0.9},
        }
    )
    ddpm, preset = study.models["ddpm"], read_yaml(CONFIG / "models/ddpm.yaml")
    assert ddpm.training.ema == 0  # the entry's own change
    assert ddpm.training.learning_rate == 0.5  # the study's budget
    assert ddpm.training.batch_size == preset["training"]["batch_size"]  # the preset
    assert ddpm.model.model_dump()["network"]["channels"] == 8
    assert ddpm.model.model_dump()["network"]["patch"] == preset["network"]["patch"]


IMAGES, SECONDS = {"images": 640}, {"seconds": 60.0}


@pytest.mark.parametrize(
    ("weaker", "stronger", "images", "seconds"),
    [
        (SECONDS, IMAGES, 640, None),
        (IMAGES, SECONDS, 160_000, 60.0),
        (SECONDS, {"ema": 0.5}, 160_000, 60.0),
        (IMAGES, {"seconds": None}, 640, None),
        (SECONDS, {"seconds": None, **IMAGES}, 640, None),
    ],
)
def test_the_length_of_a_training_is_that_of_the_strongest_layer_that_sets_it(
    weaker: dict[str, Any],
    stronger: dict[str, Any],
    images: int,
    seconds: float | None,
    own_config: Path,
) -> None:
    """In images or seconds: the command line over a file, a model over a study or a preset."""
    preset = {"preset": "ddpm", "training": weaker}
    (own_config / "models/brief.yaml").write_text(yaml.safe_dump(preset))
    (own_config / "models/classifier.yaml").write_text(
        yaml.safe_dump({"family": "classifier", "training": weaker})
    )
    studies = [
        merge({"training": weaker}, {"training": stronger}),
        {"training": weaker, "models": [{"preset": "ddpm", "training": stronger}]},
        {"models": [{"preset": "brief", "name": "ddpm", "training": stronger}]},
        {"models": [{"preset": "brief", "name": "ddpm"}], "training": stronger},
    ]
    for changes in studies:
        training = load(changes, own_config).models["ddpm"].training
        assert (training.images, training.seconds) == (images, seconds)
    evaluation = {"evaluation": {"classifier": stronger}}
    training = load(evaluation, own_config).evaluators["classifier"].training
    assert (training.images, training.seconds) == (images, seconds)


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"training": IMAGES | SECONDS}, "mine.yaml: training"),
        (
            {"models": [{"preset": "ddpm", "training": IMAGES | SECONDS}]},
            "mine.yaml: models: ddpm: training",
        ),
        (
            {"evaluation": {"classifier": IMAGES | SECONDS}},
            "mine.yaml: evaluation.classifier",
        ),
        ({"prompts": {"clip": IMAGES | SECONDS}}, "mine.yaml: prompts.clip"),
    ],
)
def test_one_layer_sets_the_length_of_a_training_once(changes: dict[str, Any], where: str) -> None:
    message = f"{where}: images: 640 and seconds: 60 each set the length of the training"
    with pytest.raises(ConfigError, match=re.escape(message)):
        load(changes)


def test_values_from_the_command_line_arrive_as_strings_and_are_understood() -> None:
    study = load({"training": {"images": "640"}, "seeds": ["1", "2"]})
    assert study.models["vae"].training.images == 640
    assert study.seeds == (1, 2)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        ({"sede": 1}, "unknown key 'sede'"),
        ({"model": {"family": "vae", "latnet": 3}}, "model: unknown key 'latnet'"),
        ({"model": {"family": "vaee"}}, "model: family: unknown family 'vaee'"),
        ({"training": {"images": 0}}, "training.images: must be greater than 0, got 0"),
    ],
)
def test_a_run_s_own_file_is_checked_as_well(
    edit: dict[str, Any], said: str, tmp_path: Path, tiny_study: Any
) -> None:
    run = tiny_study().run("stripes", "vae", 0)
    run.config.write_text(yaml.safe_dump(read_yaml(run.config) | edit))
    with pytest.raises(GenLabError) as caught:
        read_run(run.config)
    assert str(caught.value).startswith(f"{run.config}: {said}")


def test_a_row_s_own_file_is_checked_as_well(tiny_study: Any) -> None:
    row = tiny_study().run("stripes", "ddpm", 0).samples("ddim-3")
    edit = {"sampler": {"sampler": "ddim", "eta": 2}}
    row.config.write_text(yaml.safe_dump(read_yaml(row.config) | edit))
    with pytest.raises(GenLabError) as caught:
        read_samples(row.config)
    assert str(caught.value).startswith(f"{row.config}: sampler: eta: must be at most 1, got 2")


@pytest.mark.parametrize("command", [["genlab"], [sys.executable, "-m", "genlab"]])
def test_the_command_ends_with_one_message_and_status_1(command: list[str], tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("seeds: [0")
    if command == ["genlab"]:  # as installed beside this interpreter
        command = [str(Path(sys.executable).with_name("genlab"))]
    ended = subprocess.run(
        [*command, "fetch", "--config", config], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"error: {config}: not valid YAML")
    assert "Traceback" not in ended.stderr


def test_the_workflow_refuses_a_wrong_study_before_any_job(tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text(yaml.safe_dump(merge(GOOD, {"datasets": ["digit"]})))
    ended = subprocess.run(
        [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile",
         "--cores", "1", "--configfile", config],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    assert "mine.yaml: datasets: unknown data set 'digit': did you mean 'digits'?" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "results").exists()


def test_a_missing_file_is_named(genlab: Callable[..., Any], tmp_path: Path) -> None:
    ended = genlab("train", "--config", tmp_path / "config.yaml")
    assert ended.status == 1
    assert ended.err == (
        f"error: {tmp_path}/config.yaml: no such file; `snakemake --cores all` writes it\n"
    )


def test_an_evaluator_is_trained_where_the_extractors_name_it() -> None:
    """The classifier in any case: every study has features of it at hand."""
    settings = {"contrastive": {"images": 640}}
    named = {"extractors": ["contrastive", "pixel-pca"], **settings}
    study = load_study(merge(GOOD, {"evaluation": named}), CONFIG, "mine.yaml")
    assert set(study.evaluators) == {"classifier", "contrastive"}
    assert study.evaluators["contrastive"].training.images == 640
    assert study.features == {"contrastive": 64, "pixel-pca": 64}
    unnamed = {"extractors": ["low-level"], **settings}
    study = load_study(merge(GOOD, {"evaluation": unnamed}), CONFIG, "mine.yaml")
    assert set(study.evaluators) == {"classifier"}


def test_a_mistake_in_the_training_of_an_evaluator_names_its_section() -> None:
    changes = {"evaluation": {"autoencoder_latent": {"image": 640}}}
    with pytest.raises(ConfigError, match=r"evaluation\.autoencoder_latent: unknown key 'image'"):
        load_study(merge(GOOD, changes), CONFIG, "mine.yaml")


def test_a_sampler_that_names_its_models_draws_from_these_alone() -> None:
    flow = {"preset": "flow", "name": "straight"}
    study = load({
        "models": ["vae", "ddpm", flow],
        "samplers": {"ddim": {"models": ["straight"]}, "euler": {"sampler": "euler"}},
    })  # fmt: skip
    rows = {name: entry.samplers(study.samplers) for name, entry in study.models.items()}
    assert rows == {"vae": ["prior"], "ddpm": ["euler"], "straight": ["ddim", "euler"]}
    # The row's own settings are the same as without.
    assert study.samplers["ddim"] == load({"models": [flow]}).samplers["ddim"]


def test_a_sampler_whose_models_the_study_leaves_out_is_left_out_with_a_note() -> None:
    study = load({"samplers": {"ddim": {"models": ["flow"]}, "euler": {"sampler": "euler"}}})
    assert study.models["ddpm"].samplers(study.samplers) == ["euler"]
    [note] = study.notes
    assert "'ddim' is left out" in note
    assert "ddpm: its `models:` names others" in note


@pytest.mark.parametrize(
    ("models", "message"),
    [
        (["ddmp"], "unknown model 'ddmp': did you mean 'ddpm'?"),
        (["vae"], "it can't draw from 'vae': it draws along a Gaussian path"),
        ("ddpm", "expected a list of names"),
        ([], "expected a list of names"),
    ],
)
def test_a_sampler_with_the_wrong_models_is_refused(models: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=r"mine\.yaml: samplers\.ddim: models: ") as caught:
        load({"samplers": {"ddim": {"models": models}}})
    assert message in str(caught.value)
