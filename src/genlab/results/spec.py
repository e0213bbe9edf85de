"""Each run's own part of the study, as a file.

A rule carries the digest of the one file that it reads, so that it is redone when its own part of
the study changes, and only then. The files are written when a workflow starts to run, not when it
is planned, and only by the process that holds Snakemake's lock: no other one can change what a
running job reads. Paths, devices and workers are in none of them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic import BaseModel, NonNegativeInt, PositiveInt, SerializeAsAny, field_validator

from genlab.config.base import Strict, build, dump_yaml, pick, read_yaml
from genlab.config.datasets import SOURCES, DatasetConfig
from genlab.errors import ConfigError, GenLabError
from genlab.config.families import FamilyConfig, build_family
from genlab.config.evaluators import EVALUATORS, FLOOR, seed_of
from genlab.results.layout import RunFolder, StudyFolder
from genlab.config.samplers import SamplerConfig
from genlab.config.study import (
    EvaluationConfig,
    ModelEntry,
    Study,
    TrackingConfig,
    TrainingConfig,
    load_sampler,
)


class RunSpec(Strict):
    """What a training depends on, besides its data."""

    study: str
    dataset: str
    name: str
    seed: NonNegativeInt
    model: SerializeAsAny[FamilyConfig]
    training: TrainingConfig
    first_stage: RunSpec | None = None
    """The spec of the run whose trained model this one builds on."""

    @field_validator("model", mode="before")
    @classmethod
    def _by_family(cls, values: Any) -> Any:
        return build_family(values, "model") if isinstance(values, dict) else values


class SampleSpec(Strict):
    """What the samples of one row depend on, besides the model. Floors have no sampler."""

    row: str
    seed: NonNegativeInt
    samples: int
    sampler: SerializeAsAny[SamplerConfig] | None = None

    @field_validator("sampler", mode="before")
    @classmethod
    def _by_sampler(cls, values: Any) -> Any:
        return load_sampler(values, "sampler") if isinstance(values, dict) else values


class PromptsSpec(Strict):
    """What is measured on the prompts of one run, besides its model and its data.

    As in `PromptsConfig`; the sampler's own guidance gives way to these scales.
    """

    seed: NonNegativeInt
    prompts: PositiveInt
    candidates: PositiveInt
    guidance: tuple[float, ...]
    shown: PositiveInt
    sampler: SerializeAsAny[SamplerConfig]

    @field_validator("sampler", mode="before")
    @classmethod
    def _by_sampler(cls, values: Any) -> Any:
        return load_sampler(values, "sampler") if isinstance(values, dict) else values


def read_run(path: Path) -> RunSpec:
    """The spec of a run, from its `config.yaml`."""
    return build(RunSpec, read_yaml(path), path)


def read_samples(path: Path) -> SampleSpec:
    """The spec of one row, from its `config.yaml`."""
    return build(SampleSpec, read_yaml(path), path)


def read_prompts(path: Path) -> PromptsSpec:
    """The spec of what is measured on prompts, from its `config.yaml`."""
    return build(PromptsSpec, read_yaml(path), path)


def read_dataset(path: Path) -> DatasetConfig:
    """A data set's configuration, from the `config.yaml` in its folder under results/data."""
    values = read_yaml(path)
    return build(pick(SOURCES, "source", values, path), values, path)


def read_evaluation(path: Path) -> EvaluationConfig:
    """The study's `evaluation:`, from its own file."""
    return build(EvaluationConfig, read_yaml(path), path)


def read_tracking(path: Path) -> TrackingConfig:
    """The study's `tracking:`, from its own file."""
    return build(TrackingConfig, read_yaml(path), path)


def read_runs(study: StudyFolder) -> list[RunFolder]:
    """The folders of the runs that a study names, those of its evaluators first."""
    content = read_yaml(study.config)
    evaluators = [name for name in EVALUATORS if content.get(name)]
    return [
        study.run(dataset, model, seed)
        for dataset in content["datasets"]
        for model, seeds in [
            *((name, [0]) for name in evaluators),
            *((name, content["seeds"]) for name in content["models"]),
        ]
        for seed in seeds
    ]


def run_spec(study: Study, dataset: str, entry: ModelEntry, seed: int) -> RunSpec:
    """The spec of the run of `entry` on `dataset` with `seed`, that of its first stage included."""
    first = entry.model.first_stage_name
    below = run_spec(study, dataset, study.entry(first), seed_of(first, seed)) if first else None
    return RunSpec(
        study=study.name,
        dataset=dataset,
        name=entry.name,
        seed=seed,
        model=entry.model,
        training=entry.training,
        first_stage=below,
    )


def prompts_spec(study: Study, entry: ModelEntry, seed: int) -> PromptsSpec | None:
    """The spec of what is measured on the prompts of `entry`; None if it takes none.

    A sampler that can be guided goes before those that can't.
    """
    asked = study.prompts
    if asked is None or not entry.model.takes_prompts:
        return None
    rows = {row: study.samplers[row] for row in asked.samplers or study.samplers}
    fitting = [rows[name] for name in entry.samplers(rows)]
    sampler = sorted(fitting, key=lambda one: not hasattr(one, "guidance"))[0]
    return PromptsSpec(
        seed=seed,
        prompts=asked.prompts,
        candidates=asked.candidates,
        guidance=asked.guidance if hasattr(sampler, "guidance") else (1.0,),
        shown=asked.shown,
        sampler=sampler,
    )


Specs = dict[Path, str]
"""The content of every spec file of a study, by its path."""


def study_specs(study: Study, results: Path) -> Specs:
    """The spec files of every run and row of `study`, under `results`."""
    at = StudyFolder(results / study.name)
    evaluation = study.evaluation
    configs: dict[Path, BaseModel] = {
        at.config: study,
        at.evaluation: evaluation,
        at.tracking: study.tracking,
    }
    if study.laboratory is not None:
        configs[at.laboratory_config] = study.laboratory
    for dataset, config in study.datasets.items():
        configs[at.data(dataset).config] = config
        for kind in evaluation.floors:
            row = SampleSpec(row=kind, seed=0, samples=evaluation.samples)
            configs[at.run(dataset, FLOOR, 0).samples(kind).config] = row
        runs = [(m, seed) for m in study.models.values() for seed in study.seeds]
        for entry, seed in [*runs, *((ruler, 0) for ruler in study.rulers)]:
            run = at.run(dataset, entry.name, seed)
            configs[run.config] = run_spec(study, dataset, entry, seed)
            if spec := prompts_spec(study, entry, seed):
                configs[run.prompts_config] = spec
            for name in entry.samplers(study.samplers):
                row = SampleSpec(
                    row=name,
                    seed=seed,
                    samples=evaluation.samples,
                    sampler=study.samplers[name],
                )
                configs[run.samples(name).config] = row
    return {path: dump_yaml(config) for path, config in configs.items()}


def _is(path: Path, text: str) -> bool:
    """Whether the file at `path` holds just `text`."""
    try:
        return path.read_text(encoding="utf-8") == text
    except (OSError, UnicodeDecodeError):
        return False


def write_specs(specs: Specs) -> None:
    """Write the spec files whose content changed; a reader sees all of a file or nothing."""
    for path, text in specs.items():
        if _is(path, text):
            continue
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f".{path.name}.{os.getpid()}")
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(path)
        except OSError as error:
            raise GenLabError(f"{path}: can't be written: {error.strerror}") from None


def check_specs(specs: Specs, source: str) -> None:
    """Refuse a study that was changed since the workflow that runs wrote its specs.

    Raises:
        ConfigError: a file holds something else than `specs` say.
    """
    changed = [path for path, text in specs.items() if not _is(path, text)]
    if changed:
        raise ConfigError(
            f"{source}: changed since this workflow was started ({changed[0]} and "
            f"{len(changed) - 1} more specs would differ); undo the change, or end the workflow "
            "and start it anew"
        )


def check_source(study: Study, source: str, results: Path) -> None:
    """Refuse to put a study in the place of another one that has the same name.

    A file that was renamed, or whose `name:` was changed, has left its place.

    Args:
        source: the path of the study file.

    Raises:
        ConfigError: another file, which is still there, has results under the same name.
    """
    at = StudyFolder(results / study.name)
    if not at.source.exists():
        return
    other = at.source.read_text(encoding="utf-8").strip()
    if other == source or not Path(other).is_file():
        return
    try:
        name = read_yaml(Path(other)).get("name")
    except ConfigError:
        return
    if name == study.name:
        raise ConfigError(
            f"{source}: name: '{study.name}' is the name of {other} as well, whose results are in "
            f"{at.folder}; give one of the two another name"
        )
