"""What runs are called and tagged, and when they were trained."""

from __future__ import annotations

import os

from runs import Study

from genlab.io.files import write_json
from genlab.results.layout import RunFolder
from genlab.results.spec import read_run
from genlab.tracking.description import (
    row_tags,
    run_note,
    run_tags,
    sampling_times,
    training_end,
    training_start,
)


def test_tags_say_what_a_run_is_for_and_what_it_is_told(tiny_study: Study) -> None:
    asked = {"preset": "ddpm", "name": "asked", "conditional": True}
    models = ["vae", asked, "vqvae-prior", {"preset": "dalle", "first_stage": "vqvae"}]
    at = tiny_study(models=models)
    tags = {
        model: run_tags(read_run(at.run("stripes", model, 0).config))
        for model in ("vae", "asked", "vqvae", "vqvae-prior", "dalle", "classifier", "clip")
    }
    assert {model: (tag["role"], tag.get("told")) for model, tag in tags.items()} == {
        "vae": ("model", "nothing"),
        "asked": ("model", "class"),
        "vqvae": ("first stage", "nothing"),
        "vqvae-prior": ("model", "nothing"),
        "dalle": ("model", "caption"),
        "classifier": ("evaluator", None),
        "clip": ("evaluator", None),
    }
    spec = read_run(at.run("stripes", "asked", 0).config)
    row = row_tags(spec, "ddim-3")
    assert (row["role"], row["sampler"], row["told"]) == ("row", "ddim-3", "class")
    assert "other models build on it" in run_note(read_run(at.run("stripes", "vqvae", 0).config))


def test_a_resumed_training_began_with_its_first_step(run: RunFolder) -> None:
    """It leaves its first record again."""
    assert (training_start(run), training_end(run)) == (1e9 + 1, 1e9 + 3)
    record = run.outbox / "config.json"
    os.utime(record, (1e9, 1e9))
    assert training_start(run) == 1e9
    run.history.unlink()
    assert (training_start(run), training_end(run)) == (1e9, None)


def test_times_that_nothing_is_known_of(tiny_study: Study) -> None:
    run = tiny_study().run("stripes", "vae", 0)
    assert (training_start(run), training_end(run)) == (None, None)
    at = run.samples("prior")
    assert sampling_times(at) == (None, None)
    write_json(at.cost, {"seconds_per_image": 0.5})
    os.utime(at.cost, (1e9, 1e9))
    assert sampling_times(at) == (1e9 - 16, 1e9)
