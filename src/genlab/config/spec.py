"""Each run's own part of the study, as a file.

The files are written while the workflow is planned, and only if their content changed: a rule
that takes one as input is redone when its own part changes, and only then. Paths, devices and
workers are in none of them.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from pydantic import BaseModel, NonNegativeInt, PositiveInt, SerializeAsAny, field_validator

from genlab.config.base import Strict, build, dump_yaml, read_yaml
from genlab.config.datasets import SOURCES, DatasetConfig
from genlab.config.errors import ConfigError, GenLabError
from genlab.config.families import FamilyConfig, build_family
from genlab.config.hashes import hashes
from genlab.config.layout import FLOOR, StudyFolder, seed_of
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

    @property
    def digest(self) -> str:
        """A short hash of the whole spec; a checkpoint belongs to exactly one."""
        return hashlib.sha256(dump_yaml(self).encode()).hexdigest()[:16]


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
    if values.get("source") not in SOURCES:
        raise ConfigError(f"{path}: source: unknown source '{values.get('source')}'")
    return build(SOURCES[values["source"]], values, path)


def read_evaluation(path: Path) -> EvaluationConfig:
    """The study's `evaluation:`, from its own file."""
    return build(EvaluationConfig, read_yaml(path), path)


def read_tracking(path: Path) -> TrackingConfig:
    """The study's `tracking:`, from its own file."""
    return build(TrackingConfig, read_yaml(path), path)


def _write_if_changed(path: Path, config: BaseModel) -> None:
    """Write `config` as YAML unless the file holds just that; a reader sees all or nothing."""
    text = dump_yaml(config)
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise GenLabError(f"{path}: can't be written: {error.strerror}") from None


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


def write_specs(study: Study, results: Path) -> None:
    """Write the spec files of every run and row of `study` under `results`."""
    at = StudyFolder(results / study.name)
    evaluation = study.evaluation
    _write_if_changed(at.config, study)
    _write_if_changed(at.evaluation, evaluation)
    _write_if_changed(at.tracking, study.tracking)
    if study.laboratory is not None:
        _write_if_changed(at.laboratory_config, study.laboratory)
    for dataset, config in study.datasets.items():
        _write_if_changed(at.data(dataset).config, config)
        hashes(config.own_files, at.data(dataset).hashes, keep=True)
        for kind in evaluation.floors:
            row = SampleSpec(row=kind, seed=0, samples=evaluation.samples)
            _write_if_changed(at.run(dataset, FLOOR, 0).samples(kind).config, row)
        runs = [(m, seed) for m in study.models.values() for seed in study.seeds]
        for entry, seed in [*runs, *((ruler, 0) for ruler in study.rulers)]:
            run = at.run(dataset, entry.name, seed)
            _write_if_changed(run.config, run_spec(study, dataset, entry, seed))
            if spec := prompts_spec(study, entry, seed):
                _write_if_changed(run.prompts_config, spec)
            for name in entry.samplers(study.samplers):
                row = SampleSpec(
                    row=name,
                    seed=seed,
                    samples=evaluation.samples,
                    sampler=study.samplers[name],
                )
                _write_if_changed(run.samples(name).config, row)
