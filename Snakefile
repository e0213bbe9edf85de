# GenLab: train, sample, measure and compare generative models of images.
#
#   snakemake --cores all                                          the default study
#   snakemake --cores all --configfile config/studies/smoke.yaml   another one
#   snakemake --cores all --config seeds='[0,1,2]'                 one value changed
#
# This file reads and checks the study and names the targets; the work is in rules/.
from snakemake.logging import logger
from snakemake.utils import min_version

min_version("9.20")


report: "docs/captions/workflow.rst"


include: "rules/common.smk"
include: "rules/base.smk"
include: "rules/data.smk"
include: "rules/train.smk"
include: "rules/sample.smk"
include: "rules/evaluate.smk"
include: "rules/curves.smk"
include: "rules/understand.smk"
include: "rules/report.smk"


if not STORAGE:
    # After the rules: their patterns hold the wildcards within names in angle brackets, which
    # Snakemake fills in later than the constraints that stand before a rule.
    workflow.global_wildcard_constraints(**CONSTRAINTS)


# For the console (src/snakemake_logger_plugin_genlab), which names the report at the end.
logger.info(
    f"Study {STUDY.name}: {STUDY_AT.folder}",
    extra={"study": STUDY_AT, "workflow": workflow},
)


localrules:
    all,
    fetch,
    publish,
    league,


if STORAGE:

    localrules:
        prepare,  # reads what `fetch` left beside its output


rule all:
    default_target: True
    input:
        outputs(*JOBS),


onstart:
    start()
    # By default no more than 100 jobs start in a second. To keep that, Snakemake 9 starts a timer
    # each time it looks for jobs, and every timer makes it look again. The timers multiply while
    # jobs wait for a free core, and take a fifth of a core after half an hour.
    workflow.scheduler.job_rate_limiter = None


onsuccess:
    delete_finished_checkpoints(STUDY_AT)


# A job that a cluster ended says why in the cluster's log alone.
onerror:
    for folder in ("slurm_logs", "auxiliary/kubernetes-logs"):
        for path in sorted(Path(".snakemake", folder).rglob("*.log")):
            if path.stat().st_mtime >= workflow.start_time.timestamp():
                lines = path.read_text(errors="replace").splitlines()
                print(f"\n{path}:", *lines[-50:], sep="\n  ", file=sys.stderr)
