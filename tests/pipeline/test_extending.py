"""docs/extending.md: its six examples, written into a copy of the project, work as it says."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient
from project import CORES, ORIGINAL, Project

STUDY = "config/studies/extended.yaml"
BLOCK = re.compile(r"^```\w+\n(?:#|\{#) (\S+?)(?: #\})?\n(.*?)^```$", re.M | re.S)


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of the project with every file of the page, whose study has run."""
    project = Project.copy(tmp_path_factory.mktemp("extended") / "project")
    files = dict(BLOCK.findall((ORIGINAL / "docs/extending.md").read_text()))
    assert len(files) == 2 + 2 + 3 + 1 + 2 + 2 + 1  # the last one is the study
    for name, text in files.items():
        path = project.root / name
        assert not path.exists(), f"{name} is part of the project"
        path.write_text(text)
    project.snakemake("--cores", CORES, study=STUDY)
    return project


@pytest.fixture(scope="module")
def league(extended: Project) -> pd.DataFrame:
    return pd.read_csv(extended.root / "results/extended/league.csv", keep_default_na=False)


@pytest.fixture(scope="module")
def page(extended: Project) -> str:
    return (extended.root / "results/extended/report/index.html").read_text()


def test_each_is_in_the_league(league: pd.DataFrame) -> None:
    assert set(league["dataset"]) == {"bars"}
    rows = league[["model", "sampler"]].drop_duplicates().to_numpy().tolist()
    assert ["pixelwise", "prior"] in rows
    assert ["ddpm", "renoise-3"] in rows
    assert set(league["extractor"]) == {"classifier", "thumbnails"}
    pixelwise = league[league["model"] == "pixelwise"].iloc[0]
    assert int(pixelwise["parameters"]) == 2 * 16 * 16
    assert pixelwise["reconstruction_mse"] == "no encoder"
    gaps = league.groupby("sampler")["mean_gap"].apply(lambda cells: cells.astype(float).max())
    assert gaps["noise"] > gaps["real"] >= 0  # uniform noise is further off than real bars
    thumbnails = league[league["extractor"] == "thumbnails"]
    assert not any(map(_is_number, thumbnails["inception_score"]))  # it predicts no classes


def _is_number(value: object) -> bool:
    return bool(re.fullmatch(r"[-+\d.e]+", str(value)))


def test_each_is_on_the_page(page: str) -> None:
    for text in (
        "pixelwise · prior",
        "ddpm · renoise-3",
        "mean gap",
        "Distance between the mean features of generated and of training images.",
        "Budget",
        "pixelwise: 640 images",
        "thumbnails",
        "layout and brightness, no detail",
        "bars",
    ):
        assert text in page, text
    titles = re.findall(r"<h2>(.+?)</h2>", page)
    assert titles[:4] == ["Overview", "Ranks of all rows", "All rows", "Budget"]  # up to order 15


def test_each_is_in_mlflow(extended: Project) -> None:
    client = MlflowClient(f"sqlite:///{extended.root}/results/mlflow.db")
    (experiment,) = [e for e in client.search_experiments() if "extended" in e.name]
    runs = client.search_runs([experiment.experiment_id])
    metrics = {run.data.tags["mlflow.runName"]: run.data.metrics for run in runs}
    names = {name for values in metrics.values() for name in values}
    assert {"mean_gap", "thumbnails/mean_gap"} <= names
    assert len(runs) == 3 + 2  # pixelwise, ddpm, classifier; a row of each of the first two


def test_the_page_names_every_folder() -> None:
    """What docs/extending.md calls a registry exists."""
    text = (ORIGINAL / "docs/extending.md").read_text()
    rows = re.findall(r"^\| an? [\w ]+ \| (.+?) \| (.+?) \|$", text, re.M)
    assert len(rows) == 6
    for files, examples in rows:
        for file in re.findall(r"`(\S+?)`", files):
            for example in re.findall(r"`(\w+)`", examples):
                path = Path("src/genlab", file.replace("NAME", example))
                assert (ORIGINAL / path).exists(), path
