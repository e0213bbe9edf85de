"""The stage `train`: resuming to the last bit, one trainer a run, losses that are no numbers."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_models import small_model
from tiny import make_study

from genlab.errors import GenLabError
from genlab.io.files import read_json
from genlab.io.history import append_history, read_history
from genlab.models.base import Batch
from genlab.models.batches import Batches, Table
from genlab.models.store import read_tensors
from genlab.results.layout import RunFolder, StudyFolder
from genlab.results.spec import read_run
from genlab.results.stages import training_code
from genlab.tracking.provenance import read_environment
from genlab.tracking.record import read_records
from genlab.training import trainer
from genlab.training.log import Log
from genlab.training.optimisation import learning_rate
from genlab.training.trainer import make_accelerator, validate
from genlab.workflow.train import begin_history, begin_training, schedule_retry, train

STEPS, BATCH = 120, 32  # some seconds: long enough to be interrupted, each step logged


def start(run: RunFolder, processes: int = 1) -> subprocess.Popen[str]:
    """`genlab train` in processes of its own, with a checkpoint every 0.3 seconds."""
    command = [sys.executable, "-m", "genlab", "train", "--config", str(run.config)]
    return subprocess.Popen(
        [*command, "--gpus", "0", "--checkpoint-seconds", "0.3", "--processes", str(processes)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},  # sums depend on the number of threads
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(trainer: subprocess.Popen[str]) -> str:
    """What a training said that must have ended well."""
    out, err = trainer.communicate(timeout=300)
    assert trainer.returncode == 0, err
    return out


def wait_for_checkpoint(trainer: subprocess.Popen[str], run: RunFolder) -> None:
    deadline = time.monotonic() + 120
    while not list(run.resume.glob("*.safetensors")):
        assert trainer.poll() is None, trainer.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def long_run(results: Path, config: Path) -> RunFolder:
    """A DDPM with averaged weights, trained for STEPS steps by Muon and AdamW."""
    changes = {"training": {"images": STEPS * BATCH, "batch_size": BATCH, "optimizer": "muon"}}
    return make_study(results, config, changes).run("stripes", "ddpm", 0)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, tiny_config: Path) -> RunFolder:
    """The long run, trained in one go."""
    run = long_run(tmp_path_factory.mktemp("uninterrupted") / "results", tiny_config)
    assert "resuming" not in finish(start(run))
    return run


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGTERM])
def test_an_interrupted_training_ends_with_the_same_bytes(
    uninterrupted: RunFolder, tmp_path: Path, tiny_config: Path, blow: signal.Signals
) -> None:
    """While it runs a second trainer is refused; once it is gone, its successor goes on."""
    run = long_run(tmp_path / "results", tiny_config)
    trainer = start(run)
    wait_for_checkpoint(trainer, run)
    with pytest.raises(GenLabError, match=f"process {trainer.pid} is training this run already"):
        train(run, cpu=True)
    assert trainer.poll() is None, "the training ended before it could be interrupted"
    trainer.send_signal(blow)
    _, err = trainer.communicate(timeout=300)
    assert not run.weights.exists()
    if blow == signal.SIGTERM:
        assert trainer.returncode == 1
        stopped = re.search(r"stopped by SIGTERM at step (\d+); the same command goes on", err)
        assert stopped, err
        assert read_history(run.history)[-1]["step"] == int(stopped[1])
    else:
        assert trainer.returncode == -signal.SIGKILL
        # What a kill between history and checkpoint leaves: a step too many, and half a line.
        row = read_history(run.history)[-1]
        append_history(run.history, [row | {"step": row["step"] + 1, "loss": -1.0}])
        with run.history.open("a") as file:
            file.write('{"step": 5')

    said = finish(start(run))
    resumed = re.search(rf"resuming at step (\d+) of {STEPS}", said)
    assert resumed
    assert 0 < int(resumed[1]) < STEPS
    assert run.weights.read_bytes() == uninterrupted.weights.read_bytes()
    assert run.summary.read_bytes() == uninterrupted.summary.read_bytes()
    rows, expected = read_history(run.history), read_history(uninterrupted.history)
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    assert [row["loss"] for row in rows] == [row["loss"] for row in expected]
    assert not list(run.resume.glob("*.safetensors"))


def test_two_processes_stop_together_and_go_on_with_the_same_bytes(
    tmp_path: Path, tiny_config: Path
) -> None:
    """`--processes 2`: after a signal to one of them they end at the same step."""
    runs = [long_run(tmp_path / name / "results", tiny_config) for name in ("one", "two")]
    finish(start(runs[0], processes=2))
    trainer = start(runs[1], processes=2)
    wait_for_checkpoint(trainer, runs[1])
    os.kill(int((runs[1].resume / "pid").read_text()), signal.SIGTERM)
    _, err = trainer.communicate(timeout=300)
    assert trainer.returncode == 1
    assert re.search(r"stopped by SIGTERM at step \d+; the same command goes on", err), err
    assert "one of 2 processes failed; see its message above" in err
    assert "Traceback" not in err
    assert "resuming at step" in finish(start(runs[1], processes=2))
    assert runs[1].weights.read_bytes() == runs[0].weights.read_bytes()


def test_a_loss_that_is_not_finite_ends_the_run_before_it_reaches_a_checkpoint(
    tiny_study: Callable[..., StudyFolder], genlab: Callable[..., Any]
) -> None:
    """A learning rate of 10^9 throws the weights so far that the next loss overflows."""
    run = tiny_study(training={"learning_rate": 1e9}).run("stripes", "vae", 0)
    ended = genlab("train", "--config", run.config, "--gpus", 0, "--checkpoint-seconds", 0)
    assert ended.status == 1
    found = re.search(r"error: .*: step (\d+): loss = (nan|-?inf), .*not finite", ended.err)
    assert found, ended.err
    assert "learning_rate" in ended.err
    (kept,) = run.resume.glob("*.safetensors")
    tensors, metadata = read_tensors(kept)
    assert int(metadata["step"]) == int(found[1]) - 1 >= 1
    assert all(tensor.isfinite().all() for tensor in tensors.values())
    assert read_history(run.history)[-1]["step"] == int(metadata["step"])
    assert not run.weights.exists()
    # The lock is free again, and the checkpoint leads to the same end.
    again = genlab("train", "--config", run.config, "--gpus", 0)
    assert f"resuming at step {metadata['step']} of" in again.out
    assert f"step {found[1]}: loss" in again.err


def test_a_training_that_diverged_is_tried_once_at_half_the_rate_if_asked_for(
    tiny_study: Callable[..., StudyFolder], genlab: Callable[..., Any]
) -> None:
    """It starts anew, with the bytes of a training at that rate; the second divergence stops it."""
    retry = {"on_divergence": "retry"}
    run = tiny_study(training={"learning_rate": 1e9, **retry}).run("stripes", "vae", 0)
    call = ("train", "--config", run.config, "--gpus", 0, "--checkpoint-seconds", 0)
    first, second, third = (genlab(*call) for _ in range(3))
    assert "the next attempt starts anew at half the learning rate, 5e+08" in first.err
    rates = [row["lr"] for row in read_history(run.history)]
    assert rates
    assert max(rates) <= 5e8
    for again in (second, third):
        assert "not finite" in again.err
        assert "next attempt" not in again.err

    # One that diverges at the rate 2e-3 but not at half of it: its first attempt is noted by hand.
    run = tiny_study(training={"learning_rate": 2e-3, **retry}).run("stripes", "vae", 0)
    state = begin_training(run, read_run(run.config), make_accelerator("fp32", True))
    assert schedule_retry(run, state)
    assert genlab(*call).status == 0
    halved = read_tensors(run.weights)[0]
    assert read_json(run.summary)["learning_rate"] == 1e-3
    assert not [path for path in run.resume.iterdir() if path.suffix == ".json"]
    tiny_study(training={"learning_rate": 1e-3, **retry})
    assert genlab(*call).status == 0
    for name, tensor in read_tensors(run.weights)[0].items():
        assert torch.equal(tensor, halved[name]), name


Trained = tuple[RunFolder, dict[str, torch.Tensor]]


def short_run(results: Path, config: Path, **options: Any) -> Trained:
    """A VAE trained for 250 images, and its weights."""
    changes = {"training": {"images": 250, "batch_size": 32, **options}}
    run = make_study(results, config, changes).run("stripes", "vae", 0)
    train(run, cpu=True)
    return run, read_tensors(run.weights)[0]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, tiny_config: Path) -> Trained:
    return short_run(tmp_path_factory.mktemp("plain") / "results", tiny_config)


def test_the_budget_is_counted_in_images(plain: Trained) -> None:
    """250 images in batches of 32 are 8 steps, the last of which goes over the budget."""
    run, _ = plain
    summary = read_json(run.summary)
    assert (summary["steps"], summary["images"]) == (8, 256)
    assert [row["step"] for row in read_history(run.history)] == list(range(1, 9))


@pytest.mark.parametrize(
    "option",
    [{"precision": "bf16"}, {"horizontal_flip": True}, {"weight_decay": 0.1}, {"decay": "none"}],
    ids=str,
)
def test_an_option_takes_effect_from_the_same_start(
    plain: Trained, tmp_path: Path, tiny_config: Path, option: dict[str, Any]
) -> None:
    run, weights = short_run(tmp_path / "results", tiny_config, **option)
    apart = max(float((weights[name] - tensor).abs().max()) for name, tensor in plain[1].items())
    assert apart > 0
    # The bound on |m| / sqrt(v) with beta = (.9, .999) is (1 - .9) / sqrt(1 - .999) = sqrt(10), so
    # that neither side moves further than that times the learning rate in a step. Weights of
    # another start would be some tenths apart. Decay of .1 adds next to nothing in 8 steps.
    assert apart < 2 * 10**0.5 * sum(row["lr"] for row in read_history(run.history))


def test_a_diverging_last_update_is_not_saved(
    tiny_study: Callable[..., StudyFolder], genlab: Callable[..., Any]
) -> None:
    """The losses of every step are finite, but the weights left by the last one are useless.

    The same command ends the same way, and the changed one trains.
    """
    training = {"images": 32, "warmup": 0, "decay": "none"}
    run = tiny_study(training={**training, "learning_rate": 1e9}).run("stripes", "vae", 0)
    for _ in range(2):
        ended = genlab("train", "--config", run.config, "--gpus", 0, "--checkpoint-seconds", 0)
        assert ended.status == 1
        assert re.search(r"error: .*: step 1: held-out loss = (nan|-?inf), .*not finite", ended.err)
        assert "Lower training.learning_rate" in ended.err
        assert not run.weights.exists()
    tiny_study(training=training)
    assert genlab("train", "--config", run.config, "--gpus", 0).status == 0
    assert run.weights.exists()


def test_a_model_knows_how_far_its_training_has_come(
    tiny_study: Callable[..., StudyFolder],
) -> None:
    """8 batches of 32 out of 96 images; and every step is as long as the schedule says."""
    run = tiny_study().run("stripes", "vae", 0)
    state = begin_training(run, read_run(run.config), make_accelerator("fp32", cpu=True))
    batches: list[Batch] = []
    state.model.register_forward_pre_hook(lambda _, args: batches.append(args[0]))
    for k in range(8):
        rate, _ = state.step()
        assert rate == learning_rate(state.training, k)
        assert {group["lr"] for group in state.optimizers[0].param_groups} == {rate}
    assert [batch.progress for batch in batches] == [k / 8 for k in range(1, 9)]
    assert [batch.epoch for batch in batches] == [0, 0, 0, 1, 1, 1, 2, 2]


def test_the_average_follows_the_weights_of_every_step(
    tiny_study: Callable[..., StudyFolder],
) -> None:
    """Its decay is 1/10 after the first step and 2/11 after the second."""
    run = tiny_study().run("stripes", "ddpm", 0)
    state = begin_training(run, read_run(run.config), make_accelerator("fp32", cpu=True))
    assert state.ema is not None
    expected = {name: tensor.double() for name, tensor in state.ema.items()}
    for decay in (1 / 10, 2 / 11):
        state.step()
        for name, tensor in state.model.state_dict().items():
            expected[name] = decay * expected[name] + (1 - decay) * tensor.double()
            # float32 rounding of numbers of size 1
            torch.testing.assert_close(state.ema[name].double(), expected[name], rtol=0, atol=1e-6)
    apart = [(state.ema[name] - tensor).abs().max() for name, tensor in
             state.model.state_dict().items()]  # fmt: skip
    assert float(max(apart)) > 1e-5  # they are not the same tensors


def test_the_seconds_of_a_training_are_those_of_all_its_parts(
    tiny_study: Callable[..., StudyFolder],
) -> None:
    """Until a checkpoint, 1,000 of them here, and of the 7 steps from there."""
    run = tiny_study().run("stripes", "vae", 0)
    state = begin_training(run, read_run(run.config), make_accelerator("fp32", cpu=True))
    begin_history(run, state)
    state.step()
    state.progress.seconds = 1000
    state.save_checkpoint()
    begin = time.monotonic()
    train(run, cpu=True)
    wall = time.monotonic() - begin
    rows = read_history(run.history)
    seconds = read_json(run.cost)["train_seconds"] - 1000
    assert [row["step"] for row in rows] == list(range(2, 9))
    assert rows[-1]["time"] - rows[0]["time"] <= seconds <= wall
    held_out = read_json(run.summary)["held_out"]
    measured = {f"final/held_out_{name}": value for name, value in held_out.items()}
    assert read_records(run)["train"]["metrics"] == measured
    environment = read_json(run.environment)
    assert environment == read_environment(training_code(read_run(run.config)))
    assert environment["torch"] == torch.__version__
    assert [row["images_per_second"] for row in rows] == pytest.approx([7 * 32 / seconds] * 7)


def test_held_out_losses_are_means_over_images(tiny_study: Callable[..., StudyFolder]) -> None:
    """64 images in batches of 40 and 24, which do not count alike."""
    run = tiny_study().run("stripes", "classifier", 0)
    state = begin_training(run, read_run(run.config), make_accelerator("fp32", cpu=True))
    state.model.eval()
    whole, parts = (validate(state.model, state.held_out, at_once=size) for size in (64, 40))
    assert parts == pytest.approx(whole, rel=1e-5)  # sums of float32
    assert not state.held_out.table.images.flags.writeable


def recorded_validation(
    family: str, held_out: Table, images: int | None, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[list[int]], float]:
    """Labels of each batch that is validated, and the loss, which is their mean.

    The batches of the training have 16 images.
    """
    model, labels = small_model(family), []

    def loss(batch: Batch) -> dict[str, torch.Tensor]:
        labels.append(batch.labels.tolist())
        return {"loss": batch.labels.float().mean()}

    monkeypatch.setattr(model, "loss", loss)
    return labels, validate(model, Batches(held_out, 16, 0), images)["loss"]


def test_some_held_out_images_represent_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """The split is sorted by class: its first half has one class only."""
    images, labels = np.zeros((64, 1, 8, 8), np.uint8), np.repeat([0, 1], 32)
    (some,), share = recorded_validation("ddpm", Table(images, labels), 32, monkeypatch)
    assert len(some) == 32
    assert 0.25 < share < 0.75  # all but 1e-4 of such draws
    batches, share = recorded_validation("ddpm", Table(images, labels), None, monkeypatch)
    assert sorted(batches[0]) == labels.tolist()
    assert share == 0.5


@pytest.mark.parametrize("family", ["clip", "contrastive", "flow_matching"])
def test_where_its_size_matters_a_batch_is_validated_that_is_as_large_as_in_training(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last one is filled up, and counts for its own images only."""
    table = Table(np.zeros((40, 1, 8, 8), np.uint8), np.arange(40))
    batches, loss = recorded_validation(family, table, None, monkeypatch)
    assert [len(batch) for batch in batches] == [16, 16, 16]
    assert {*batches[0], *batches[1], *batches[2]} == {*range(40)}
    assert batches[2][:8] == batches[1][8:]
    means = [sum(batch) / 16 for batch in batches]
    assert loss == pytest.approx((16 * means[0] + 16 * means[1] + 8 * means[2]) / 40)
    batches, _ = recorded_validation(family, table, 5, monkeypatch)
    assert [len(batch) for batch in batches] == [16]
    few = Table(table.images[:7], table.labels[:7])
    batches, _ = recorded_validation(family, few, None, monkeypatch)
    assert [len(batch) for batch in batches] == [7]


@pytest.mark.parametrize("family", ["cheater", "glow", "vqvae"])
def test_a_batch_that_is_whole_in_training_only_is_validated_in_any_size(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = Table(np.zeros((40, 1, 8, 8), np.uint8), np.arange(40))
    batches, _ = recorded_validation(family, table, None, monkeypatch)
    assert [len(batch) for batch in batches] == [40]


@pytest.mark.parametrize("model", ["vae", "ddpm"])
def test_the_held_out_loss_is_measured_on_the_way(
    model: str, tiny_study: Callable[..., StudyFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After 2, 4 and 6 of 8 steps, of the weights of that time; it changes no bit of the end."""
    run = tiny_study().run("stripes", model, 0)
    weights = []
    for validations, expected in ((4, {2, 4, 6}), (1, set())):
        monkeypatch.setattr(trainer, "VALIDATIONS", validations)
        train(run, cpu=True)
        weights.append(run.weights.read_bytes())
        rows = [row for row in read_history(run.history) if "held_out_loss" in row]
        assert {row["step"] for row in rows} == expected
        assert len({row["held_out_loss"] for row in rows}) == len(expected)
    assert weights[0] == weights[1]


def test_a_long_training_logs_means_over_several_steps(tmp_path: Path) -> None:
    """5,000 steps in 1,000 rows: five to a row, and what is left at a checkpoint."""
    history = tmp_path / "history.jsonl"
    log = Log("it", 5000, lambda rows: append_history(history, rows))
    for step in range(1, 13):
        log.add(step, step / 100, {"loss": torch.tensor(float(step)), "kl": torch.tensor(1.0)})
    log.flush(images_per_second=7.0)
    log.flush(images_per_second=7.0)
    rows = read_history(history)
    assert [(row["step"], row["loss"], row["lr"]) for row in rows] == [
        (5, 3.0, 0.05), (10, 8.0, 0.1), (12, 11.5, 0.12),
    ]  # fmt: skip
    assert all(row["kl"] == 1 and row["images_per_second"] == 7 for row in rows)
