"""Each run has its own part of the study as a file, written only when that part changes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from genlab.config.base import build, dump_yaml, merge, read_yaml
from genlab.config.families import build_family
from genlab.config.networks import DiTConfig
from genlab.config.samplers import SAMPLERS, settings
from genlab.config.sources import source_class
from genlab.config.study import load_model, load_study
from genlab.errors import GenLabError
from genlab.results.layout import StudyFolder
from genlab.results.spec import (
    read_evaluation,
    read_run,
    read_samples,
    read_tracking,
    study_specs,
    write_specs,
)

CONFIG = Path(__file__).parents[2] / "config"
STUDY: dict[str, Any] = {
    "name": "mine",
    "datasets": ["digits"],
    "models": ["vae", "ddpm"],
    "seeds": [0, 1],
    "samplers": {"prior": {"sampler": "prior"}, "ddim": {"sampler": "ddim"}},
}
LONG_AGO = 1_000_000_000.0


def rewritten(results: Path, changes: dict[str, Any]) -> set[str]:
    """The files that `write_specs` writes anew when STUDY is changed by `changes`."""
    write_specs(study_specs(load_study(STUDY, CONFIG, "mine.yaml"), results))
    files = [path for path in results.rglob("*") if path.is_file()]
    for path in files:
        os.utime(path, (LONG_AGO, LONG_AGO))
    write_specs(study_specs(load_study(merge(STUDY, changes), CONFIG, "mine.yaml"), results))
    after = [path for path in results.rglob("*") if path.is_file()]
    return {str(p.relative_to(results)) for p in after if p.stat().st_mtime != LONG_AGO}


def vae(**changes: Any) -> dict[str, Any]:
    """STUDY's models, with `changes` of the VAE."""
    return {"models": [{"preset": "vae", **changes}, "ddpm"]}


RUNS = {f"mine/digits/vae/seed{seed}/config.yaml" for seed in (0, 1)}
ROWS = {f"mine/digits/ddpm/seed{seed}/samples/ddim/config.yaml" for seed in (0, 1)}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, set()),
        (vae(training={"learning_rate": 0.5}), RUNS),
        (vae(latent=3), RUNS),
        ({"samplers": {"ddim": {"sampler": "ddim", "steps": 7}}}, ROWS),
        ({"evaluation": {"neighbours": 5}}, {"mine/evaluation.yaml"}),
        ({"tracking": {"wandb": "offline"}}, {"mine/tracking.yaml"}),
        ({"description": "Another."}, set()),
    ],
    ids=str,
)
def test_a_change_touches_only_the_files_it_concerns(
    changes: dict[str, Any], expected: set[str], tmp_path: Path
) -> None:
    """Beside them only study.yaml, the whole; no rule that trains, draws or measures reads it."""
    assert rewritten(tmp_path, changes) == expected | ({"mine/study.yaml"} if changes else set())


def test_a_new_seed_adds_files_and_touches_none(tmp_path: Path) -> None:
    """The runs of the seeds before are not redone."""
    written = rewritten(tmp_path, {"seeds": [0, 1, 2]})
    assert all("/seed2/" in name for name in written - {"mine/study.yaml"})
    assert {f"mine/digits/{model}/seed2/config.yaml" for model in ("vae", "ddpm")} < written


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    study = load_study(STUDY, CONFIG, "mine.yaml")
    write_specs(study_specs(study, tmp_path))
    at = StudyFolder(tmp_path / "mine")
    assert read_evaluation(at.evaluation) == study.evaluation
    assert read_tracking(at.tracking) == study.tracking
    for name, entry in study.models.items():
        for seed in study.seeds:
            spec = read_run(at.run("digits", name, seed).config)
            assert (spec.name, spec.dataset, spec.seed) == (name, "digits", seed)
            assert (spec.model, spec.training) == (entry.model, entry.training)
            for row in entry.samplers(study.samplers):
                drawn = read_samples(at.run("digits", name, seed).samples(row).config)
                assert drawn.sampler == study.samplers[row]
                assert (drawn.row, drawn.seed) == (row, seed)
    classifier = read_run(at.classifier("digits").config)
    assert classifier.model == study.evaluators["classifier"].model
    assert read_samples(at.calibration_row("digits", "real").config).sampler is None


def test_a_digest_belongs_to_one_spec(tmp_path: Path) -> None:
    """Equal specs have equal digests; another seed, rate or size has another."""
    digests = []
    for i, changes in enumerate([{}, {}, vae(latent=3), vae(training={"learning_rate": 0.5})]):
        write_specs(
            study_specs(load_study(merge(STUDY, changes), CONFIG, "mine.yaml"), tmp_path / str(i))
        )
        at = StudyFolder(tmp_path / str(i) / "mine")
        digests += [read_run(at.run("digits", "vae", seed).config).digest for seed in (0, 1)]
    assert digests[:2] == digests[2:4]
    assert len(set(digests)) == 6


def test_no_spec_names_a_device_a_worker_or_a_path(tmp_path: Path) -> None:
    write_specs(study_specs(load_study(STUDY, CONFIG, "mine.yaml"), tmp_path))
    for path in (tmp_path / "mine" / "digits").rglob("config.yaml"):
        text = path.read_text()
        assert str(tmp_path) not in text
        assert not any(word in text for word in ("device", "workers", "cuda", "cpu", "gpu"))


def test_unwritable_results_are_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file in the place of the folder")
    with pytest.raises(GenLabError, match=r"study\.yaml: can't be written: Not a directory"):
        write_specs(study_specs(load_study(STUDY, CONFIG, "mine.yaml"), tmp_path / "results"))


@pytest.mark.parametrize("family", ["classifier", "ddpm", "vae"])
def test_a_family_s_yaml_reads_back_as_itself(family: str) -> None:
    config = build_family({"family": family}, "here")
    assert build_family(yaml.safe_load(dump_yaml(config)), "here") == config


def test_settings_are_all_that_a_sampler_takes() -> None:
    ddim = {"steps": 50, "spacing": "uniform", "eta": 0.0}
    assert settings(SAMPLERS["ddim"](sampler="ddim")) == ddim
    assert settings(SAMPLERS["prior"](sampler="prior")) == {"temperature": 1.0}


@pytest.mark.parametrize(
    ("values", "shape"),
    [
        ({"source": "digits"}, (1, 28, 28)),
        ({"source": "torchvision", "dataset": "fashion_mnist"}, (1, 28, 28)),
        ({"source": "torchvision", "dataset": "cifar10"}, (3, 32, 32)),
        ({"source": "celeba"}, (3, 64, 64)),
        ({"source": "image_folder", "path": "x", "size": 24}, (3, 24, 24)),
        ({"source": "image_folder", "path": "x", "size": 24, "channels": 1}, (1, 24, 24)),
    ],
    ids=str,
)
def test_every_source_states_its_shape(values: dict[str, Any], shape: tuple[int, int, int]) -> None:
    assert build(source_class(values["source"]), values, "here").shape == shape


def test_merge_goes_into_nested_mappings_and_lets_later_layers_win() -> None:
    low = {"a": 1, "b": {"c": 2, "d": [3]}}
    assert merge(low, {"b": {"d": [4]}, "e": {"f": 5}}) == {
        "a": 1, "b": {"c": 2, "d": [4]}, "e": {"f": 5},
    }  # fmt: skip
    assert low == {"a": 1, "b": {"c": 2, "d": [3]}}


def test_another_backbone_takes_nothing_of_the_sizes_of_the_one_before() -> None:
    entry = {"preset": "ldm-unconditional", "network": {"backbone": "dit", "depth": 2, "patch": 1}}
    family = load_model(entry, {}, CONFIG, "here").model
    assert family.network == DiTConfig(backbone="dit", depth=2, patch=1)  # type: ignore[attr-defined]
    # Named once more it is no other: the preset says only channels, and says no backbone.
    low, same = {"network": {"channels": 24}}, {"network": {"backbone": "unet", "patch": 2}}
    assert merge(low, same) == {"network": {"backbone": "unet", "channels": 24, "patch": 2}}


def test_an_empty_file_is_an_empty_mapping_and_a_missing_one_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    assert read_yaml(tmp_path / "empty.yaml") == {}
    with pytest.raises(GenLabError, match=r"gone\.yaml: no such file"):
        read_yaml(tmp_path / "gone.yaml")
    with pytest.raises(GenLabError, match="can't be read: Is a directory"):
        read_yaml(tmp_path)
