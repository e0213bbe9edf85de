"""A stage refuses what was made from another version of the study, and what was damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from genlab.errors import GenLabError
from genlab.io.arrays import read_array, write_array
from genlab.io.files import note_path
from genlab.models.store import read_tensors
from genlab.report.league import read_league
from genlab.results.layout import StudyFolder
from genlab.results.origin import data_origin, read_measured, read_metrics, run_origin
from genlab.workflow.evaluate import evaluate
from genlab.workflow.features import features
from genlab.workflow.models import load_trained
from genlab.workflow.prepare import prepare
from genlab.workflow.rfid import rfid
from genlab.workflow.sample import sample

OTHER = "made from another version of the study"


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def flip_a_bit(path: Path, share: float) -> None:
    """Change one bit of a file, after this share of its bytes."""
    content = bytearray(path.read_bytes())
    content[int(share * len(content))] ^= 1
    path.write_bytes(content)


def row(at: StudyFolder) -> Path:
    return at.run("stripes", "vae", 0).samples("prior").samples


DAMAGED: dict[str, tuple[Callable[[StudyFolder], Path], Callable[[StudyFolder], object]]] = {
    "samples": (row, lambda at: read_array(row(at))),
    "training images": (
        lambda at: at.data("stripes").images("train"),
        lambda at: read_array(at.data("stripes").images("train")),
    ),
    "weights": (
        lambda at: at.run("stripes", "vae", 0).weights,
        lambda at: load_trained(at.run("stripes", "vae", 0)),
    ),
    "the classifier that measures": (
        lambda at: at.classifier("stripes").weights,
        lambda at: features(at, "stripes", row(at), row(at).parent / "features", cpu=True),
    ),
    "features": (
        lambda at: at.run("stripes", "vae", 0).samples("prior").features("classifier"),
        lambda at: evaluate(at.run("stripes", "vae", 0)),
    ),
    "reconstructions": (
        lambda at: at.run("stripes", "vae", 0).reconstructed,
        lambda at: rfid(at.run("stripes", "vae", 0), cpu=True),
    ),
}


@pytest.mark.parametrize("what", DAMAGED)
@pytest.mark.parametrize("share", [0.1, 0.4])
def test_a_flipped_bit_is_noticed_and_the_file_named(
    trained_study: StudyFolder, what: str, share: float
) -> None:
    path, read = DAMAGED[what]
    read(trained_study)
    flip_a_bit(path(trained_study), share)
    with pytest.raises(GenLabError, match="delete it and run again") as caught:
        read(trained_study)
    assert str(caught.value).startswith(f"{path(trained_study)}: ")


def test_an_array_without_its_note_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    write_array(path, np.arange(3))
    note_path(path).unlink()
    with pytest.raises(GenLabError, match=r"x\.npy\.json, is missing; delete x\.npy and"):
        read_array(path)
    note_path(path).write_text("{}")
    with pytest.raises(GenLabError, match="not a valid checksum of an array"):
        read_array(path)


def test_a_changed_budget_refuses_all_that_was_made_before(trained_study: StudyFolder) -> None:
    """As if the specs had been written anew while the workflow ran."""
    run = trained_study.run("stripes", "vae", 0)
    replace(run.config, "images: 256", "images: 512")
    for use in (
        lambda: load_trained(run, origin=run_origin(run)),
        lambda: sample(run.samples("prior"), cpu=True),
        lambda: evaluate(run, ["prior"]),
        lambda: rfid(run, cpu=True),
        lambda: read_metrics(run),
        lambda: read_measured(run.summary, run_origin(run)),
        lambda: read_measured(run.likelihood, run_origin(run)),
        lambda: read_league(trained_study),
    ):
        with pytest.raises(GenLabError, match=OTHER):
            use()


def test_a_changed_row_refuses_its_samples_alone(trained_study: StudyFolder) -> None:
    run = trained_study.run("stripes", "ddpm", 0)
    replace(run.samples("ddim-3").config, "steps: 3", "steps: 4")
    load_trained(run, origin=run_origin(run))
    with pytest.raises(GenLabError, match=rf"samples\.npy: {OTHER}"):
        evaluate(run)
    with pytest.raises(GenLabError, match=rf"metrics\.json: {OTHER}"):
        read_metrics(run)
    sample(run.samples("ddim-3"), cpu=True)
    with pytest.raises(GenLabError, match=rf"features/classifier\.npz: {OTHER}"):
        evaluate(run)  # of the samples before


def test_a_changed_way_to_measure_refuses_metrics_alone(trained_study: StudyFolder) -> None:
    run = trained_study.run("stripes", "ddpm", 0)
    replace(trained_study.evaluation, "splits: 2", "splits: 4")
    with pytest.raises(GenLabError, match=rf"metrics\.json: {OTHER}"):
        read_metrics(run)
    evaluate(run)
    read_metrics(run)


def test_other_data_refuse_every_model_of_them(trained_study: StudyFolder) -> None:
    data, run = trained_study.data("stripes"), trained_study.run("stripes", "vae", 0)
    before = data_origin(data)
    replace(data.config, "a picture of {name}", "a photo of {name}")
    with pytest.raises(GenLabError, match=rf"manifest\.json: {OTHER}"):
        load_trained(run, origin=run_origin(run))
    prepare(data)
    assert data_origin(data) != before
    with pytest.raises(GenLabError, match=rf"weights\.safetensors: {OTHER}"):
        load_trained(run, origin=run_origin(run))


def test_features_of_another_classifier_are_refused(trained_study: StudyFolder) -> None:
    """A distance between the features of two extractors would be a number without meaning."""
    replace(trained_study.classifier("stripes").config, "seed: 0", "seed: 1")
    with pytest.raises(GenLabError, match=OTHER):
        evaluate(trained_study.run("stripes", "vae", 0))


def test_a_checksum_is_none_of_the_metadata(trained_study: StudyFolder) -> None:
    _, metadata = read_tensors(trained_study.run("stripes", "vae", 0).weights)
    assert set(metadata) == {"made_from", "architecture"}
