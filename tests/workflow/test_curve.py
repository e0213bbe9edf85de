"""Weights that a training keeps on its way, and the stage `curve` that measures them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import make_study

from genlab.errors import GenLabError
from genlab.io.files import read_json
from genlab.io.history import read_history
from genlab.models.store import read_tensors
from genlab.results.layout import RunFolder, StudyFolder
from genlab.results.spec import read_run
from genlab.tracking.record import read_records
from genlab.training.log import Log
from genlab.training.trainer import make_accelerator
from genlab.workflow.curve import curve, load_earlier_model
from genlab.workflow.evaluate import evaluate
from genlab.workflow.features import features
from genlab.workflow.sample import sample
from genlab.workflow.train import begin_history, begin_training, keep_weights, train

CURVES = {"curves": {"shares": [0.25, 0.5, 1.0], "samples": 32}}


@pytest.fixture(scope="module")
def curved(tmp_path_factory: pytest.TempPathFactory, tiny_config: Path) -> StudyFolder:
    """The tiny study with learning curves of its two models, and the metrics of the DDPM's row."""
    at = make_study(tmp_path_factory.mktemp("curved") / "results", tiny_config, CURVES)
    for split in ("train", "test"):
        if split == "train":
            train(at.classifier("stripes"), cpu=True)
        images = at.data("stripes").images(split)
        features(at, "stripes", images, at.reference("stripes", split), cpu=True)
    for model in ("vae", "ddpm"):
        train(at.run("stripes", model, 0), cpu=True)
        curve(at.run("stripes", model, 0), cpu=True)
    row = at.run("stripes", "ddpm", 0).samples("ddim-3")
    sample(row, cpu=True)
    features(at, "stripes", row.samples, row.folder / "features", cpu=True)
    evaluate(row.run, ["ddim-3"])
    return at


@pytest.fixture(scope="module")
def ddpm(curved: StudyFolder) -> RunFolder:
    return curved.run("stripes", "ddpm", 0)


def test_what_is_kept_changes_no_bit_of_the_training(
    ddpm: RunFolder, tiny_study: Callable[..., StudyFolder]
) -> None:
    plain = tiny_study().run("stripes", "ddpm", 0)
    train(plain, cpu=True)
    before, after = (read_tensors(run.weights)[0] for run in (plain, ddpm))
    assert all(torch.equal(before[name], after[name]) for name in before)
    losses = [[row["loss"] for row in read_history(run.history)] for run in (plain, ddpm)]
    assert losses[0] == losses[1]
    assert list(plain.earlier_weights.iterdir()) == []
    assert sorted(path.name for path in ddpm.earlier_weights.iterdir()) == [
        "0.25.safetensors", "0.5.safetensors",
    ]  # fmt: skip


def test_an_evaluator_keeps_nothing(curved: StudyFolder) -> None:
    run = curved.classifier("stripes")
    assert list(run.earlier_weights.iterdir()) == []
    assert not run.curve_config.exists()


def test_the_weights_of_a_share_are_those_after_its_steps(ddpm: RunFolder) -> None:
    """8 steps: a quarter of them are 2, half of them 4; raw weights and their average."""
    state = begin_training(ddpm, read_run(ddpm.config), make_accelerator("fp32", cpu=True))
    for step in range(1, 5):
        state.step()
        if step in (2, 4):
            tensors = read_tensors(ddpm.weights_at(step / 8))[0]
            assert state.ema is not None
            for name, tensor in state.model.state_dict().items():
                assert torch.equal(tensors[f"raw.{name}"], tensor)
                assert torch.equal(tensors[f"ema.{name}"], state.ema[name])


def test_seconds_rise_along_the_training(ddpm: RunFolder) -> None:
    cost = read_json(ddpm.cost)
    seconds = [*cost["seconds_at"].values(), cost["train_seconds"]]
    assert list(cost["seconds_at"]) == ["0.25", "0.5"]
    assert 0 < seconds[0] < seconds[1] < seconds[2]


def test_an_interrupted_training_keeps_the_same_weights(
    ddpm: RunFolder, tmp_path: Path, tiny_config: Path
) -> None:
    """It is stopped after its first share, and resumed by another process's training."""
    run = make_study(tmp_path / "results", tiny_config, CURVES).run("stripes", "ddpm", 0)
    state = begin_training(run, read_run(run.config), make_accelerator("fp32", cpu=True))
    begin_history(run, state)
    signals: list[str] = []

    def keep_and_stop(share: float) -> None:
        keep_weights(run, state, share)
        signals.append("SIGTERM")

    with pytest.raises(GenLabError, match="stopped by SIGTERM at step 2"):
        state.run(Log("it", 8, lambda rows: None), signals=signals, on_share=keep_and_stop)
    until_then = state.progress.seconds_at["0.25"]
    train(run, cpu=True)
    for share in (0.25, 0.5, 1.0):
        assert run.weights_at(share).read_bytes() == ddpm.weights_at(share).read_bytes()
    assert read_json(run.cost)["seconds_at"]["0.25"] == until_then
    assert {path.name for path in run.resume.iterdir()} == {"lock", "pid", "last"}


def test_the_last_point_is_the_row_of_the_league(ddpm: RunFolder) -> None:
    """The same samples of the same weights; the curve adds what only it measures."""
    content = read_json(ddpm.curve)
    assert (content["row"], content["samples"]) == ("ddim-3", 32)
    last = content["points"][-1]
    assert (last["share"], last["images"]) == (1.0, 256)
    measured = read_json(ddpm.metrics)["ddim-3"]["classifier"]
    for name in ("fid", "kid"):
        assert last["quality"]["classifier"][name] == measured[name]


def test_a_point_has_the_images_of_its_share(curved: StudyFolder) -> None:
    for model in ("vae", "ddpm"):
        run = curved.run("stripes", model, 0)
        points = read_json(run.curve)["points"]
        assert [point["images"] for point in points] == [64, 128, 256]
        distances = [point["quality"]["classifier"]["fid_held_out"] for point in points]
        assert len({*distances}) == 3 and all(np.isfinite(distances))
        recorded = read_records(run)["curve"]["metrics"]
        assert recorded["curve/0.25/classifier/fid_held_out"] == distances[0]


def test_weights_of_another_study_are_refused(
    curved: StudyFolder, tmp_path: Path, genlab: Callable[..., Any]
) -> None:
    shutil.copytree(curved.results, tmp_path / "results")
    run = StudyFolder(tmp_path / "results/tiny").run("stripes", "ddpm", 0)
    text = run.config.read_text()
    run.config.write_text(text.replace("warmup: 0.05", "warmup: 0.1"))
    ended = genlab("curve", "--config", run.config, "--gpus", 0)
    assert ended.status == 1
    assert "made from another version of the study" in ended.err


def test_weights_that_are_missing_are_made_again_with_their_folder(
    tiny_study: Callable[..., StudyFolder],
) -> None:
    folder = tiny_study().run("stripes", "vae", 0).earlier_weights
    with pytest.raises(GenLabError, match=f"delete the whole folder {folder} for that"):
        load_earlier_model(folder / "0.5.safetensors", "origin", torch.device("cpu"))
