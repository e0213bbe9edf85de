"""The profile for Kubernetes: its executor, and its storage, a bucket of an S3 server here.

The executor talks to a cluster whose pods are processes on this machine, each in a new empty folder
(`pods.py`). So jobs have no other files than those that their rules declare.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import boto3
import pytest
from mlflow import MlflowClient
from moto.server import ThreadedMotoServer
from pods import KILLED, Cluster
from project import CORES, JOB, LONG, Project

BUCKET, PREFIX = "genlab", "main"  # as in the profile
KEYS = {"ACCESS_KEY": "an-access-key", "SECRET_KEY": "a-secret-key"}
STUDY = """
name: tiny
datasets: [sprites]
models: [{preset: vae, channels: 8, latent: 4}]
samplers: {prior: {sampler: prior}}
training: {images: 640}
evaluation: {samples: 128, extractors: [pixel-pca], calibration: [real], classifier: {images: 640}}
likelihood: {iwae_samples: 4}
curves: {shares: [0.5, 1.0], samples: 128}
"""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The address of an S3 server."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture(scope="module")
def bucket(address: str) -> Any:
    """The bucket that the profile names."""
    made = boto3.resource(
        "s3",
        endpoint_url=address,
        region_name="us-east-1",
        aws_access_key_id=KEYS["ACCESS_KEY"],
        aws_secret_access_key=KEYS["SECRET_KEY"],
    ).Bucket(BUCKET)
    made.create()
    return made


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster that kills the first training."""
    with Cluster(tmp_path_factory.mktemp("cluster"), kills="train").running() as running:
        yield running


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A checkout of the project with a tiny study: the files that git knows are sent to jobs."""
    project = Project.copy(tmp_path_factory.mktemp("kubernetes") / "project")
    (project.root / "tiny.yaml").write_text(STUDY, encoding="utf-8")
    for arguments in (("init",), ("add", ".", ":!docs/report")):  # 7 MB that no job needs
        assert project.run("git", *arguments).returncode == 0
    return project


def checkpoints(project: Project) -> Path:
    """Where each pod finds the volume for checkpoints."""
    return project.root.parent / "checkpoints"


def call(
    project: Project, address: str, *arguments: str, gpus: str = "0", kubeconfig: str = "none"
) -> CompletedProcess[str]:
    """Call Snakemake with the profile and the tiny study.

    Args:
        kubeconfig: the file that describes the cluster.
    """
    variables = {f"SNAKEMAKE_STORAGE_S3_{name}": key for name, key in KEYS.items()} | {
        "SNAKEMAKE_STORAGE_S3_ENDPOINT_URL": address,
        "GENLAB_GPUS": gpus,
        "GENLAB_RESUME": str(checkpoints(project)),
        "KUBECONFIG": kubeconfig,
    }
    return project.run(
        "env", *(f"{name}={value}" for name, value in variables.items()),
        "snakemake", "--workflow-profile", "profiles/kubernetes",
        "--configfile", "tiny.yaml", *arguments,
    )  # fmt: skip


def in_pods(project: Project, address: str, cluster: Cluster, *more: str) -> CompletedProcess[str]:
    """Run the study, its jobs in pods."""
    threads = ("--set-threads", "train=1", "--jobs", CORES, "--local-cores", CORES)
    volume = ("--kubernetes-persistent-volumes", f"checkpoints:{checkpoints(project)}")
    quick = ("--seconds-between-status-checks", "1")
    return call(
        project, address, *threads, *volume, *quick, *more, kubeconfig=str(cluster.kubeconfig)
    )


def test_a_job_that_failed_says_why(
    project: Project, address: str, bucket: Any, cluster: Cluster, tmp_path: Path
) -> None:
    """In the pod's output, as its log is in the bucket alone."""
    broken = tmp_path / "genlab"
    broken.write_text("#!/bin/sh\necho 'shapes.zip: no such file; download it again'\nexit 1\n")
    broken.chmod(0o755)
    first = f"export PATH={tmp_path}:$PATH; pip() {{ :; }}"
    done = in_pods(
        project, address, cluster, "--until", "calibrate", "--precommand", first,
        "--retries", "0",
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    assert "\n  shapes.zip: no such file; download it again\n" in done.stderr


@pytest.fixture(scope="module")
def output(project: Project, address: str, bucket: Any, cluster: Cluster) -> str:
    """What Snakemake said of the study's first run."""
    done = in_pods(project, address, cluster, LONG)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_jobs_need_no_other_files_than_their_rules_declare(output: str, bucket: Any) -> None:
    """And all that they make is in the bucket, logs and times too, but nothing of the sources."""
    stored = {entry.key for entry in bucket.objects.all()}
    assert all(name.startswith(f"{PREFIX}/results/") for name in stored)
    details = [lines for rule, lines in JOB.findall(output) if rule != "all"]
    jobs = {tuple(re.findall(r"s3://genlab/(\S+) \(send to storage\)", lines)) for lines in details}
    assert len(jobs) == len(re.findall(r"^\d+ of \d+ steps", output, re.M)) - 1
    assert len(details) == len(jobs) + 1  # the killed one was announced twice
    for made in jobs:
        assert len(made) >= 3  # log and benchmark among them
        for name in made:
            assert name in stored or f"{name}/.snakemake_timestamp" in stored


def test_everything_reaches_mlflow(project: Project, output: str) -> None:
    """From the records that the jobs left; the store lies on this machine, as none was named."""
    store = project.root / f".snakemake/storage/s3/{BUCKET}/{PREFIX}/results/mlflow.db"
    client = MlflowClient(f"sqlite:///{store}")
    experiment = client.get_experiment_by_name("genlab-tiny")
    assert experiment is not None
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {
        "sprites/classifier/seed0", "sprites/vae/seed0", "sprites/vae/seed0/prior",
    }  # fmt: skip
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    vae = runs["sprites/vae/seed0"]
    assert vae.data.params["model.latent"] == "4"
    assert {"train/loss", "best/fid", "peak_memory_mb", "final/iwae_bits_per_dim"} <= {
        *vae.data.metrics
    }
    assert [file.path for file in client.list_artifacts(vae.info.run_id, "reconstructions")]


def test_checkpoints_lie_on_the_volume_that_the_environment_names(
    project: Project, output: str
) -> None:
    assert (project.root.parent / "checkpoints/tiny/sprites/vae/seed0/last").is_file()


def test_a_killed_training_is_sent_again_with_twice_the_memory(
    project: Project, cluster: Cluster, output: str
) -> None:
    logs = (project.root / ".snakemake/auxiliary/kubernetes-logs").glob("*.log")
    assert any(log.read_text().strip() == KILLED for log in logs)
    memory = [each["resources"]["requests"]["memory"] for each in cluster.containers("train")]
    assert memory[0] == "4000M"
    assert sorted(memory[1:]) == ["4000M", "8000M"]  # of the classifier and the model


def test_jobs_and_keys_are_deleted_at_the_end(cluster: Cluster, output: str) -> None:
    """And the keys stand in no description of a Job."""
    assert cluster.submitted and not (cluster.jobs or cluster.pods or cluster.secrets)
    for key in KEYS.values():
        assert key not in json.dumps(cluster.submitted)


def test_a_second_call_does_nothing(
    project: Project, address: str, cluster: Cluster, output: str
) -> None:
    assert "Nothing to be done" in in_pods(project, address, cluster, LONG).stderr


def requests(output: str) -> dict[str, dict[str, str]]:
    """The resources of the jobs that Snakemake planned, by their rules."""
    pattern = r"    resources: (.+)"
    return {
        rule: dict(one.split("=", 1) for one in found[1].split(", "))
        for rule, details in JOB.findall(output)
        if (found := re.search(pattern, details))
    }


def test_each_rule_requests_what_it_declares(project: Project, address: str, bucket: Any) -> None:
    planned = {
        gpus: requests(call(project, address, LONG, "-n", "--forceall", gpus=gpus).stdout)
        for gpus in ("0", "1")
    }
    train, evaluate = planned["1"]["train"], planned["1"]["evaluate"]
    assert train["gpu"] == "1" and train["mem_mb"] == "4000"
    assert evaluate["gpu"] == "0"
    assert planned["0"]["train"]["gpu"] == "0"
    for request in (train, evaluate):  # the plugin refuses jobs without the first
        assert (request["gpu_manufacturer"], request["scale"]) == ("nvidia", "0")


@pytest.mark.parametrize("prefix", ["s3://missing/main", "s3://genlab/main"])
def test_a_missing_bucket_and_a_server_that_is_down_are_named(
    project: Project, address: str, bucket: Any, prefix: str
) -> None:
    down = prefix == "s3://genlab/main"
    done = call(
        project, "http://127.0.0.1:9" if down else address, "-n",
        "--default-storage-prefix", prefix, "--storage-s3-retries", "1",
    )  # fmt: skip
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert ("127.0.0.1:9" if down else "s3://missing: ") in said
    assert "SNAKEMAKE_STORAGE_S3_*" in said
