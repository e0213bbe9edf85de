"""Runs compare in MLflow: names are the same in all of them, and numbers those of the league."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import genlab
from genlab.io.files import read_json, write_json
from genlab.io.history import read_history
from genlab.report.league import is_reason
from genlab.report.tracked import best_sampler, model_numbers, row_numbers
from genlab.results.layout import StudyFolder
from genlab.tracking.mirror import publish
from genlab.workflow.league import league

RANKED = 5.0
"""FDr of the row of the VAE, in a ranking that is written for these tests."""


class Tracked(NamedTuple):
    """A published study, its league, and its runs in MLflow by name."""

    at: StudyFolder
    client: MlflowClient
    league: pd.DataFrame
    runs: dict[str, Run]

    def read_again(self) -> dict[str, Run]:
        (experiment,) = [e for e in self.client.search_experiments() if e.name == "genlab-tiny"]
        runs = self.client.search_runs([experiment.experiment_id])
        return {run.info.run_name: run for run in runs}

    def row(self, model: str) -> pd.Series:
        """The row of the league of a model that has one."""
        (row,) = [row for _, row in self.league.iterrows() if row["model"] == model]
        return row


@pytest.fixture(autouse=True)
def _local_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="module")
def tracked(_finished: StudyFolder, tmp_path_factory: pytest.TempPathFactory) -> Tracked:
    """The tiny study, published in a store of its own: MLflow remembers where artifacts were."""
    results = tmp_path_factory.mktemp("tracked") / "results"
    ignored = shutil.ignore_patterns("mlflow.db", "mlflow-artifacts")
    shutil.copytree(_finished.results, results, ignore=ignored)
    at = StudyFolder(results / _finished.folder.name)
    at.tracking.write_text(
        at.tracking.read_text().replace("tensorboard: false", "tensorboard: true")
    )
    benchmark = at.run("stripes", "ddpm", 0).train_benchmark
    benchmark.parent.mkdir(parents=True)
    benchmark.write_text("s\th:m:s\tmax_rss\n1.5\t0:00:01\t345.25\n")
    ranking = read_json(at.ranking)
    for row in ranking["stripes"]["rows"]:
        if row["model"] == "vae":
            row.update(fdr=RANKED, tier=1)
    write_json(at.ranking, ranking)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        league(at)
        publish(at)
    client = MlflowClient(f"sqlite:///{at.results}/mlflow.db")
    table = pd.read_csv(at.league, keep_default_na=False)
    tracked = Tracked(at, client, table, {})
    return tracked._replace(runs=tracked.read_again())


def test_all_families_share_names_whose_values_are_the_league_s(tracked: Tracked) -> None:
    for model, sampler in (("vae", "prior"), ("ddpm", "ddim-3")):
        run, row = tracked.runs[f"stripes/{model}/seed0"], tracked.row(model)
        expected = {
            "best/fid": row["fid"], "best/fdr": row["fdr"], "best/recall": row["recall"],
            "best/ms_per_image": 1000 * float(row["seconds_per_image"]),
            "best/nfe": row["evaluations"], "tier": row["tier"],
            "bits_per_dim": row["bits_per_dim"], "parameters": row["parameters"],
            "train_seconds": row["train_seconds"],
        }  # fmt: skip
        expected = {
            name: float(value) for name, value in expected.items() if not is_reason(value, name)
        }
        assert {"best/fdr", "best/nfe", "parameters", "train_seconds"} <= expected.keys()
        assert expected.items() <= run.data.metrics.items()
        others = run.data.metrics.keys() - expected.keys() - {"peak_memory_mb"}
        assert {name.partition("/")[0] for name in others} == {"train", "final"}
        assert run.data.tags["best_sampler"] == sampler
    assert tracked.runs["stripes/vae/seed0"].data.metrics["best/fdr"] == RANKED
    assert tracked.runs["stripes/ddpm/seed0"].data.metrics["peak_memory_mb"] == 345.25
    assert "peak_memory_mb" not in tracked.runs["stripes/vae/seed0"].data.metrics


def test_an_evaluator_has_size_and_cost_and_no_best_row(tracked: Tracked) -> None:
    run = tracked.runs["stripes/classifier/seed0"]
    folder = tracked.at.classifier("stripes")
    assert run.data.metrics["parameters"] == read_json(folder.summary)["parameters"]
    assert run.data.metrics["train_seconds"] == read_json(folder.cost)["train_seconds"]
    assert not any(name.startswith("best") for name in run.data.metrics)
    assert run.data.tags["role"] == "evaluator"


def test_a_row_is_a_run_below_its_model_s(tracked: Tracked) -> None:
    assert tracked.runs.keys() == {
        "stripes/classifier/seed0", "stripes/vae/seed0", "stripes/vae/seed0/prior",
        "stripes/ddpm/seed0", "stripes/ddpm/seed0/ddim-3",
    }  # fmt: skip
    run, row = tracked.runs["stripes/ddpm/seed0/ddim-3"], tracked.row("ddpm")
    tags = run.data.tags
    assert tags["mlflow.parentRunId"] == tracked.runs["stripes/ddpm/seed0"].info.run_id
    assert (tags["role"], tags["sampler"], tags["family"]) == ("row", "ddim-3", "ddpm")
    assert run.info.status == "FINISHED"
    assert run.data.metrics["fid"] == float(row["fid"])
    assert run.data.metrics["nfe"] == 3
    names = [run.data.metrics.keys() for name, run in tracked.runs.items() if name.count("/") == 3]
    assert {"fid", "fdr", "precision", "recall", "ms_per_image", "nfe"} <= names[0] & names[1]


def test_tags_note_source_and_data_say_what_a_run_is(tracked: Tracked) -> None:
    run = tracked.runs["stripes/ddpm/seed0"]
    expected = {
        "study": "tiny", "dataset": "stripes", "family": "ddpm", "seed": "0", "role": "model",
        "told": "nothing", "mlflow.source.type": "LOCAL",
    }  # fmt: skip
    assert expected.items() <= run.data.tags.items()
    assert run.data.tags["mlflow.user"]
    assert run.data.tags["mlflow.source.name"].startswith("genlab train --config ")
    assert run.data.tags["mlflow.note.content"] == (
        "ddpm (ddpm: v-prediction, cosine schedule), trained on the data set stripes, seed 0, in "
        "the study tiny. Each row of its samples is a run below this one."
    )
    (dataset,) = run.inputs.dataset_inputs
    digest = read_json(tracked.at.data("stripes").manifest)["sha256"]
    assert (dataset.dataset.name, dataset.dataset.digest) == ("stripes", digest[:36])
    assert json.loads(dataset.dataset.source)["uri"].endswith("data/stripes")
    files = {file.path for file in tracked.client.list_artifacts(run.info.run_id)}
    assert {"config.yaml", "league.csv"} <= files


def test_a_run_lasts_as_long_as_its_training_and_publishing_does_not_move_it(
    tracked: Tracked,
) -> None:
    def times(runs: dict[str, Run]) -> dict[str, tuple[int, int]]:
        return {name: (run.info.start_time, run.info.end_time) for name, run in runs.items()}

    before = times(tracked.runs)
    for model in ("classifier", "vae", "ddpm"):
        folder = tracked.at.run("stripes", model, 0)
        start, end = before[f"stripes/{model}/seed0"]
        seconds, rows = read_json(folder.cost)["train_seconds"], read_history(folder.history)
        assert end == int(1000 * rows[-1]["time"])
        assert start == int(1000 * (folder.outbox / "config.json").stat().st_mtime)
        assert end - start == pytest.approx(1000 * seconds, abs=1000)
    at = tracked.at.run("stripes", "vae", 0).samples("prior")
    start, end = before["stripes/vae/seed0/prior"]
    assert end == int(1000 * at.cost.stat().st_mtime)
    seconds = 32 * read_json(at.cost)["seconds_per_image"]
    assert end - start == pytest.approx(1000 * seconds, abs=2)
    ranking = read_json(tracked.at.ranking)
    ranking["stripes"]["rows"][-1]["fdr"] += 1.0
    write_json(tracked.at.ranking, ranking)
    league(tracked.at)
    publish(tracked.at)
    again = tracked.read_again()
    assert times(again) == before
    model = ranking["stripes"]["rows"][-1]["model"]
    changed = [n for n in before if again[n].data.metrics != tracked.runs[n].data.metrics]
    assert changed and all(model in name for name in changed)


def test_mlflow_loads_a_model_that_draws_what_genlab_draws(tracked: Tracked) -> None:
    """From a copy of the weights: nothing is pickled."""
    run = tracked.runs["stripes/ddpm/seed0"]
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{tracked.at.results}/mlflow.db")
    loaded = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model")
    mlflow.set_tracking_uri(before)
    images = loaded.predict(pd.DataFrame({"sample": range(3)}), params={"seed": 5})
    expected = genlab.sample(genlab.load(tracked.at.run("stripes", "ddpm", 0).weights), n=3, seed=5)
    assert images.dtype == np.uint8
    assert np.array_equal(images, expected.numpy())
    folder = Path(run.info.artifact_uri.removeprefix("file://")) / "model"
    assert (folder / "data/weights.safetensors").is_file()
    assert not [path for path in folder.rglob("*") if path.suffix in (".pkl", ".pickle")]
    evaluator = tracked.runs["stripes/classifier/seed0"].info.run_id
    files = [file.path for file in tracked.client.list_artifacts(evaluator)]
    assert "model" not in files


def test_tensorboard_has_the_same_names(tracked: Tracked) -> None:
    for name, run in tracked.runs.items():
        events = EventAccumulator(str(tracked.at.tensorboard / name)).Reload()
        assert set(events.Tags()["scalars"]) == run.data.metrics.keys()


ROW: dict[str, Any] = {
    "fid": 4.0, "seconds_per_image": 0.25, "evaluations": 2, "milliseconds_per_evaluation": 125.0,
    "tier": 2,
}  # fmt: skip


def test_numbers_of_another_extractor_have_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """What depends on no extractor stands once; a reason is no number."""
    from genlab.evaluation.metrics.fid import FID
    from genlab.evaluation.metrics.sampling_cost import SamplingCost
    from genlab.report import tracked as module

    monkeypatch.setattr(module, "metrics", lambda: (FID(), SamplingCost()))
    few = "too few images"
    names = [name for column in FID.columns for name in column.names]
    cells = dict.fromkeys(names, few) | ROW
    assert row_numbers([cells, cells | {"fid": 5.0}], ["classifier", "low-level"]) == {
        "fid": 4, "nfe": 2, "ms_per_image": 250, "ms_per_nfe": 125, "low-level/fid": 5,
    }  # fmt: skip


def test_the_best_row_is_the_one_with_the_lowest_fdr() -> None:
    rows = [
        {"model": "ddpm", "sampler": "ddim", "fdr": 3.0},
        {"model": "ddpm", "sampler": "euler", "fdr": 2.0},
        {"model": "vae", "sampler": "prior", "fdr": 1.0},
    ]
    assert best_sampler({"rows": rows}, "ddpm") == "euler"
    assert best_sampler({"rows": []}, "ddpm") is None


def test_a_model_has_no_number_that_was_not_measured() -> None:
    """As one that draws no samples, or one whose family has no likelihood."""
    rows = {"none": {"parameters": 5.0, "reconstruction_mse": 0.5}}
    assert model_numbers(rows, None) == {"parameters": 5}
    rows = {"ddim": {"fid": 9.0, "tier": 2.0}, "euler": {"fid": 8.0, "nfe": 3.0, "tier": 1.0}}
    assert model_numbers(rows, "euler") == {"best/fid": 8, "best/nfe": 3, "tier": 1}
