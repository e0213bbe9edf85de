"""Resume points: what they bring back, and whom they belong to."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState
from torch.optim import Optimizer

from genlab.config.base import Precision
from genlab.config.families.classifier import ClassifierConfig
from genlab.config.layout import RunFolder, StudyFolder
from genlab.config.spec import read_run
from genlab.config.study import TrainingConfig
from genlab.data.files import read_json, write_json
from genlab.models.base import Batch, Facts, Model, build_model
from genlab.models.store import read_tensors, write_tensors
from genlab.training import resume
from genlab.training.optimisation import make_optimizers
from genlab.training.trainer import Training, make_accelerator, train

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
    layout: torch.memory_format, optimizer: str, tiny_study: Callable[..., StudyFolder]
) -> None:
    """To the bit, in whatever order the numbers of a weight lie in memory."""
    run = tiny_study().run("stripes", "vae", 0)
    model, optimizers = fresh(layout, optimizer)
    steps(model, optimizers, 2)
    ema = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    resume.save(run, "it", resume.Progress(2, 1.5), model, ema, optimizers)
    steps(model, optimizers, 1)

    again, its_optimizers = fresh(layout, optimizer)
    its_ema = {name: torch.zeros_like(tensor) for name, tensor in ema.items()}
    assert resume.restore(run, "it", again, its_ema, its_optimizers) == resume.Progress(2, 1.5)
    assert all(torch.equal(its_ema[name], ema[name]) for name in ema)
    steps(again, its_optimizers, 1)
    expected = model.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in again.state_dict().items())


def begun(run: RunFolder, precision: Precision = "fp32") -> Training:
    AcceleratorState._reset_state(reset_partial_state=True)  # as in a process of its own
    return Training(run, read_run(run.config), make_accelerator(precision, cpu=True))


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
    state.checkpoint()
    assert begun(state.run).progress.step == 1
    other = change(study)
    assert not other.resumed
    assert other.progress.step == 0
