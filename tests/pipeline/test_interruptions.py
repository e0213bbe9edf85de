"""A workflow that runs, is killed, planned beside, or started twice; by the real Snakemake."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import yaml
from project import CORES, Job, Project

STUDY = "config/studies/short.yaml"
RUN = Path("results/short/sprites/vae/seed0")
WEIGHTS = str(RUN / "model/weights.safetensors")
PATIENCE = 300.0  # seconds for what takes ten on a quiet machine


def write_study(project: Project, path: str = STUDY, **changes: object) -> None:
    """A study of one VAE whose training goes on until it is killed."""
    content: dict[str, object] = {
        "name": "short",
        "datasets": ["sprites"],
        "models": [{"preset": "vae", "channels": 8, "latent": 4}],
        "samplers": {"prior": {"sampler": "prior"}},
        "training": {"images": 100_000_000},
        "tracking": {"tensorboard": False, "system_metrics": False},
    }
    (project.root / path).write_text(yaml.safe_dump(content | changes))


def wait_until(true: Callable[[], bool], what: str, seconds: float = 0.05) -> None:
    """Look every few `seconds`."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, what
        time.sleep(seconds)


def trainer(project: Project) -> int | None:
    """The number of the process that trains, once it does."""
    try:
        return int((project.root / RUN / "resume/pid").read_text())
    except (OSError, ValueError):
        return None


def runs(number: int) -> bool:
    """Whether a process runs; one that ended and was not yet waited for does not."""
    try:
        return bool(psutil.Process(number).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def running(bare: Project, tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """`running()` starts the short study and comes back while its training runs."""
    write_study(bare)
    begun: list[subprocess.Popen[str]] = []

    def begin() -> subprocess.Popen[str]:
        log, before = tmp_path / f"said{len(begun)}.txt", trainer(bare)
        command = ("snakemake", "--cores", CORES, WEIGHTS, "--configfile", STUDY)
        process = bare.begin(*command, log=log)
        begun.append(process)
        wait_until(
            lambda: trainer(bare) not in (None, before) or process.poll() is not None,
            "no training began",
        )
        assert process.poll() is None, log.read_text()
        return process

    yield begin
    for process in begun:
        process.kill()
        process.wait()
    if (left := trainer(bare)) is not None:
        wait_until(lambda: not runs(left), "the training outlives its workflow")


def specs(project: Project) -> dict[Path, bytes]:
    """The spec files, without the copies that a training sends to MLflow at any moment."""
    results = project.root / "results"
    return {
        path: path.read_bytes()
        for path in results.rglob("*.yaml")
        if not path.is_relative_to(results / "mlflow-artifacts")
    }


def test_no_other_call_changes_what_a_workflow_reads(
    bare: Project, running: Callable[[], subprocess.Popen[str]]
) -> None:
    """Neither a plan with another budget, nor a second workflow, nor an edited study."""
    running()
    before = specs(bare)
    assert len(before) == 13
    other = ("--configfile", STUDY, "--config", 'training={"images": 640}')
    planned = bare.run("snakemake", "-n", *other)
    assert planned.returncode == 0, planned.stdout + planned.stderr
    second = bare.run("snakemake", "--cores", CORES, WEIGHTS, *other)
    assert second.returncode != 0
    assert "Traceback" not in second.stdout + second.stderr
    assert specs(bare) == before

    # What a job on a cluster does: it reads the Snakefile once more, to run a single rule.
    target = str(RUN / "samples/prior/samples.npy")
    write_study(bare, training={"images": 640})
    job = bare.run(
        "snakemake", target, "--mode", "remote", "--cores", "1", "--nolock", "--configfile", STUDY
    )
    assert job.returncode != 0
    assert f"{STUDY}: changed since this workflow was started" in job.stdout + job.stderr
    assert specs(bare) == before


def test_a_killed_workflow_goes_on_with_the_same_command(
    bare: Project, running: Callable[[], subprocess.Popen[str]]
) -> None:
    """No --unlock; the training that was left behind ends, and the next one goes on from there."""
    first = running()
    left = trainer(bare)
    assert left is not None
    record = bare.root / RUN / "tracking/config.json"  # left before the first step
    wait_until(record.exists, "the training is not prepared")
    time.sleep(3)  # some steps
    os.kill(first.pid, signal.SIGKILL)
    running()
    # A process gives up its locks some moments before it has ended.
    wait_until(lambda: not runs(left), "the training outlives its workflow")
    log = bare.root / "results/short/logs/sprites/vae/seed0/train.log"
    wait_until(lambda: "step" in log.read_text(), "the training says nothing")
    assert "resuming at step" in log.read_text()


def test_a_training_that_ended_is_not_repeated_if_its_workflow_did_not_know(bare: Project) -> None:
    """The workflow is killed between the last file of a training and the end of its job."""
    write_study(bare, training={"images": 640})
    run, command = bare.root / RUN, ("snakemake", "--cores", CORES, WEIGHTS, "--configfile", STUDY)
    cost = run / "model/cost.json"
    workflow = bare.begin(*command, log=bare.root / "said.txt")
    wait_until(cost.exists, "the training does not end", seconds=0.005)
    left = trainer(bare)
    workflow.kill()
    workflow.wait()
    assert left is not None
    wait_until(lambda: not runs(left), "the training outlives its workflow")
    weights, seconds = (bare.root / WEIGHTS).read_bytes(), json.loads(cost.read_text())
    assert list((run / "resume").glob("*.safetensors"))

    again = bare.run(*command)
    assert again.returncode == 0, again.stdout + again.stderr
    log = bare.root / "results/short/logs/sprites/vae/seed0/train.log"
    assert "resuming at step 20 of 20" in log.read_text()
    assert (bare.root / WEIGHTS).read_bytes() == weights
    assert json.loads(cost.read_text()) == seconds
    assert not list((run / "resume").glob("*.safetensors"))


def test_a_plan_writes_nothing(bare: Project) -> None:
    bare.plan()
    bare.snakemake("--lint", study="config/studies/smoke.yaml")
    assert not (bare.root / "results").exists()


def test_a_study_does_not_take_the_place_of_another_one(bare: Project) -> None:
    """A copy whose `name:` was left is refused; a file that was renamed is the same study."""
    write_study(bare)
    fetched = "results/data/sprites/fetched.json"
    bare.snakemake("--cores", CORES, fetched, study=STUDY)
    copy = "config/studies/copy.yaml"
    write_study(bare, copy, training={"images": 640})
    refused = bare.run("snakemake", "-n", "--configfile", copy)
    assert refused.returncode != 0
    assert f"{copy}: name: 'short' is also the name of {STUDY}" in (refused.stdout + refused.stderr)
    (bare.root / STUDY).unlink()
    bare.snakemake("-n", study=copy)


def test_what_was_deleted_is_made_again(again: Project) -> None:
    """The weights of a model, or the whole folder of a run, of a finished study."""
    runs = again.root / "results/smoke/sprites"
    (runs / "ddpm/seed0/model/weights.safetensors").unlink()
    shutil.rmtree(runs / "vae/seed0")
    plan = again.plan()
    assert {Job("train", "ddpm"), Job("sample", "ddpm"), Job("features", "ddpm")} < plan
    of_vae = {job.rule for job in plan if job.model == "vae"}
    assert of_vae == {
        "train", "sample", "features", "evaluate", "reconstruct", "rfid", "likelihood", "explore",
        "disentangle", "elbo", "curve",
    }  # fmt: skip
    assert {Job("league"), Job("report"), Job("publish")} < plan
    assert not {job for job in plan if job.model in ("flow", "dalle", "clip")}


def test_every_file_of_a_rule_is_asked_for(again: Project) -> None:
    """Whichever output is deleted, the rule that writes it runs again."""
    lines = again.snakemake("--summary").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("output_file\t"))
    outputs = [line.split("\t")[0] for line in lines[start + 1 :] if "\t" in line]
    kinds = {Path(name).name: name for name in outputs}  # one of each name
    for name in kinds.values():
        path = again.root / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert {job.rule for job in again.plan()} >= {
        "prepare",
        "train",
        "sample",
        "reconstruct",
        "prompts",
    }
    missing = again.run("snakemake", "--summary", "--configfile", "config/studies/smoke.yaml")
    table = [line.split("\t") for line in missing.stdout.splitlines() if "\t" in line]
    plans = {row[0]: row[-1] for row in table}
    assert {plans[name] for name in kinds.values()} == {"update pending"}
