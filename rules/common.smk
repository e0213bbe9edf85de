# What the other files share: the study, every path, every resource. No rules here.
import functools
import gc
import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

# What Snakemake has made so far lives to the end. Left out of every search for garbage, the one at
# the end among them, it no longer costs planning a quarter of its time.
gc.freeze()

sys.path.insert(0, str(Path(workflow.basedir) / "src"))

from genlab.config.base import merge, read_yaml, short_hash
from genlab.errors import GenLabError
from genlab.io.hashes import digest, hashes
from genlab.io.files import note_path
from genlab.config.evaluators import CLASSIFIER, FLOOR, seed_of
from genlab.results.layout import RESULTS, StudyFolder
from genlab.results.lock import WorkflowLock
from genlab.config.samplers import DETERMINISTIC
from genlab.results.code import code
from genlab.results.spec import (
    check_source,
    check_specs,
    prompts_spec,
    study_specs,
    write_specs,
)
from genlab.config.study import load_study
from genlab.tracking.mlflow_store import store_number

# ---- the study, checked as a whole before any job starts --------------------------------------
# A study given on the command line replaces the default one, it isn't merged into it.
FILES = workflow.overwrite_configfiles or [Path("config/config.yaml")]
STUDY_FILE = ", ".join(map(os.path.relpath, FILES))
LOCK = WorkflowLock()
try:
    # GenLab's own reader: Snakemake's keeps the last of two equal keys and takes `off` for false.
    STUDY = load_study(
        merge(*map(read_yaml, FILES), workflow.config_settings.config),
        Path(workflow.basedir) / "config",
        STUDY_FILE,
    )
    SPECS = study_specs(STUDY, Path(RESULTS))
    if workflow.is_main_process:
        check_source(STUDY, STUDY_FILE, Path(RESULTS))
        LOCK.plan()
        for note in STUDY.notes:
            print(f"note: {note}", file=sys.stderr)
    else:  # a cluster's job, which reads the Snakefile once more
        check_specs(SPECS, STUDY_FILE)
except GenLabError as error:
    raise WorkflowError(str(error))

if not workflow.overwrite_configfiles:

    configfile: FILES[0]  # for Snakemake's report and archives


# Jobs end with the process that started them (genlab.app.cli).
os.environ.update(GENLAB_WORKFLOW=str(os.getpid()))


def start():
    """Write the specs, as the only process that runs a workflow here."""
    try:
        LOCK.run()
        write_specs(SPECS)
        for name, data in STUDY.datasets.items():
            hashes(data.own_files, STUDY_AT.data(name).hashes, keep=True)
        STUDY_AT.source.write_text(STUDY_FILE, encoding="utf-8")
    except (GenLabError, OSError) as error:
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

# ---- the wildcards of every job, by rule --------------------------------------------------------
OF_STUDY = [{}]
OF_DATA = [{"dataset": d} for d in DATASETS]
OF_RUNS = [{"dataset": d, "model": m, "seed": s} for d, m, s in RUNS]
OF_RULERS = [
    at | {"model": r.name, "seed": 0} for at in OF_DATA for r in STUDY.evaluators
]
OF_FLOOR = [at | {"model": FLOOR, "seed": 0} for at in OF_DATA]


def runs(can):
    """Those of a model that `can` do something, by the declaration of its family."""
    return [at for at in OF_RUNS if can(STUDY.models[at["model"]].model)]


def rows(places):
    """Every row of the runs in `places`."""
    return [at | {"row": row} for at in places for row in rows_of(at["model"])]


def in_features(places):
    """`places` once for each extractor of features."""
    extractors = STUDY.evaluation.extractors
    return [at | {"extractor": name} for at in places for name in extractors]


VAES = runs(lambda model: model.posterior)
PLACES = {
    "fetch": OF_DATA,
    "prepare": OF_DATA,
    "train": OF_RUNS + OF_RULERS,
    "sample": rows(OF_RUNS),
    "floor": rows(OF_FLOOR),
    "reconstruct": runs(lambda model: model.reconstructs),
    "walk": runs(lambda model: model.generates == "gaussian"),
    "reference_features": in_features(OF_DATA),
    "features": in_features(rows(OF_RUNS + OF_FLOOR)),
    "evaluate": [at for at in OF_RUNS + OF_FLOOR if rows_of(at["model"])],
    "rfid": runs(lambda model: model.reconstructs),
    "likelihood": runs(lambda model: model.likelihoods),
    "explore": runs(lambda model: model.encodes),
    "disentangle": [at for at in VAES if STUDY.datasets[at["dataset"]].factors],
    "prompts": [  # where there is one class, all captions are the same
        at
        for at in runs(lambda model: model.takes_prompts)
        if STUDY.datasets[at["dataset"]].class_count != 1
    ],
    "elbo": VAES if STUDY.laboratory else [],
    "laboratory": OF_DATA if STUDY.laboratory else [],
    "league": OF_STUDY,
    "report": OF_STUDY,
    "publish": OF_STUDY,
}
UNDERSTOOD = ["explore", "disentangle", "walk", "prompts", "elbo", "laboratory"]


def outputs(*names):
    """Every file that the study's jobs of these rules write."""
    return [
        path
        for name in names
        for place in PLACES[name]
        for path in expand(getattr(rules, name).output, **place)
    ]


def prepared(data):
    """What the rule `prepare` writes of a data set."""
    kinds = (data.images, data.labels, data.factors, data.captions)
    arrays = [kind(split) for kind in kinds for split in ("train", "test", "unseen")]
    arrays.append(data.tokens)
    notes = [note_path(array) for array in arrays]
    return [data.manifest, *arrays, *notes, data.texts, data.tokenizer]


# ---- what a job may use; a profile or --set-resources overrides any of it ----------------------
# Small networks gain little from a second thread (1.45 times on two cores), so two jobs side by
# side, each on half of the cores, finish sooner than one after the other on all of them.
# On a cluster `set-threads` of profiles/slurm decides: a job would count the cores of its node.
CORES = 1 if workflow.remote_exec else workflow.resource_settings.cores
HALF = max(1, (CORES or 1) // 2)
THREADS = {"train": HALF, "sample": HALF, "features": 1, "evaluate": 1}
# `gpu: 1` is clamped to 0 where profiles/default grants none. GENLAB_GPUS=0 in the environment
# requests none on a cluster as well, where each job inherits the environment but not the limits.
GPU = 0 if os.environ.get("GENLAB_GPUS") == "0" else 1
SUBMITS = workflow.resource_settings.nodes and not CORES
if SUBMITS and GPU and workflow.global_resources.get("gpu") == 0:
    raise WorkflowError(
        "gpu=0 limits the GPUs of one machine. The jobs of a cluster would not know of it and fail."
        " For a cluster without GPUs: GENLAB_GPUS=0 snakemake --workflow-profile profiles/slurm."
        " If you gave no limit, it is that of profiles/default: use --workflow-profile, not"
        " --profile."
    )
MEMORY_MB = {"light": 1000, "data": 4000, "compute": 4000, "measure": 4000}
MINUTES = {"short": 30, "data": 120, "train": 1440, "sample": 720}


# ---- what a rule reads of the study -------------------------------------------------------------
def spec_of(pattern):
    """The digest of the spec file `pattern`: a rule is redone when its own spec changes."""
    return lambda wildcards: short_hash(
        SPECS[Path(str(pattern).format(**dict(wildcards.items())))]
    )


@functools.cache
def own_files(dataset):
    """A hash of the user's own files, so that data are fetched anew when these change."""
    data = STUDY.datasets[dataset]
    return digest(hashes(data.own_files, STUDY_AT.data(dataset).hashes))


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
