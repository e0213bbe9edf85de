"""The profiles: one machine by default, a Slurm cluster on request."""

from __future__ import annotations

import re

import yaml
from project import LONG, SMOKE, Project


def gpus(project: Project, *arguments: str, cards: str) -> dict[str, set[str]]:
    """The GPUs that a dry run grants to each rule on a machine with `cards` cards."""
    done = project.run(
        "env", f"GENLAB_GPUS={cards}", "snakemake", LONG, "-n", "--configfile", SMOKE, *arguments
    )
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
    granted = gpus(bare, "--workflow-profile", "profiles/slurm", cards="0")
    assert granted["train"] == granted["sample"] == {"1"}


def test_slurm_without_gpus_is_one_option(bare: Project) -> None:
    granted = gpus(bare, "--workflow-profile", "profiles/slurm", "--resources", "gpu=0", cards="1")
    assert set().union(*granted.values()) == {"0"}


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
