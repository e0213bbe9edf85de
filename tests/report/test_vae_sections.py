"""The sections on VAEs: rate and distortion, disentanglement, ELBO study, of made-up numbers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from genlab.config.study import load_study
from genlab.io.files import write_json
from genlab.report.page import render_section
from genlab.report.sections import rate_distortion
from genlab.report.sections.disentanglement import DisentanglementSection
from genlab.report.sections.elbo_study import ELBOStudySection
from genlab.report.sections.rate_distortion import RateDistortionSection, read_points
from genlab.report.study import ReportedStudy
from genlab.results.layout import StudyFolder
from genlab.results.origin import data_origin, run_origin, write_measured
from genlab.results.spec import read_dataset, study_specs, write_specs

CONFIG = Path(__file__).parents[2] / "config"
STUDY: dict[str, Any] = {
    "name": "mine",
    "datasets": ["sprites"],
    "models": [
        "vae",
        {"preset": "vae", "name": "small", "latent": 2},
        {"preset": "vae", "name": "binary", "likelihood": "bernoulli"},
        "ddpm",
    ],
    "samplers": {"prior": {"sampler": "prior"}, "ddim": {"sampler": "ddim"}},
    "elbo_study": {},
}
RATES = {"vae": (30.0, 10.0), "small": (20.0, 25.0), "binary": (5.0, 1.0)}
FACTORS = ["shape", "x"]


def number(value: float, error: float = 0.5) -> dict[str, float]:
    return {"value": value, "error": error}


def bound_of(log_p: float) -> dict[str, Any]:
    """An elbo.json whose ELBO is 3 nats below log p(x)."""
    parts = ("mutual_information", "total_correlation", "dimension_wise_kl")
    return {
        "likelihood": "Gaussian",
        "decomposition": {
            **{name: number(2) for name in parts}, "elbo": number(log_p - 3.5),
            "log_images": 6.9, "images": 1000,
        },
        "bounds": {"curve": [{"k": k, **number(log_p - 3 / k)} for k in (1, 10)], "images": 16},
        "annealing": {
            "images": 16, "elbo": number(log_p - 3), "log_p": number(log_p, 0.1),
            "log_p_over_images": number(log_p, 4), "gap": number(3),
            "approximation_gap": number(1), "amortisation_gap": number(2),
        },
        "simulated": {"images": 8, "gap": number(0.25, 0.05)},
    }  # fmt: skip


PPCA = {
    "latent": 4, "images": 16, "log_p": 123.456, "held_out": 1000,
    "held_out_log_p": number(120, 1),
    "posteriors": [
        {"posterior": "wide", "elbo": 120.0, "gap": 3.456, "kl": 3.456, "worst_difference": 1e-9,
         "bounds": [{"k": k, **number(120 + k)} for k in (1, 2)]},
    ],
}  # fmt: skip
GRADIENTS = {
    "samples": 8,
    "rows": [{"latent": 2, "place": "near", "estimator": "pathwise", "variance": 1.0,
              "variance_error": 0.1}],
}  # fmt: skip


@pytest.fixture
def study(tmp_path: Path) -> ReportedStudy:
    """Three VAEs, of which two have the same p(x|z), and a DDPM, measured by nobody."""
    settings = load_study(STUDY, CONFIG, "mine.yaml")
    write_specs(study_specs(settings, tmp_path))
    at = StudyFolder(tmp_path / "mine")
    data = at.data("sprites")
    origin = read_dataset(data.config).digest
    write_json(data.manifest, {"made_from": origin, "sha256": "of sprites", "factors": FACTORS})
    for i, (model, (rate, distortion)) in enumerate(RATES.items()):
        run = at.run("sprites", model, 0)
        held_out = {"loss": 0.1, "kl": rate, "distortion": distortion}
        write_measured(run.summary, {"held_out": held_out}, run_origin(run))
        matrix = [[0.5 + i / 10, 0.1], [0.0, 0.4]]
        scores = {f"dci_{name}": 0.1 * i for name in ("disentanglement", "completeness")}
        content = {
            "factors": FACTORS, "information": matrix, "importance": matrix, "active": 2 + i,
            "mig": 0.25 + i / 10, "dci_informativeness": 0.9, **scores,
        }  # fmt: skip
        write_measured(run.disentanglement, content, run_origin(run))
        write_measured(run.elbo, bound_of(-100 + i), run_origin(run))
    for name, content in (("ppca", PPCA), ("gradients", GRADIENTS)):
        write_measured(at.elbo_study("sprites") / f"{name}.json", content, data_origin(data))
    return ReportedStudy(at, settings, pd.DataFrame())


def without(study: ReportedStudy, **changes: Any) -> ReportedStudy:
    """The same study with other settings."""
    settings = load_study(STUDY | changes, CONFIG, "mine.yaml")
    return ReportedStudy(study.folder, settings, study.league)


def cells(html: str) -> list[list[str]]:
    """The text of every cell in the body of every table, by row."""
    bodies = re.findall(r"<tbody>(.*?)</tbody>", html, re.DOTALL)
    rows = [row for body in bodies for row in re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)]
    return [re.findall(r"<t[dh]\b.*?>(.*?)</t[dh]>", row, re.DOTALL) for row in rows]


def test_rate_and_distortion_compare_models_of_one_likelihood(
    study: ReportedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert RateDistortionSection().applies(study)
    points = pd.DataFrame(read_points(study))
    assert list(points["model"]) == ["vae", "small"]  # nothing compares with "binary"
    assert list(points["rate"]) == [30, 20] and list(points["distortion"]) == [10, 25]
    assert set(points["group"]) == {"sprites, Gaussian, learned variance"}
    monkeypatch.setattr(rate_distortion, "png", lambda figure: figure)
    figure: Any = rate_distortion.rate_distortion(points)
    (axis,) = figure.axes
    (dots,) = axis.collections
    assert sorted(dots.get_offsets().tolist()) == [[20, 25], [30, 10]]
    (best,) = [line for line in axis.lines if line.get_linestyle() == ":"]
    assert best.get_xydata().sum(axis=1).tolist() == [40, 40]  # the ELBO of "vae"


def test_one_vae_has_nothing_to_compare_with_whatever_its_seeds(study: ReportedStudy) -> None:
    alone = without(study, models=["vae", "ddpm"], seeds=[0, 1])
    write_specs(study_specs(alone.settings, study.folder.results))
    for run in alone.runs:
        content = {"held_out": {"loss": 0.1, "kl": 30.0, "distortion": 10.0}}
        write_measured(run.summary, content, run_origin(run))
    assert not RateDistortionSection().applies(alone)
    assert read_points(alone) == []


def test_disentanglement_has_a_row_and_a_picture_for_each_vae(study: ReportedStudy) -> None:
    assert DisentanglementSection().applies(study)
    html = render_section(DisentanglementSection(), study)
    assert cells(html) == [
        ["vae on sprites, seed 0", "0.250", "0.000", "0.000", "0.900", "2"],
        ["small on sprites, seed 0", "0.350", "0.100", "0.100", "0.900", "3"],
        ["binary on sprites, seed 0", "0.450", "0.200", "0.200", "0.900", "4"],
    ]
    assert html.count("<img") == 3
    assert not DisentanglementSection().applies(without(study, models=["ddpm"]))
    study.manifests["sprites"].pop("factors")
    assert not DisentanglementSection().applies(study)


def test_the_elbo_study_shows_closed_forms_and_every_vae(study: ReportedStudy) -> None:
    assert ELBOStudySection().applies(study)
    html = render_section(ELBOStudySection(), study)
    assert "probabilistic PCA on sprites" in html
    assert "123.456 nats" in html and "120.0 ± 1.0 nats" in html
    assert cells(html) == [
        ["wide", "120.000", "3.4560", "3.4560", "1.0e-09"],
        *(
            [f"{model} on sprites, seed 0", "Gaussian", "1,000", f"{-103.5 + i:.2f} ± 0.50", "16",
             f"{-103 + i:.2f} ± 0.50", f"{-100 + i:.2f} ± 4.00", "3.00 ± 0.50", "8", "0.25 ± 0.05"]
            for i, model in enumerate(RATES)
        ),
    ]  # fmt: skip
    assert html.count("<img") == 4


def test_an_elbo_study_without_a_vae_has_closed_forms_alone(study: ReportedStudy) -> None:
    html = render_section(ELBOStudySection(), without(study, models=["ddpm"]))
    assert html.count("<img") == 2
    assert len(cells(html)) == 1


def test_a_study_without_laboratory_has_no_such_section(study: ReportedStudy) -> None:
    assert not ELBOStudySection().applies(without(study, elbo_study=None))
