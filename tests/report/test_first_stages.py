"""What a first stage loses stands beside whatever draws through it; and the classes of a row."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tiny import make_study

from genlab.data.arrays import fair_share
from genlab.data.randomness import generator
from genlab.evaluation.metrics import TOO_FEW, Comparison, measure
from genlab.evaluation.metrics.used_codes import NO_CODES
from genlab.io.arrays import read_array, write_array
from genlab.io.files import read_json
from genlab.report.classes import by_class
from genlab.report.league import NO_ENCODER, NO_SAMPLER, league_table, read_league
from genlab.report.sections.classes import ClassesSection
from genlab.report.study import ReportedStudy
from genlab.report.templates import TEMPLATES
from genlab.results.layout import StudyFolder
from genlab.results.origin import read_measured, run_origin, write_measured
from genlab.results.spec import read_evaluation, read_study
from genlab.workflow.evaluate import evaluate
from genlab.workflow.feature_files import features_origin, read_features
from genlab.workflow.features import features
from genlab.workflow.league import league
from genlab.workflow.rank import rank_rows
from genlab.workflow.reconstruct import reconstruct
from genlab.workflow.rfid import rfid
from genlab.workflow.sample import sample
from genlab.workflow.train import train

ASKED = {"preset": "ddpm", "name": "asked", "conditional": True}


@pytest.fixture(scope="module")
def _staged(
    _finished: StudyFolder, tiny_config: Path, tmp_path_factory: pytest.TempPathFactory
) -> StudyFolder:
    results = tmp_path_factory.mktemp("staged") / "results"
    shutil.copytree(_finished.results, results)
    at = make_study(results, tiny_config, {"models": ["vae", "ddpm", "vqvae-prior", ASKED]})
    vqvae = at.run("stripes", "vqvae", 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        for model in ("vqvae", "vqvae-prior", "asked"):
            train(at.run("stripes", model, 0), cpu=True)
    reconstruct(vqvae, cpu=True)
    rfid(vqvae, cpu=True)
    for model, name in (("vqvae-prior", "prior"), ("asked", "ddim-3")):
        row = at.run("stripes", model, 0).samples(name)
        sample(row, cpu=True)
        features(at, "stripes", row.samples, row.folder / "features", cpu=True)
        evaluate(at.run("stripes", model, 0))
    for model in ("vqvae-prior", "asked"):
        # What `likelihood` would write; its numbers play no part here.
        bits = {kind: {"bits_per_dim": 1.0} for kind in ("elbo", "ode")}
        run = at.run("stripes", model, 0)
        write_measured(run.likelihood, {"k": 1, **bits}, run_origin(run))
    rank_rows(at)
    return at


@pytest.fixture
def staged(_staged: StudyFolder, tmp_path: Path) -> StudyFolder:
    """The tiny study with a prior over a VQ-VAE's codes, and with a model that knows classes."""
    shutil.copytree(_staged.results, tmp_path / "results")
    return StudyFolder(tmp_path / "results" / _staged.folder.name)


def test_a_row_shows_what_its_first_stage_loses(staged: StudyFolder) -> None:
    table = read_league(staged).set_index("model")
    measured = read_json(staged.run("stripes", "vqvae", 0).reconstructions / "metrics.json")
    codes = read_json(staged.run("stripes", "vqvae", 0).summary)["held_out"]["used_codes"]
    for model in ("vqvae", "vqvae-prior"):
        row = table.loc[model]
        assert row["reconstruction_mse"] == measured["reconstruction_mse"]
        assert row["reconstruction_psnr"] == measured["reconstruction_psnr"]
        assert row["used_codes"] == codes
        assert 1 <= codes <= 8
        assert row["reconstruction_fid"] > 0
    assert table.loc["vqvae", "sampler"] == NO_SAMPLER
    assert table.loc["vqvae", "extractor"] == "classifier"
    assert table.loc["vae", "used_codes"] == NO_CODES
    assert table.loc["asked", "reconstruction_fid"] == NO_ENCODER
    both = [read_json(staged.run("stripes", m, 0).summary)["images"] for m in ("vqvae",) * 2]
    assert table.loc["vqvae-prior", "images_seen"] == sum(both)
    league(staged)
    page = league_table(pd.read_csv(staged.league, keep_default_na=False))
    best = {c for row in page["rows"] for c, cell in enumerate(row["cells"]) if cell["best"]}
    heads = {page["heads"][c]["text"] for c in best}
    assert "FID" in heads and not {"rFID", "used codes"} & heads  # these have no intervals


def test_rfid_is_the_fid_of_the_reconstructed_images_of_the_row_real(
    staged: StudyFolder, tmp_path: Path, genlab: Callable[..., Any]
) -> None:
    """As many, and the same: so an autoencoder that loses nothing has the FID of that row."""
    run, data = staged.run("stripes", "vqvae", 0), staged.data("stripes")
    config = read_evaluation(staged.evaluation)
    images = read_array(data.images("test"))
    order = fair_share(len(images))
    real = read_array(staged.calibration_row("stripes", "real").samples)
    assert np.array_equal(images[order[: config.samples]], real)

    again = tmp_path / "again.npy"
    write_array(again, read_array(run.reconstructed)[order[: config.samples]])
    features(staged, "stripes", again, tmp_path, cpu=True)
    generated, reference = (
        read_features(path, features_origin(staged, "stripes", "classifier", images))
        for path, images in (
            (tmp_path / "classifier.npz", again),
            (staged.reference("stripes", "train") / "classifier.npz", data.images("train")),
        )
    )
    expected = measure(Comparison(generated, reference, config))["fid"]
    # The same features in the same precision.
    assert read_json(run.rfid)["classifier"] == pytest.approx(expected, rel=1e-6)

    write_array(run.reconstructed, images, run_origin(run))  # a perfect autoencoder
    rfid(run, cpu=True)
    real = read_json(staged.run("stripes", "calibration", 0).metrics)["real"]["classifier"]["fid"]
    assert read_json(run.rfid)["classifier"] == pytest.approx(real, rel=1e-6)

    write_array(run.reconstructed, images[:5], run_origin(run))  # of 8 features
    assert genlab("rfid", "--config", run.config, "--gpus", 0).status == 0
    assert read_measured(run.rfid, run_origin(run)) == {"classifier": None}
    assert (read_league(staged).set_index("model")["reconstruction_fid"]["vqvae"]) == TOO_FEW


def test_the_order_of_held_out_images_is_that_of_the_real_row() -> None:
    assert np.array_equal(fair_share(50), generator(0, "calibration", "real").permutation(50))


def test_the_page_shows_the_classes_of_rows_that_were_asked_for_one(staged: StudyFolder) -> None:
    runs: list[Any] = [staged.run("stripes", m, 0) for m in ("vqvae", "vae", "asked")]
    (table,) = by_class(runs, ["classifier"])
    assert table["heads"] == ["across", "down"]
    (row,) = table["rows"]
    assert row["title"] == "asked on stripes, seed 0, ddim-3"
    parts = read_json(runs[2].metrics)["ddim-3"]["classifier"]["per_class"]
    texts = [cell["text"] for cell in row["cells"]]
    assert [text.split(" · ")[0] for text in texts] == [
        f"{parts[name]['kid']:.3g}" for name in table["heads"]
    ]
    assert all(" · " in text for text in texts)  # 16 samples of each, of 8 features
    page = TEMPLATES.get_template("sections/classes.html.jinja").render(tables=[table])
    assert re.findall(r'<th scope="row">(.*?)</th>', page) == [row["title"]]
    assert re.findall(r"<td.*?>(.*?)</td>", page) == texts
    assert re.findall(r'<th scope="col">(.*?)</th>', page) == ["row", "across", "down"]


def test_a_study_without_conditional_rows_has_no_section_on_classes(staged: StudyFolder) -> None:
    settings = read_study(staged.config)
    assert ClassesSection().applies(ReportedStudy(staged, settings, pd.DataFrame()))
    models = {name: settings.models[name] for name in ("vae", "ddpm")}
    settings = settings.model_copy(update={"models": models})
    assert not ClassesSection().applies(ReportedStudy(staged, settings, pd.DataFrame()))
