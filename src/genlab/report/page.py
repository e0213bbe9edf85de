"""The stage `report`: one self-contained page, with every picture inside the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from genlab import __version__
from genlab.config.base import read_yaml
from genlab.config.evaluators import FLOOR
from genlab.config.families import build_family
from genlab.io.files import read_json, write_text
from genlab.report.classes import by_class
from genlab.report.figures import cost_bars, loss_curves
from genlab.report.league import NO_SAMPLER, explanations, league_table, readable
from genlab.report.prompts import prompted
from genlab.report.seeds import over_seeds
from genlab.report.understanding import (
    crossing,
    disentangled,
    embedded,
    label,
    laboratory,
    latent_space,
    path_bounds,
    rates,
    walks,
)
from genlab.results.layout import RunFolder, StudyFolder
from genlab.results.origin import read_measured, run_origin
from genlab.tracking.record import read_history


def _grids(table: pd.DataFrame, study: StudyFolder) -> list[dict[str, Any]]:
    """A grid and a caption for each row of the league."""
    grids = []
    keys = ["dataset", "model", "seed", "sampler"]
    for _, row in table[table["sampler"] != NO_SAMPLER].drop_duplicates(keys).iterrows():
        run = study.run(str(row["dataset"]), str(row["model"]), int(row["seed"]))
        floor = row["model"] == FLOOR
        name = f"{row['sampler']} images" if floor else f"{row['model']} · {row['sampler']}"
        fid = f"FID {readable(row['fid'], 'fid')} ({row['extractor']})"
        taken = readable(row["evaluations"], "evaluations")
        cost = "" if floor else f", {taken} evaluation{'s' * (taken != '1')}"
        note = f"{row['dataset']}, seed {row['seed']}: {fid}{cost}"
        picture = run.samples(str(row["sampler"])).grid.read_bytes()
        grids.append({"title": name, "note": note, "picture": embedded(picture)})
    return grids


def _curves(content: dict[str, Any], runs: list[RunFolder]) -> str:
    """Loss curves of every run."""
    frames, held_out = [], []
    for run in runs:
        name = run.model_name
        batch = content["models"][name]["training"]["batch_size"]
        frame = pd.DataFrame(read_history(run.history))
        label = f"{name} ({run.dataset})" if len(content["datasets"]) > 1 else name
        seed = run.folder.name.removeprefix("seed")
        frames.append(frame.assign(model=label, seed=seed, images=frame["step"] * batch))
        loss = read_measured(run.summary, run_origin(run))["held_out"]["loss"]
        held_out.append({"model": label, "seed": seed, "loss": loss})
    return embedded(loss_curves(pd.concat(frames), pd.DataFrame(held_out)))


def read_costs(study: StudyFolder) -> pd.DataFrame:
    """Snakemake's benchmark of every job: columns stage, subject, seconds, megabytes."""
    rows = []
    root = study.folder / "benchmarks"
    for path in sorted(root.rglob("*.tsv")):
        measured = pd.read_csv(path, sep="\t", na_values="-").iloc[-1]
        parts = path.relative_to(root).with_suffix("").parts
        subject = "/".join(parts[:-1][1:2]) or "study"
        stage, _, detail = parts[-1].partition("_")
        rows.append(
            {
                "stage": stage,
                "subject": subject,
                "detail": detail,
                "where": "/".join(parts[:-1]),
                "seconds": float(measured["s"]),
                "megabytes": float(measured["max_rss"]),
            }
        )
    return pd.DataFrame(rows)


def report(study: StudyFolder) -> None:
    """Write report/index.html from the league, the pictures and the histories of the study."""
    content = read_yaml(study.config)
    table = pd.read_csv(study.league, keep_default_na=False)
    runs = [
        study.run(dataset, model, seed)
        for dataset in content["datasets"]
        for model in content["models"]
        for seed in content["seeds"]
    ]
    strips = [
        {
            "title": f"{label(row.run)}, {row.folder.name}",
            "picture": embedded(row.strip.read_bytes()),
        }
        for run in runs
        for row in (run.samples(name) for name in content["samplers"])
        if row.strip.exists()
    ]
    pairs = [
        {
            "title": label(run),
            "picture": embedded((run.reconstructions / "pairs.png").read_bytes()),
            **read_measured(run.reconstructions / "metrics.json", run_origin(run)),
        }
        for run in runs
        if (run.reconstructions / "metrics.json").exists()
    ]
    families = {
        name: build_family(entry["model"], study.config)
        for name, entry in content["models"].items()
    }
    costs = read_costs(study)
    manifests = {d: read_json(study.data(d).manifest) for d in content["datasets"]}
    several = [run for run in runs if len(manifests[run.dataset]["classes"]) > 1]
    environment = Environment(
        loader=PackageLoader("genlab", "report"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("page.html.jinja").render(
        version=__version__,
        study=content,
        league=league_table(table),
        explanations=explanations(content["evaluation"] | content["likelihood"]),
        seeds=over_seeds(table),
        per_class=by_class(runs, content["evaluation"]["extractors"]),
        grids=_grids(table, study),
        pairs=pairs,
        strips=strips,
        curves=_curves(content, runs),
        crossing=crossing(table, content),
        walks=walks(runs, families),
        prompted=prompted(several, families),
        path_bounds=path_bounds(runs, families),
        latents=latent_space(runs, families),
        disentangled=disentangled(runs, families),
        rates=rates(runs, families),
        laboratory=content["laboratory"] and laboratory(study, content["datasets"], runs, families),
        costs=costs.to_dict("records"),
        cost_total=costs["seconds"].sum(),
        cost_figure=embedded(cost_bars(costs)),
        classifiers=[
            {"dataset": d, **read_measured(run.summary, run_origin(run))}
            for d in content["datasets"]
            for run in [study.classifier(d)]
        ],
        precisions={
            run.model_name: read_measured(run.summary, run_origin(run))["precision"] for run in runs
        },
        manifests=manifests,
        config_text=Path(study.config).read_text(encoding="utf-8"),
    )
    write_text(study.report, page)
