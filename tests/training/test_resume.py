"""Resume points: what they bring back, and whom they belong to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from genlab.config.families.classifier import ClassifierConfig
from genlab.config.layout import RunFolder, StudyFolder
from genlab.config.spec import read_run
from genlab.data.files import read_json, write_json
from genlab.models.base import Batch, Facts, Model, build_model
from genlab.training import resume
from genlab.training.trainer import Training, make_accelerator

CLASSIFIER = ClassifierConfig(channels=4, features=8)


def fresh(layout: torch.memory_format) -> tuple[Model, torch.optim.Optimizer]:
    model = build_model(CLASSIFIER, Facts((3, 8, 8), 2), seed=0).to(memory_format=layout).eval()
    return model, torch.optim.AdamW(model.parameters(), 0.1, fused=True)


def steps(model: Model, optimizer: torch.optim.Optimizer, n: int) -> None:
    images = torch.from_numpy(np.random.default_rng(0).random((4, 3, 8, 8), dtype=np.float32))
    for _ in range(n):
        optimizer.zero_grad()
        model.loss(Batch(images, torch.tensor([0, 1, 1, 0])))["loss"].backward()
        optimizer.step()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_next_step_is_the_one_that_would_have_been_taken(
    layout: torch.memory_format, tmp_path: Path, tiny_study: Callable[..., StudyFolder]
) -> None:
    """To the bit, in whatever order the numbers of a weight lie in memory."""
    run = tiny_study().run("stripes", "vae", 0)
    model, optimizer = fresh(layout)
    steps(model, optimizer, 2)
    ema = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    resume.save(run, "it", resume.Progress(2, 1.5), model, ema, optimizer)
    steps(model, optimizer, 1)

    again, its_optimizer = fresh(layout)
    its_ema = {name: torch.zeros_like(tensor) for name, tensor in ema.items()}
    assert resume.restore(run, "it", again, its_ema, its_optimizer) == resume.Progress(2, 1.5)
    assert all(torch.equal(its_ema[name], ema[name]) for name in ema)
    steps(again, its_optimizer, 1)
    expected = model.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in again.state_dict().items())


def begun(run: RunFolder) -> Training:
    return Training(run, read_run(run.config), make_accelerator("fp32", cpu=True))


def test_a_training_on_other_data_begins_anew(tiny_study: Callable[..., StudyFolder]) -> None:
    run = tiny_study().run("stripes", "vae", 0)
    state = begun(run)
    state.step()
    state.checkpoint()
    assert begun(run).progress.step == 1
    manifest = read_json(run.data.manifest)
    manifest["train"]["images_sha256"] = "0" * 64
    write_json(run.data.manifest, manifest)
    other = begun(run)
    assert not other.resumed
    assert other.progress.step == 0
