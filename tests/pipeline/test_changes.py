"""What is redone after a change, and what is not, as Snakemake plans it.

Which stages each module of the package decides is tested without Snakemake, in
tests/results/test_stages.py; here are a few changes of every kind, with all that follows from them.
The study that they are made in never ran: `planned` lets Snakemake believe that it did.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import yaml
from mlflow import MlflowClient
from project import CORES, LONG, SMOKE, Job, Project, jobs

from genlab.results.spec import read_run

SUMMARY = {Job("rank"), Job("league"), Job("report"), Job("publish")}
MEASURED = {
    Job("evaluate", model)
    for model in ("vae", "ddpm", "flow", "vqvae-prior", "dalle", "calibration")
} | {Job("rfid", model) for model in ("vae", "vqvae")}
CURVES = {Job("curve", model) for model in ("vae", "ddpm", "flow", "vqvae-prior", "dalle")}
MEASURED |= CURVES
OF_DDPM = {
    Job(stage, "ddpm")
    for stage in ("train", "sample", "features", "evaluate", "likelihood", "trajectories", "curve")
}
BY_DDIM = {
    Job(stage, model)
    for model in ("ddpm", "flow") for stage in ("sample", "features", "evaluate", "trajectories")
}  # fmt: skip
OF_VAE = {
    Job(stage, "vae")
    for stage in ("train", "sample", "features", "evaluate", "reconstruct", "rfid", "likelihood",
                  "explore", "disentangle", "elbo", "curve")
}  # fmt: skip
OF_PRIOR = {
    Job(stage, "vqvae-prior")
    for stage in ("train", "sample", "features", "evaluate", "likelihood", "curve")
}
OF_DALLE = {
    Job(stage, "dalle")
    for stage in ("train", "sample", "features", "evaluate", "likelihood", "prompts", "curve")
}
OF_VQVAE = {Job(stage, "vqvae") for stage in ("train", "reconstruct", "rfid")} | OF_PRIOR | OF_DALLE
GAUSSIAN = {
    Job(stage, model)
    for model in ("ddpm", "flow")
    for stage in ("train", "sample", "features", "evaluate", "likelihood", "trajectories", "curve")
}

Change = Callable[[str], str]


def append(text: str) -> Change:
    return lambda before: f"{before}\n{text}\n"


def replace(old: str, new: str) -> Change:
    return lambda before: before.replace(old, new)


def reworded(before: str) -> str:
    """The text of a Python file with other words in its sentences; its code stays."""
    return before.replace(" the ", " this very ")


WORDS = (
    "config/sources/sprites.py", "config/elbo_study.py", "config/prompts.py",
    "config/samplers/base.py", "config/study/schema.py", "config/study/check.py",
    "config/families/ddpm.py", "errors.py", "tracking/sinks/wandb.py", "tracking/mirror.py",
    "app/cli.py", "app/ui.py", "results/origin.py", "io/arrays.py",
)  # fmt: skip
TABLE: dict[str, tuple[dict[str, Change], set[Job]]] = {
    "a metric: nothing is trained, drawn or extracted": (
        {SMOKE: replace("  samples: 128", "  samples: 128\n  neighbours: 4")}, MEASURED | SUMMARY,
    ),
    "a calibration row: it is made, and all are measured anew": (
        {SMOKE: replace("calibration: [real, noise]", "calibration: [real, noise, grain-1]")},
        {Job("calibrate"), Job("features", "calibration")} | MEASURED | SUMMARY,
    ),
    "code of the calibration rows: these": (
        {"src/genlab/data/calibration.py": append("NEW = 1")},
        {Job("calibrate"), Job("features", "calibration"), Job("evaluate", "calibration")}
        | SUMMARY,
    ),
    "a value of one model in the study: only its run": (
        {SMOKE: replace("network: {channels: 8}",
                        "network: {channels: 8}, training: {warmup: 0.1}")},
        OF_DDPM | SUMMARY,
    ),
    "a preset's learning rate: only its run": (
        {"config/models/ddpm.yaml": replace("learning_rate: ", "learning_rate: 1")},
        OF_DDPM | SUMMARY,
    ),
    "a default of a family: only its runs": (
        {"src/genlab/config/families/ddpm.py": replace("gamma: PositiveFloat = 5.0",
                                                       "gamma: PositiveFloat = 6.0")},
        OF_DDPM | SUMMARY,
    ),
    "code of a family: only its runs": (
        {"src/genlab/models/vae.py": append("NEW = 1")}, OF_VAE | SUMMARY,
    ),
    "a first stage: its run and those of its second stages": (
        {SMOKE: replace("preset: vqvae, ", "preset: vqvae, training: {warmup: 0.1}, ")},
        OF_VQVAE | SUMMARY,
    ),
    "a second stage: the first one stays": (
        {SMOKE: replace("prior, width: 16", "prior, width: 24")}, OF_PRIOR | SUMMARY,
    ),
    "the elbo_study: no model": (
        {SMOKE: replace("simulated: 2", "simulated: 3")},
        {Job("elbo", "vae"), Job("elbo_study")} | SUMMARY,
    ),
    "how many samples a curve has: no model": (
        {SMOKE: replace("1.0], samples: 128", "1.0], samples: 100")},
        CURVES | SUMMARY,
    ),
    "what is requested by prompts: no model": (
        {SMOKE: replace("candidates: 2", "candidates: 3")}, {Job("prompts", "dalle")} | SUMMARY,
    ),
    "code of a sampler: only its rows, and the walks": (
        {"src/genlab/samplers/ddim.py": append("NEW = 1")}, BY_DDIM | SUMMARY,
    ),
    "code of the league: league and page, and the numbers are sent": (
        {"src/genlab/report/league.py": append("NEW = 1")},
        {Job("league"), Job("report"), Job("publish")},
    ),
    "code and style of the page: the page": (
        {"src/genlab/report/page.py": append("NEW = 1"),
         "src/genlab/report/page.css": append("p { color: red }")},
        {Job("report")},
    ),
    "words of configuration, messages, tracking and the command line: nothing": (
        {f"src/genlab/{name}": reworded for name in WORDS}
        | {"src/genlab/training/trainer.py": reworded, SMOKE: append("# A comment.")},
        set(),
    ),
    "code of tracking, the command line and file helpers: nothing": (
        {f"src/genlab/{name}": append("NEW = 1")
         for name in ("tracking/sinks/wandb.py", "app/cli.py", "config/prompts.py",
                      "io/arrays.py")},
        set(),
    ),
    "where the progress goes, and a value of one model: both at once": (
        {SMOKE: lambda text: text.replace(
            "network: {channels: 8}", "network: {channels: 8}, training: {warmup: 0.1}"
        ) + "tracking: {tensorboard: false}"},
        OF_DDPM | SUMMARY,
    ),
    "where the progress goes: it is sent; league and report read the whole study": (
        {SMOKE: append("tracking: {tensorboard: false}")}, SUMMARY,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "expected"), TABLE.values(), ids=TABLE)
def test_a_change_redoes_what_it_touches(
    planned: Project, changes: dict[str, Change], expected: set[Job]
) -> None:
    for path, change in changes.items():
        planned.edit(path, change)
    assert planned.plan() == expected


def test_how_steps_are_spaced_decides_no_features_of_real_images(planned: Project) -> None:
    """Features are extracted of what is drawn anew, and of nothing else."""
    planned.edit("src/genlab/processes/gaussian.py", append("NEW = 1"))
    plan = planned.plan()
    assert plan >= GAUSSIAN
    assert {
        job for job in plan if job.rule in ("reference_features", "prepare", "calibrate")
    } == set()
    assert Job("features", "calibration") not in plan
    assert Job("train", "classifier") not in plan
    assert Job("train", "vae") not in plan


@pytest.mark.parametrize(
    ("path", "rule", "model"),
    [
        ("ddpm/seed0/history.jsonl", "train", "ddpm"),
        ("ddpm/seed0/model/environment.json", "train", "ddpm"),
        ("flow/seed0/samples/ddim-3/requested.npy", "sample", "flow"),
    ],
)
def test_a_file_that_others_read_is_made_again_once_it_is_lost(
    planned: Project, path: str, rule: str, model: str
) -> None:
    (planned.root / "results/smoke/sprites" / path).unlink()
    assert Job(rule, model) in planned.plan()


def publish_elsewhere(project: Project, *arguments: str) -> str:
    """What `snakemake` says where the environment names another tracking store."""
    uri = f"MLFLOW_TRACKING_URI=sqlite:///{project.root}/elsewhere.db"
    done = project.run("env", uri, "snakemake", "--configfile", SMOKE, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_another_tracking_store_and_one_that_was_deleted_receive_everything(again: Project) -> None:
    """One job each time, and none after it."""
    database = again.root / "results/mlflow.db"
    names = {f"sprites/{job.model}/seed0" for job in MEASURED} - {"sprites/calibration/seed0"}
    names |= {f"sprites/{model}/seed0" for model in ("classifier", "clip", "judge")}
    database.unlink()
    assert again.plan() == {Job("publish")}
    again.snakemake("--cores", CORES)
    assert again.plan() == set()
    assert jobs(publish_elsewhere(again, LONG, "-n")) == {Job("publish")}
    publish_elsewhere(again, "--cores", CORES)
    assert jobs(publish_elsewhere(again, LONG, "-n")) == set()
    assert again.plan() == {Job("publish")}
    for file in (database, again.root / "elsewhere.db"):
        client = MlflowClient(f"sqlite:///{file}")
        runs = client.search_runs([client.get_experiment_by_name("genlab-smoke").experiment_id])
        runs = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
        assert {run.info.run_name for run in runs} == names
        assert len(runs) == len(names)


def test_a_value_on_the_command_line_reaches_the_spec(bare: Project) -> None:
    """Nested values come as text; they are brought to their types."""
    fetched, values = "results/data/digits/fetched.json", ("seeds=[3]", 'training={"images": 640}')
    bare.snakemake("--cores", CORES, fetched, "--config", *values, study=None)
    spec = read_run(bare.root / "results/default/digits/vae-bernoulli/seed3/config.yaml")
    assert spec.training.images == 640
    assert spec.seed == 3
    assert not (bare.root / "results/default/digits/vae-bernoulli/seed0").exists()


def test_another_study_inherits_nothing_from_the_default_one(bare: Project) -> None:
    bare.snakemake("--cores", CORES, "results/data/sprites/fetched.json")
    study = yaml.safe_load((bare.root / "results/smoke/study.yaml").read_text())
    assert list(study["samplers"]) == ["prior", "ddpm-3", "ddim-3"]
    assert study["description"] == ""
    assert not (bare.root / "results/default").exists()


def test_checksums_of_downloaded_files_are_kept_for_the_next_start(bare: Project) -> None:
    """A file that did not change isn't read again, so a false checksum in the cache is believed."""
    name = "results/data/digits/fetched.json"
    fetched, cache = bare.root / name, (bare.root / name).with_name("hashes.json")
    bare.snakemake("--cores", CORES, name, study=None)
    ((path, entry),) = json.loads(cache.read_text()).items()
    cache.write_text(json.dumps({path: [*entry[:-1], "0" * 64]}))
    fetched.unlink()
    bare.snakemake("--cores", CORES, name, study=None)
    assert json.loads(fetched.read_text())["files"] == {path: "0" * 64}
