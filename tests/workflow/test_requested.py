"""Which class was requested: `sample` writes it, `evaluate` reads it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from genlab.data.tokenizer import Tokenizer
from genlab.errors import GenLabError
from genlab.io.arrays import read_array, read_note, write_array
from genlab.io.files import read_json
from genlab.processes.noise import SampleNoise
from genlab.results.layout import SampleFolder, StudyFolder
from genlab.results.spec import read_run
from genlab.workflow.captions import captions_of
from genlab.workflow.evaluate import requested_classes
from genlab.workflow.sample import sample
from genlab.workflow.train import train


@pytest.fixture
def draw_row(tiny_study: Callable[..., StudyFolder]) -> Callable[..., SampleFolder]:
    """`draw_row(model, **sampler)` trains a model for a step and draws 40 samples from it."""

    def make(model: dict[str, Any], **sampler: Any) -> SampleFolder:
        at = tiny_study(
            models=["vqvae", {"name": "it", **model}],
            samplers={"row": sampler},
            training={"images": 32},
            evaluation={"samples": 40, "classifier": {"images": 32}},
        )
        run = at.run("stripes", "it", 0)
        first = read_run(run.config).first_stage
        if first:
            train(at.run("stripes", first.name, 0), cpu=True)
        train(run, cpu=True)
        sample(run.samples("row"), batch_size=25, cpu=True)
        return run.samples("row")

    return make


DALLE = {"preset": "dalle", "width": 8, "layers": 1, "heads": 2}
CONDITIONAL = {"preset": "ddpm", "conditional": True}


def test_a_prompt_requests_the_class_of_its_image(draw_row: Callable[..., SampleFolder]) -> None:
    """The captions of the stripes name their class: 'a picture of across'."""
    row = draw_row(DALLE, sampler="tokens")
    data = row.run.data
    requested = requested_classes(row)
    assert requested is not None
    names = read_json(data.manifest)["classes"]
    tokenizer = Tokenizer.load(data.tokenizer)
    prompts = captions_of(data, SampleNoise(0, range(40), torch.device("cpu")))
    texts = [tokenizer.decode(tokens) for tokens in prompts.tokens.tolist()]
    assert texts == [f"a picture of {names[k]}" for k in requested]
    assert set(requested) == {0, 1}


def test_classes_are_requested_in_turn(draw_row: Callable[..., SampleFolder]) -> None:
    row = draw_row(CONDITIONAL, sampler="ddim", steps=2, guidance=2)
    requested = requested_classes(row)
    assert requested is not None
    assert requested.tolist() == [0, 1] * 20
    assert read_note(row.requested).made_from == read_note(row.samples).made_from


@pytest.mark.parametrize(
    ("model", "guidance"),
    [
        pytest.param(CONDITIONAL, 0.0, id="guidance 0"),
        pytest.param({"preset": "ddpm"}, 1.0, id="a model that knows no classes"),
    ],
)
def test_a_row_without_classes_has_none(
    model: dict[str, Any], guidance: float, draw_row: Callable[..., SampleFolder]
) -> None:
    row = draw_row(model, sampler="ddim", steps=2, guidance=guidance)
    assert requested_classes(row) is None
    assert read_array(row.requested).tolist() == [-1] * 40
    assert requested_classes(row.run.study.calibration_row("stripes", "real")) is None


def test_classes_of_other_samples_are_refused(draw_row: Callable[..., SampleFolder]) -> None:
    row = draw_row(CONDITIONAL, sampler="ddim", steps=2)
    write_array(row.requested, np.zeros(40, np.int64), "another row")
    with pytest.raises(GenLabError, match=r"requested.npy: made from another version"):
        requested_classes(row)
