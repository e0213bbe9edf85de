"""The jobs of a study, and the modules that each of them runs.

A stage runs its own module and what that imports. Families, samplers and data sources are found by
name, not imported, so the table `STAGES` says which of them a job uses. The rules take the hash of
their code from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from genlab.config.evaluators import CALIBRATION, CLIP, JUDGE, extractor
from genlab.config.families import FamilyConfig
from genlab.config.samplers import SAMPLERS
from genlab.config.study import Study
from genlab.results.code import code
from genlab.results.spec import RunSpec, prompts_spec

Job = Mapping[str, Any]
"""The wildcards of a job: `dataset`, `model`, `seed`, `row`, `split`, as far as it has them."""


def rows_of(study: Study, model: str) -> list[str]:
    """The rows that are drawn from `model`, or the kinds of calibration rows."""
    if model == CALIBRATION:
        return list(study.evaluation.calibration)
    return study.models[model].samplers(study.samplers)


def study_jobs(study: Study) -> dict[str, list[Job]]:
    """The jobs of a study, by the names of their rules."""
    of_data: list[Job] = [{"dataset": dataset} for dataset in study.datasets]
    of_runs: list[Job] = [
        {**data, "model": model, "seed": seed}
        for data in of_data
        for model in study.models
        for seed in study.seeds
    ]
    of_evaluators: list[Job] = [
        {**data, "model": name, "seed": 0}
        for data in of_data
        for name in study.evaluators_of(data["dataset"])
    ]
    of_calibration: list[Job] = [{**data, "model": CALIBRATION, "seed": 0} for data in of_data]

    def runs(can: Callable[[FamilyConfig], Any]) -> list[Job]:
        """The runs of the models whose family `can` do something, by its declaration."""
        return [job for job in of_runs if can(study.models[job["model"]].model)]

    def rows(jobs: list[Job]) -> list[Job]:
        return [{**job, "row": row} for job in jobs for row in rows_of(study, job["model"])]

    vaes = runs(lambda family: family.posterior)
    return {
        "fetch": of_data,
        "prepare": of_data,
        "train": [*of_runs, *of_evaluators],
        "sample": rows(of_runs),
        "calibrate": rows(of_calibration),
        "reconstruct": runs(lambda family: family.reconstructs),
        "trajectories": runs(lambda family: family.generates == "gaussian"),
        "reference_features": [
            {**data, "split": split} for data in of_data for split in ("train", "test")
        ],
        "features": rows([*of_runs, *of_calibration]),
        "evaluate": [job for job in [*of_runs, *of_calibration] if rows_of(study, job["model"])],
        "rfid": runs(lambda family: family.reconstructs),
        "likelihood": runs(lambda family: family.likelihoods),
        "explore": runs(lambda family: family.encodes),
        "disentangle": [job for job in vaes if study.datasets[job["dataset"]].factors],
        "prompts": [
            job
            for job in runs(lambda family: family.takes_prompts)
            if study.datasets[job["dataset"]].checkable
        ],
        "curve": [job for job in of_runs if study.curves and rows_of(study, job["model"])],
        "elbo": vaes if study.elbo_study else [],
        "elbo_study": of_data if study.elbo_study else [],
        "rank": [{}],
        "league": [{}],
        "report": [{}],
        "publish": [{}],
    }


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


def _of_curve(study: Study, job: Job) -> list[str]:
    """The sampler that draws along the training: the first one of the job's model."""
    return [_sampler(study.samplers[rows_of(study, job["model"])[0]].sampler)]


def _deterministic(study: Study, job: Job) -> list[str]:
    """The samplers that the trajectories compare."""
    return [_sampler(name) for name, kind in SAMPLERS.items() if kind.deterministic]


def _for_prompts(study: Study, job: Job) -> list[str]:
    """The sampler that draws for prompts, CLIP and the judge."""
    spec = prompts_spec(study, study.models[job["model"]], 0)  # the sampler is that of any seed
    evaluators = [study.evaluators[name].model.implementation for name in (CLIP, JUDGE)]
    return [*([_sampler(spec.sampler.sampler)] if spec else []), *evaluators]


class Stage(NamedTuple):
    """The code of a stage.

    Attributes:
        module: its own.
        uses: functions that name what else a job of it runs, by the study and its wildcards.
    """

    module: str
    uses: tuple[Modules, ...] = ()


def _extractors(study: Study, job: Job) -> list[str]:
    """The networks of all extractors."""
    return [m for name in study.evaluation.extractors for m in _network(study, name)]


def _network(study: Study, name: str) -> list[str]:
    """The module of an extractor, and the family of one that the workflow trains."""
    entry = study.evaluators.get(name)
    return [extractor(name).module, *([entry.model.implementation] if entry else [])]


def _metrics(study: Study, job: Job) -> list[str]:
    """All metrics."""
    return ["genlab.evaluation.metrics.*"]


def _sections(study: Study, job: Job) -> list[str]:
    """All sections of the page."""
    return ["genlab.report.sections.*"]


STAGES = {
    "fetch": Stage("genlab.workflow.fetch", (_source,)),
    "prepare": Stage("genlab.workflow.prepare", (_source,)),
    "train": Stage("genlab.workflow.train", (_family,)),
    "sample": Stage("genlab.workflow.sample", (_family, _of_row)),
    "calibrate": Stage("genlab.workflow.calibration"),
    "reconstruct": Stage("genlab.workflow.reconstruct", (_family,)),
    "trajectories": Stage("genlab.workflow.trajectories", (_family, _deterministic)),
    "features": Stage("genlab.workflow.features", (_extractors,)),
    "evaluate": Stage("genlab.workflow.evaluate", (_metrics,)),
    "rfid": Stage("genlab.workflow.rfid", (_extractors,)),
    "likelihood": Stage("genlab.workflow.likelihood", (_family,)),
    "explore": Stage("genlab.workflow.explore", (_family,)),
    "disentangle": Stage("genlab.workflow.disentangle", (_family,)),
    "prompts": Stage("genlab.workflow.prompts", (_family, _for_prompts)),
    "curve": Stage("genlab.workflow.curve", (_family, _of_curve, _extractors)),
    "elbo": Stage("genlab.workflow.elbo", (_family,)),
    "elbo_study": Stage("genlab.workflow.elbo_study"),
    "rank": Stage("genlab.workflow.rank"),
    "league": Stage("genlab.workflow.league", (_metrics,)),
    "report": Stage("genlab.workflow.report", (_metrics, _sections)),
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
