"""The shipped profile on a real Slurm cluster."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator

import cluster
import pytest
from project import Project

pytestmark = pytest.mark.skipif(
    cluster.obstacle() is not None, reason=cluster.obstacle() or "a cluster can be started"
)

STUDY = "models: [toy, {preset: toy, name: stopped, stops: true}]"
TRAINED = "results/tiny/sprites/{}/seed0/model/weights.safetensors"
CALIBRATION = "results/tiny/sprites/calibration/seed0/samples/noise/samples.npy"

TOY_CONFIG = '''
"""Hyperparameters of the toy (`genlab.models.toy`)."""

from typing import ClassVar, Literal

from genlab.config.families import FamilyConfig


class ToyConfig(FamilyConfig):
    """One grey value; with `stops`, a training that never gets further than three steps."""

    family: Literal["toy"] = "toy"
    implementation: ClassVar[str] = "genlab.models.toy:Toy"
    generates: ClassVar[Literal["direct"]] = "direct"
    stops: bool = False
'''

TOY_MODEL = '''
"""A grey value that tells which job it is learned in."""

import json
import os
import signal

import torch
from torch import nn

from genlab.models.base import Model


class Toy(Model):
    def __init__(self, config, shape, classes):
        super().__init__(config, shape, classes)
        self.value = nn.Parameter(torch.zeros(()))
        self.steps = 0
        with open("jobs.jsonl", "a") as file:
            file.write(json.dumps({"stops": config.stops, **os.environ}) + "\\n")

    def loss(self, batch):
        self.steps += self.training  # held-out images are no step
        if self.config.stops and self.steps == 3 and self.training:
            os.kill(os.getpid(), signal.SIGTERM)
        return {"loss": (self.value - batch.images).square().mean()}

    def generate(self, noise):
        return self.value + 0 * noise.normal(*self.shape)
'''


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project with a tiny study, as long as there is a cluster to run it on."""
    project = Project.copy(tmp_path_factory.mktemp("slurm") / "project")
    (project.root / "src/genlab/config/families/toy.py").write_text(TOY_CONFIG)
    (project.root / "src/genlab/models/toy.py").write_text(TOY_MODEL)
    (project.root / "tiny.yaml").write_text(
        f"name: tiny\ndatasets: [sprites]\n{STUDY}\nsamplers: {{prior: {{sampler: prior}}}}\n"
        "training: {images: 640}\nevaluation: {samples: 128}\n"
        "tracking: {tensorboard: false, system_metrics: false}\n"
    )
    if (cores := len(os.sched_getaffinity(0))) < 4:  # Snakemake starts no more threads than these
        project.edit(
            "profiles/slurm/profile.yaml", lambda text: text.replace(": 4\n", f": {cores}\n")
        )
    with cluster.cluster():
        yield project


def call(project: Project, *arguments: str, gpus: str | None = None) -> tuple[int, str]:
    """Snakemake with the profile of the cluster: how it ended and what it said."""
    variable = ["-u", "GENLAB_GPUS"] if gpus is None else [f"GENLAB_GPUS={gpus}"]
    profile = ("--workflow-profile", "profiles/slurm", "--configfile", "tiny.yaml")
    impatient = ("--slurm-init-seconds-before-status-checks", "2")
    done = project.run("env", *variable, "snakemake", *arguments, *impatient, *profile)
    return done.returncode, done.stdout + done.stderr


def jobs(project: Project) -> list[dict[str, str]]:
    """The environment of each job that trained a toy since the last call of this."""
    file = project.root / "jobs.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines()
    file.unlink()
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def stopped(project: Project) -> tuple[str, list[dict[str, str]]]:
    """What Snakemake said of a training that always stops early, and the jobs it ran in."""
    code, output = call(project, TRAINED.format("stopped"))
    assert code == 1, output
    assert not (project.root / TRAINED.format("stopped")).exists(), output
    return output, jobs(project)


def test_a_job_computes_with_the_cpus_and_the_gpu_that_it_requested(
    stopped: tuple[str, list[dict[str, str]]],
) -> None:
    threads = str(min(4, len(os.sched_getaffinity(0))))
    for job in stopped[1]:
        request = cluster.job(job["SLURM_JOB_ID"])
        assert request["CPUs/Task"] == job["OMP_NUM_THREADS"] == threads
        assert request["TresPerJob"] == "gres:gpu:1"
        assert job["CUDA_VISIBLE_DEVICES"] in {"0", "1"}


def test_a_training_that_always_fails_runs_twice_and_goes_on_from_its_checkpoint(
    project: Project, stopped: tuple[str, list[dict[str, str]]]
) -> None:
    output, attempts = stopped
    assert len(attempts) == len({job["SLURM_JOB_ID"] for job in attempts}) == 2
    log = (project.root / "results/tiny/logs/sprites/stopped/seed0/train.log").read_text()
    assert "resuming at step 3 of 10" in log
    assert log.strip() in output


def test_without_gpus_none_is_requested(project: Project, stopped: object) -> None:
    """And a job that Slurm never began says why: its step asks for a GPU that the job hasn't."""
    broken = ("--set-resources", "calibrate:gpus=1", "--retries", "0")
    code, output = call(project, TRAINED.format("toy"), CALIBRATION, *broken, gpus="0")
    assert code == 1, output
    assert (project.root / TRAINED.format("toy")).exists(), output
    [training] = jobs(project)
    request = cluster.job(training["SLURM_JOB_ID"])
    assert "TresPerJob" not in request
    assert request["JobState"] == "COMPLETED"

    assert not (project.root / CALIBRATION).exists()
    assert "srun: error: Step requested GRES but job doesn't have GRES" in output


def test_jobs_within_one_allocation_share_its_gpus(project: Project) -> None:
    code = (
        "import os, subprocess, sys\n"
        "from genlab.models.devices import claim_gpus\n"
        "given = os.environ['CUDA_VISIBLE_DEVICES']\n"
        "print(given, claim_gpus(), flush=True)\n"
        "if sys.argv[1:]:\n"
        "    os.environ['CUDA_VISIBLE_DEVICES'] = given\n"
        "    subprocess.run([sys.executable, '-c', sys.argv[1]], check=True)\n"
    )
    allocation = ("srun", "--nodes=1", "--ntasks=1", "--gpus=2")
    done = project.run(*allocation, sys.executable, "-c", code, code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["0,1 0", "0,1 1"]
