# What the other files share: the study, every path, every resource. No rules here.
import functools
import gc
import os
import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

from snakemake.exceptions import WorkflowError

# Exclude all objects that exist now from garbage collection; this saves a quarter of the planning
# time.
gc.freeze()

sys.path.insert(0, str(Path(workflow.basedir) / "src"))

from genlab.config.base import merge, read_yaml, short_hash
from genlab.errors import GenLabError
from genlab.io.hashes import digest, hashes
from genlab.config.evaluators import CALIBRATION, extractor, seed_of
from genlab.results.checkpoints import delete_finished_checkpoints
from genlab.results.layout import RESULTS, StudyFolder
from genlab.results.lock import WorkflowLock
from genlab.results.spec import check_source, check_specs, study_specs, write_specs
from genlab.results.stages import rows_of, stage_code, study_jobs
from genlab.config.study import load_study
from genlab.tracking.mlflow_store import store_number

# ---- where the files lie -----------------------------------------------------------------------
# With a storage (profiles/kubernetes) each job works in a folder of its own, on copies of the files
# that its rule declares. Commands get paths below ROOT, the folder of these copies. The rules name
# the same files as results/...
STORAGE = workflow.storage_settings.default_storage_provider is not None
ROOT = Path(workflow.inputfile(RESULTS))
if workflow.storage_settings.default_storage_provider == "s3":
    from botocore.exceptions import BotoCoreError, ClientError

    S3 = workflow.storage_registry.default_storage_provider
    # The plugin remembers of each name whether it was a folder before the job that makes it ran.
    S3.get_storage_object_cls().is_dir = lambda name: any(name.get_subkeys())
    if workflow.is_main_process:
        BUCKET = urlsplit(workflow.storage_settings.default_storage_prefix).netloc
        try:
            S3.s3c.meta.client.head_bucket(Bucket=BUCKET)
        except (BotoCoreError, ClientError) as error:
            raise WorkflowError(
                f"s3://{BUCKET}: {error}\nCreate the bucket, or correct `default-storage-prefix` or"
                " the variables SNAKEMAKE_STORAGE_S3_* (profiles/kubernetes)."
            )

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
    SPECS = study_specs(STUDY, ROOT)
    if workflow.is_main_process:
        check_source(STUDY, STUDY_FILE, ROOT)
        LOCK.plan()
        if any(entry.training.parameters for entry in STUDY.models.values()):
            from genlab.workflow.sizes import check_sizes  # imports torch

            check_sizes(STUDY, STUDY_FILE, ROOT)
        for note in STUDY.notes:
            print(f"note: {note}", file=sys.stderr)
    elif STORAGE:  # a job, which reads the Snakefile once more, in an empty folder
        write_specs(SPECS)
    else:  # a job on a cluster, beside the specs that were written at the start
        check_specs(SPECS, STUDY_FILE)
except GenLabError as error:
    raise WorkflowError(str(error))

if not workflow.overwrite_configfiles:

    configfile: FILES[0]  # for Snakemake's report and archives


# Jobs end with the process that started them (genlab.app.cli).
os.environ.update(GENLAB_WORKFLOW=str(os.getpid()))

if STORAGE:  # its jobs don't inherit the environment
    workflow.register_envvars(*{"GENLAB_GPUS", "GENLAB_RESUME"} & set(os.environ))

if STORAGE and workflow.remote_exec:
    # The code of this checkout, which the job was sent with the Snakefile, not that of its image.
    os.environ.update(PYTHONPATH=str(Path(workflow.basedir) / "src"))
    # How much a service has received is noted in a file that would be lost with the job's folder.
    os.environ.update(GENLAB_TRACKING="publish")


def start():
    """Write the specs, as the only process that runs a workflow here."""
    try:
        LOCK.run()
        write_specs(SPECS)
        for name, data in STUDY.datasets.items():
            if data.own_files:  # the cache for downloaded files is written by `fetch`
                hashes(data.own_files, STUDY_AT.data(name).hashes, keep=True)
        STUDY_AT.source.write_text(STUDY_FILE, encoding="utf-8")
    except (GenLabError, OSError) as error:
        raise WorkflowError(str(error))


# ---- paths -------------------------------------------------------------------------------------
# For commands and specs
STUDY_AT = StudyFolder(ROOT / STUDY.name)
DATA = STUDY_AT.data("{dataset}")
RUN = STUDY_AT.run("{dataset}", "{model}", "{seed}")
ROW = RUN.samples("{row}")
CALIBRATION_ROW = STUDY_AT.calibration_row("{dataset}", "{row}")

# For what rules read and write
NAMES = StudyFolder(Path(RESULTS) / STUDY.name)


# What stands in angle brackets in the patterns of the rules
pathvars:
    study=str(NAMES.folder),  # results/STUDY
    logs=f"{NAMES.folder}/logs",
    benchmarks=f"{NAMES.folder}/benchmarks",
    data=str(NAMES.data("{dataset}").folder),  # results/data/{dataset}
    run=str(NAMES.run("{dataset}", "{model}", "{seed}").folder),  # results/STUDY/{dataset}/{model}/seed{seed}
    row=str(NAMES.run("{dataset}", "{model}", "{seed}").samples("{row}").folder),  # the run's samples/{row}
    calibration=str(NAMES.calibration_row("{dataset}", "{row}").folder),  # results/STUDY/{dataset}/calibration/seed0/samples/{row}


# Data sets and models are those of the study, so Snakemake says of others that no rule makes them.
CONSTRAINTS = {
    "dataset": "|".join(map(re.escape, STUDY.datasets)),
    "model": "|".join(map(re.escape, [*STUDY.models, *STUDY.evaluators, CALIBRATION])),
    "seed": "[0-9]+",
    "row": "[^/]+",
    "extractor": "[^/]+",
}
if STORAGE:
    # Before the rules, whose patterns become names in the storage as soon as they are read
    workflow.global_wildcard_constraints(**CONSTRAINTS)


def noted(*arrays):
    """Arrays, each with the note of its checksum, without which it can't be read."""
    return [path for array in arrays for path in (array, f"{array}.json")]


# All splits of a data set
ARRAYS = expand(
    "<data>/{split}_{kind}.npy",
    split=["train", "test", "unseen"],
    kind=["images", "labels", "factors", "captions"],
    allow_missing=True,
)
MANIFESTS = [NAMES.data(dataset).manifest for dataset in STUDY.datasets]

REAL_IMAGES = noted(
    *(
        NAMES.data(dataset).images(split)
        for dataset in STUDY.datasets
        for split in ("train", "test")
    )
)

# ---- jobs: their wildcards, by rule ------------------------------------------------------------
JOBS = study_jobs(STUDY)
UNDERSTOOD = [
    "explore",
    "disentangle",
    "trajectories",
    "prompts",
    "curve",
    "elbo",
    "elbo_study",
]


def of_jobs(files, name):
    """These patterns, filled in for each job of a rule."""
    jobs = JOBS[name]
    if jobs and jobs[0]:  # one call for all jobs is quick
        wildcards = {key: [job[key] for job in jobs] for key in jobs[0]}
        return expand(files, zip, **wildcards)
    return expand(files) if jobs else []  # the only one of its rule has no wildcards


def outputs(*names):
    """Every file that the study's jobs of these rules write."""
    paths = []
    for name in names:
        files = getattr(rules, name).output  # below ROOT
        paths += of_jobs([os.path.relpath(file, ROOT.parent) for file in files], name)
    return paths


def benchmarks(*names):
    """The benchmark files of the study's jobs of these rules, as inputs.

    Only with a storage, which brings declared inputs alone to a job. Elsewhere jobs read them
    undeclared, so that deleting one repeats no job.
    """
    paths = []
    for name in names if STORAGE else ():
        file = os.path.relpath(getattr(rules, name).benchmark, ROOT.parent)
        paths += of_jobs([file], name)
    return paths


# ---- where a job's output goes ------------------------------------------------------------------
# In a pod also to the pod's own output, which Snakemake shows if the job fails. By Bash's pipefail,
# which Snakemake sets, the exit code is that of `genlab`.
IN_POD = STORAGE and workflow.remote_exec
LOGGED = "2>&1 | tee {log}" if IN_POD else "> {log} 2>&1"


# ---- what a job may use; a profile or --set-resources overrides any of it ----------------------
# Small networks gain little from a second thread (1.45 times on two cores), so two jobs side by
# side, each on half of the cores, finish sooner than one after the other on all of them.
# On a cluster `set-threads` of profiles/slurm decides: a job would count the cores of its node.
CORES = 1 if workflow.remote_exec else workflow.resource_settings.cores
HALF = max(1, (CORES or 1) // 2)
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


def memory(mb):
    """Return a job's memory: `mb` MB times the attempt, as the last one may have run out of it."""
    return lambda wildcards, attempt: mb * attempt


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


def code_of(stage):
    """The hash of the code that a job of `stage` runs: a change of it redoes just these jobs."""
    return lambda wildcards: stage_code(stage, STUDY, dict(wildcards.items()))


def likelihood_options(model):
    """How a model's bits/dim are estimated, as far as it depends on the study."""
    family = STUDY.models[model].model
    if family.generates == "gaussian":
        return f"--images {STUDY.likelihood.path_images}"
    if "iwae" in family.likelihoods:
        return f"--k {STUDY.likelihood.iwae_samples}"
    return ""


# ---- what a job reads of other runs ------------------------------------------------------------
def first_stage_weights(dataset, model, seed):
    """The weights that a second stage's training starts from; nothing for any other model."""
    first = STUDY.entry(model).model.first_stage_name
    return [NAMES.run(dataset, first, seed_of(first, seed)).weights] if first else []


def extractor_files(dataset):
    """The files that the extractors read: of their training, the images they are fitted to, or
    the user's own."""
    files, data = [], NAMES.data(dataset)
    for name in STUDY.evaluation.extractors:
        if extractor(name).trained:
            files += [data.manifest, NAMES.run(dataset, name, 0).weights]
        elif extractor(name).fitted:
            files += noted(data.images("train"))
        else:
            # Not in a storage: jobs that read them run where they lie
            files += map(local, extractor(name).files(STUDY.evaluation))
    return files


def row_files(dataset, model, seed):
    """The samples of a run's rows, the classes that were requested, and all features."""
    rows = [
        NAMES.run(dataset, model, seed).samples(row) for row in rows_of(STUDY, model)
    ]
    requested = [] if model == CALIBRATION else [row.requested for row in rows]
    names = STUDY.evaluation.extractors
    features = [row.features(name) for row in rows for name in names]
    return [*noted(*(row.samples for row in rows), *requested), *features]
