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
from accelerate.state import AcceleratorState
from tiny import make_study

from genlab.config.errors import GenLabError
from genlab.config.layout import RunFolder, StudyFolder
from genlab.data.files import read_json
from genlab.models.batches import Batches, Table, flip, to_float
from genlab.models.store import read_tensors
from genlab.tracking.record import append_history, read_history
from genlab.training.trainer import train

STEPS, BATCH = 120, 32  # some seconds: long enough to be interrupted, each step logged


def start(run: RunFolder) -> subprocess.Popen[str]:
    """`genlab train` in a process of its own, with a checkpoint every 0.3 seconds."""
    command = [sys.executable, "-m", "genlab", "train", "--config", str(run.config)]
    return subprocess.Popen(
        [*command, "--gpus", "0", "--checkpoint-seconds", "0.3"],
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


Trained = tuple[RunFolder, dict[str, torch.Tensor]]


def short_run(results: Path, config: Path, **options: Any) -> Trained:
    """A VAE trained for 250 images, and its weights."""
    changes = {"training": {"images": 250, "batch_size": 32, **options}}
    run = make_study(results, config, changes).run("stripes", "vae", 0)
    AcceleratorState._reset_state(reset_partial_state=True)  # as in a process of its own
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


def batches(n: int, size: int, seed: int, part: tuple[int, int] = (0, 1)) -> Batches:
    """Batches over `n` images that can be told apart by their first pixels and their label."""
    images = np.zeros((n, 1, 1, 2), dtype=np.uint8)
    images[:, 0, 0, 0], images[:, 0, 0, 1] = np.divmod(np.arange(n), 256)
    return Batches(Table(images, np.arange(n)), size, seed, part=part)


def test_a_batch_is_a_function_of_seed_and_number() -> None:
    """Whatever was asked for before, in whatever order."""
    forward, backward = batches(100, 32, seed=1), batches(100, 32, seed=1)
    seen = {k: forward[k].labels for k in range(10)}
    for k in reversed(range(10)):
        assert torch.equal(backward[k].labels, seen[k])
    assert not torch.equal(batches(100, 32, seed=2)[0].labels, seen[0])


def test_a_batch_holds_the_images_of_its_labels_on_zero_to_one() -> None:
    batch = batches(1000, 64, seed=0)[3]
    pixels = (batch.images * 255).round().long()
    assert torch.equal(pixels[:, 0, 0, 0] * 256 + pixels[:, 0, 0, 1], batch.labels)
    assert batch.images.dtype == torch.float32
    assert 0 <= batch.images.min() <= batch.images.max() <= 1


def test_a_batch_knows_which_training_images_it_holds_until_they_are_changed() -> None:
    source = batches(100, 32, seed=0, part=(1, 2))
    batch = source[5]
    assert batch.indices is not None
    assert torch.equal(batch.indices, torch.from_numpy(source.indices(5)[1::2]))
    assert torch.equal(batch.images, to_float(torch.from_numpy(source.table.images[batch.indices])))
    assert flip(batch).indices is None


@pytest.mark.parametrize(("n", "size"), [(96, 32), (100, 32), (7, 32), (10, 1)])
def test_each_image_comes_once_an_epoch_in_an_order_of_its_own(n: int, size: int) -> None:
    """Also where batches don't divide the epoch, or hold several."""
    source = batches(n, size, seed=0)
    seen = np.concatenate([source.indices(k) for k in range(-(-3 * n // size))])
    epochs = [seen[i * n : (i + 1) * n] for i in range(3)]
    for epoch in epochs:
        assert sorted(epoch) == list(range(n))
    assert not np.array_equal(epochs[0], epochs[1])
    assert not np.array_equal(epochs[0], np.arange(n))


@pytest.mark.parametrize("processes", [2, 3])
def test_the_processes_share_a_batch_between_them(processes: int) -> None:
    whole = batches(100, 32, seed=0)[5].labels
    parts = [batches(100, 32, seed=0, part=(rank, processes))[5].labels
             for rank in range(processes)]  # fmt: skip
    assert sorted(torch.cat(parts).tolist()) == sorted(whole.tolist())
