"""The modules that each stage runs: one table, from which the rules take the hash of their code.

A stage runs its own module and what that imports. Families, samplers and data sources are found by
name, not imported, so the table says which of them a job uses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from genlab.config.families import FamilyConfig
from genlab.config.samplers import DETERMINISTIC
from genlab.config.study import Study
from genlab.results.code import code
from genlab.results.spec import RunSpec, prompts_spec

Job = Mapping[str, str]
"""The wildcards of a job: `dataset`, `model`, `row` and so on, as far as its rule has them."""

Modules = Callable[[Study, Job], list[str]]


def _source(study: Study, job: Job) -> list[str]:
    """The source of the job's data set."""
    return [f"genlab.data.sources.{study.datasets[job['dataset']].source}"]


def family_modules(family: FamilyConfig, study: Study) -> list[str]:
    """The module of a family, and those of the models that it builds on."""
    first = family.first_stage_name
    below = family_modules(study.entry(first).model, study) if first else []
    return [family.implementation, *below]


def _family(study: Study, job: Job) -> list[str]:
    """The family of the job's model."""
    return family_modules(study.entry(job["model"]).model, study)


def _sampler(name: str) -> str:
    """The module of a sampler; one that works on direct models has none, which counts nothing."""
    return f"genlab.samplers.{name.replace('-', '_')}"


def _of_row(study: Study, job: Job) -> list[str]:
    """The sampler of the job's row."""
    return [_sampler(study.samplers[job["row"]].sampler)]


def _deterministic(study: Study, job: Job) -> list[str]:
    """The samplers that the walks compare."""
    return [_sampler(name) for name in DETERMINISTIC]


def _for_prompts(study: Study, job: Job) -> list[str]:
    """The sampler that draws for prompts, CLIP and the judge."""
    spec = prompts_spec(study, study.models[job["model"]], 0)  # the sampler is that of any seed
    evaluators = [entry.model.implementation for entry in (study.clip, study.judge) if entry]
    return [*([_sampler(spec.sampler.sampler)] if spec else []), *evaluators]


class Stage(NamedTuple):
    """The code of a stage.

    Attributes:
        module: its own.
        uses: functions that name what else a job of it runs, by the study and its wildcards.
    """

    module: str
    uses: tuple[Modules, ...] = ()


STAGES = {
    "fetch": Stage("genlab.data.prepare", (_source,)),
    "prepare": Stage("genlab.data.prepare", (_source,)),
    "train": Stage("genlab.training.trainer", (_family,)),
    "sample": Stage("genlab.sampling.stages", (_family, _of_row)),
    "floor": Stage("genlab.data.floors"),
    "reconstruct": Stage("genlab.sampling.stages", (_family,)),
    "walk": Stage("genlab.sampling.walks", (_family, _deterministic)),
    "features": Stage("genlab.evaluation.stages"),
    "evaluate": Stage("genlab.evaluation.stages"),
    "rfid": Stage("genlab.evaluation.stages"),
    "likelihood": Stage("genlab.evaluation.likelihood", (_family,)),
    "explore": Stage("genlab.sampling.latents", (_family,)),
    "disentangle": Stage("genlab.evaluation.disentanglement", (_family,)),
    "prompts": Stage("genlab.evaluation.prompts", (_family, _for_prompts)),
    "elbo": Stage("genlab.evaluation.elbo.stages", (_family,)),
    "laboratory": Stage("genlab.evaluation.elbo.stages"),
    "league": Stage("genlab.report.league"),
    "report": Stage("genlab.report.page"),
}
"""`publish` isn't here: what it sends depends on the store, and no code can make it wrong."""


def roots(stage: str, study: Study, job: Job) -> list[str]:
    """The modules that a job of `stage` starts from, as `genlab.results.code` takes them."""
    entry = STAGES[stage]
    return [entry.module, *(module for uses in entry.uses for module in uses(study, job))]


def stage_code(stage: str, study: Study, job: Job) -> str:
    """The hash of the code that a job of `stage` runs."""
    return code(*roots(stage, study, job))


def training_code(spec: RunSpec) -> str:
    """The hash of the code that trains a run, by its spec: that of its job of the stage `train`."""
    implementations = []
    below: RunSpec | None = spec
    while below:
        implementations.append(below.model.implementation)
        below = below.first_stage
    return code(STAGES["train"].module, *implementations)
