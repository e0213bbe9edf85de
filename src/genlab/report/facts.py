"""What a study was made of, in a line of short facts: its data, its runs, code and machine."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pandas as pd

from genlab.io.files import read_json
from genlab.report.environment import VERSIONS, counted
from genlab.report.study import ReportedStudy
from genlab.tracking.description import training_end


def study_facts(study: ReportedStudy) -> list[str]:
    """Return the facts that the page begins with; what differs between runs is listed."""
    settings = study.settings
    environments = [read_json(run.environment) for run in study.runs]

    def values(key: str) -> str:
        return " and ".join(sorted({str(one.get(key, "?")) for one in environments}))

    ends = (training_end(run) for run in study.runs)
    last = datetime.fromtimestamp(max(end for end in ends if end is not None), UTC)
    costs = study.costs
    wall, jobs = wall_seconds(costs) / 60, costs["seconds"].sum() / 60
    seeds = ", ".join(str(seed) for seed in settings.seeds)
    return [
        counted(len(settings.models), "model"),
        *(_data(name, manifest) for name, manifest in study.manifests.items()),
        f"seed{'s' if len(settings.seeds) > 1 else ''} {seeds}",
        f"{settings.evaluation.samples:,} samples a row",
        f"trained until {last.day} {last:%b %Y}",
        f"{wall:.0f} min on {values('cores')} cores, {jobs:.0f} min of jobs",
        "commit " + " and ".join(sorted({_short(one["git_commit"]) for one in environments})),
        f"{values('processor')}, threads of a training: {values('threads')}",
        *(f"{name} {values(key)}" for key, name in VERSIONS.items()),
    ]


def wall_seconds(costs: pd.DataFrame) -> float:
    """Return the seconds during which at least one job was running.

    Args:
        costs: columns seconds and ended.
    """
    total, until = 0.0, float("-inf")
    for start, end in sorted(zip(costs["ended"] - costs["seconds"], costs["ended"], strict=True)):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total


def _short(commit: str) -> str:
    """The first seven digits of a commit; '+' says that the code was edited after it."""
    return commit[:7] + ("+" if commit.endswith("+changes") else "")


def _data(name: str, manifest: dict[str, Any]) -> str:
    train, test = (manifest[split]["images"] for split in ("train", "test"))
    return f"{name}: {train:,} training and {test:,} held-out images, data {manifest['sha256'][:8]}"
