"""Spec files: the part of the study that each run, row or data set depends on.

The digest of a spec file is a parameter of the rule that reads it, so a job is redone if and only
if its own part of the study changes. The files are written when a workflow starts to run, not when
it is planned, and only by the process that holds the workflow's lock, so nothing changes a spec
while a job reads it. No spec contains paths, devices or numbers of workers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, NonNegativeInt, PositiveInt, SerializeAsAny, field_validator

from genlab.config.base import Strict, build, dump_yaml, read_yaml
from genlab.config.evaluators import CALIBRATION, seed_of
from genlab.config.families import FamilyConfig, build_family
from genlab.config.samplers import SamplerConfig
from genlab.config.sources import DatasetConfig, build_source
from genlab.config.study import (
    EvaluationConfig,
    ModelEntry,
    Study,
    TrackingConfig,
    TrainingConfig,
    load_sampler,
)
from genlab.errors import ConfigError
from genlab.io.files import write_text
from genlab.results.layout import RunFolder, StudyFolder


class RunSpec(Strict):
    """Everything that a training depends on, besides its data."""

    study: str
    dataset: str
    name: str
    seed: NonNegativeInt
    model: SerializeAsAny[FamilyConfig]
    training: TrainingConfig
    keep: tuple[float, ...] = ()
    """Shares of the training after which its weights are kept, for learning curves."""
    first_stage: RunSpec | None = None
    """Spec of the run whose trained model this one builds on."""

    @field_validator("model", mode="before")
    @classmethod
    def _by_family(cls, values: Any) -> Any:
        return build_family(values, "model") if isinstance(values, dict) else values


class SampleSpec(Strict):
    """Everything that the samples of a row depend on, besides the model.

    Calibration rows have no sampler.
    """

    row: str
    seed: NonNegativeInt
    samples: int
    sampler: SerializeAsAny[SamplerConfig] | None = None

    @field_validator("sampler", mode="before")
    @classmethod
    def _by_sampler(cls, values: Any) -> Any:
        return load_sampler(values, "sampler") if isinstance(values, dict) else values


class PromptsSpec(Strict):
    """Everything that the prompt metrics of a run depend on, besides its model and data.

    The fields are those of `PromptsConfig`; `guidance` replaces the sampler's own scale.
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


class CurveSpec(Strict):
    """Everything that the learning curve of a run depends on, besides its weights and data.

    `row` names the sampler in the league.
    """

    seed: NonNegativeInt
    shares: tuple[float, ...]
    samples: PositiveInt
    row: str
    sampler: SerializeAsAny[SamplerConfig]

    @field_validator("sampler", mode="before")
    @classmethod
    def _by_sampler(cls, values: Any) -> Any:
        return load_sampler(values, "sampler") if isinstance(values, dict) else values


def read_run(path: Path) -> RunSpec:
    """Read the spec of a run, its `config.yaml`."""
    return build(RunSpec, read_yaml(path), path)


def read_samples(path: Path) -> SampleSpec:
    """Read the spec of a row, its `config.yaml`."""
    return build(SampleSpec, read_yaml(path), path)


def read_prompts(path: Path) -> PromptsSpec:
    """Read the spec of a run's prompt metrics, their `config.yaml`."""
    return build(PromptsSpec, read_yaml(path), path)


def read_curve(path: Path) -> CurveSpec:
    """Read the spec of a run's learning curve, its `config.yaml`."""
    return build(CurveSpec, read_yaml(path), path)


def read_dataset(path: Path) -> DatasetConfig:
    """Read a data set's configuration, results/data/DATASET/config.yaml."""
    return build_source(read_yaml(path), path)


def read_study(path: Path) -> Study:
    """The resolved study, from its `study.yaml`; equal to the `Study` that was written.

    Raises:
        ConfigError: the file is missing, lacks a part, or a value in it is invalid.
    """
    values = read_yaml(path)

    def entries(part: str) -> dict[str, Any]:
        return {
            name: one | {"model": build_family(one["model"], f"{path}: {part}.{name}: model")}
            for name, one in values[part].items()
        }

    try:
        typed: dict[str, Any] = {
            "datasets": {
                name: build_source(one, f"{path}: datasets.{name}")
                for name, one in values["datasets"].items()
            },
            "models": entries("models"),
            "samplers": {
                row: load_sampler(one, f"{path}: samplers.{row}")
                for row, one in values["samplers"].items()
            },
            "evaluators": entries("evaluators"),
        }
    except (KeyError, AttributeError, TypeError):  # no such part, or not a mapping
        raise ConfigError(
            f"{path}: not a study that this version wrote; run the workflow again"
        ) from None
    return build(Study, values | typed, path)


def read_evaluation(path: Path) -> EvaluationConfig:
    """Read the study's `evaluation:` from its own file."""
    return build(EvaluationConfig, read_yaml(path), path)


def read_tracking(path: Path) -> TrackingConfig:
    """Read the study's `tracking:` from its own file."""
    return build(TrackingConfig, read_yaml(path), path)


def read_runs(study: StudyFolder) -> list[RunFolder]:
    """The folders of the runs that a study names, those of its evaluators first."""
    settings = read_study(study.config)
    return [
        study.run(dataset, model, seed)
        for dataset in settings.datasets
        for model, seeds in [
            *((name, (0,)) for name in settings.evaluators_of(dataset)),
            *((name, settings.seeds) for name in settings.models),
        ]
        for seed in seeds
    ]


def run_spec(study: Study, dataset: str, entry: ModelEntry, seed: int) -> RunSpec:
    """Return the spec of the run of `entry` on `dataset` with `seed`."""
    name = entry.model.first_stage_name
    first = run_spec(study, dataset, study.entry(name), seed_of(name, seed)) if name else None
    return RunSpec(
        study=study.name,
        dataset=dataset,
        name=entry.name,
        seed=seed,
        model=entry.model,
        training=entry.training,
        keep=study.curves.kept if study.curves and entry.samplers(study.samplers) else (),
        first_stage=first,
    )


def curve_spec(study: Study, entry: ModelEntry, seed: int) -> CurveSpec | None:
    """Return the spec of the learning curve of `entry`; None if the study draws none of it.

    The sampler is the first one that fits.
    """
    rows = entry.samplers(study.samplers)
    if study.curves is None or not rows:
        return None
    return CurveSpec(
        seed=seed,
        shares=study.curves.shares,
        samples=study.curves.samples,
        row=rows[0],
        sampler=study.samplers[rows[0]],
    )


def prompts_spec(study: Study, entry: ModelEntry, seed: int) -> PromptsSpec | None:
    """Return the spec of the prompt metrics of `entry`; None if it takes no prompts.

    The sampler is the first one that fits; those with guidance come before those without.
    """
    settings = study.prompts
    if settings is None or not entry.model.takes_prompts:
        return None
    rows = {row: study.samplers[row] for row in settings.samplers or study.samplers}
    fitting = [rows[name] for name in entry.samplers(rows)]
    sampler = sorted(fitting, key=lambda each: not each.takes_guidance)[0]
    return PromptsSpec(
        seed=seed,
        prompts=settings.prompts,
        candidates=settings.candidates,
        guidance=settings.guidance if sampler.takes_guidance else (1.0,),
        shown=settings.shown,
        sampler=sampler,
    )


Specs = dict[Path, str]
"""Content of every spec file of a study by its path."""


def study_specs(study: Study, results: Path) -> Specs:
    """Return the spec files of all data sets, runs and rows of `study`, under `results`."""
    at = StudyFolder(results / study.name)
    evaluation = study.evaluation
    configs: dict[Path, BaseModel] = {
        at.config: study,
        at.evaluation: evaluation,
        at.tracking: study.tracking,
    }
    if study.elbo_study is not None:
        configs[at.elbo_study_config] = study.elbo_study
    for dataset, config in study.datasets.items():
        configs[at.data(dataset).config] = config
        for kind in evaluation.calibration:
            row = SampleSpec(row=kind, seed=0, samples=evaluation.samples)
            configs[at.run(dataset, CALIBRATION, 0).samples(kind).config] = row
        runs = [(m, seed) for m in study.models.values() for seed in study.seeds]
        for entry, seed in [*runs, *((one, 0) for one in study.evaluators_of(dataset).values())]:
            run = at.run(dataset, entry.name, seed)
            configs[run.config] = run_spec(study, dataset, entry, seed)
            if spec := prompts_spec(study, entry, seed):
                configs[run.prompts_config] = spec
            if curve := curve_spec(study, entry, seed):
                configs[run.curve_config] = curve
            for name in entry.samplers(study.samplers):
                row = SampleSpec(
                    row=name,
                    seed=seed,
                    samples=evaluation.samples,
                    sampler=study.samplers[name],
                )
                configs[run.samples(name).config] = row
    return {path: dump_yaml(config) for path, config in configs.items()}


def _has_content(path: Path, text: str) -> bool:
    """Return whether the content of the file at `path` is `text`."""
    try:
        return path.read_text(encoding="utf-8") == text
    except (OSError, UnicodeDecodeError):
        return False


def write_specs(specs: Specs) -> None:
    """Write the spec files whose content changed, each atomically."""
    for path, text in specs.items():
        if not _has_content(path, text):
            write_text(path, text)


def check_specs(specs: Specs, source: str) -> None:
    """Refuse a study that has changed since the running workflow wrote its specs.

    Raises:
        ConfigError: the content of a file differs from `specs`.
    """
    changed = [path for path, text in specs.items() if not _has_content(path, text)]
    if changed:
        raise ConfigError(
            f"{source}: changed since this workflow was started ({changed[0]} and "
            f"{len(changed) - 1} more specs would differ); undo the change, or end the workflow "
            "and start it again"
        )


def check_source(study: Study, source: str, results: Path) -> None:
    """Refuse to overwrite the results of another study with the same name.

    Args:
        source: path of the study file.

    Raises:
        ConfigError: the results under this name belong to another file, which still exists and
            still has this name.
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
            f"{source}: name: '{study.name}' is also the name of {other}, whose results are in "
            f"{at.folder}; rename one of the two"
        )
