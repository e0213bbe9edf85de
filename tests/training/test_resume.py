"""Resume points: what they bring back, and whom they belong to."""

from __future__ import annotations

import math
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from torch.optim import Optimizer

from genlab.config.base import Precision
from genlab.config.families.classifier import ClassifierConfig
from genlab.config.study import TrainingConfig
from genlab.errors import GenLabError
from genlab.io.arrays import read_array, write_array
from genlab.io.files import read_json, sha256, write_json
from genlab.io.history import as_lines, read_history
from genlab.models.base import Batch, Facts, Model, build_model
from genlab.models.store import read_tensors, write_tensors
from genlab.results.layout import RunFolder, StudyFolder
from genlab.results.spec import read_run
from genlab.tracking.mlflow_store import store_uri
from genlab.training import resume
from genlab.training.optimisation import make_optimizers
from genlab.training.trainer import Training, make_accelerator
from genlab.workflow.train import begin_history, begin_training, train

CLASSIFIER = ClassifierConfig(channels=4, features=8)


def fresh(layout: torch.memory_format, optimizer: str) -> tuple[Model, list[Optimizer]]:
    model = build_model(CLASSIFIER, Facts((3, 8, 8), 2), seed=0).to(memory_format=layout).eval()
    values = {"optimizer": optimizer, "learning_rate": 0.1}
    return model, make_optimizers(model, TrainingConfig.model_validate(values))


def steps(model: Model, optimizers: list[Optimizer], n: int) -> None:
    images = torch.from_numpy(np.random.default_rng(0).random((4, 3, 8, 8), dtype=np.float32))
    for _ in range(n):
        model.zero_grad()
        model.loss(Batch(images, torch.tensor([0, 1, 1, 0])))["loss"].backward()
        for optimizer in optimizers:
            optimizer.step()


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_next_step_is_the_one_that_would_have_been_taken(
    layout: torch.memory_format, optimizer: str, tmp_path: Path
) -> None:
    """To the bit, in whatever order the numbers of a weight lie in memory."""
    model, optimizers = fresh(layout, optimizer)
    steps(model, optimizers, 2)
    ema = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    rows = as_lines([{"step": 1, "loss": 2}, {"step": 2, "loss": 1}])
    checkpoint = resume.Checkpoint(tmp_path / "resume/it", "it")
    progress = resume.Progress(2, 1.5, rows)
    resume.save(checkpoint, progress, resume.contents(model, ema, optimizers))
    steps(model, optimizers, 1)

    again, its_optimizers = fresh(layout, optimizer)
    its_ema = {name: torch.zeros_like(tensor) for name, tensor in ema.items()}
    assert resume.restore(checkpoint, again, its_ema, its_optimizers) == progress
    assert all(torch.equal(its_ema[name], ema[name]) for name in ema)
    steps(again, its_optimizers, 1)
    expected = model.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in again.state_dict().items())


def begun(run: RunFolder, precision: Precision = "fp32") -> Training:
    state = begin_training(run, read_run(run.config), make_accelerator(precision, cpu=True))
    begin_history(run, state)
    return state


def other_precision(study: StudyFolder) -> Training:
    return begun(study.run("stripes", "vqvae-prior", 0), "bf16")


def other_data(study: StudyFolder) -> Training:
    manifest = read_json(study.data("stripes").manifest)
    manifest["train"]["images_sha256"] = "0" * 64
    write_json(study.data("stripes").manifest, manifest)
    return begun(study.run("stripes", "vqvae-prior", 0))


def other_first_stage(study: StudyFolder) -> Training:
    """Of the same spec, with other weights: made on another processor, say."""
    first = study.run("stripes", "vqvae", 0)
    tensors, metadata = read_tensors(first.weights)
    changed = {n: 2 * t if t.is_floating_point() else t for n, t in tensors.items()}
    write_tensors(first.weights, changed, metadata)
    return begun(study.run("stripes", "vqvae-prior", 0))


@pytest.mark.parametrize("change", [other_precision, other_data, other_first_stage])
def test_what_stood_on_something_else_begins_anew(
    change: Callable[[StudyFolder], Training], tiny_study: Callable[..., StudyFolder]
) -> None:
    study = tiny_study(models=["vqvae-prior", "ddpm"])
    train(study.run("stripes", "vqvae", 0), cpu=True)
    state = begun(study.run("stripes", "vqvae-prior", 0))
    state.step()
    state.save_checkpoint()
    assert begun(study.run("stripes", "vqvae-prior", 0)).progress.step == 1
    other = change(study)
    assert not other.resumed
    assert other.progress.step == 0


def poison_weight(state: Training) -> None:
    next(iter(state.model.state_dict().values())).flatten()[0] = math.nan


def poison_average(state: Training) -> None:
    assert state.ema is not None
    next(iter(state.ema.values())).flatten()[0] = math.inf


def poison_moment(state: Training) -> None:
    """Squares of gradients of 10^20 overflow, after which that weight never moves again."""
    moments = next(iter(state.optimizers[0].state.values()))
    moments["exp_avg_sq"].flatten()[0] = math.inf


@pytest.mark.parametrize(
    ("poison", "message"),
    [
        (poison_weight, r"step 2: raw\.\S+ = nan: not finite"),
        (poison_average, r"step 2: ema\.\S+ = inf: not finite"),
        (poison_moment, r"step 2: optimizer\.0\.\d+\.exp_avg_sq = inf: not finite"),
    ],
)
def test_what_is_not_finite_is_never_saved(
    poison: Callable[[Training], None], message: str, tiny_study: Callable[..., StudyFolder]
) -> None:
    """Neither in a checkpoint, where the last good one stays, nor as the final weights."""
    run = tiny_study().run("stripes", "ddpm", 0)
    state = begun(run)
    state.step()
    state.save_checkpoint()
    state.step()
    poison(state)
    for write in (state.save_checkpoint, state.finish):
        with pytest.raises(GenLabError, match=message) as stopped:
            write()
        assert "training.learning_rate" in str(stopped.value)
    assert not run.model.exists()
    assert begun(run).progress.step == 1


def test_averaged_weights_that_measure_nothing_are_never_saved(
    tiny_study: Callable[..., StudyFolder],
) -> None:
    """All weights are finite, but those of the average overflow: 10^30 times 10^30 in float32."""
    run = tiny_study().run("stripes", "ddpm", 0)
    state = begun(run)
    state.step()
    state.save_checkpoint()
    assert state.ema is not None
    for tensor in state.ema.values():
        tensor.fill_(1e30)
    with pytest.raises(GenLabError, match=r"step 1: held-out loss = (nan|inf).*: not finite"):
        state.finish()
    assert not run.model.exists()


def interrupt(run: RunFolder, rows: int) -> None:
    """Train in this process, and send SIGTERM once `rows` rows are logged."""
    finished = threading.Event()

    def stop() -> None:
        while len(read_history(run.history)) < rows:
            if finished.wait(0.005):
                return
        os.kill(os.getpid(), signal.SIGTERM)

    watcher = threading.Thread(target=stop)
    watcher.start()
    try:
        with pytest.raises(GenLabError, match="stopped by SIGTERM"):
            train(run, checkpoint_seconds=0, cpu=True)
    finally:
        finished.set()
        watcher.join()


Make = Callable[..., StudyFolder]


def other_budget(make: Make) -> None:
    make(training={"images": 128 * 32})


def other_pictures(make: Make) -> None:
    """Negatives of the same ones, while the spec stays as it is."""
    data = make(training={"images": 256 * 32}).data("stripes")
    write_array(data.images("train"), 255 - read_array(data.images("train")))
    manifest = read_json(data.manifest)
    manifest["train"]["images_sha256"] = sha256(data.images("train"))
    write_json(data.manifest, manifest)


@pytest.mark.parametrize("change", [other_budget, other_pictures])
def test_a_history_is_that_of_the_checkpoint_that_is_resumed(
    change: Callable[[Make], None], tiny_study: Make
) -> None:
    """There and back again: its rows go on where they stood, here and in MLflow."""
    run = tiny_study(training={"images": 256 * 32}).run("stripes", "vae", 0)
    interrupt(run, 3)
    first = run.history.read_text()
    change(tiny_study)
    interrupt(run, 5)
    assert not run.history.read_text().startswith(first)

    tiny_study(training={"images": 256 * 32})
    run.history.unlink()  # as Snakemake does before it repeats a training
    train(run, cpu=True)
    assert run.history.read_text().startswith(first)
    rows = read_history(run.history)
    assert [row["step"] for row in rows] == list(range(1, 257))
    mlflow = read_json(run.outbox / "sent_mlflow.json")
    client = MlflowClient(tracking_uri=store_uri(run.study.results))
    sent = client.get_metric_history(mlflow["current"], "train/loss")
    assert [(point.step, point.value) for point in sent] == [(r["step"], r["loss"]) for r in rows]
    assert not list(run.resume.glob("*.safetensors"))


def test_a_training_that_is_repeated_after_a_kill_stays_one_run_of_the_services(
    tiny_study: Make,
) -> None:
    """Snakemake has deleted its history, a declared output, in between."""
    run = tiny_study(training={"images": 256 * 32}).run("stripes", "vae", 0)
    interrupt(run, 3)
    before = read_json(run.outbox / "sent_mlflow.json")["current"]
    run.history.unlink()
    train(run, cpu=True)
    sent = read_json(run.outbox / "sent_mlflow.json")
    assert sent["current"] == before
    assert list(sent["runs"]) == [before]
    assert [row["step"] for row in read_history(run.history)] == list(range(1, 257))
