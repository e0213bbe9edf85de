"""What a run's folder holds arrives in MLflow, TensorBoard and Weights & Biases, each thing once.

MLflow is the real one on a SQLite store of its own in every test.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from runs import Study, begin, draw, history, local, log, rows_in, runs_in
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from genlab.io.files import read_json
from genlab.io.history import read_history
from genlab.results.layout import RunFolder
from genlab.tracking.background import BackgroundMirror
from genlab.tracking.mirror import ROWS_AT_ONCE, forget, mirror, publish
from genlab.tracking.record import leave_record
from genlab.tracking.sinks.mlflow import SystemMetrics

DOWN = "http://127.0.0.1:9"  # the discard service's port, where nobody listens


def test_params_metrics_tags_and_artifacts_arrive(run: RunFolder) -> None:
    grid = draw(run, "prior")
    (run.folder / "top.json").write_text("{}")
    run.study.league.write_text("model\n")
    leave_record(run, "at_the_top", artifacts=[run.folder / "top.json", run.study.league])
    assert mirror(run, "RUNNING") == {}
    (found,) = runs_in(local(run))
    assert found.info.run_name == "stripes/vae/seed0"
    assert found.info.status == "RUNNING"
    assert found.data.params == {"seed": "0", "model.family": "vae"}
    assert found.data.tags["git"] == "abc"
    assert history(local(run), found.info.run_id, "train/loss") == [(1, 1), (2, 1 / 2), (3, 1 / 3)]
    client = MlflowClient(tracking_uri=local(run))
    files = {file.path for file in client.list_artifacts(found.info.run_id)}
    assert files == {"config.yaml", "league.csv", "top.json"}
    row = rows_in(local(run))["prior"]
    assert row.data.metrics == {"nfe": 1, "pixel-pca/fid": 2}
    (file,) = client.list_artifacts(row.info.run_id, "samples/prior")
    assert file.path == "samples/prior/grid.png"
    copy = Path(row.info.artifact_uri.removeprefix("file://")) / file.path
    assert copy.read_bytes() == grid.read_bytes()
    assert copy.is_relative_to(run.study.results)


def test_sending_again_sends_nothing_twice_and_later_what_is_new(run: RunFolder) -> None:
    for _ in range(3):
        assert mirror(run, "RUNNING") == {}
    log(run, 4, 5)
    leave_record(run, "train", metrics={"held_out_loss": 0.5})
    assert mirror(run, "FINISHED") == {}
    assert mirror(run, "FINISHED") == {}
    (found,) = runs_in(local(run))
    assert found.info.status == "FINISHED"
    steps = [step for step, _ in history(local(run), found.info.run_id, "train/loss")]
    assert steps == [1, 2, 3, 4, 5]
    assert history(local(run), found.info.run_id, "final/held_out_loss") == [(0, 0.5)]


def test_an_interrupted_update_goes_on_where_it_was(
    run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    """The artifact is missing at first; the steps had gone through and are not sent again."""
    grid = draw(run, "prior")
    grid.unlink()
    assert "grid.png" in mirror(run, "RUNNING")["mlflow"]
    assert "warning: mlflow missed an update" in capsys.readouterr().err
    draw(run, "prior")
    assert mirror(run, "RUNNING") == {}
    (found,) = runs_in(local(run))
    assert len(history(local(run), found.info.run_id, "train/loss")) == 3
    run_id = rows_in(local(run))["prior"].info.run_id
    assert history(local(run), run_id, "nfe") == [(0, 1)]
    assert len(MlflowClient(tracking_uri=local(run)).list_artifacts(run_id, "samples/prior")) == 1


def test_a_long_history_arrives_whole(run: RunFolder) -> None:
    """In several parts, of which each is noted when it has gone through."""
    last = 3 * ROWS_AT_ONCE + 7
    log(run, 4, last)
    assert mirror(run, "RUNNING") == {}
    (found,) = runs_in(local(run))
    steps = [step for step, _ in history(local(run), found.info.run_id, "train/loss")]
    assert steps == list(range(1, last + 1))
    sent = read_json(run.outbox / "sent_mlflow.json")
    assert sent["current"] == found.info.run_id
    assert sent["runs"][found.info.run_id]["step"] == last


def test_a_training_begun_anew_is_a_run_of_its_own(run: RunFolder) -> None:
    mirror(run, "RUNNING")
    forget(run)
    begin(run)
    mirror(run, "RUNNING")
    assert len(runs_in(local(run))) == 2


def test_so_is_another_configuration(run: RunFolder) -> None:
    """MLflow would refuse a changed parameter."""
    mirror(run, "RUNNING")
    run.config.write_text(run.config.read_text().replace("latent: 2", "latent: 3"))
    leave_record(run, "config", params={"seed": 0, "model.latent": 3})
    assert mirror(run, "RUNNING") == {}
    assert sorted(len(found.data.params) for found in runs_in(local(run))) == [2, 2]


def test_a_store_of_one_s_own_is_used(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLFLOW_TRACKING_URI, as everywhere with MLflow; its folder is made."""
    (run.study.results / "mlflow.db").unlink()
    uri = f"sqlite:///{run.study.results.parent}/elsewhere/own.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert mirror(run, "RUNNING") == {}
    assert len(runs_in(uri)) == 1
    assert not (run.study.results / "mlflow.db").exists()


def test_the_experiment_takes_the_name_that_is_asked_for(study: Study) -> None:
    at = study(tracking={"experiment": "together"})
    run = at.run("stripes", "vae", 0)
    begin(run)
    mirror(run, "RUNNING")
    assert len(runs_in(local(run), "together")) == 1


def test_training_goes_on_without_the_server_and_it_is_sent_later(
    study: Study, genlab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = study()
    run = at.run("stripes", "vae", 0)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", DOWN)
    ended = genlab("train", "--config", run.config, "--gpus", 0)
    assert ended.status == 0
    assert "warning: mlflow missed an update" in ended.err
    assert run.weights.exists()
    ended = genlab("publish", "--config", at.config)
    assert ended.status == 1
    assert (
        "All results are complete under results/; run again to send what is missing." in ended.err
    )
    assert "Traceback" not in ended.err
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert genlab("publish", "--config", at.config).status == 0
    (found,) = runs_in(local(run))
    logged = [(row["step"], row["loss"]) for row in read_history(run.history)]
    assert history(local(run), found.info.run_id, "train/loss") == logged
    assert len(logged) == 256 // 32


def test_a_training_can_leave_everything_to_the_stage_publish(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENLAB_TRACKING", "publish")
    background = BackgroundMirror(run, system_metrics=True)
    background.update()
    background.finish("RUNNING")
    assert not (run.outbox / "sent_mlflow.json").exists()
    publish(run.study)
    (found,) = runs_in(local(run))
    assert found.info.status == "FINISHED"


def test_a_training_and_its_later_stages_are_one_run(study: Study) -> None:
    """Of the runs that were only planned, nothing is published."""
    from genlab.workflow.reconstruct import reconstruct
    from genlab.workflow.train import train

    at = study()
    run = at.run("stripes", "vae", 0)
    train(run, cpu=True)
    (found,) = runs_in(local(run))
    assert found.info.status == "RUNNING"
    reconstruct(run, cpu=True)
    publish(at)
    (found,) = runs_in(local(run))
    assert found.info.status == "FINISHED"
    assert found.data.params["model.latent"] == "2"
    assert found.data.params["training.images"] == "256"
    assert {"git_commit", "dataset_sha256", "genlab"} <= set(found.data.tags)
    assert found.data.tags["dataset_sha256"] == read_json(run.data.manifest)["sha256"]
    logged = {f"train/{name}" for name in ("loss", "kl", "grad_norm", "lr", "images_per_second")}
    final = {"final/held_out_loss", "final/reconstruction_mse"}
    assert logged | final <= set(found.data.metrics)
    artifacts = MlflowClient(tracking_uri=local(run)).list_artifacts(found.info.run_id)
    assert {file.path for file in artifacts} == {"config.yaml", "reconstructions"}


def test_only_the_runs_that_the_study_names_are_published(study: Study) -> None:
    """A model that was taken out of the study leaves its folder behind."""
    at = study(models=["vae", "ddpm"], seeds=[0, 1])
    for model, seed in (("vae", 0), ("vae", 1), ("ddpm", 0)):
        begin(at.run("stripes", model, seed))
    at = study(models=["vae"], seeds=[0])
    begin(at.classifier("stripes"))
    assert at.run("stripes", "ddpm", 0).config.exists()
    publish(at)
    names = {one.info.run_name for one in runs_in(local(at.run("stripes", "vae", 0)))}
    assert names == {"stripes/vae/seed0", "stripes/classifier/seed0"}


def test_a_training_that_fails_is_marked_so(study: Study, genlab: Any) -> None:
    """A learning rate of 1e9 makes the loss infinite at once."""
    changes = {"preset": "vae", "training": {"learning_rate": 1e9, "warmup": 0}}
    run = study(models=[changes, "ddpm"]).run("stripes", "vae", 0)
    ended = genlab("train", "--config", run.config, "--gpus", 0)
    assert ended.status == 1
    assert "not finite, training stopped" in ended.err
    (found,) = runs_in(local(run))
    assert found.info.status == "FAILED"


def test_tensorboard_reads_the_same_numbers(study: Study) -> None:
    run = study(tracking={"tensorboard": True}).run("stripes", "vae", 0)
    begin(run)
    draw(run, "prior")
    leave_record(run, "train", metrics={"held_out_loss": 0.5})
    mirror(run, "RUNNING")
    log(run, 4, 5)
    mirror(run, "FINISHED")
    folder = run.study.folder / "tensorboard/stripes/vae/seed0"
    events = EventAccumulator(str(folder)).Reload()
    assert [(e.step, e.wall_time) for e in events.Scalars("train/loss")] == [
        (step, 1e9 + step) for step in range(1, 6)
    ]
    # TensorBoard keeps float32.
    values = [e.value for e in events.Scalars("train/loss")]
    assert values == pytest.approx([1 / step for step in range(1, 6)], rel=1e-6)
    assert [e.value for e in events.Scalars("final/held_out_loss")] == [0.5]
    row = EventAccumulator(str(folder / "prior")).Reload()
    assert set(row.Tags()["scalars"]) == {"nfe", "pixel-pca/fid"}
    assert [e.value for e in row.Scalars("nfe")] == [1]
    assert row.Images("samples/prior/grid.png")[0].width > 0


@pytest.fixture
def board(study: Study) -> Iterator[tuple[RunFolder, str]]:
    """A run that TensorBoard has, and the address of TensorBoard's own server."""
    from tensorboard.program import TensorBoard

    run = study(tracking={"tensorboard": True}).run("stripes", "vae", 0)
    begin(run)
    draw(run, "prior")
    leave_record(run, "league", metrics={"best/fid": 7.0}, prefix="")
    run.model.mkdir(parents=True)
    run.weights.write_bytes(b"those of a model that MLflow receives")
    assert mirror(run, "FINISHED") == {}
    server = TensorBoard()
    server.configure(logdir=str(run.study.tensorboard), port=0, load_fast="false")
    yield run, server.launch().rstrip("/")


def test_tensorboard_lists_hyperparameters_with_final_metrics(board: tuple[RunFolder, str]) -> None:
    """Asked as its page HPARAMS asks."""
    _, address = board
    places = f"{address}/data/plugin/hparams"

    def ask(what: str, **request: Any) -> Any:
        body = json.dumps({"experimentName": "", **request}).encode()
        headers = {"Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(f"{places}/{what}", body, headers)) as a:
            return json.loads(a.read())

    deadline = time.monotonic() + 60
    while not (experiment := ask("experiment")).get("hparamInfos") and time.monotonic() < deadline:
        time.sleep(0.2)
    assert {info["name"] for info in experiment["hparamInfos"]} >= {"seed", "model.family"}
    metrics = [info["name"] for info in experiment["metricInfos"]]
    assert {"tag": "best/fid", "group": ""} in metrics
    (group,) = ask(
        "session_groups", colParams=[{"metric": {"tag": "best/fid", "group": ""}}],
        allowedStatuses=["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_RUNNING"],
        startIndex=0, sliceSize=10,
    )["sessionGroups"]  # fmt: skip
    assert group["hparams"] == {"seed": 0, "model.family": "vae"}
    (value,) = [v for v in group["metricValues"] if v["name"]["tag"] == "best/fid"]
    assert value["value"] == 7


def test_weights_and_biases_keeps_an_offline_run(study: Study) -> None:
    """In the run's folder, without an account and without a network, until it is synchronised."""
    run = study(tracking={"wandb": "offline"}).run("stripes", "vae", 0)
    begin(run)
    draw(run, "prior")
    leave_record(run, "train", metrics={"held_out_loss": 0.5})
    assert mirror(run, "FINISHED") == {}
    sent = read_json(run.outbox / "sent_wandb.json")
    assert sent["runs"][sent["current"]]["step"] == 3
    name = sent["current"].removeprefix("offline/genlab-tiny/")
    (file,) = (run.folder / "wandb").glob(f"offline-run-*-{name}/run-{name}.wandb")
    model = WandbFile(file)
    losses = [(row["train/step"], row["train/loss"]) for row in model.history]
    assert losses == [(1, 1), (2, 1 / 2), (3, 1 / 3)]
    assert model.summary["final/held_out_loss"] == 0.5
    assert model.config["model.family"] == "vae"
    assert model.config["role"] == "model"
    (file,) = (run.folder / "wandb").glob(f"offline-run-*-{name}-prior/run-*.wandb")
    row = WandbFile(file)
    assert {"nfe": 1, "pixel-pca/fid": 2}.items() <= row.summary.items()
    assert row.config["sampler"] == "prior"
    assert (model.group, row.group) == ("stripes/vae/seed0",) * 2


def wandb_records(content: bytes) -> Iterator[bytes]:
    """The records of a file in the format of LevelDB's log, after a header of 7 bytes.

    Blocks have 32 KiB; a part of a record has a checksum, its length, and its kind: whole (1), or
    first (2) to last (4) of several.
    """
    at, parts = 7, b""
    while at + 7 <= len(content):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
        length, kind = struct.unpack("<HB", content[at + 4 : at + 7])
        parts += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield parts
            parts = b""


class WandbFile:
    """What an offline run of Weights & Biases holds."""

    def __init__(self, path: Path) -> None:
        from wandb.proto.wandb_internal_pb2 import Record

        self.history: list[dict[str, Any]] = []
        self.summary: dict[str, Any] = {}
        self.config: dict[str, Any] = {}
        self.group = ""
        for data in wandb_records(path.read_bytes()):
            record = Record()
            record.ParseFromString(data)
            match record.WhichOneof("record_type"):
                case "run":
                    self.group = record.run.run_group
                    self.config |= self._values(record.run.config.update)
                case "config":
                    self.config |= self._values(record.config.update)
                case "summary":
                    self.summary |= self._values(record.summary.update)
                case "history":
                    row = self._values(record.history.item)
                    row = {k: v for k, v in row.items() if k.startswith("train/")}
                    self.history += [row] if row else []

    @staticmethod
    def _values(items: Any) -> dict[str, Any]:
        return {i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in items}


def test_what_the_machine_does_is_sampled_into_the_run(run: RunFolder) -> None:
    mirror(run, "RUNNING")
    run_id = read_json(run.outbox / "sent_mlflow.json")["current"]
    monitor = SystemMetrics(run, run_id, seconds=0.1)
    name = "system/cpu_utilization_percentage"
    deadline = time.monotonic() + 20
    while not history(local(run), run_id, name) and time.monotonic() < deadline:
        time.sleep(0.1)
    monitor.stop()
    assert history(local(run), run_id, name)


def test_a_service_that_is_switched_off_is_not_imported(run: RunFolder) -> None:
    """Weights & Biases and TensorBoard are off in the tiny study."""
    script = (
        "import sys; from pathlib import Path; from genlab.results.layout import RunFolder;"
        "from genlab.tracking.mirror import mirror;"
        f"mirror(RunFolder(Path({str(run.folder)!r})), 'RUNNING');"
        "print(*{'wandb', 'tensorboard', 'torch'} & set(sys.modules))"
    )
    environment = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"}
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
    )
    assert ended.stdout.strip() == ""
