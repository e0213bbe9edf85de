"""FID and KID by class: the same as those of the class alone; and which class was requested."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from genlab.config.study import EvaluationConfig
from genlab.data.tokenizer import Tokenizer
from genlab.errors import GenLabError
from genlab.evaluation.classes import FEWEST, measure_classes, requested_classes
from genlab.evaluation.metrics import measure
from genlab.io.arrays import read_array, read_note, write_array
from genlab.io.files import read_json, write_json
from genlab.processes.noise import SampleNoise
from genlab.results.layout import RunFolder, SampleFolder, StudyFolder
from genlab.results.spec import read_run
from genlab.sampling.draw import captions_of
from genlab.sampling.stages import sample
from genlab.training.trainer import train

DIMENSIONS = 6
CONFIG = EvaluationConfig(samples=40, kid_subsets=3, kid_subset_size=40, splits=2)


def features(x: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    return {"features": x, "logits": np.zeros((len(x), 2), np.float32)}


def labelled(folder: Path, labels: NDArray[np.int64], names: list[str]) -> RunFolder:
    """A run on a data set whose training images have these labels."""
    run = StudyFolder(folder / "results" / "study").run("data", "model", 0)
    write_array(run.data.labels("train"), labels)
    write_json(run.data.manifest, {"classes": names})
    return run


def test_a_class_is_measured_against_its_own_training_images(tmp_path: Path) -> None:
    """As `measure` does it with the images of the class alone, and far from another class."""
    random = np.random.default_rng(0)
    labels, requested = np.arange(200) % 2, np.arange(100) % 2
    real, drawn = (random.standard_normal((n, DIMENSIONS)).astype(np.float32) for n in (200, 100))
    real[labels == 1] += 5
    drawn[requested == 1] += 5
    run = labelled(tmp_path, labels, ["near", "far"])
    found = measure_classes(run, features(drawn), requested, features(real), CONFIG)
    for k, name in enumerate(("near", "far")):
        alone = measure(features(drawn[requested == k]), features(real[labels == k]), CONFIG)
        assert found[name] == {"fid": alone["fid"], "kid": alone["kid"]}
    swapped = measure_classes(run, features(drawn), 1 - requested, features(real), CONFIG)
    # Means 5 apart in each of 6 dimensions.
    assert swapped["near"]["fid"] == pytest.approx(6 * 25, rel=0.2)


def test_few_images_have_a_kid_and_no_fid_and_fewer_have_neither(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    dimensions = FEWEST + 1
    x = random.standard_normal((90, dimensions)).astype(np.float32)
    run = labelled(tmp_path, np.arange(90) % 3, ["a", "b", "c"])
    requested = np.array([0] * FEWEST + [1] * dimensions + [2] * (FEWEST - 1))
    found = measure_classes(run, features(x[: len(requested)]), requested, features(x), CONFIG)
    assert list(found) == ["a", "b"]
    assert found["a"]["fid"] is None
    assert found["b"]["fid"] is not None
    # A cubic kernel of features around 0 is about (0 + 1)^3, and KID a difference of its means.
    assert found["a"]["kid"] is not None
    assert abs(found["a"]["kid"]) < 10


@pytest.fixture
def drawn(tiny_study: Callable[..., StudyFolder]) -> Callable[..., SampleFolder]:
    """`drawn(model, **sampler)` trains a model for a step and draws 40 samples from it."""

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


def test_a_prompt_requests_the_class_of_its_image(drawn: Callable[..., SampleFolder]) -> None:
    """The captions of the stripes name their class: 'a picture of across'."""
    row = drawn(DALLE, sampler="tokens")
    data = row.run.data
    requested = requested_classes(row)
    assert requested is not None
    names = read_json(data.manifest)["classes"]
    tokenizer = Tokenizer.load(data.tokenizer)
    prompts = captions_of(data, SampleNoise(0, range(40), torch.device("cpu")))
    texts = [tokenizer.decode(tokens) for tokens in prompts.tokens.tolist()]
    assert texts == [f"a picture of {names[k]}" for k in requested]
    assert set(requested) == {0, 1}


def test_classes_are_requested_in_turn(drawn: Callable[..., SampleFolder]) -> None:
    row = drawn(CONDITIONAL, sampler="ddim", steps=2, guidance=2)
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
    model: dict[str, Any], guidance: float, drawn: Callable[..., SampleFolder]
) -> None:
    row = drawn(model, sampler="ddim", steps=2, guidance=guidance)
    assert requested_classes(row) is None
    assert read_array(row.requested).tolist() == [-1] * 40
    assert requested_classes(row.run.study.floor("stripes", "real")) is None


def test_classes_of_other_samples_are_refused(drawn: Callable[..., SampleFolder]) -> None:
    row = drawn(CONDITIONAL, sampler="ddim", steps=2)
    write_array(row.requested, np.zeros(40, np.int64), "another row")
    with pytest.raises(GenLabError, match=r"requested.npy: made from another version"):
        requested_classes(row)
