"""What the workflow costs beside the computing: planning, start-up of jobs, idle cores.

    python benchmarks/workflow.py
    python benchmarks/workflow.py --configfile config/studies/smoke.yaml --cores 2

A temporary copy of the checkout is planned five times (`snakemake -n`) and then run from nothing.
Every command notes when its process started and when its stage began, all imports done, and ended
(GENLAB_TIMINGS). Overhead is the time in which no stage was computing.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from common import Row, copy_checkout, environment_of, listed, machine, publish, table

from genlab.report.facts import wall_seconds

DRY_RUNS = 5


class Job(NamedTuple):
    """One command, in seconds since the epoch."""

    stage: str
    process: float
    begun: float
    ended: float


def snakemake(copy: Path, timings: Path, *arguments: str) -> float:
    """Run snakemake in `copy` as a user of this environment would; returns its seconds."""
    environment = environment_of(copy, GENLAB_TIMINGS=str(timings))
    begun = time.perf_counter()
    done = subprocess.run(
        ["snakemake", *arguments],
        cwd=copy, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    seconds = time.perf_counter() - begun
    if done.returncode:
        sys.exit(f"snakemake {' '.join(arguments)} failed:\n{done.stderr[-4000:]}")
    return seconds


def by_stage(jobs: list[Job]) -> list[Row]:
    """Start-up and computing of all jobs of a stage."""
    rows: list[Row] = []
    for stage, group in itertools.groupby(sorted(jobs), key=lambda job: job.stage):
        members = list(group)
        starts = [job.begun - job.process for job in members]
        rows.append(
            {
                "stage": stage,
                "jobs": len(members),
                "start-up s, median": statistics.median(starts),
                "start-up s, longest": max(starts),
                "computing s, sum": sum(job.ended - job.begun for job in members),
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--configfile", default="config/config.yaml", help="the study")
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    study = ["--configfile", str(Path(options.configfile).resolve()), "--cores", str(options.cores)]
    with tempfile.TemporaryDirectory() as folder:
        copy, timings = Path(folder) / "checkout", Path(folder) / "timings.jsonl"
        copy_checkout(copy)
        planning = [snakemake(copy, timings, "-n", *study) for _ in range(DRY_RUNS)]
        wall = snakemake(copy, timings, *study)
        lines = timings.read_text(encoding="utf-8").splitlines()
    jobs = [Job(**json.loads(line)) for line in lines]
    starts = [job.begun - job.process for job in jobs]
    spans = pd.DataFrame([{"ended": job.ended, "seconds": job.ended - job.begun} for job in jobs])
    computing = wall_seconds(spans)
    whole: Row = {
        "jobs": len(jobs),
        "dry run s, median": statistics.median(planning),
        "whole study s": wall,
        "computing s": computing,
        "overhead s": wall - computing,
        "overhead %": 100 * (wall - computing) / wall,
        "start-up of a job s, median": statistics.median(starts),
        "start-up of a job s, longest": max(starts),
    }
    about = machine(options.cores)
    stages = by_stage(jobs)
    conditions = (
        f"`snakemake --configfile {options.configfile} --cores {options.cores}` from nothing; the "
        f"dry run is the median of {DRY_RUNS}.\n"
        f"{listed(about)}.\n"
    )
    content = {
        "machine": about,
        "configfile": options.configfile,
        "dry_runs": planning,
        "whole": whole,
        "stages": stages,
        "jobs": [job._asdict() for job in jobs],
    }
    publish("workflow", f"{table([whole])}\n{table(stages)}\n{conditions}", content)


if __name__ == "__main__":
    main()
