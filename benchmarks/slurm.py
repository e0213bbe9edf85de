"""How long short jobs wait on a Slurm cluster, by the project's profile.

    python benchmarks/slurm.py                 # where `sbatch` reaches a cluster
    python benchmarks/slurm.py --here          # start one on this machine, as the tests do

Each job makes a calibration row of few pictures. A job waits twice: until Slurm starts it, and
after its end until Snakemake asks Slurm for it. The second is what the profile decides.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from datetime import datetime
from itertools import product
from pathlib import Path

import yaml
from common import CHECKOUT, copy_checkout, environment_of, listed, machine, publish, table

from genlab.config.calibration import calibration_rows

STUDY = Path("config/studies/short.yaml")
DATASETS = ["digits", "digits-160", "digits-320", "digits-640", "scenes"]
ROW = "results/short/{}/calibration/seed0/samples/{}/samples.npy"


def job(number: str) -> dict[str, str]:
    """What Slurm knows of a job."""
    description = subprocess.run(
        ["scontrol", "--oneliner", "show", "job", number],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return dict(field.split("=", 1) for field in description.stdout.split() if "=" in field)


def seconds(start: str, end: str) -> float:
    """Seconds between two times of Slurm."""
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def measure(root: Path, jobs: int, cores: int) -> dict[str, str | int | float]:
    """Run the jobs; the row of the table."""
    settings = {
        "name": "short",
        "datasets": DATASETS,
        "models": ["vae"],
        "evaluation": {"samples": 128, "calibration": calibration_rows()},
    }
    (root / STUDY).write_text(yaml.safe_dump(settings), encoding="utf-8")
    rows = [ROW.format(*each) for each in product(DATASETS, calibration_rows())][:jobs]
    environment = environment_of(root, GENLAB_GPUS="0")
    profile = ["--workflow-profile", "profiles/slurm", "--configfile", str(STUDY), "--verbose"]
    # Not the profile's threads: this machine may have fewer cores.
    threads = ["--set-threads", f"train={cores}"]

    def call(*targets: str) -> str:
        done = subprocess.run(
            ["snakemake", *targets, *profile, *threads], cwd=root, env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            sys.exit(done.stdout)
        return done.stdout

    call(*(f"results/data/{dataset}/manifest.json" for dataset in DATASETS))
    begun = time.time()
    output = call(*rows)
    ended = time.time()
    numbers = dict(re.findall(r"Job (\d+) has been submitted with SLURM jobid (\d+)", output))
    notice_times = {
        number: datetime.strptime(stamp, "%a %b %d %H:%M:%S %Y")
        for stamp, number in re.findall(r"\[(.+)\]\nFinished jobid: (\d+)", output)
    }
    facts = {number: job(slurm) for number, slurm in numbers.items()}
    delays = [
        (notice_times[number] - datetime.fromisoformat(one["EndTime"])).total_seconds()
        for number, one in facts.items()
    ]
    return {
        "jobs": len(facts),
        "seconds": ended - begun,
        "job seconds, sum": sum(
            seconds(one["StartTime"], one["EndTime"]) for one in facts.values()
        ),
        "median delay": statistics.median(delays),
        "longest delay": max(delays),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=100, help="at most 100")
    parser.add_argument(
        "--here", action="store_true", help="start a cluster of two nodes; root only"
    )
    options = parser.parse_args()
    cores = os.cpu_count() or 1
    place = nullcontext()
    if options.here:
        sys.path.append(str(CHECKOUT / "tests/pipeline"))
        from cluster import cluster

        place = cluster()
    with place, tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "project"
        copy_checkout(root)
        row = measure(root, options.jobs, cores)
    about = machine(cores)
    content = {"machine": about, "rows": [row]}
    text = "Seconds; the delay is the time from a job's end until Snakemake notices it."
    publish("slurm", f"{table([row])}\n{text}\n{listed(about)}.\n", content)


if __name__ == "__main__":
    main()
