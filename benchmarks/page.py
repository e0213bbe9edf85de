"""Size, building time and first paint of the page, by the number of runs.

    snakemake --cores all --configfile config/studies/ladder.yaml
    python benchmarks/page.py results/ladder --runs 50 200

Each model of a finished study stands for several: its runs are linked under further names, and the
rows of the league and of the ranking are repeated. So pictures and tables are real ones. Needs
Chromium for the first paint.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from playwright.sync_api import sync_playwright

from genlab.config.evaluators import CALIBRATION
from genlab.io.files import read_json, write_json, write_text
from genlab.results.layout import StudyFolder

FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
OPENINGS = 5


def repeat(study: StudyFolder, root: Path, runs: int) -> StudyFolder:
    """Return a study of about `runs` runs below `root`, whose models are those of `study`."""
    at = StudyFolder(root / study.folder.name)
    at.folder.mkdir(parents=True)
    (root / "data").symlink_to((study.results / "data").resolve())
    for path in study.folder.iterdir():
        if path.name not in ("report", "league.csv", "ranking.json", "study.yaml"):
            if path.name in read_json(study.ranking):  # a data set
                shutil.copytree(path, at.folder / path.name, symlinks=True, copy_function=_link)
            else:
                (at.folder / path.name).symlink_to(path.resolve())
    settings = yaml.safe_load(study.config.read_text())
    league, ranking = pd.read_csv(study.league, keep_default_na=False), read_json(study.ranking)
    models: dict[str, Any] = settings["models"]
    times = -(-runs // (len(models) * len(settings["seeds"]) * len(settings["datasets"])))
    settings["models"] = {
        _name(model, i): {**entry, "name": _name(model, i)}
        for i in range(times)
        for model, entry in models.items()
    }
    of_models = league["model"] != CALIBRATION
    tables = [league[~of_models]]
    for i in range(times):
        copy = league[of_models]
        tables.append(copy.assign(model=[_name(model, i) for model in copy["model"]]))
    for dataset, entry in ranking.items():
        rows = [row for row in entry["rows"] if row["model"] != CALIBRATION]
        others = [row for row in entry["rows"] if row["model"] == CALIBRATION]
        entry["rows"] = others + [
            {**row, "model": _name(row["model"], i)} for i in range(times) for row in rows
        ]
        for model in models:
            for i in range(1, times):
                folder = at.folder / dataset / _name(model, i)
                folder.symlink_to((study.folder / dataset / model).resolve())
    write_text(at.config, yaml.safe_dump(settings, sort_keys=False))
    write_text(at.league, pd.concat(tables).to_csv(index=False))
    write_json(at.ranking, ranking)
    return at


def _name(model: str, i: int) -> str:
    return model if i == 0 else f"{model}-{i + 1}"


def _link(source: str, target: str) -> None:
    Path(target).symlink_to(Path(source).resolve())


def first_paint(page: Path) -> float:
    """Return the median of the milliseconds until Chromium paints something of the page."""
    chromium = shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        paints = []
        for _ in range(OPENINGS):
            tab = browser.new_page()
            tab.goto(page.resolve().as_uri())
            tab.wait_for_timeout(200)
            paints.append(tab.evaluate(FIRST_PAINT))
            tab.close()
        browser.close()
    return statistics.median(paints)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("study", type=Path, help="results/STUDY of a finished study")
    parser.add_argument("--runs", type=int, nargs="+", default=[50, 200])
    arguments = parser.parse_args()
    study = StudyFolder(arguments.study)
    print("| runs | rows | MB | built in s | first paint ms |\n|---|---|---|---|---|")
    for runs in arguments.runs:
        with tempfile.TemporaryDirectory() as root:
            at = repeat(study, Path(root), runs)
            start = time.perf_counter()
            command = [sys.executable, "-m", "genlab", "report", "--config", str(at.config)]
            subprocess.run(command, check=True)
            seconds = time.perf_counter() - start
            size = at.report.stat().st_size / 1e6
            rows = len(pd.read_csv(at.league, usecols=["model"]))
            print(
                f"| {runs} | {rows} | {size:.1f} | {seconds:.0f} | {first_paint(at.report):.0f} |"
            )


if __name__ == "__main__":
    main()
