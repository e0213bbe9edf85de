# What the other files share: the study, every path, every resource. No rules here.
import gc
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

# What Snakemake has made so far lives to the end. Left out of every search for garbage, the one at
# the end among them, it no longer costs planning a quarter of its time.
gc.freeze()

sys.path.insert(0, str(Path(workflow.basedir) / "src"))

from genlab.config.errors import GenLabError
from genlab.config.layout import (
    CLASSIFIER,
    FLOOR,
    RESULTS,
    StudyFolder,
    seed_of,
)
from genlab.config.samplers import DETERMINISTIC
from genlab.config.sources import code
from genlab.config.spec import prompts_spec, write_specs
from genlab.config.study import load_study

# ---- the study, checked as a whole before any job starts --------------------------------------
try:
    STUDY = load_study(
        config,
        Path(workflow.basedir) / "config",
        ", ".join(map(str, workflow.configfiles)) or "--config",
    )
    write_specs(STUDY, Path(RESULTS))
except GenLabError as error:
    raise WorkflowError(str(error))

DATASETS = list(STUDY.datasets)
MODELS = list(STUDY.models)
RUNS = [(d, m, s) for d in DATASETS for m in MODELS for s in STUDY.seeds]


def rows_of(model):
    """The rows that are drawn from `model`, or the kinds of floor."""
    if model == FLOOR:
        return list(STUDY.evaluation.floors)
    return STUDY.models[model].samplers(STUDY.samplers)


wildcard_constraints:
    dataset="[^/]+",
    model="[^/]+",
    seed="[0-9]+",
    row="[^/]+",
    extractor="[^/]+",


# ---- paths: the layout with wildcards in the place of names -----------------------------------
STUDY_AT = StudyFolder(Path(RESULTS) / STUDY.name)
DATA = STUDY_AT.data("{dataset}")
RUN = STUDY_AT.run("{dataset}", "{model}", "{seed}")
ROW = RUN.samples("{row}")
LOGS = f"{STUDY_AT.folder}/logs"
COSTS = f"{STUDY_AT.folder}/benchmarks"
IN_RUN = "{dataset}/{model}/seed{seed}"

ROWS = [STUDY_AT.run(d, m, s).samples(row) for d, m, s in RUNS for row in rows_of(m)]
FLOORS = [STUDY_AT.floor(d, kind) for d in DATASETS for kind in STUDY.evaluation.floors]
RECONSTRUCTIONS = [
    STUDY_AT.run(d, m, s).reconstructions
    for d, m, s in RUNS
    if STUDY.models[m].model.reconstructs
]
RECONSTRUCTION_METRICS = [
    folder / name
    for folder in RECONSTRUCTIONS
    for name in ("metrics.json", "rfid.json")
]
TRAINED = [STUDY_AT.run(*run) for run in RUNS]
DRAWN = [STUDY_AT.run(*run) for run in RUNS if rows_of(run[1])]
LIKELIHOODS = [
    STUDY_AT.run(*run).likelihood
    for run in RUNS
    if STUDY.models[run[1]].model.likelihoods
]
LATENTS = [
    STUDY_AT.run(*run).latents for run in RUNS if STUDY.models[run[1]].model.encodes
]
DISENTANGLED = [
    STUDY_AT.run(*run).disentanglement
    for run in RUNS
    if STUDY.models[run[1]].model.posterior and STUDY.datasets[run[0]].factors
]
WALKED = [
    STUDY_AT.run(*run).walks
    for run in RUNS
    if STUDY.models[run[1]].model.generates == "gaussian"
]
PROMPTED = [
    STUDY_AT.run(*run).prompts
    for run in RUNS
    if STUDY.models[run[1]].model.takes_prompts
]
UNDERSTOOD = (
    [folder / "latents.json" for folder in LATENTS]
    + DISENTANGLED
    + [folder / "walks.json" for folder in WALKED]
    + [folder / "prompts.json" for folder in PROMPTED]
)
LABORATORY = (
    [STUDY_AT.run(*run).elbo for run in RUNS if STUDY.models[run[1]].model.posterior]
    + [
        STUDY_AT.laboratory(d) / name
        for d in DATASETS
        for name in ("ppca.json", "gradients.json")
    ]
    if STUDY.laboratory
    else []
)
RULERS = [STUDY_AT.run(d, ruler.name, 0) for d in DATASETS for ruler in STUDY.rulers]
MEASURED = DRAWN + ([STUDY_AT.run(d, FLOOR, 0) for d in DATASETS] if FLOORS else [])

# ---- what a job may use; a profile or --set-resources overrides any of it ----------------------
# `gpu: 1` is clamped to 0 where the profile grants none.
# Small networks gain little from a second thread (1.45 times on two cores), so two jobs side by
# side, each on half of the cores, finish sooner than one after the other on all of them.
# A cluster counts no cores: 4 threads then.
HALF = max(1, (workflow.resource_settings.cores or 8) // 2)
THREADS = {"train": HALF, "sample": HALF, "features": 1, "evaluate": 1}
GPU = 1
MEMORY_MB = {"light": 1000, "data": 4000, "compute": 4000, "measure": 4000}
MINUTES = {"short": 30, "data": 120, "train": 1440, "sample": 720}


# ---- the code that a stage runs, so that a change of it redoes just what it touches ------------
def model_code(model, stage, *more):
    """The code of `stage`, of the family it is called for, and of its first stage."""
    family = STUDY.entry(model).model
    if family.first_stage_name:
        return model_code(family.first_stage_name, stage, family.implementation, *more)
    return code(stage, family.implementation, *more)


def sampler_module(name):
    """The module that a sampler is in; samplers are found by their names, not imported."""
    return f"genlab.samplers.{name.replace('-', '_')}"


def sampler_code(model, row):
    """The code of the sampling stage, the family and the sampler."""
    kind = STUDY.samplers[row].sampler
    return model_code(model, "genlab.sampling.stages", sampler_module(kind))


def prompts_code(model):
    """The code of the stage `prompts`, the family, its sampler, CLIP and judge."""
    # What is asked for is the same on every data set and with every seed.
    sampler = prompts_spec(STUDY, STUDY.models[model], 0).sampler.sampler
    rulers = [STUDY.clip.model.implementation, STUDY.judge.model.implementation]
    stage = "genlab.evaluation.prompts"
    return model_code(model, stage, sampler_module(sampler), *rulers)


def likelihood_options(model):
    """How a model's bits/dim are estimated, as far as it depends on the study."""
    family = STUDY.models[model].model
    if family.generates == "gaussian":
        return f"--images {STUDY.likelihood.path_images}"
    if "iwae" in family.likelihoods:
        return f"--k {STUDY.likelihood.iwae_samples}"
    return ""


def first_stage_weights(dataset, model, seed):
    """The weights that a second stage's training starts from; none for any other model."""
    first = STUDY.entry(model).model.first_stage_name
    return [STUDY_AT.run(dataset, first, seed_of(first, seed)).weights] if first else []


def extractor_weights(extractor, dataset):
    """The files that hold an extractor's weights; none if torch-fidelity fetches them."""
    if extractor == CLASSIFIER:
        return [STUDY_AT.classifier(dataset).weights]
    local = STUDY.evaluation.inception_weights
    return [local] if local else []
