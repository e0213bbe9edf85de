"""The section on prompts: what it shows of made-up numbers of two models on two kinds of prompt."""

from __future__ import annotations

import base64
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from genlab.config.study import load_study
from genlab.io.arrays import write_array
from genlab.io.files import write_json
from genlab.report.page import render_section
from genlab.report.sections import prompts
from genlab.report.sections.prompts import PromptsSection
from genlab.report.study import ReportedStudy
from genlab.results.layout import StudyFolder
from genlab.results.origin import run_origin, write_measured
from genlab.results.spec import read_dataset, study_specs, write_specs

COUNTS, SCALES = [1, 2, 4], [1.0, 3.0]
MODELS = {"dalle": 0.0, "other": 0.1}
KINDS = {"seen": 0.0, "unseen": -0.05}
CONFIG = Path(__file__).parents[2] / "config"


def png(shade: int) -> bytes:
    """A picture of one pixel, as a PNG file."""
    file = BytesIO()
    Image.new("L", (1, 1), shade).save(file, format="PNG")
    return file.getvalue()


PIXEL = png(100)
STUDY: dict[str, Any] = {
    "name": "mine",
    "datasets": ["scenes"],
    "models": ["vae", "dalle", {"preset": "dalle", "name": "other"}],
    "samplers": {"prior": {"sampler": "prior"}},
}


def curve(model: str, kind: str, scale: float, what: float) -> list[float]:
    """A number of its own for everything that is measured, so that a wrong place shows."""
    return [0.3 + MODELS[model] + KINDS[kind] + scale / 100 + what + n / 20 for n in COUNTS]


def content_of(model: str) -> dict[str, Any]:
    """A prompts.json: two factors of which one is the subject; the second scale is chosen."""
    return {
        "sampler": "tokens", "candidates": 4, "counts": COUNTS, "chosen": 1,
        "factors": ["digit", "size"], "subject": ["digit"],
        "kinds": {
            kind: [
                {
                    "guidance": scale, "prompts": 2,
                    "factors": {name: curve(model, kind, scale, 0.01 * i)
                                for i, name in enumerate(("digit", "size"))},
                    "subject": curve(model, kind, scale, 0.02),
                    "all": curve(model, kind, scale, 0.03),
                    "clip_score": [100 * x for x in curve(model, kind, scale, 0.04)],
                }
                for scale in SCALES
            ]
            for kind in KINDS
        },
        "judge": {
            kind: {"images": 10, "factors": {"digit": 0.96, "size": 0.97}, "subject": 0.96,
                   "all": 0.95 + KINDS[kind]}
            for kind in KINDS
        },
        "clip": {"retrieval": 0.875, "captions": 100, "images": 131},
        "shown": [
            {"kind": "seen", "prompt": "a <red> seven", "right": True},
            {"kind": "unseen", "prompt": "a blue four", "right": model == "dalle"},
        ],
        "attention": {"seen": "a <red> seven"} if model == "dalle" else {},
    }  # fmt: skip


@pytest.fixture
def study(tmp_path: Path) -> ReportedStudy:
    """A VAE, which takes no prompts, and two runs that do; their pictures are plain colours."""
    settings = load_study(STUDY, CONFIG, "mine.yaml")
    write_specs(study_specs(settings, tmp_path))
    at = StudyFolder(tmp_path / "mine")
    data = at.data("scenes")
    origin = read_dataset(data.config).digest
    manifest = {"made_from": origin, "sha256": "of scenes", "classes": ["0", "1"]}
    write_json(data.manifest, manifest)
    for i, run in enumerate(at.run("scenes", model, 0) for model in MODELS):
        content = content_of(run.model_name)
        write_measured(run.prompts / "prompts.json", content, run_origin(run))
        shades = np.array([10 * i, 10 * i + 5], np.uint8)
        write_array(run.kept, np.broadcast_to(shades[:, None, None, None], (2, 3, 4, 4)).copy())
        for name in ("candidates", *(f"attention-{kind}" for kind in content["attention"])):
            path = run.prompt_figures / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(PIXEL)
    return ReportedStudy(at, settings, pd.DataFrame())


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> dict[str, Figure]:
    """The figures that the section draws, by their names."""
    figures: dict[str, Figure] = {}
    for name in ("ranking_curves", "guidance_curves"):
        draw = getattr(prompts, name)

        def keep(points: Any, name: str = name, draw: Any = draw) -> bytes:
            figures[name] = draw(points)
            return PIXEL

        monkeypatch.setattr(prompts, name, keep)
    monkeypatch.setattr(prompts, "png", lambda figure: figure)
    return figures


def read_part(study: ReportedStudy) -> dict[str, Any]:
    """What the section shows of the only data set."""
    (part,) = PromptsSection().read(study)["parts"]
    return dict(part)


def lines(figure: Figure, panel: int) -> set[tuple[tuple[float, float], ...]]:
    """The points of every line of a panel."""
    points = [
        tuple(zip(*map(np.asarray, line.get_data()), strict=True))
        for line in figure.axes[panel].lines
        if len(np.asarray(line.get_xdata()))
    ]
    # A logarithmic axis costs seaborn the last digits: numbers go there and back.
    return {tuple((round(float(x), 6), round(float(y), 6)) for x, y in line) for line in points}


@pytest.mark.usefixtures("figures")
def test_the_table_has_real_images_first_and_each_model_before_and_after(
    study: ReportedStudy,
) -> None:
    table = read_part(study)["table"]
    assert table["heads"] == ["subject", "all", "digit", "size"]
    real = [row for row in table["rows"] if row["guidance"] is None]
    assert [row["kind"] for row in real] == ["seen", "unseen"]
    assert [row["shares"][1] for row in real] == pytest.approx([0.95, 0.9])
    others = {
        (row["run"], row["kind"], row["picture"]): row for row in table["rows"] if row["guidance"]
    }
    assert len(others) == len(MODELS) * len(KINDS) * 2
    for (run, kind, which), row in others.items():
        model = run.partition(",")[0]
        end = {"any candidate": 0, "best of 4": -1}[which]
        assert row["guidance"] == 3.0
        shares = [curve(model, kind, 3.0, x)[end] for x in (0.02, 0.03, 0.0, 0.01)]
        assert row["shares"] == pytest.approx(shares)
        assert row["clip_score"] == pytest.approx(100 * curve(model, kind, 3.0, 0.04)[end])


def test_curves_are_drawn_over_candidates_and_over_guidance(
    study: ReportedStudy, figures: dict[str, Figure]
) -> None:
    PromptsSection().read(study)
    ranking, guidance = figures["ranking_curves"], figures["guidance_curves"]
    assert len(ranking.axes) == 3
    assert len(guidance.axes) == 6
    for panel, what in enumerate((0.02, 0.03, 0.04)):
        unit = 100 if panel == 2 else 1
        assert lines(ranking, panel) == {
            tuple((n, round(unit * y, 6)) for n, y in zip(COUNTS, values, strict=True))
            for model in MODELS for kind in KINDS
            for values in [curve(model, kind, 3.0, what)]
        }  # fmt: skip
        for line, end in enumerate((0, -1)):
            assert lines(guidance, 3 * line + panel) == {
                tuple((w, round(unit * curve(model, kind, w, what)[end], 6)) for w in SCALES)
                for model in MODELS for kind in KINDS
            }  # fmt: skip


@pytest.mark.parametrize("kinds", [["seen"], ["seen", "unseen"]])
def test_the_legend_names_the_kinds_that_there_are(
    monkeypatch: pytest.MonkeyPatch, kinds: list[str]
) -> None:
    monkeypatch.setattr(prompts, "png", lambda figure: figure)
    values = {"run": "dalle", "n": 1, "subject": 0.5, "all": 0.4, "clip_score": 80.0}
    figure: Any = prompts.ranking_curves(pd.DataFrame([values | {"kind": k} for k in kinds]))
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["dalle", *kinds]


@pytest.mark.usefixtures("figures")
def test_the_grid_has_a_line_for_each_prompt_and_a_picture_of_each_run(
    study: ReportedStudy,
) -> None:
    part = read_part(study)
    assert part["grid"]["heads"] == ["dalle, seed 0", "other, seed 0"]
    for i, row in enumerate(part["grid"]["rows"]):
        for model, cell in enumerate(row["cells"]):
            picture = base64.b64decode(cell["picture"].partition(",")[2])
            assert (
                np.asarray(Image.open(BytesIO(picture)))[0, 0].tolist() == [10 * model + 5 * i] * 3
            )
            assert cell["right"] == (i == 0 or model == 0)
    assert list(part["sheets"]) == ["dalle, seed 0", "other, seed 0"]
    assert [one["run"] for one in part["attention"]] == ["dalle, seed 0"]


def test_the_section_shows_prompts_and_accuracies(study: ReportedStudy) -> None:
    assert PromptsSection().applies(study)
    page = " ".join(render_section(PromptsSection(), study).split())
    assert "CLIP finds the caption of 87.5 % of 131 held-out images among 100 distinct" in page
    assert "95.0 % of 10 real images of seen combinations and for 90.0 %" in page
    assert page.count("a &lt;red&gt; seven") >= 3  # the grid, and what its pictures are called
    assert page.count("✗</td>") == 1
    assert "describe combinations that do not. A model" in page


def test_models_without_prompts_have_no_section(study: ReportedStudy) -> None:
    settings = load_study(STUDY | {"models": ["vae"]}, CONFIG, "mine.yaml")
    assert not PromptsSection().applies(ReportedStudy(study.folder, settings, study.league))


def test_one_class_has_no_section(study: ReportedStudy) -> None:
    """All captions are the same there."""
    manifest = study.manifests["scenes"]
    manifest["classes"] = ["0"]
    assert not PromptsSection().applies(study)
