"""Budgets: seconds become a number of images before the first step; parameters are counted."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny import SIDE, stripes

import genlab
from genlab.config.base import Precision
from genlab.config.study import Study, TrainingConfig, load_study
from genlab.errors import ConfigError, GenLabError
from genlab.io.files import read_json
from genlab.io.history import read_history
from genlab.models.base import Facts, build_model
from genlab.results.layout import StudyFolder
from genlab.results.spec import read_run, read_study
from genlab.training.budget import SCHEDULER, Trial, measure_speed, with_images
from genlab.training.size import fits, parameter_count
from genlab.training.trainer import Training, make_accelerator
from genlab.workflow.sizes import check_sizes, planned_facts
from genlab.workflow.train import begin_training, train

CONFIG = Path(__file__).parents[2] / "config"


def test_a_trial_is_worth_images() -> None:
    """Two of five seconds pass before the first step; the other three are 30 images."""
    trial = Trial(preparation=2.0, rate=10.0)
    assert trial.images(5.0) == 30
    assert trial.images(1.0) == 1


def test_a_trial_measures_images_per_second(tiny_study: Callable[..., StudyFolder]) -> None:
    run = tiny_study().run("stripes", "vae", 0)
    state = begin_training(run, read_run(run.config), make_accelerator("fp32", cpu=True))
    trial = measure_speed(state, seconds=0.2)
    assert trial.rate > 0
    assert trial.preparation == state.progress.seconds
    assert state.progress.step >= 3 + 5  # warm-up, and one look at the clock


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_nothing_of_a_trial_stays_in_memory(
    tiny_study: Callable[..., StudyFolder], precision: Precision
) -> None:
    """Not its model, not its optimiser's moments; the same accelerator then trains."""
    run = tiny_study(training={"seconds": 0.5}).run("stripes", "vae", 0)
    spec, accelerator = read_run(run.config), make_accelerator(precision, cpu=True)
    spec = spec.model_copy(update={"training": TrainingConfig(images=256, batch_size=32)})
    references: list[weakref.ref[Any]] = []

    def begin(training: TrainingConfig) -> Training:
        state = begin_training(run, spec, accelerator)
        references.extend(
            map(weakref.ref, (state, state.model, *state.optimizers, *state.steppers))
        )
        return state

    with_images(TrainingConfig(seconds=0.5), begin)
    assert len(references) == 4
    assert [kind() for kind in references] == [None] * 4
    begin(spec.training).step()


@pytest.mark.skipif(not SCHEDULER.exists(), reason="the system doesn't say how long it waited")
def test_other_work_on_the_same_core_does_not_shorten_the_training(
    tiny_study: Callable[..., StudyFolder],
) -> None:
    """Beside two busy processes the clock shows a third of the speed."""
    run = tiny_study().run("stripes", "vae", 0)
    state = begin_training(run, read_run(run.config), make_accelerator("fp32", cpu=True))
    cores = os.sched_getaffinity(0)
    busy: list[subprocess.Popen[bytes]] = []
    try:
        os.sched_setaffinity(0, {min(cores)})
        alone = measure_speed(state, seconds=1.0).rate
        busy += [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
        time.sleep(0.3)  # until they compute
        beside = measure_speed(state, seconds=1.0).rate
    finally:
        for process in busy:
            process.kill()
            process.wait()
        os.sched_setaffinity(0, cores)
    # Two thirds, as measured: the processes share a cache.
    assert beside > 0.5 * alone


def test_a_budget_of_seconds_is_a_number_of_images(
    tiny_study: Callable[..., StudyFolder],
) -> None:
    """The schedule ends with the training; what ruled is on record."""
    run = tiny_study(training={"seconds": 0.5}).run("stripes", "vae", 0)
    train(run, cpu=True)
    summary, rows = read_json(run.summary), read_history(run.history)
    assert summary["budget"] == "seconds"
    assert summary["images"] == summary["steps"] * 32
    assert summary["steps"] == rows[-1]["step"]
    assert rows[-1]["lr"] < 1e-12  # the cosine has come to its end
    assert read_json(run.cost)["train_seconds"] > 0


def test_a_resumed_training_does_not_measure_its_speed_again(
    tiny_study: Callable[..., StudyFolder],
) -> None:
    run = tiny_study(training={"seconds": 0.5}).run("stripes", "vae", 0)
    spec, accelerator = read_run(run.config), make_accelerator("fp32", cpu=True)
    state = begin_training(run, spec, accelerator)
    state.step()
    state.save_checkpoint()
    again = begin_training(run, spec, accelerator)
    assert again.resumed and again.progress.step == 1
    assert again.training == state.training
    assert again.training.images != spec.training.images


def test_a_budget_of_images_is_the_rule() -> None:
    assert TrainingConfig().budget == "images"
    assert TrainingConfig(seconds=3.0).budget == "seconds"


def test_the_library_has_a_budget_of_seconds_too() -> None:
    images = stripes(64, 0)[0][:, None]
    model = genlab.fit("vae", images[:, :, :SIDE, :SIDE], seconds=0.3, channels=4, latent=2)
    assert genlab.sample(model, n=2).shape == (2, 1, SIDE, SIDE)
    with pytest.raises(ConfigError, match="a budget in seconds can't be continued"):
        genlab.fit("vae", images, seconds=0.3, checkpoint="it.safetensors")


@pytest.mark.parametrize(
    ("count", "expected"), [(950, True), (1050, True), (949, False), (1051, False)]
)
def test_five_percent_are_within_the_budget(count: int, expected: bool) -> None:
    assert fits(count, 1000) is expected


def test_a_model_of_another_size_is_not_trained(tiny_study: Callable[..., StudyFolder]) -> None:
    run = tiny_study(training={"parameters": 1000}).run("stripes", "vae", 0)
    with pytest.raises(GenLabError, match=r"has [\d,]+ parameters, but training.parameters is"):
        train(run, cpu=True)
    assert not run.weights.exists()


def study(parameters: int, **changes: Any) -> Study:
    values: dict[str, Any] = {
        "name": "mine",
        "datasets": ["digits"],
        "models": ["vae", "ddpm"],
        "samplers": {"prior": {"sampler": "prior"}, "ddim": {"sampler": "ddim"}},
        "training": {"parameters": parameters},
    }
    return load_study(values | changes, CONFIG, "mine.yaml")


def count(name: str) -> int:
    return parameter_count(build_model(study(1).models[name].model, Facts((1, 28, 28), 10), seed=0))


def test_models_of_different_sizes_are_refused_with_a_table(tmp_path: Path) -> None:
    """Of the size of one of them."""
    own, other = count("vae"), count("ddpm")
    with pytest.raises(ConfigError) as caught:
        check_sizes(study(own), "mine.yaml", tmp_path)
    assert str(caught.value).splitlines() == [
        "mine.yaml: training.parameters: all models must be within 5% of this budget; change "
        "their widths:",
        f"  vae on digits: {own:,} parameters, 1.00 of it",
        f"  ddpm on digits: {other:,} parameters, {other / own:.2f} of it",
    ]
    check_sizes(study(own, models=["vae"]), "mine.yaml", tmp_path)


def test_a_model_is_counted_for_the_data_as_they_will_be(
    tiny_study: Callable[..., StudyFolder],
) -> None:
    """The size of the manifest's images counts as long as the data set keeps its settings."""
    at = tiny_study()
    settings = read_study(at.config)
    facts = planned_facts(settings, "stripes", at.results)
    assert facts == Facts.of(read_json(at.data("stripes").manifest))
    stripes = settings.datasets["stripes"]
    larger = stripes.model_copy(update={"size": 2 * SIDE})
    resized = settings.model_copy(update={"datasets": {"stripes": larger}})
    assert planned_facts(resized, "stripes", at.results) == Facts((1, 2 * SIDE, 2 * SIDE), 2)


def test_first_stages_and_models_of_unknown_size_are_left_to_their_training(
    tmp_path: Path,
) -> None:
    """An autoencoder draws nothing; the length of captions is known once they are prepared."""
    two = study(1, models=["dalle"])
    assert list(two.models) == ["vqvae", "dalle"]
    check_sizes(two, "mine.yaml", tmp_path)
