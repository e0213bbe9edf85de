"""What is redone after a change, and what is not; found out by dry runs on a finished study."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import yaml
from mlflow import MlflowClient
from project import CORES, LONG, SMOKE, Job, Project, jobs

from genlab.results.spec import read_run

SUMMARY = {Job("league"), Job("report"), Job("publish")}
MEASURED = {
    Job("evaluate", model) for model in ("vae", "ddpm", "flow", "vqvae-prior", "dalle", "floor")
} | {Job("rfid", model) for model in ("vae", "vqvae")}
OF_DDPM = {
    Job(stage, "ddpm")
    for stage in ("train", "sample", "features", "evaluate", "likelihood", "walk")
}
BY_DDIM = {
    Job(stage, model)
    for model in ("ddpm", "flow") for stage in ("sample", "features", "evaluate", "walk")
}  # fmt: skip
OF_VAE = {
    Job(stage, "vae")
    for stage in ("train", "sample", "features", "evaluate", "reconstruct", "rfid", "likelihood",
                  "explore", "disentangle", "elbo")
}  # fmt: skip
OF_PRIOR = {
    Job(stage, "vqvae-prior") for stage in ("train", "sample", "features", "evaluate", "likelihood")
}
OF_DALLE = {
    Job(stage, "dalle")
    for stage in ("train", "sample", "features", "evaluate", "likelihood", "prompts")
}
OF_VQVAE = {Job(stage, "vqvae") for stage in ("train", "reconstruct", "rfid")} | OF_PRIOR | OF_DALLE


def append(text: str) -> Callable[[str], str]:
    return lambda before: f"{before}\n{text}\n"


def replace(old: str, new: str) -> Callable[[str], str]:
    return lambda before: before.replace(old, new)


@pytest.mark.parametrize(
    ("path", "change", "expected"),
    [
        pytest.param(
            SMOKE, replace("kid_subsets: 10", "kid_subsets: 20"), MEASURED | SUMMARY,
            id="a metric: nothing is trained, drawn or extracted",
        ),
        pytest.param(
            SMOKE,
            replace("network: {channels: 8}", "network: {channels: 8}, training: {warmup: 0.1}"),
            OF_DDPM | SUMMARY,
            id="a value of one model in the study: only its run",
        ),
        pytest.param(
            "config/models/ddpm.yaml", replace("learning_rate: ", "learning_rate: 1"),
            OF_DDPM | SUMMARY, id="a preset's learning rate: only its run",
        ),
        pytest.param(
            "src/genlab/models/vae.py", append("NEW = 1"), OF_VAE | {Job("laboratory")} | SUMMARY,
            id="code of a family: only its runs, and the laboratory that takes them apart",
        ),
        pytest.param(
            SMOKE, replace("preset: vqvae, ", "preset: vqvae, training: {warmup: 0.1}, "),
            OF_VQVAE | SUMMARY, id="a first stage: its run and those of its second stages",
        ),
        pytest.param(
            SMOKE, replace("prior, width: 16", "prior, width: 24"), OF_PRIOR | SUMMARY,
            id="a second stage: the first one stays",
        ),
        pytest.param(
            SMOKE, replace("simulated: 2", "simulated: 3"),
            {Job("elbo", "vae"), Job("laboratory")} | SUMMARY,
            id="the laboratory: no model",
        ),
        pytest.param(
            SMOKE, replace("candidates: 2", "candidates: 3"), {Job("prompts", "dalle")} | SUMMARY,
            id="what is asked of prompts: no model",
        ),
        pytest.param(
            "src/genlab/samplers/ddim.py", append("NEW = 1"),
            BY_DDIM | SUMMARY, id="code of a sampler: only its rows, and the walks",
        ),
        pytest.param(
            "src/genlab/report/league.py", append("NEW = 1"), {Job("league"), Job("report")},
            id="code of the league: league and page",
        ),
        pytest.param(
            "src/genlab/report/page.py", append("NEW = 1"), {Job("report")},
            id="code of the page: the page",
        ),
        pytest.param(
            "src/genlab/report/page.css", append("p { color: red }"), {Job("report")},
            id="style of the page: the page",
        ),
        pytest.param(
            "src/genlab/training/trainer.py",
            lambda before: "# A comment.\n" + before.replace("The stage `train`", "The stage"),
            set(), id="a comment and a docstring: nothing",
        ),
        pytest.param(
            SMOKE, append("# A comment."), set(), id="a comment in the study: nothing"
        ),
        pytest.param(
            SMOKE, append("tracking: {tensorboard: false}"), SUMMARY,
            id="where the progress goes: it is sent; league and report read the whole study",
        ),
        pytest.param(
            SMOKE,
            lambda text: text.replace(
                "network: {channels: 8}", "network: {channels: 8}, training: {warmup: 0.1}"
            ) + "tracking: {tensorboard: false}",
            OF_DDPM | SUMMARY, id="that, and a value of one model: both at once",
        ),
    ],
)  # fmt: skip
def test_a_change_redoes_what_it_touches(
    again: Project, path: str, change: Callable[[str], str], expected: set[Job]
) -> None:
    again.edit(path, change)
    assert again.plan() == expected


def publish_elsewhere(project: Project, *arguments: str) -> str:
    """What `snakemake` says where the environment names another tracking store."""
    uri = f"MLFLOW_TRACKING_URI=sqlite:///{project.root}/elsewhere.db"
    done = project.run("env", uri, "snakemake", "--configfile", SMOKE, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_another_tracking_store_and_one_that_was_deleted_receive_everything(again: Project) -> None:
    """One job each time, and none after it."""
    database = again.root / "results/mlflow.db"
    names = {f"sprites/{job.model}/seed0" for job in MEASURED} - {"sprites/floor/seed0"}
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
        runs = client.search_runs([client.get_experiment_by_name("smoke").experiment_id])
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
