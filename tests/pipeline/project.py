"""A copy of the project's tree, in which the real Snakemake runs as a person would run it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

ORIGINAL = Path(__file__).parents[2]
JOB = re.compile(r"^(?:local)?rule (\w+):\n((?:    .+\n)*)", re.M)
"""A job as Snakemake announces it in its LONG output: the rule's name, and lines of details."""
PARTS = ("Snakefile", "rules", "config", "profiles", "envs", "docs", "src")
RESULTS = ("results", ".snakemake")
SMOKE = "config/studies/smoke.yaml"
CORES = "2"
TWIN_TARGETS = [
    f"results/smoke/sprites/{model}/seed0/metrics.json" for model in ("vae", "ddpm", "vqvae-prior")
]
"""Targets of the smoke study that need most kinds of jobs"""
LONG = "--verbose"
"""Makes Snakemake announce each job with its files and resources, as `jobs` reads it."""


class Job(NamedTuple):
    """A job that Snakemake ran or would run: its rule, and the model it is for, if any."""

    rule: str
    model: str = ""


def jobs(output: str) -> set[Job]:
    """The jobs that Snakemake announces in its LONG `output`, without the target `all`."""
    found = set()
    for rule, details in JOB.findall(output):
        model = re.search(r"wildcards: .*\bmodel=([^,\n]+)", details)
        found.add(Job(rule, model[1] if model else ""))
    return found - {Job("all")}


@dataclass(frozen=True)
class Project:
    """The project under `root`; everything that runs there uses its copy of the source.

    Its stages note the files that they read under `traces`, where that is given.
    """

    root: Path
    traces: Path | None = None

    @classmethod
    def copy(cls, root: Path, source: Path = ORIGINAL, results: bool = False) -> Project:
        """A copy at `root` of the project, or of another copy; with `results`, of those too."""
        root.mkdir()
        for part in (*PARTS, *(RESULTS if results else ())):
            if (source / part).is_dir():
                # What another process's Snakemake may take away at any moment; the site, if built
                passing = shutil.ignore_patterns("locks", "log", "_build")
                shutil.copytree(source / part, root / part, ignore=passing)
            else:
                shutil.copy2(source / part, root / part)
        return cls(root)

    @property
    def environment(self) -> dict[str, str]:
        """The CPU, the tracking store under results/, and this project's source."""
        tools = Path(sys.executable).parent
        environment = os.environ | {
            "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self.root / "src"),  # goes before the installed package
            "GENLAB_GPUS": "0",
            "CUDA_VISIBLE_DEVICES": "",
        }
        if self.traces:
            environment["GENLAB_TRACE"] = str(self.traces)
            environment["PYTHONPATH"] += f"{os.pathsep}{Path(__file__).parent / 'trace'}"
        for name in ("MLFLOW_TRACKING_URI", "SNAKEMAKE_PROFILE", "GENLAB_WORKFLOW"):
            environment.pop(name, None)
        return environment

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run `command` in the project."""
        return subprocess.run(
            command,
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def begin(self, *command: str, log: Path) -> subprocess.Popen[str]:
        """Run `command` in the project, in the background; what it says goes to `log`."""
        with log.open("w") as file:
            return subprocess.Popen(
                command,
                cwd=self.root,
                env=self.environment,
                stdout=file,
                stderr=subprocess.STDOUT,
                text=True,
            )

    def snakemake(self, *arguments: str, study: str | None = SMOKE) -> str:
        """What Snakemake said, which must have ended well; None runs the default study."""
        chosen = ["--configfile", study] if study else []
        done = self.run("snakemake", *arguments, *chosen)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def plan(self, *arguments: str, study: str | None = SMOKE) -> set[Job]:
        """The jobs of a dry run."""
        return jobs(self.snakemake(LONG, "-n", *arguments, study=study))

    def edit(self, path: str, change: Callable[[str], str]) -> None:
        """Change the text of a file; a change that changes nothing is a mistake of the test."""
        file = self.root / path
        before = file.read_text(encoding="utf-8")
        after = change(before)
        assert after != before
        file.write_text(after, encoding="utf-8")


def compare_twins(twin: Project, smoke: Project) -> None:
    """Compare the weights, samples and metrics of `TWIN_TARGETS` byte for byte."""
    compared = 0
    for target in TWIN_TARGETS:
        run = Path(target).parent
        files = [Path(target), run / "model/weights.safetensors"]
        files += [path.relative_to(twin.root) for path in (twin.root / run).rglob("samples.npy")]
        for path in files:
            assert (twin.root / path).read_bytes() == (smoke.root / path).read_bytes(), path
        compared += len(files)
    assert compared == 3 + 3 + 4  # metrics, weights, samples
