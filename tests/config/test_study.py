"""A wrong study is refused before any job starts, by a message that says where and what to do."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from genlab.config.base import merge, read_yaml
from genlab.config.errors import ConfigError, GenLabError
from genlab.config.layout import RULERS
from genlab.config.spec import read_run, read_samples
from genlab.config.study import Study, load_study

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
def test_every_study_that_is_shipped_is_valid(path: Path) -> None:
    assert load_study(read_yaml(path), CONFIG, path).models


@pytest.mark.parametrize("name", sorted(p.stem for p in (CONFIG / "datasets").glob("*.yaml")))
def test_every_dataset_that_is_shipped_is_valid(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of `pictures` the names are looked at."""
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile("pictures", "w") as archive:
        for i in range(4000):
            archive.writestr(f"{('train', 'test')[i % 2]}/{i}.png", b"")
    assert name in load({"datasets": [name]}).datasets


@pytest.mark.parametrize("name", sorted(p.stem for p in (CONFIG / "models").glob("*.yaml")))
def test_every_model_that_is_shipped_is_valid_or_generates_nothing(name: str) -> None:
    changes = {"models": ["vae", "ddpm", {"preset": name, "name": "another"}]}
    if name in RULERS:
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
        ["mine.yaml: models: vae: training: unknown key 'ema_decay'", "known: batch_size"],
    ),
    "misspelt key of the classifier's training": (
        {"evaluation": {"classifier": {"image": 10}}},
        ["mine.yaml: evaluation.classifier: unknown key 'image'", "did you mean 'images'?"],
    ),
    "misspelt key of a sampler": (
        {"samplers": {"ddim": {"sampler": "ddim", "step": 5}}},
        ["mine.yaml: samplers.ddim: unknown key 'step'", "did you mean 'steps'?"],
    ),
    "missing key": ({"name": None}, ["mine.yaml: name: Input should be a valid string"]),
    "wrong type in the study": (
        {"seeds": ["zero"]},
        ["mine.yaml: seeds.0: Input should be a valid integer", "(got 'zero')"],
    ),
    "wrong type in training": (
        {"models": [{"preset": "vae", "training": {"batch_size": "many"}}, "ddpm"]},
        ["mine.yaml: models: vae: training: batch_size: Input should be a valid integer", "'many'"],
    ),
    "value out of range": (
        {"models": [{"preset": "vae", "latent": 0}, "ddpm"]},
        ["mine.yaml: models: vae: latent: Input should be greater than 0 (got 0)"],
    ),
    "value that isn't finite": (
        {"models": [{"preset": "vae", "training": {"learning_rate": float("inf")}}, "ddpm"]},
        ["models: vae: training: learning_rate: Input should be a finite number (got inf)"],
    ),
    "wrong choice": (
        {"models": ["vae", {"preset": "ddpm", "prediction": "noise"}]},
        ["mine.yaml: models: ddpm: prediction: Input should be 'eps', 'x0' or 'v' (got 'noise')"],
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
        ["mine.yaml: evaluation.extractors.0: ", "'inception-v3-compat'", "(got 'inception')"],
    ),
    "no model": ({"models": []}, ["mine.yaml: models: ", "at least 1 item"]),
    "model that no sampler fits": (
        {"samplers": {"ddim": None}},
        [
            "mine.yaml: samplers: none can draw from 'ddpm'",
            "prior: it draws in one pass, the model along a Gaussian path",
            "sampler: ddpm or ddim or",
        ],
    ),
    "sampler that fits no model": (
        {"models": ["vae"]},
        [
            "mine.yaml: samplers: 'ddim' (ddim) draws from no model here",
            "vae: it draws along a Gaussian path, the model in one pass",
        ],
    ),
    "guidance without classes": (
        {"samplers": {"guided": {"sampler": "ddim", "guidance": 2.0}}},
        [
            "samplers: 'guided' (ddim) draws from no model",
            "ddpm: the model knows neither classes nor words",
        ],
    ),
    "a variance that nobody learned": (
        {"samplers": {"learned": {"sampler": "ddpm", "variance": "learned"}}},
        ["samplers: 'learned' (ddpm) draws from no model", "ddpm: the model learned no variance"],
    ),
    "noise predicted where nothing else is left": (
        {"models": ["vae", {"preset": "ddpm", "prediction": "eps", "zero_terminal_snr": True}]},
        ["mine.yaml: models: ddpm: ", "eps can't be had with zero_terminal_snr", "predict v or x0"],
    ),
    "an unknown backbone": (
        {"models": ["vae", {"preset": "ddpm", "network": {"backbone": "unett"}}]},
        ["mine.yaml: models: ddpm: network.backbone: unknown backbone 'unett'", "mean 'unet'?"],
    ),
    "more steps than timesteps": (
        {"samplers": {"ddim": {"sampler": "ddim", "steps": 1001}}},
        ["mine.yaml: samplers.ddim.steps: 1001 asked, but 'ddpm' has only 1000 timesteps"],
    ),
    "bernoulli on colour": (
        {"datasets": ["cifar10"], "models": ["vae-bernoulli", "ddpm"]},
        ["mine.yaml: model 'vae-bernoulli' on 'cifar10': likelihood: bernoulli needs grey images"],
    ),
    "side that can't be halved so often": (
        {"models": ["vae", {"preset": "ddpm", "network": {"multipliers": [1, 2, 2, 2]}}]},
        ["mine.yaml: model 'ddpm' on 'digits': network: the image side 28 must be divisible by 16"],
    ),
    "more samples than are held out": (
        {"evaluation": {"samples": 1001}},
        ["mine.yaml: evaluation.samples: 1001 asked, but 'digits' holds out only 1000 images"],
    ),
    "KID subsets larger than the samples": (
        {"evaluation": {"samples": 100, "kid_subset_size": 101}},
        ["mine.yaml: evaluation: kid_subset_size 101 is larger than samples 100"],
    ),
    "a model twice": (
        {"models": ["vae", "vae"]},
        ["models: 'vae' stands twice", "another `name:`"],
    ),
    "a data set twice": ({"datasets": ["digits"] * 2}, ["datasets: 'digits' stands twice"]),
    "a seed twice": ({"seeds": [1, 1]}, ["seeds: '1' stands twice"]),
    "a taken model name": (
        {"models": [{"preset": "vae", "name": "floor"}]},
        ["mine.yaml: models: the name 'floor' is taken; choose another `name:`"],
    ),
    "a taken study name": ({"name": "data"}, ["mine.yaml: name: 'data' is taken under results/"]),
    "a name that is no file name": (
        {"models": [{"preset": "vae", "name": "a/b"}]},
        ["mine.yaml: models: a/b: name: String should match pattern"],
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
        ["datasets/digits.yaml: size: Input should be a valid integer", "(got 'big')"],
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
        ["models/vae.yaml: expected 'key: value' lines, found list"],
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
    with pytest.raises(ConfigError, match=f"datasets: the name '{name}' is taken"):
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
        ({"training": {"images": 0}}, "training.images: Input should be greater than 0"),
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
    assert str(caught.value).startswith(f"{row.config}: sampler: eta: Input should be less than")


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
        f"error: {tmp_path}/config.yaml: no such file; `snakemake -n` writes the study's configs\n"
    )
