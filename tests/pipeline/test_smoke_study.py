"""The smoke study from end to end: what it leaves behind, and that it can be had again."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import Any

import cluster
import numpy as np
import pandas as pd
import pytest
import yaml
from project import CORES, JOB, LONG, ORIGINAL, SMOKE, TWIN_TARGETS, Job, Project, compare_twins

from genlab.results.layout import StudyFolder
from genlab.results.spec import read_run
from genlab.tracking.record import flatten
from genlab.workflow.compare import compare_published
from genlab.workflow.verify import find_row

END = 6  # lines that a finished study ends with: the best rows, the report, MLflow


def declared_rules(project: Project) -> set[str]:
    """The names of all rules in rules/."""
    texts = [path.read_text() for path in (project.root / "rules").glob("*.smk")]
    return set(re.findall(r"^use rule \w+ as (\w+) with:", "\n".join(texts), re.M))


def test_every_rule_runs(first_run: tuple[Project, str]) -> None:
    """Each of its jobs has a line on the console, and there are few others."""
    project, output = first_run
    lines = output.splitlines()
    done = [match for line in lines if (match := re.match(r"(\d+)/(\d+)  ([^:]+): ", line))]
    assert [int(line[1]) for line in done] == list(range(1, int(done[0][2]) + 1))
    rules = {rule.replace("_", " ") for rule in declared_rules(project)}
    names = {max((rule for rule in rules if line[3].startswith(rule)), key=len) for line in done}
    assert names == rules
    # The profile, how many there are to do and were done; and the end
    assert len(lines) <= len(done) + 3 + END
    assert "Report: results/smoke/report/index.html" in lines[-END:]


def test_a_second_call_does_nothing_and_ends_alike(
    first_run: tuple[Project, str], smoke: Project
) -> None:
    lines = smoke.snakemake("--cores", CORES).splitlines()
    assert lines[-END - 1] == "Nothing to do: everything is up to date"
    assert lines[-END:] == first_run[1].splitlines()[-END:]
    table = pd.read_csv(smoke.root / "results/smoke/league.csv", keep_default_na=False)
    rows = table[~table["model"].isin(["calibration", "vqvae"])].astype({"fdr": float})
    rows = rows.drop_duplicates(["model", "sampler"]).sort_values("fdr")
    columns = (rows[name].head(3) for name in ("fdr", "model", "sampler", "rank"))
    assert lines[-END + 1 : -2] == [
        f"  {fdr:.3g}  {model}, {sampler}: rank {rank}"
        for fdr, model, sampler, rank in zip(*columns, strict=True)
    ]


def test_all_outputs_exist_and_are_up_to_date(smoke: Project) -> None:
    """Snakemake's own list of outputs is on the disk, each made by the rule as it stands."""
    lines = smoke.snakemake("--summary").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("output_file\t"))
    table = [line.split("\t") for line in lines[start:] if "\t" in line]
    outputs = pd.DataFrame(table[1:], columns=table[0])
    assert set(outputs["rule"]) == declared_rules(smoke)
    assert set(outputs["plan"]) == {"no update"}
    for name in outputs["output_file"]:
        path = smoke.root / name
        assert path.exists(), name
        assert path.stat().st_size > 0 or path.name == "published", name


def test_every_file_that_a_stage_reads_is_declared(smoke: Project) -> None:
    """As an input of its rule or as its own output.

    No rule knows of specs, whose digests are parameters, of benchmarks, of what lies in `resume/`,
    nor of what the tracking services have received.
    """
    unknown = re.compile(
        r"/\.[^/]+\.part$|\.yaml$|/resume/|/tracking/sent_|^results/smoke/benchmarks/"
        r"|^results/data/\w+/(raw/|hashes\.json$)"
    )
    traces, checked = smoke.root.parent / "traces", set()
    for rule, details in JOB.findall(smoke.snakemake(LONG, "-n", "--forceall")):
        lines = dict(re.findall(r"^    (input|output|log): (.+)$", details, re.M))
        if rule == "all":
            continue
        declared = {Path(name) for part in ("input", "output") if part in lines
                    for name in lines[part].split(", ")}  # fmt: skip
        for name in set((traces / lines["log"]).read_text().split()):
            path = Path(name)
            if not unknown.search(name):
                assert declared & {path, *path.parents}, f"{rule} reads {name}"
        checked.add(rule)
    assert checked == declared_rules(smoke)


def test_samples_are_as_many_as_asked_for(smoke: Project) -> None:
    paths = list((smoke.root / "results/smoke/sprites").glob("*/seed0/samples/*/samples.npy"))
    assert len(paths) == 9
    for path in paths:
        samples = np.load(path)
        assert samples.shape == (128, 1, 32, 32), path
        assert samples.dtype == np.uint8, path
        assert samples.std() > 0, path


def test_the_league_has_a_row_for_each_sampler_and_calibration_row(
    smoke: Project,
) -> None:
    table = pd.read_csv(smoke.root / "results/smoke/league.csv", keep_default_na=False)
    extractors = ["classifier", "pixel-pca", "low-level"]
    rows = [*zip(table["model"], table["sampler"], strict=True)]
    assert sorted(rows) == sorted(3 * [*dict.fromkeys(rows)])
    assert list(table["extractor"]) == extractors * (len(rows) // 3)
    assert sorted({*rows}) == [
        ("calibration", "noise"),
        ("calibration", "real"),
        ("dalle", "prior"),
        ("ddpm", "ddim-3"),
        ("ddpm", "ddpm-3"),
        ("flow", "ddim-3"),
        ("flow", "ddpm-3"),
        ("vae", "prior"),
        ("vqvae", "none"),
        ("vqvae-prior", "prior"),
    ]
    table = table[(table["sampler"] != "none") & (table["extractor"] == "classifier")]
    fid = table.set_index("sampler")["fid"].astype(float)
    assert fid["real"] == fid.min()
    assert fid["real"] > 0
    assert "" not in set(table.astype(str).to_numpy().ravel())  # a cell says why it has no number


def histories(project: Project) -> dict[str, list[dict[str, float]]]:
    """What training logged, by the name of the MLflow run."""
    study = project.root / "results/smoke"
    return {
        str(path.parent.relative_to(study)): [
            json.loads(line) for line in path.read_text().splitlines()
        ]
        for path in study.rglob("history.jsonl")
    }


@pytest.fixture(scope="module")
def tracked(smoke: Project) -> dict[str, tuple[Any, Any]]:
    """The client of the study's MLflow store, and each run in it, by name."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{smoke.root}/results/mlflow.db")
    experiment = client.get_experiment_by_name("genlab-smoke")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    named = {run.info.run_name: (client, run) for run in runs}
    assert len(named) == len(runs)
    return named


def test_mlflow_has_one_finished_run_for_each_data_set_model_and_seed(
    tracked: dict[str, tuple[Any, Any]],
) -> None:
    models = ("classifier", "clip", "dalle", "ddpm", "flow", "judge", "vae", "vqvae", "vqvae-prior")
    rows = ("dalle/seed0/prior", "ddpm/seed0/ddim-3", "ddpm/seed0/ddpm-3", "flow/seed0/ddim-3",
            "flow/seed0/ddpm-3", "vae/seed0/prior", "vqvae-prior/seed0/prior")  # fmt: skip
    names = {f"sprites/{model}/seed0" for model in models}
    assert set(tracked) == names | {f"sprites/{row}" for row in rows}
    for row in rows:
        model = f"sprites/{row.rpartition('/')[0]}"
        assert tracked[f"sprites/{row}"][1].data.tags["mlflow.parentRunId"] == (
            tracked[model][1].info.run_id
        )
    assert {run.info.status for _, run in tracked.values()} == {"FINISHED"}
    for name in names:
        _, run = tracked[name]
        tags = {"git_commit", "code", "dataset_sha256", "genlab", "python", "torch"}
        assert tags <= set(run.data.tags)


def test_mlflow_has_each_step_that_training_logged_exactly_once(
    smoke: Project, tracked: dict[str, tuple[Any, Any]]
) -> None:
    for name, rows in histories(smoke).items():
        client, run = tracked[name]
        sent = client.get_metric_history(run.info.run_id, "train/loss")
        assert [(m.step, m.value) for m in sent] == [(r["step"], r["loss"]) for r in rows]


def test_mlflow_has_params_measurements_and_pictures(
    smoke: Project, tracked: dict[str, tuple[Any, Any]]
) -> None:
    client, run = tracked["sprites/ddpm/seed0"]
    folder = smoke.root / "results/smoke/sprites/ddpm/seed0"
    spec = flatten(read_run(folder / "config.yaml").model_dump(mode="json"))
    assert run.data.params == {name: str(value) for name, value in spec.items()}
    assert run.data.params["model.network.channels"] == "8"
    metrics = json.loads((folder / "metrics.json").read_text())
    for row in ("ddpm-3", "ddim-3"):
        _, of_row = tracked[f"sprites/ddpm/seed0/{row}"]
        assert of_row.data.metrics["fid"] == metrics[row]["classifier"]["fid"]
        for folder, name in ((f"samples/{row}", "grid"), (f"samples/{row}/figures", "strip")):
            files = client.list_artifacts(of_row.info.run_id, folder)
            assert [f.path for f in files if not f.is_dir] == [f"{folder}/{name}.png"]
    best = tracked[f"sprites/ddpm/seed0/{run.data.tags['best_sampler']}"][1].data.metrics
    for name in ("fid", "fdr", "recall", "nfe", "ms_per_image"):
        assert run.data.metrics[f"best/{name}"] == best[name]
    assert run.data.metrics["peak_memory_mb"] > 0
    _, vae = tracked["sprites/vae/seed0"]
    names = {"reconstruction_mse", "iwae_bits_per_dim", "mig", "elbo_total_correlation"}
    assert {f"final/{name}" for name in names} <= set(vae.data.metrics)
    assert [f.path for f in client.list_artifacts(vae.info.run_id, "reconstructions")]


def test_page_csv_parquet_and_mlflow_agree_in_every_cell(
    smoke: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All rows of samples: what is published is what the runs' folders hold."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    study = StudyFolder(smoke.root / "results/smoke")
    table = pd.read_csv(study.league, keep_default_na=False)
    rows = dict.fromkeys(zip(table["model"], table["sampler"], strict=True))
    sampled = [(model, row) for model, row in rows if row != "none"]
    assert len(sampled) == 9
    for model, row in sampled:
        names = [name for name, _ in compare_published(find_row(study, model, row))]
        assert names == [
            "league.csv", "league.parquet", "measurements.csv", "measurements.parquet",
            "report/index.html", *(["MLflow"] if model != "calibration" else []),
        ]  # fmt: skip


@pytest.mark.parametrize("row", [("dalle", "prior"), ("flow", "ddpm-3"), ("calibration", "noise")])
def test_a_row_is_made_again_byte_for_byte(smoke: Project, row: tuple[str, str]) -> None:
    ended = smoke.run("genlab", "verify-row", *row, "--study", "smoke", "--gpus", "0")
    assert ended.returncode == 0, ended.stderr
    assert "note:" not in ended.stdout


def test_snakemake_report_holds_what_the_rules_marked(smoke: Project, tmp_path: Path) -> None:
    target = tmp_path / "report.zip"
    smoke.snakemake("--report", str(target))
    with zipfile.ZipFile(target) as file:
        names = [Path(name).name for name in file.namelist()]
    assert sorted(names) == [
        "attributes.png",
        "candidates.png",
        *["denoising.gif"] * 2,
        *["denoising.png"] * 2,
        *["grid.png"] * 7,
        "index.html",
        *["inpainting.png"] * 2,
        *["interpolation.png"] * 3,
        *["inversion.png"] * 2,
        "league.csv",
        "league.html",
        *["pairs.png"] * 2,
        "report.html",
        *["samplers.png"] * 2,
        "traversals.gif",
        "traversals.png",
    ]


@pytest.mark.skipif(cluster.obstacle() is None, reason="compared with a cluster in test_slurm.py")
def test_the_same_study_twice_gives_the_same_bytes(smoke: Project, tmp_path: Path) -> None:
    """In another folder, at another time: weights, samples and metrics agree bit for bit."""
    twin = Project.copy(tmp_path / "project", smoke.root)
    twin.snakemake("--cores", CORES, *TWIN_TARGETS)
    compare_twins(twin, smoke)


def test_a_new_family_redoes_no_other_model(again: Project) -> None:
    """Two files and a name in the study; `test_extending` runs them."""
    text = (ORIGINAL / "docs/extending.md").read_text()
    for name in ("config/families", "models"):
        path = f"src/genlab/{name}/pixelwise.py"
        (code,) = re.findall(rf"^```python\n# {path}\n(.*?)^```$", text, re.M | re.S)
        (again.root / path).write_text(code)
    study = yaml.safe_load((again.root / SMOKE).read_text())
    study["models"].append("pixelwise")
    (again.root / SMOKE).write_text(yaml.safe_dump(study, sort_keys=False))
    stages = ("train", "sample", "features", "evaluate", "curve")
    assert again.plan() == {Job(stage, "pixelwise") for stage in stages} | {
        Job("rank"), Job("league"), Job("report"), Job("publish")
    }  # fmt: skip
