"""A study's `prompts:`: what it adds where a model takes prompts, and nothing anywhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from genlab.config.base import merge
from genlab.config.families.ddpm import DDPMConfig
from genlab.config.families.vae import VAEConfig
from genlab.config.sources.sprites import SpritesConfig
from genlab.config.study import Study, load_study
from genlab.errors import ConfigError
from genlab.results.layout import StudyFolder
from genlab.results.spec import read_prompts, read_run, read_runs, study_specs, write_specs
from genlab.results.stages import study_jobs

CONFIG = Path(__file__).parents[2] / "config"
STUDY: dict[str, Any] = {
    "name": "mine",
    "datasets": ["digits"],
    "models": ["vae", "ddpm"],
    "seeds": [0, 1],
    "samplers": {
        "prior": {"sampler": "prior"},
        "ddpm-9": {"sampler": "ddpm", "steps": 9},
        "ddim-3": {"sampler": "ddim", "steps": 3},
    },
}
RUNS = [f"{model}/seed{seed}" for model in ("vae", "ddpm") for seed in (0, 1)]


def load(**changes: Any) -> Study:
    return load_study(merge(STUDY, changes), CONFIG, "mine.yaml")


def written(study: Study, results: Path) -> set[str]:
    write_specs(study_specs(study, results))
    return {str(path.relative_to(results)) for path in results.rglob("*") if path.is_file()}


@pytest.fixture
def prompting(monkeypatch: pytest.MonkeyPatch) -> None:
    """VAE and DDPM take prompts."""
    monkeypatch.setattr(VAEConfig, "takes_prompts", True)
    monkeypatch.setattr(DDPMConfig, "takes_prompts", True)


def test_without_a_model_that_takes_prompts_there_is_neither_clip_nor_judge(tmp_path: Path) -> None:
    study = load(prompts={"candidates": 3})
    assert study.prompts is None
    assert not {"clip", "judge"} & study.evaluators.keys()
    found = written(study, tmp_path)
    assert not [name for name in found if "clip" in name or "judge" in name or "prompts" in name]


@pytest.mark.usefixtures("prompting")
def test_the_judge_is_trained_where_it_can_check_a_caption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CLIP is in any case: `genlab draw` ranks by it. All that names the runs agrees."""
    monkeypatch.setattr(SpritesConfig, "checkable", False)
    study = load(datasets=["digits", "sprites"])
    expected = {("digits", "clip"), ("digits", "judge"), ("sprites", "clip")}
    jobs = study_jobs(study)
    trained = {(job["dataset"], job["model"]) for job in jobs["train"]}
    assert {run for run in trained if run[1] in ("clip", "judge")} == expected
    assert {job["dataset"] for job in jobs["prompts"]} == {"digits"}
    write_specs(study_specs(study, tmp_path))
    runs = read_runs(StudyFolder(tmp_path / "mine"))
    assert {(run.dataset, run.model_name) for run in runs} == trained
    assert all(run.config.exists() for run in runs)
    assert not StudyFolder(tmp_path / "mine").judge("sprites").folder.exists()


@pytest.mark.usefixtures("prompting")
def test_with_one_there_are_their_runs_and_a_spec_of_its_prompts(tmp_path: Path) -> None:
    study = load(prompts={"candidates": 3, "clip": {"images": 7}, "judge": {"batch_size": 5}})
    found = written(study, tmp_path)
    at = StudyFolder(tmp_path / "mine")
    for run, name in ((at.clip("digits"), "clip"), (at.judge("digits"), "judge")):
        assert read_run(run.config).name == name
        assert study.entry(name).model.family == name
    assert read_run(at.clip("digits").config).training.images == 7
    assert read_run(at.judge("digits").config).training.batch_size == 5
    specs = {
        f"mine/digits/{m}/seed{s}/prompts/config.yaml" for m in ("vae", "ddpm") for s in (0, 1)
    }
    assert {name for name in found if "prompts" in name} == specs


@pytest.mark.usefixtures("prompting")
def test_prompts_are_drawn_by_the_first_sampler_that_fits(tmp_path: Path) -> None:
    """At every guidance scale where the sampler knows guidance, and else as it is."""
    at = StudyFolder(tmp_path / "mine")
    write_specs(study_specs(load(prompts={"guidance": [1, 3]}), tmp_path))
    drawn = {m: read_prompts(at.run("digits", m, 1).prompts_config) for m in ("vae", "ddpm")}
    assert (drawn["vae"].sampler.sampler, drawn["vae"].guidance) == ("prior", (1.0,))
    assert (drawn["ddpm"].sampler.sampler, drawn["ddpm"].guidance) == ("ddpm", (1.0, 3.0))
    assert drawn["ddpm"].seed == 1
    write_specs(study_specs(load(prompts={"samplers": ["ddim-3", "prior"]}), tmp_path))
    assert (
        read_prompts(at.run("digits", "ddpm", 0).prompts_config).sampler
        == (load().samplers["ddim-3"])
    )


@pytest.mark.usefixtures("prompting")
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"candidates": 3}, {f"{run}/prompts/config.yaml" for run in RUNS}),
        ({"clip": {"images": 3}}, {"clip/seed0/config.yaml"}),
        ({"judge": {"images": 3}}, {"judge/seed0/config.yaml"}),
    ],
    ids=["prompts", "clip", "judge"],
)
def test_a_change_touches_only_the_files_it_concerns(
    change: dict[str, Any], expected: set[str], tmp_path: Path
) -> None:
    """Beside them only study.yaml, the whole; another number of candidates trains nothing."""

    def state() -> dict[str, str]:
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        return {str(path.relative_to(tmp_path)): path.read_text() for path in files}

    write_specs(study_specs(load(), tmp_path))
    before = state()
    write_specs(study_specs(load(prompts=change), tmp_path))
    after = state()
    assert set(before) == set(after)
    touched = {name for name in after if before[name] != after[name]}
    assert touched == {f"mine/digits/{name}" for name in expected} | {"mine/study.yaml"}


@pytest.mark.usefixtures("prompting")
@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"candidate": 3}, ["prompts: unknown key 'candidate'", "did you mean 'candidates'?"]),
        ({"candidates": 0}, ["mine.yaml: prompts.candidates: ", "must be at least 1, got 0"]),
        ({"guidance": []}, ["prompts.guidance: ", "needs 1 or more items"]),
        ({"guidance": [2, 2]}, ["prompts: guidance: a scale is listed twice"]),
        ({"guidance": [-1]}, ["prompts.guidance.0: ", "must be at least 0, got -1"]),
        ({"clip": {"image": 3}}, ["mine.yaml: prompts.clip: unknown key 'image'", "'images'?"]),
        ({"judge": {"images": 0}}, ["mine.yaml: prompts.judge: images: "]),
        ({"samplers": ["dim-3"]}, ["prompts.samplers: unknown sampler 'dim-3'", "'ddim-3'?"]),
        ({"samplers": ["prior"]},
         ["prompts.samplers: none of prior fits 'ddpm'; add one of ddpm-9, ddim-3"]),
    ],
    ids=str,
)  # fmt: skip
def test_mistakes_are_told(section: dict[str, Any], said: list[str]) -> None:
    with pytest.raises(ConfigError) as error:
        load(prompts=section)
    for part in said:
        assert part in str(error.value)


@pytest.mark.parametrize("name", ["clip", "judge"])
def test_their_names_are_taken(name: str) -> None:
    with pytest.raises(ConfigError, match=f"the name '{name}' is reserved"):
        load(models=["vae", "ddpm", {"preset": "vae", "name": name}])
