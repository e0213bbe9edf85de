"""The shipped profile on a real Slurm cluster."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cluster
import pytest
from project import SMOKE, TWIN_TARGETS, Project, compare_twins

pytestmark = pytest.mark.skipif(
    cluster.obstacle() is not None, reason=cluster.obstacle() or "a cluster can be started"
)

STUDY = """
name: tiny
datasets: [sprites]
models:
  - toy
  - {preset: toy, name: stopped, stops: true}
  - {preset: toy, name: cancelled, waits: true}
  - {preset: toy, name: preempted, waits: true}
  - {preset: toy, name: greedy, megabytes: 4100}
samplers: {prior: {sampler: prior}}
training: {images: 640}
evaluation: {samples: 128}
tracking: {tensorboard: false, system_metrics: false}
"""
TRAINED = "results/tiny/sprites/{}/seed0/model/weights.safetensors"
CALIBRATION = "results/tiny/sprites/calibration/seed0/samples/noise/samples.npy"

TOY_CONFIG = '''
"""Hyperparameters of the toy (`genlab.models.toy`)."""

from typing import ClassVar, Literal

from genlab.config.families import FamilyConfig


class ToyConfig(FamilyConfig):
    """One grey value.

    Attributes:
        stops: the training never gets further than three steps.
        waits: the first attempt waits for SIGTERM at its third step, and leaves a file `waiting`.
        megabytes: memory that the training occupies.
    """

    family: Literal["toy"] = "toy"
    implementation: ClassVar[str] = "genlab.models.toy:Toy"
    generates: ClassVar[Literal["direct"]] = "direct"
    stops: bool = False
    waits: bool = False
    megabytes: int = 0
'''

TOY_MODEL = '''
"""A grey value that tells which job it is learned in."""

import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from genlab.models.base import Model


class Toy(Model):
    def __init__(self, config, shape, classes):
        super().__init__(config, shape, classes)
        self.value = nn.Parameter(torch.zeros(()))
        self.steps = 0
        names = ("SLURM_JOB_ID", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
        with open("jobs.jsonl", "a") as file:  # jobs may write at once: one line, one write
            file.write(json.dumps({name: os.environ.get(name, "") for name in names}) + "\\n")
        self.ballast = np.ones(config.megabytes * 2**20, np.uint8)

    def loss(self, batch):
        self.steps += self.training  # held-out images are no step
        if len(self.ballast):
            time.sleep(0.5)  # Slurm looks at the memory once a second
        if self.config.stops and self.steps == 3 and self.training:
            os.kill(os.getpid(), signal.SIGTERM)
        if self.config.waits and self.steps == 3 and self.training:
            self.wait()
        return {"loss": (self.value - batch.images).square().mean()}

    def wait(self):
        if Path("waiting").exists():
            return
        handler, received = signal.getsignal(signal.SIGTERM), []
        signal.signal(signal.SIGTERM, lambda *arguments: (received.append(1), handler(*arguments)))
        Path("waiting").touch()
        while not received:
            time.sleep(0.05)
        signal.signal(signal.SIGTERM, handler)

    def generate(self, noise):
        return self.value + 0 * noise.normal(*self.shape)
'''


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project with a tiny study, as long as there is a cluster to run it on."""
    project = Project.copy(tmp_path_factory.mktemp("slurm") / "project")
    (project.root / "src/genlab/config/families/toy.py").write_text(TOY_CONFIG)
    (project.root / "src/genlab/models/toy.py").write_text(TOY_MODEL)
    (project.root / "tiny.yaml").write_text(STUDY)
    lower_threads(project)
    with cluster.cluster():
        yield project


def lower_threads(project: Project) -> None:
    """Let the profile name no more threads than this machine has; Snakemake starts no more."""
    if (cores := len(os.sched_getaffinity(0))) < 4:
        project.edit(
            "profiles/slurm/profile.yaml", lambda text: text.replace(": 4\n", f": {cores}\n")
        )


def command(*arguments: str, gpus: str | None = None, study: str = "tiny.yaml") -> list[str]:
    """The call of Snakemake with the profile of the cluster."""
    variable = ["-u", "GENLAB_GPUS"] if gpus is None else [f"GENLAB_GPUS={gpus}"]
    profile = ("--workflow-profile", "profiles/slurm", "--configfile", study)
    impatient = ("--slurm-init-seconds-before-status-checks", "2")
    return ["env", *variable, "snakemake", *profile, *impatient, *arguments]


def call(project: Project, *arguments: str, gpus: str | None = None) -> tuple[int, str]:
    """How the call ended and what it said."""
    done = project.run(*command(*arguments, gpus=gpus))
    return done.returncode, done.stdout + done.stderr


@contextmanager
def waiting(project: Project, model: str) -> Iterator[str]:
    """The number of the job in which a training waits; afterwards the call has ended well."""
    sign, log = project.root / "waiting", project.root / f"{model}.txt"
    process = project.begin(*command(TRAINED.format(model)), log=log)
    try:
        deadline = time.monotonic() + 300
        while not sign.exists():
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield cluster.ended("squeue", "--noheader", "--format=%i").strip()
        assert process.wait(300) == 0, log.read_text()
    finally:
        if process.poll() is None:
            process.terminate()  # Snakemake starts no more jobs, but waits for those that run
            cluster.ended("scancel", "--user=root")
            process.wait(60)
        sign.unlink(missing_ok=True)


def resumed(project: Project, model: str) -> bool:
    """Whether the last attempt at a training went on where the first one was stopped."""
    log = project.root / f"results/tiny/logs/sprites/{model}/seed0/train.log"
    return "resuming at step 3 of 10" in log.read_text(encoding="utf-8")


def jobs(project: Project, model: str) -> list[dict[str, str]]:
    """Some variables of each job that trained a model."""
    lines = (project.root / "jobs.jsonl").read_text(encoding="utf-8").splitlines()
    every: list[dict[str, str]] = [json.loads(line) for line in lines]
    comment = f"rule_train_wildcards_sprites_{model}_0"
    return [each for each in every if cluster.job(each["SLURM_JOB_ID"])["Comment"] == comment]


@pytest.fixture(scope="module")
def output(project: Project) -> str:
    """What Snakemake said of a training that always stops, and of one without enough memory."""
    code, output = call(project, TRAINED.format("stopped"), TRAINED.format("greedy"))
    assert code == 1, output
    assert not (project.root / TRAINED.format("stopped")).exists(), output
    return output


def test_a_job_computes_with_the_cpus_and_the_gpu_that_it_requested(
    project: Project, output: str
) -> None:
    threads = str(min(4, len(os.sched_getaffinity(0))))
    for job in jobs(project, "stopped"):
        request = cluster.job(job["SLURM_JOB_ID"])
        assert request["CPUs/Task"] == job["OMP_NUM_THREADS"] == threads
        assert request["TresPerJob"] == "gres:gpu:1"
        assert job["CUDA_VISIBLE_DEVICES"] in {"0", "1"}


def test_a_training_that_always_fails_runs_twice_and_goes_on_from_its_checkpoint(
    project: Project, output: str
) -> None:
    attempts = jobs(project, "stopped")
    assert len(attempts) == len({job["SLURM_JOB_ID"] for job in attempts}) == 2
    assert resumed(project, "stopped")
    log = (project.root / "results/tiny/logs/sprites/stopped/seed0/train.log").read_text()
    assert log.strip() in output


def test_a_second_attempt_has_twice_the_memory(project: Project, output: str) -> None:
    """One training takes more than the 4,000 MB that its rule requests."""
    assert (project.root / TRAINED.format("greedy")).exists(), output
    first, second = (cluster.job(job["SLURM_JOB_ID"]) for job in jobs(project, "greedy"))
    assert first["JobState"] != "COMPLETED" and second["JobState"] == "COMPLETED"
    assert (first["MinMemoryNode"], second["MinMemoryNode"]) == ("4000M", "8000M")


def test_a_cancelled_training_is_submitted_again_and_goes_on(project: Project) -> None:
    """And its name and comment say what it is."""
    with waiting(project, "cancelled") as number:
        name, comment = cluster.ended("squeue", "--noheader", "--format=%j %k").split()
        assert name.startswith("genlab_")
        assert comment == "rule_train_wildcards_sprites_cancelled_0"
        cluster.ended("scancel", number)
    first, second = jobs(project, "cancelled")
    assert first["SLURM_JOB_ID"] == number != second["SLURM_JOB_ID"]
    assert cluster.job(number)["JobState"] == "CANCELLED"
    assert resumed(project, "cancelled")


def test_a_preempted_training_is_requeued_and_goes_on(project: Project) -> None:
    """As the same job: for Snakemake it didn't fail."""
    with waiting(project, "preempted") as number:
        urgent = ("--partition=urgent", "--nodes=2", "--exclusive", "--output=/dev/null")
        cluster.ended("sbatch", "--wait", *urgent, "--wrap=true")
    first, second = jobs(project, "preempted")
    assert first["SLURM_JOB_ID"] == second["SLURM_JOB_ID"] == number
    assert cluster.job(number)["Restarts"] == "1"
    assert resumed(project, "preempted")


def test_without_gpus_none_is_requested(project: Project) -> None:
    """And a job that Slurm never began says why: its step asks for a GPU that the job hasn't."""
    broken = ("--set-resources", "calibrate:gpus=1", "--retries", "0")
    code, output = call(project, TRAINED.format("toy"), CALIBRATION, *broken, gpus="0")
    assert code == 1, output
    assert (project.root / TRAINED.format("toy")).exists(), output
    [training] = jobs(project, "toy")
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


def test_the_smoke_study_as_jobs_gives_the_bytes_of_one_machine(
    project: Project, smoke: Project, tmp_path: Path
) -> None:
    twin = Project.copy(tmp_path / "project", smoke.root)
    lower_threads(twin)
    threads = [f"{rule}=1" for rule in ("train", "sample", "trajectories", "prompts")]
    # The number of threads changes roundings; on two cores of one machine it is one.
    options = ("--jobs", "6", "--set-threads", *threads, "--")
    done = twin.run(*command(*options, *TWIN_TARGETS, gpus="0", study=SMOKE))
    assert done.returncode == 0, done.stdout + done.stderr
    compare_twins(twin, smoke)
