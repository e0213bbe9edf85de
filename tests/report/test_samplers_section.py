"""The section on samplers: from hand-made leagues, what is drawn and where."""

from __future__ import annotations

from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from genlab.config.samplers import PathSampler, SamplerConfig
from genlab.config.study import load_sampler, load_study
from genlab.report.sections import samplers as section
from genlab.report.sections.samplers import (
    FIGURES,
    SamplersSection,
    budget_of,
    figure_rows,
    guidance_sweep,
    line_of,
    path_rows,
    quality_by_cost,
    sampler_matrix,
    step_curves,
)
from genlab.report.study import ReportedStudy
from genlab.results.layout import StudyFolder

STEPS = (5, 20)
SWEEP: dict[str, dict[str, Any]] = {
    f"{kind}-{steps}": {"sampler": kind, "steps": steps}
    for kind, steps in product(("ddim", "heun"), STEPS)
}
ADAPTIVE: dict[str, dict[str, Any]] = {"dopri5": {"sampler": "dopri5", "rtol": 0.01}}
GUIDED: dict[str, dict[str, Any]] = {
    f"w{w:g}": {"sampler": "ddim", "steps": 10, "guidance": w} for w in (0.0, 1.0, 3.0)
}


def fid(model: str, sampler: str) -> float:
    """A number of its own for each row, so that a wrong place shows."""
    return 10.0 + sum(map(ord, model + sampler)) % 89


def league_of(
    models: list[str], samplers: dict[str, dict[str, Any]], datasets: tuple[str, ...] = ("digits",)
) -> pd.DataFrame:
    """A league as it is read from league.csv, with the floors and a model of another kind."""
    rows = []
    for dataset in datasets:
        named = [
            ("calibration", "real"),
            ("calibration", "noise"),
            ("vae", "prior"),
            *product(models, samplers),
        ]
        for model, sampler in named:
            steps = samplers.get(sampler, {}).get("steps", 60)
            on_path = sampler in samplers
            rows.append({
                "dataset": dataset, "model": model, "seed": 0, "sampler": sampler,
                "extractor": "classifier", "fid": fid(model, sampler), "precision": 0.5,
                "recall": 0.25, "evaluations": steps if on_path else "no model",
                "seconds_per_image": steps / 1000 if on_path else "no model",
            })  # fmt: skip
    return pd.DataFrame(rows)


def configs(samplers: dict[str, dict[str, Any]]) -> dict[str, SamplerConfig]:
    return {row: load_sampler(values, row) for row, values in samplers.items()}


def rows_of(models: list[str], samplers: dict[str, dict[str, Any]]) -> pd.DataFrame:
    return path_rows(league_of(models, samplers), configs(samplers), "classifier")


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The figures themselves come back, not their PNG files."""
    monkeypatch.setattr(section, "png", lambda figure: figure)


def panels(figure: Any) -> dict[str, Axes]:
    """The axes of a figure by their titles."""
    assert isinstance(figure, Figure)
    return {axis.get_title(): axis for axis in figure.axes}


def curves(axis: Axes) -> list[list[tuple[float, float]]]:
    """The points of every line that has a marker, the lines in their order, without empty ones."""
    lines = [line for line in axis.lines if line.get_marker() not in ("None", "", None)]
    points = [list(zip(*map(np.asarray, line.get_data()), strict=True)) for line in lines]
    # A logarithmic axis costs seaborn the last digits: numbers go there and back.
    return [[(round(float(x), 9), round(float(y), 9)) for x, y in line] for line in points if line]


def legend_of(figure: Any) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


@pytest.mark.parametrize(
    ("values", "line", "budget"),
    [
        ({"sampler": "ddim"}, "ddim", "50 steps"),
        ({"sampler": "ddim", "steps": 7, "eta": 0.0, "guidance": 3}, "ddim", "7 steps"),
        ({"sampler": "ddim", "eta": 1, "spacing": "karras"}, "ddim, spacing karras, eta 1.0",
         "50 steps"),
        ({"sampler": "dpm-solver", "stochastic": True}, "dpm-solver, stochastic", "50 steps"),
        ({"sampler": "dopri5", "rtol": 1e-2}, "dopri5", "rtol 0.01, atol 0.001"),
    ],
)  # fmt: skip
def test_a_sampler_is_named_by_its_kind_and_what_is_no_default(
    values: dict[str, Any], line: str, budget: str
) -> None:
    sampler = load_sampler(values, "here")
    assert isinstance(sampler, PathSampler)
    assert (line_of(sampler), budget_of(sampler)) == (line, budget)


def test_rows_are_those_that_walk_a_path_in_the_mean_over_seeds() -> None:
    league = league_of(["ddpm"], SWEEP | ADAPTIVE)
    models = league[league["model"] != "calibration"]
    again = models.assign(seed=1, fid=models["fid"] + 2)
    other = league.assign(extractor="inception-v3-compat", fid=0.0)
    rows = path_rows(
        pd.concat([league, again, other]), configs(SWEEP | ADAPTIVE), "classifier"
    ).set_index("sampler")
    assert list(rows.index) == [*SWEEP, "dopri5"]
    assert set(rows["model"]) == {"ddpm"}
    assert rows["fid"].to_dict() == {name: fid("ddpm", name) + 1 for name in rows.index}
    assert rows.loc["heun-20", ["line", "steps", "evaluations"]].tolist() == ["heun", 20, 20]
    assert np.isnan(rows.loc["dopri5", "steps"])
    assert set(rows["real"]) == {fid("calibration", "real")}


def test_rows_of_several_data_sets_name_theirs() -> None:
    league = league_of(["ddpm"], SWEEP, ("digits", "sprites"))
    rows = path_rows(league, configs(SWEEP), "classifier")
    assert set(rows["model"]) == {"ddpm (digits)", "ddpm (sprites)"}


@pytest.mark.usefixtures("shown")
def test_the_matrix_has_samplers_down_models_across_and_frames_the_best() -> None:
    rows = rows_of(["ddpm", "flow"], SWEEP)
    rows = rows[~((rows["model"] == "flow") & (rows["sampler"] == "heun-20"))]
    axis = sampler_matrix(rows).axes[0]  # type: ignore[attr-defined]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["ddpm", "flow"]
    names = [label.get_text() for label in axis.get_yticklabels()]
    assert names == list(SWEEP)
    cells = {text.get_position(): text.get_text() for text in axis.texts}
    for (column, model), (line, name) in product(enumerate(["ddpm", "flow"]), enumerate(names)):
        if (model, name) == ("flow", "heun-20"):
            assert (column + 0.5, line + 0.5) not in cells  # a gap
        else:
            assert float(cells[column + 0.5, line + 0.5]) == fid(model, name)
    frames = [patch.get_xy() for patch in axis.patches]
    drawn = {"ddpm": names, "flow": names[:-1]}
    best = [names.index(min(drawn[model], key=lambda n: fid(model, n))) for model in drawn]
    assert frames == list(enumerate(best))


@pytest.mark.usefixtures("shown")
def test_quality_by_cost_has_a_panel_a_model_and_a_line_a_sampler() -> None:
    figure: Any = quality_by_cost(rows_of(["ddpm", "flow"], SWEEP | ADAPTIVE), "seconds")
    assert list(panels(figure)) == ["ddpm", "flow"]
    assert legend_of(figure) == ["ddim", "heun", "dopri5"]
    for model, axis in panels(figure).items():
        assert curves(axis) == [
            [(steps / 1000, fid(model, f"{kind}-{steps}")) for steps in STEPS]
            for kind in ("ddim", "heun")
        ] + [[(0.06, fid(model, "dopri5"))]]
        (real,) = [line for line in axis.lines if line.get_linestyle() == "--"]
        assert set(np.asarray(real.get_ydata())) == {fid("calibration", "real")}
        assert axis.get_xlabel() == "seconds per sample"


@pytest.mark.usefixtures("shown")
def test_step_curves_have_a_panel_a_sampler_and_a_line_a_model() -> None:
    figure: Any = step_curves(rows_of(["ddpm", "flow"], SWEEP))
    assert legend_of(figure) == ["ddpm", "flow"]
    assert list(panels(figure)) == ["ddim", "heun"]
    for kind, axis in panels(figure).items():
        assert curves(axis) == [
            [(steps, fid(model, f"{kind}-{steps}")) for steps in STEPS]
            for model in ("ddpm", "flow")
        ]
        assert list(axis.get_xticks()) == list(STEPS)


@pytest.mark.usefixtures("shown")
def test_the_guidance_sweep_draws_three_measures_against_w() -> None:
    figure: Any = guidance_sweep(rows_of(["ddpm"], GUIDED))
    assert legend_of(figure) == ["ddpm, ddim, 10 steps"]
    fidelity, diversity = "precision (fidelity)", "recall (diversity)"
    drawn = {title: curves(axis) for title, axis in panels(figure).items()}
    assert drawn == {
        "FID": [[(w, fid("ddpm", f"w{w:g}")) for w in (0.0, 1.0, 3.0)]],
        fidelity: [[(w, 0.5) for w in (0.0, 1.0, 3.0)]],
        diversity: [[(w, 0.25) for w in (0.0, 1.0, 3.0)]],
    }


def test_a_figure_is_the_same_png_for_the_same_numbers() -> None:
    rows = rows_of(["ddpm", "flow"], SWEEP)
    first = quality_by_cost(rows, "evaluations")
    assert Image.open(BytesIO(first)).format == "PNG"
    assert quality_by_cost(rows, "evaluations") == first
    assert quality_by_cost(rows.assign(fid=rows["fid"] + 1), "evaluations") != first


@pytest.mark.parametrize(
    ("models", "samplers", "figures"),
    [
        ([], {}, set()),
        (["ddpm"], {"ddim": {"sampler": "ddim"}}, set()),
        (["ddpm"], {"a": {"sampler": "ddim"}, "b": {"sampler": "heun"}}, set()),
        (["ddpm", "flow"], {"a": {"sampler": "ddim"}, "b": {"sampler": "heun"}}, {"matrix"}),
        (["ddpm"], SWEEP | ADAPTIVE, {"evaluations", "seconds", "steps"}),
        (["ddpm"], GUIDED, {"guidance"}),
        (["ddpm", "flow"], GUIDED, {"matrix", "guidance"}),
    ],
)  # fmt: skip
def test_a_figure_appears_only_where_it_has_something_to_show(
    models: list[str], samplers: dict[str, dict[str, Any]], figures: set[str]
) -> None:
    rows = path_rows(
        league_of(models, samplers),
        configs(samplers | {"prior": {"sampler": "prior"}}),
        "classifier",
    )
    selection = figure_rows(rows)
    assert set(selection) == figures
    for name, part in selection.items():
        assert Image.open(BytesIO(FIGURES[name](part))).format == "PNG"


def study_of(samplers: dict[str, dict[str, Any]]) -> ReportedStudy:
    """A study of one model by `samplers`, with its league."""
    values = {"name": "mine", "datasets": ["digits"], "models": ["ddpm"], "samplers": samplers}
    settings = load_study(values, Path(__file__).parents[2] / "config", "mine.yaml")
    return ReportedStudy(StudyFolder(Path("mine")), settings, league_of(["ddpm"], samplers))


def test_the_section_applies_where_there_is_a_figure() -> None:
    assert not SamplersSection().applies(study_of({"ddim": {"sampler": "ddim"}}))
    swept = study_of(SWEEP)
    assert SamplersSection().applies(swept)
    content = SamplersSection().read(swept)
    assert content["extractor"] == "classifier"
    assert set(content["figures"]) == {"evaluations", "seconds", "steps"}
    assert all(one.startswith("data:image/webp;base64,") for one in content["figures"].values())


@pytest.mark.usefixtures("shown")
@pytest.mark.parametrize("cost", ["evaluations", "seconds"])
def test_both_axes_of_a_curve_have_numbers(cost: str) -> None:
    """However far apart what they measure: FID from 10 to 98, seconds from .005 to .06."""
    figure = quality_by_cost(rows_of(["ddpm", "flow"], SWEEP | ADAPTIVE), cost)
    figure.canvas.draw()
    for panel in panels(figure).values():
        for axis, limits in ((panel.xaxis, panel.get_xlim()), (panel.yaxis, panel.get_ylim())):
            shown = [tick for tick in axis.get_majorticklocs() if limits[0] <= tick <= limits[1]]
            assert len(shown) >= 2
            assert all(label.get_text() for label in axis.get_majorticklabels())
