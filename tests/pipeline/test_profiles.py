"""The profiles: one machine by default, a Slurm cluster on request."""

from __future__ import annotations

import os
import re

import pytest
import yaml
from project import LONG, SMOKE, Project

CLUSTER = ("--workflow-profile", "profiles/slurm")


def gpus(project: Project, *arguments: str, cards: str | None) -> dict[str, set[str]]:
    """The GPUs that a dry run grants to each rule where GENLAB_GPUS is `cards`, or isn't set."""
    variable = [f"GENLAB_GPUS={cards}"] if cards is not None else ["-u", "GENLAB_GPUS"]
    done = project.run("env", *variable, "snakemake", LONG, "-n", "--configfile", SMOKE, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    granted: dict[str, set[str]] = {}
    pattern = r"^(?:local)?rule (\w+):\n(?:    .+\n)*?    resources: .*\bgpu=(\d+)"
    for rule, count in re.findall(pattern, done.stdout + done.stderr, re.M):
        granted.setdefault(rule, set()).add(count)
    return granted


def test_default_keeps_every_job_on_the_cpu_where_there_is_no_card(bare: Project) -> None:
    assert set().union(*gpus(bare, cards="0").values()) == {"0"}


def test_default_grants_no_more_cards_than_there_are(bare: Project) -> None:
    granted = gpus(bare, cards="1")
    assert granted["train"] == granted["sample"] == {"1"}
    assert granted["evaluate"] == {"0"}


def test_slurm_requests_gpus_wherever_snakemake_itself_runs(bare: Project) -> None:
    """The cards of the machine that submits say nothing about the cluster's."""
    granted = gpus(bare, *CLUSTER, cards=None)
    assert granted["train"] == granted["sample"] == {"1"}


def test_the_same_variable_keeps_every_job_of_a_cluster_on_the_cpu(bare: Project) -> None:
    assert set().union(*gpus(bare, *CLUSTER, cards="0").values()) == {"0"}


def test_a_limit_that_the_jobs_of_a_cluster_would_not_know_is_refused(bare: Project) -> None:
    limit = ("--resources", "gpu=0", "--configfile", SMOKE)
    done = bare.run("env", "-u", "GENLAB_GPUS", "snakemake", *CLUSTER, *limit)
    assert done.returncode == 1
    assert "GENLAB_GPUS=0 snakemake --workflow-profile profiles/slurm" in done.stderr
    assert "Traceback" not in done.stderr
    for local in (("-n",), ("--list-rules",)):
        done = bare.run("env", "-u", "GENLAB_GPUS", "snakemake", *local, *limit)
        assert done.returncode == 0, done.stderr


def test_cards_are_counted_where_the_driver_has_no_folder(
    bare: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on WSL2, where only the driver's own tool knows them."""
    tool = bare.root / "bin/nvidia-smi"
    tool.parent.mkdir()
    tool.write_text(
        "#!/bin/sh\necho 'GPU 0: NVIDIA GPU A (UUID: GPU-8932f937)'\n"
        "echo '  MIG 1g.5gb Device 0: (UUID: MIG-41a6)'\n"
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}{os.pathsep}{os.environ['PATH']}")
    missing = str(bare.root / "missing")
    bare.edit(
        "profiles/default/profile.yaml",
        lambda text: text.replace("/proc/driver/nvidia/gpus", missing),
    )
    assert gpus(bare, cards=None)["train"] == {"1"}


def test_slurm_limits_no_gpus_and_survives_a_missing_database(bare: Project) -> None:
    profile = yaml.safe_load((bare.root / "profiles/slurm/profile.yaml").read_text())
    assert profile["executor"] == "slurm"
    assert "resources" not in profile
    assert profile["slurm-status-command"] == "squeue"
    assert profile["rerun-incomplete"] is True


def test_the_examples_in_the_slurm_profile_are_valid(bare: Project) -> None:
    """With every commented key in force, the plan carries what they say."""
    bare.edit("profiles/slurm/profile.yaml", lambda text: re.sub(r"(?m)^# (?=( *)[\w-]+:( |$))",
              "", text))  # fmt: skip
    profile = yaml.safe_load((bare.root / "profiles/slurm/profile.yaml").read_text())
    assert {"default-resources", "set-resources", "set-threads"} <= set(profile)
    output = bare.snakemake(LONG, "-n", "--workflow-profile", "profiles/slurm")
    train = re.search(r"^rule train:\n(?:    .+\n)*?    resources: (.+)", output, re.M)
    assert train is not None
    for setting in ("slurm_partition=gpu-long", "gpu_model=a100", "mem_mb=16000", "runtime=2880"):
        assert setting in train[1]
