"""Figures of samplers and guidance: from hand-made leagues, what is drawn and where."""

from __future__ import annotations

from io import BytesIO
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from genlab.config.samplers import PathSampler, SamplerConfig
from genlab.config.study import load_sampler
from genlab.report import path_figures
from genlab.report.path_figures import (
    bound_terms,
    budget_of,
    guidance_sweep,
    line_of,
    path_rows,
    quality_against,
    round_trips,
    sampler_matrix,
    step_curves,
    two_bounds,
)
from genlab.report.understanding import crossing

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
            ("floor", "real"),
            ("floor", "noise"),
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
def seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The figures themselves come back, not their PNG files."""
    monkeypatch.setattr(path_figures, "png", lambda figure: figure)


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
    models = league[league["model"] != "floor"]
    again = models.assign(seed=1, fid=models["fid"] + 2)
    other = league.assign(extractor="inception-v3-compat", fid=0.0)
    rows = path_rows(
        pd.concat([league, again, other]), configs(SWEEP | ADAPTIVE), "classifier"
    ).set_index("sampler")
    assert list(rows.index) == [*SWEEP, "dopri5"]
    assert set(rows["place"]) == {"ddpm"}
    assert rows["fid"].to_dict() == {name: fid("ddpm", name) + 1 for name in rows.index}
    assert rows.loc["heun-20", ["line", "steps", "evaluations"]].tolist() == ["heun", 20, 20]
    assert np.isnan(rows.loc["dopri5", "steps"])
    assert set(rows["real"]) == {fid("floor", "real")}


def test_rows_of_several_data_sets_name_theirs() -> None:
    league = league_of(["ddpm"], SWEEP, ("digits", "sprites"))
    rows = path_rows(league, configs(SWEEP), "classifier")
    assert set(rows["place"]) == {"ddpm (digits)", "ddpm (sprites)"}


@pytest.mark.usefixtures("seen")
def test_the_matrix_has_samplers_down_models_across_and_frames_the_best() -> None:
    rows = rows_of(["ddpm", "flow"], SWEEP)
    rows = rows[~((rows["place"] == "flow") & (rows["sampler"] == "heun-20"))]
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


@pytest.mark.usefixtures("seen")
def test_quality_against_cost_has_a_panel_a_model_and_a_line_a_sampler() -> None:
    figure: Any = quality_against(rows_of(["ddpm", "flow"], SWEEP | ADAPTIVE), "seconds")
    assert list(panels(figure)) == ["ddpm", "flow"]
    assert legend_of(figure) == ["ddim", "heun", "dopri5"]
    for model, axis in panels(figure).items():
        assert curves(axis) == [
            [(steps / 1000, fid(model, f"{kind}-{steps}")) for steps in STEPS]
            for kind in ("ddim", "heun")
        ] + [[(0.06, fid(model, "dopri5"))]]
        (real,) = [line for line in axis.lines if line.get_linestyle() == "--"]
        assert set(np.asarray(real.get_ydata())) == {fid("floor", "real")}
        assert axis.get_xlabel() == "seconds a sample"


@pytest.mark.usefixtures("seen")
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


@pytest.mark.usefixtures("seen")
def test_the_guidance_sweep_draws_three_measures_against_w() -> None:
    figure: Any = guidance_sweep(rows_of(["ddpm"], GUIDED))
    assert legend_of(figure) == ["ddpm, ddim, 10 steps"]
    fidelity, diversity = "precision: fidelity", "recall: diversity"
    drawn = {title: curves(axis) for title, axis in panels(figure).items()}
    assert drawn == {
        "FID": [[(w, fid("ddpm", f"w{w:g}")) for w in (0.0, 1.0, 3.0)]],
        fidelity: [[(w, 0.5) for w in (0.0, 1.0, 3.0)]],
        diversity: [[(w, 0.25) for w in (0.0, 1.0, 3.0)]],
    }


@pytest.mark.usefixtures("seen")
def test_two_bounds_stand_on_the_line_of_their_run() -> None:
    runs = {
        name: {kind: {"bits_per_dim": bits + more, "standard_error": 0.01}
               for kind, more in (("elbo", 0.2), ("ode", 0.0))}
        for name, bits in (("one", 1.0), ("two", 2.0))
    }  # fmt: skip
    figure: Any = two_bounds(runs)
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["one", "two"]
    elbo, ode = (container.lines[0].get_xydata().tolist() for container in axis.containers)
    assert elbo == [[1.2, 0], [2.2, 1]]
    assert ode == [[1.0, 0], [2.0, 1]]
    (bars,) = axis.containers[0].lines[2]
    assert np.allclose(bars.get_segments()[0][:, 0], [1.18, 1.22])  # two standard errors
    assert legend_of(figure) == ["ELBO: ancestral steps", "ODE: probability flow"]


@pytest.mark.usefixtures("seen")
def test_terms_and_round_trips_have_a_line_a_run() -> None:
    terms: Any = bound_terms({"one": {"t": [0, 1, 2], "bits_per_dim": [1.0, 0.1, 0.01]}})
    (line,) = terms.axes[0].lines
    assert line.get_xydata().tolist() == [[0, 1.0], [1, 0.1], [2, 0.01]]
    found = {
        name: [{"steps": n, "rmse": size / n} for n in (5, 10)]
        for name, size in (("one", 1), ("two", 2))
    }
    trips: Any = round_trips(found)
    assert curves(trips.axes[0]) == [[(5, 0.2), (10, 0.1)], [(5, 0.4), (10, 0.2)]]
    assert [t.get_text() for t in trips.axes[0].get_legend().get_texts()] == ["one", "two"]


def test_a_figure_is_the_same_png_for_the_same_numbers() -> None:
    rows = rows_of(["ddpm", "flow"], SWEEP)
    first = quality_against(rows, "evaluations")
    assert Image.open(BytesIO(first)).format == "PNG"
    assert quality_against(rows, "evaluations") == first
    assert quality_against(rows.assign(fid=rows["fid"] + 1), "evaluations") != first


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
    content = {
        "samplers": samplers | {"prior": {"sampler": "prior"}},
        "evaluation": {"extractors": ["classifier"]},
    }
    found = crossing(league_of(models, samplers), content)
    assert set(found["figures"]) == figures
    assert all(f.startswith("data:image/png;base64,") for f in found["figures"].values())


@pytest.mark.usefixtures("seen")
@pytest.mark.parametrize("cost", ["evaluations", "seconds"])
def test_both_axes_of_a_curve_have_numbers(cost: str) -> None:
    """However far apart what they measure: FID from 10 to 98, seconds from .005 to .06."""
    figure = quality_against(rows_of(["ddpm", "flow"], SWEEP | ADAPTIVE), cost)
    figure.canvas.draw()
    for panel in panels(figure).values():
        for axis, limits in ((panel.xaxis, panel.get_xlim()), (panel.yaxis, panel.get_ylim())):
            shown = [tick for tick in axis.get_majorticklocs() if limits[0] <= tick <= limits[1]]
            assert len(shown) >= 2
            assert all(label.get_text() for label in axis.get_majorticklabels())
