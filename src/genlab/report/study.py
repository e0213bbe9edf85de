"""The study as the sections of the page read it: typed settings, the league, folders of runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from genlab.config.families import FamilyConfig
from genlab.config.study import Study
from genlab.io.files import read_json
from genlab.results.layout import RunFolder, StudyFolder
from genlab.results.origin import read_measured, run_origin
from genlab.results.spec import read_study

PICTURED = 8
"""Most models whose pictures a section shows, so that a page of many runs opens at once."""


FILMS = 4
"""Most films in a section; a film is as large as all other pictures of its run together."""


@dataclass(frozen=True, eq=False)
class ReportedStudy:
    """A finished study, read-only.

    One is equal to itself alone, so what a section reads of it can be cached.
    """

    folder: StudyFolder
    settings: Study
    """The content of `study.yaml`."""
    league: pd.DataFrame
    """The table of `league.csv`; a column with a reason in any cell holds text."""

    @cached_property
    def runs(self) -> list[RunFolder]:
        """All runs of the study's models by data set, model and seed, without evaluators."""
        return [
            self.folder.run(dataset, model, seed)
            for dataset in self.settings.datasets
            for model in self.settings.models
            for seed in self.settings.seeds
        ]

    @cached_property
    def manifests(self) -> dict[str, dict[str, Any]]:
        """The manifest of each data set: image counts, shape, classes, SHA-256."""
        return {name: read_json(self.folder.data(name).manifest) for name in self.settings.datasets}

    @cached_property
    def costs(self) -> pd.DataFrame:
        """Snakemake's benchmarks: columns stage, subject, detail, where, seconds, megabytes, ended.

        `ended` is when Snakemake wrote the benchmark of the job, in seconds since 1970.
        """
        rows = []
        root = self.folder.folder / "benchmarks"
        for path in sorted(root.rglob("*.tsv")):
            benchmark = pd.read_csv(path, sep="\t", na_values="-").iloc[-1]
            folders = path.parent.relative_to(root).parts
            stage, _, detail = path.stem.partition("_")
            rows.append(
                {
                    "stage": stage,
                    "subject": folders[1] if len(folders) > 1 else "study",
                    "detail": detail,
                    "where": "/".join(folders),
                    "seconds": float(benchmark["s"]),
                    "megabytes": float(benchmark["max_rss"]),
                    "ended": path.stat().st_mtime,
                }
            )
        return pd.DataFrame(rows)

    def family(self, run: RunFolder) -> FamilyConfig:
        """Return the hyperparameters and capabilities of a run's model."""
        return self.settings.models[run.model_name].model

    def runs_where(self, condition: Callable[[FamilyConfig], bool]) -> list[RunFolder]:
        """Return the runs whose model's family meets `condition`, in the order of `runs`."""
        return [run for run in self.runs if condition(self.family(run))]

    def pictured(self, condition: Callable[[FamilyConfig], bool]) -> list[RunFolder]:
        """Return those of the first seed, at most PICTURED, whose pictures the page shows.

        The pictures of the other runs are in their folders.
        """
        first = f"seed{self.settings.seeds[0]}"
        return [run for run in self.runs_where(condition) if run.folder.name == first][:PICTURED]


def read_reported_study(folder: StudyFolder) -> ReportedStudy:
    """Read a study's settings and its league.

    Raises:
        GenLabError: `study.yaml` or `league.csv` is missing, or `study.yaml` is invalid.
    """
    settings = read_study(folder.config)
    return ReportedStudy(folder, settings, pd.read_csv(folder.league, keep_default_na=False))


def on_path(family: FamilyConfig) -> bool:
    """Whether models of a family draw samples along a Gaussian path, step by step."""
    return family.generates == "gaussian"


def run_label(run: RunFolder) -> str:
    """Name a run by its model, data set and seed: 'ddpm on digits, seed 0'."""
    return f"{run.model_name} on {run.dataset}, {run.folder.name.replace('seed', 'seed ')}"


def read_run_file(run: RunFolder, path: Path) -> dict[str, Any]:
    """Read what a stage measured on a run.

    Raises:
        GenLabError: the file is missing, or belongs to another version of the study.
    """
    return read_measured(path, run_origin(run))
