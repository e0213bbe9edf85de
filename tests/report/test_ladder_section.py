"""The section on the ladder: which metric gets worse with which flaw."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from tiny import make_study, write_costs

from genlab.evaluation.metrics import ONE_CLASS, Column, metrics
from genlab.report.league import read_league
from genlab.report.sections import ladder as section
from genlab.report.sections.ladder import (
    BLIND,
    NO_WORSE,
    NOT_MONOTONE,
    LadderSection,
    Scores,
    blind_spots,
    blindness,
    draw_ladders,
    judged_columns,
    ladders,
    preferred_to_real,
    scores,
    strengths_in,
)
from genlab.report.study import ReportedStudy, read_reported_study
from genlab.report.templates import TEMPLATES
from genlab.results.layout import StudyFolder
from genlab.results.spec import read_study
from genlab.workflow.calibration import calibrate
from genlab.workflow.evaluate import evaluate
from genlab.workflow.features import features
from genlab.workflow.league import league as league_stage
from genlab.workflow.report import report


def exact(*values: float) -> Scores:
    """Scores of a metric without intervals, larger is worse."""
    return Scores(*[np.array(values)] * 3)


def around(*values: float, width: float) -> Scores:
    """Scores with intervals of `width` to both sides."""
    value = np.array(values)
    return Scores(value, value - width, value + width)


@pytest.mark.parametrize(
    ("rungs", "reason"),
    [
        (exact(1, 2, 3, 4), ""),
        (exact(1, 2, 2, 2), ""),  # as bad as it gets
        (exact(1, 1, 1, 1), NO_WORSE),
        (exact(1, 2, 3, 0.5), NO_WORSE),
        (exact(1, 3, 2, 4), NOT_MONOTONE),
        (exact(1, 0.9, 2, 4), NOT_MONOTONE),
        (exact(1, math.nan, 3, 4), None),
        (around(1, 3, 2, 4, width=0.4), NOT_MONOTONE),
        (around(1, 3, 2, 4, width=0.6), ""),  # 3 and 2 don't differ
        (around(1, 2, 3, 4, width=1.4), ""),
        (around(1, 2, 3, 4, width=1.6), NO_WORSE),
        (around(1, 5, 4, 3, width=0.8), NOT_MONOTONE),  # 5 and 3 differ, neighbours don't
    ],
)
def test_a_metric_is_blind_where_it_is_no_worse_or_turns_back(
    rungs: Scores, reason: str | None
) -> None:
    assert blindness(rungs) == reason


def test_scores_are_turned_so_that_larger_is_worse() -> None:
    rows = pd.DataFrame({"x": ["1.5", "too few"], "x_low": [1, 0], "x_high": [4, 0]})
    lower = Column("x", "x", better="lower", interval=True)
    higher = Column("x", "x", better="higher", interval=True)
    assert [s[0] for s in scores(rows, lower)] == [1.5, 1, 4]
    assert [s[0] for s in scores(rows, higher)] == [-1.5, -4, -1]
    assert np.isnan(scores(rows, lower).value[1])
    unsure = pd.DataFrame({"x": [1.5], "x_low": ["too few"], "x_high": ["too few"]})
    assert [s[0] for s in scores(unsure, lower)] == [1.5] * 3  # no interval, but a value
    assert [s[0] for s in scores(rows, Column("x", "x", better="lower"))] == [1.5] * 3


def league_of(**rows: float) -> pd.DataFrame:
    """A league of calibration rows by their names ('_' for '-'), all metrics with these numbers.

    A number says how bad a row is.
    """
    table = []
    for name, value in rows.items():
        cells = {
            end: value if column.better == "lower" else -value
            for column in judged_columns()
            for end in column.names
        }
        key = {"dataset": "digits", "model": "calibration", "sampler": name.replace("_", "-")}
        table.append({**key, "extractor": "classifier", **cells})
    return pd.DataFrame(table)


BLUR = {"real": 1.0, "blur_1": 2.0, "blur_2": 3.0, "blur_3": 4.0}
VEIL = {"veil_1": 3.0, "veil_3": 2.0}  # turns back


def test_blind_spots_name_the_kinds_of_flaw() -> None:
    league = league_of(**BLUR, **VEIL, grain_2=1.0, memoriser=0.0)
    expected = {column.name: ["veil"] for column in judged_columns()}
    assert blind_spots(league) == expected
    assert "fid" in expected and "recall" in expected
    other = league.assign(extractor="inception-v3-compat", fid=0.0)
    assert blind_spots(pd.concat([league, other])) == expected  # the first one counts
    values = {name: [1, 0, 0, 0, 9, 9, 9, 9] for name in ("fid", "fid_low", "fid_high")}
    better = league.assign(dataset="sprites", **values)
    spots = blind_spots(pd.concat([league, better]))
    assert spots["fid"] == ["veil", "blur"]  # on one data set or the other
    assert blind_spots(league_of(real=1.0, blur_2=0.0))["fid"] == []  # one strength is no ladder


def test_rungs_begin_with_real_where_there_is_such_a_row() -> None:
    first, second = ladders(league_of(**VEIL, **BLUR))
    assert (first.kind, list(first.rungs.index)) == ("blur", ["real", "blur-1", "blur-2", "blur-3"])
    assert (second.kind, list(second.rungs.index)) == ("veil", ["real", "veil-1", "veil-3"])
    (alone,) = ladders(league_of(**VEIL))
    assert list(alone.rungs.index) == ["veil-1", "veil-3"]
    assert strengths_in(["real", "blur-2", "jpeg-1", "jpeg-3"]) == {"jpeg": ["jpeg-1", "jpeg-3"]}


def test_what_a_metric_prefers_to_real_images() -> None:
    league = league_of(real=1.0, memoriser=0.5, mean=2.0)
    cheater = league.iloc[[0]].assign(model="cheater", sampler="prior")
    cheater = cheater.assign(**dict.fromkeys(("fid", "fid_low", "fid_high"), 0.1))
    league = pd.concat([league, cheater], ignore_index=True)
    suspects = league["sampler"] != "real"
    columns = {column.name: column for column in judged_columns()}
    assert preferred_to_real(league, suspects, columns["fid"]) == ["memoriser", "cheater"]
    assert preferred_to_real(league, suspects, columns["recall"]) == ["memoriser"]
    without = league[league["sampler"] != "real"]
    assert preferred_to_real(without, without["sampler"] != "real", columns["fid"]) == []


def test_the_figure_has_a_column_a_flaw_and_a_row_a_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(section, "png", lambda figure: figure)
    figure: Any = draw_ladders([*ladders(league_of(**BLUR, **VEIL))])
    assert isinstance(figure, Figure)
    columns = judged_columns()
    assert len(figure.axes) == 2 * len(columns)
    assert [axis.get_title() for axis in figure.axes[:2]] == ["blur", "veil"]
    assert [axis.get_ylabel() for axis in figure.axes[::2]] == [c.label for c in columns]
    for blur, veil in zip(figure.axes[::2], figure.axes[1::2], strict=True):
        (line,) = [one for one in blur.lines if one.get_marker() == "o"]
        assert list(line.get_ydata()) == [0, 1, 2, 3]  # worse than real by
        (line,) = [one for one in veil.lines if one.get_marker() == "o"]
        assert list(line.get_ydata()) == [0, 2, 1]
        assert line.get_color() == BLIND
        assert [text.get_text() for text in veil.texts] == ["blind"] and not blur.texts


ROWS = ["real", "noise", "grain-1", "grain-2", "grain-3", "dropped-class-1", "memoriser"]


@pytest.fixture
def measured(trained_study: StudyFolder, tiny_config: Path) -> StudyFolder:
    """The tiny study with more calibration rows, measured by the real stages, and its league."""
    at = make_study(trained_study.results, tiny_config, {"evaluation": {"calibration": ROWS}})
    run = at.run("stripes", "calibration", 0)
    for row in map(run.samples, ROWS):
        calibrate(row)
        features(at, "stripes", row.samples, row.folder / "features", cpu=True)
    evaluate(run, ROWS)
    evaluate(at.run("stripes", "vae", 0), ["prior"])
    evaluate(at.run("stripes", "ddpm", 0), ["ddim-3"])
    write_costs(at)
    league_stage(at)
    return at


def test_the_page_of_a_study_with_strengths_has_the_section(measured: StudyFolder) -> None:
    study = read_reported_study(measured)
    assert LadderSection().applies(study)
    content = LadderSection().read(study)
    assert list(content["kinds"]) == ["grain"]
    (dataset,) = content["datasets"]
    cells = {metric["label"]: metric["cells"] for metric in dataset["metrics"]}
    assert cells["FID"] == [{"blind": "", "missing": None}]  # grain is noticed
    spots = blind_spots(study.league)
    for column in judged_columns():
        assert bool(cells[column.label][0]["blind"]) == (spots[column.name] == ["grain"])
    assert not any(cell["missing"] for of_metric in cells.values() for cell in of_metric)
    report(measured)
    page = measured.report.read_text(encoding="utf-8")
    part = page[page.index('<section id="ladder">') :].partition("</section>")[0]
    assert "FID</th><td>notices</td>" in part.replace("\n", "").replace("    ", "")
    assert "data:image/webp" in part


def test_a_metric_without_a_number_says_why(measured: StudyFolder) -> None:
    """The reason that the league gives, such as for a data set of one class."""
    study = read_reported_study(measured)
    of_classes = [c for m in metrics() if "classes" in m.needs for c in m.columns]
    assert of_classes and not set(of_classes) & set(judged_columns())
    study.league["inception_score"] = ONE_CLASS
    (dataset,) = LadderSection().read(study)["datasets"]
    cells = {metric["label"]: metric["cells"] for metric in dataset["metrics"]}
    assert cells["IS"] == [{"blind": None, "missing": ONE_CLASS}]
    template = TEMPLATES.get_template("sections/ladder.html.jinja")
    shown = template.render(study=study.settings, **LadderSection().read(study))
    assert f"({ONE_CLASS})" in shown and "too few images" not in shown


def test_a_study_without_strengths_has_no_such_section(trained_study: StudyFolder) -> None:
    settings = read_study(trained_study.config)
    study = ReportedStudy(trained_study, settings, read_league(trained_study))
    assert not LadderSection().applies(study)
