"""FID and KID by class: the same as those of the class alone; and which class was asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from genlab.config.study import EvaluationConfig
from genlab.data.tokenizer import Tokenizer
from genlab.evaluation import classes
from genlab.evaluation.classes import FEWEST, classes_asked, measure_classes
from genlab.evaluation.metrics import measure
from genlab.io.arrays import read_array, write_array
from genlab.io.files import read_json, write_json
from genlab.processes.noise import SampleNoise
from genlab.results.layout import RunFolder, StudyFolder
from genlab.results.spec import read_samples
from genlab.sampling.draw import captions_of, classes_of

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
    labels, asked = np.arange(200) % 2, np.arange(100) % 2
    real, drawn = (random.standard_normal((n, DIMENSIONS)).astype(np.float32) for n in (200, 100))
    real[labels == 1] += 5
    drawn[asked == 1] += 5
    run = labelled(tmp_path, labels, ["near", "far"])
    found = measure_classes(run, features(drawn), asked, features(real), CONFIG)
    for k, name in enumerate(("near", "far")):
        alone = measure(features(drawn[asked == k]), features(real[labels == k]), CONFIG)
        assert found[name] == {"fid": alone["fid"], "kid": alone["kid"]}
    swapped = measure_classes(run, features(drawn), 1 - asked, features(real), CONFIG)
    # Means 5 apart in each of 6 dimensions.
    assert swapped["near"]["fid"] == pytest.approx(6 * 25, rel=0.2)


def test_few_images_have_a_kid_and_no_fid_and_fewer_have_neither(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    dimensions = FEWEST + 1
    x = random.standard_normal((90, dimensions)).astype(np.float32)
    run = labelled(tmp_path, np.arange(90) % 3, ["a", "b", "c"])
    asked = np.array([0] * FEWEST + [1] * dimensions + [2] * (FEWEST - 1))
    found = measure_classes(run, features(x[: len(asked)]), asked, features(x), CONFIG)
    assert list(found) == ["a", "b"]
    assert found["a"]["fid"] is None
    assert found["b"]["fid"] is not None
    # A cubic kernel of features around 0 is about (0 + 1)^3, and KID a difference of its means.
    assert found["a"]["kid"] is not None
    assert abs(found["a"]["kid"]) < 10


def known(monkeypatch: pytest.MonkeyPatch, prompts: bool, by_class: bool) -> None:
    """Let every run be of a family that takes prompts, or knows classes, or neither."""
    family = SimpleNamespace(takes_prompts=prompts, knows_classes=by_class)
    monkeypatch.setattr(classes, "read_run", lambda _: SimpleNamespace(model=family))


def test_a_prompt_asks_for_the_class_of_its_image(
    tiny_study: Callable[..., StudyFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The captions of the stripes name their class: 'a picture of across'."""
    run = tiny_study().run("stripes", "ddpm", 0)
    known(monkeypatch, prompts=True, by_class=False)
    asked = classes_asked(run, "ddim-3", 40)
    assert asked is not None
    names = read_json(run.data.manifest)["classes"]
    tokenizer = Tokenizer.load(run.data.tokenizer)
    prompts = captions_of(run.data, SampleNoise(0, range(40), torch.device("cpu")))
    said = [tokenizer.decode(row) for row in prompts.tokens.tolist()]
    assert said == [f"a picture of {names[k]}" for k in asked]
    assert set(asked) == {0, 1}
    assert len(read_array(run.data.labels("train"))) > 40


def test_classes_are_asked_for_in_turn_as_they_are_drawn(
    tiny_study: Callable[..., StudyFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tiny_study().run("stripes", "ddpm", 0)
    known(monkeypatch, prompts=False, by_class=True)
    asked = classes_asked(run, "ddim-3", 7)
    assert asked is not None
    model = SimpleNamespace(classes=2)
    drawn = classes_of(SampleNoise(0, range(7), torch.device("cpu")), model)  # type: ignore[arg-type]
    assert asked.tolist() == drawn.tolist()
    spec = read_samples(run.samples("ddim-3").config)
    assert spec.sampler is not None
    unasked = spec.sampler.model_copy(update={"guidance": 0.0})
    with monkeypatch.context() as patch:
        patch.setattr(classes, "read_samples", lambda _: SimpleNamespace(sampler=unasked))
        assert classes_asked(run, "ddim-3", 7) is None
    known(monkeypatch, prompts=False, by_class=False)
    assert classes_asked(run, "ddim-3", 7) is None
    assert classes_asked(run.study.run("stripes", "floor", 0), "real", 7) is None
