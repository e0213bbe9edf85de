"""The league in all its forms holds the same numbers, exactly those that were measured."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tiny import write_costs

from genlab.config.evaluators import CALIBRATION
from genlab.errors import GenLabError
from genlab.evaluation.metrics import Column, Metric, metrics
from genlab.io.files import read_json
from genlab.report import exports
from genlab.report.exports import (
    MEASUREMENT_KEYS,
    MEASUREMENTS,
    NUMBERS,
    REASON,
    escaped,
    latex,
    measurements,
    read_parquet,
    with_reasons_apart,
    write_parquet,
)
from genlab.report.league import COLUMNS, MEASURED, is_reason, read_league
from genlab.report.published import (
    page_row,
    read_csv_rows,
    read_page_rows,
    read_parquet_rows,
    table_difference,
)
from genlab.results.layout import StudyFolder
from genlab.results.origin import KEY, OF_ROW
from genlab.tracking.mirror import publish
from genlab.tracking.mlflow_store import stored_metrics
from genlab.workflow.league import league
from genlab.workflow.report import report

SHARP = 0.1 + 0.2
"""A float that needs 17 digits."""


@pytest.fixture
def exported(trained_study: StudyFolder) -> StudyFolder:
    """The tiny study with all its tables."""
    write_costs(trained_study)
    league(trained_study)
    report(trained_study)
    return trained_study


def numbers(study: StudyFolder) -> Iterator[tuple[str, str, str, str, float]]:
    """Model, row, extractor, metric and value of every number in the files metrics.json."""
    for model in (CALIBRATION, "vae", "ddpm"):
        content = read_json(study.run("stripes", model, 0).metrics)
        for row, spaces in content.items():
            for space in spaces.keys() - {KEY}:
                extractor = "" if space == OF_ROW else space
                for metric, value in spaces[space].items():
                    if isinstance(value, int | float):
                        yield model, row, extractor, metric, value


def test_every_table_holds_exactly_the_measured_floats(exported: StudyFolder) -> None:
    csv = pd.read_csv(exported.league, keep_default_na=False)
    parquet = read_parquet(exported.league_parquet)
    count = 0
    for model, row, _, metric, value in numbers(exported):
        for table in (csv, parquet):
            (cell,) = table[(table["model"] == model) & (table["sampler"] == row)][metric]
            assert float(cell) == value
            count += 1
    assert count == 2 * len([*numbers(exported)])
    assert {row for _, row, *_ in numbers(exported)} == {"real", "noise", "prior", "ddim-3"}


def test_page_csv_parquet_and_mlflow_agree_in_every_cell(exported: StudyFolder) -> None:
    publish(exported)
    rows = [{str(k): v for k, v in row.items()} for row in read_league(exported).to_dict("records")]
    for path, read in (
        (exported.league, read_csv_rows),
        (exported.league_parquet, read_parquet_rows),
    ):
        table = read(path)
        assert [list(row) for row in table] == [list(COLUMNS)] * 4
        assert table_difference(path, table, rows) is None
    page = read_page_rows(exported.report)
    assert len(page) == 4
    assert table_difference(exported.report, page, [page_row(row) for row in rows]) is None
    for row in rows:
        if row["model"] != CALIBRATION:
            at = exported.run("stripes", row["model"], 0).samples(row["sampler"])
            cells = {n: row[n] for n in NUMBERS if not is_reason(row[n], n)}
            cells["nfe"] = cells.pop("evaluations")
            cells["ms_per_nfe"] = cells.pop("milliseconds_per_evaluation")
            cells["ms_per_image"] = 1000 * cells.pop("seconds_per_image")
            assert stored_metrics(at) == cells


def test_a_reason_stands_beside_its_number_in_parquet(exported: StudyFolder) -> None:
    table = read_parquet(exported.league_parquet)
    names = [n for c in COLUMNS for n in ((c, c + REASON) if c in NUMBERS else (c,))]
    assert list(table.columns) == names
    assert {str(table[name].dtype) for name in NUMBERS} == {"float64"}
    assert str(table["seed"].dtype) == "int64"
    for name in NUMBERS:
        assert (table[name].isna() == table[name + REASON].notna()).all()
    real = table[table["sampler"] == "real"].iloc[0]
    assert real["parameters" + REASON] == "no model"


def test_the_long_table_has_a_line_for_each_number(exported: StudyFolder) -> None:
    table = read_parquet(exported.measurements_parquet)
    assert list(table.columns) == list(MEASUREMENTS)
    assert not table.duplicated(list(MEASUREMENT_KEYS)).any()
    rows = pd.read_csv(exported.league, keep_default_na=False)
    cells = [
        cell for name, column in MEASURED.items() if not column.text
        for cell in rows[name] if not is_reason(cell, name)
    ]  # fmt: skip
    assert len(table) == len(cells)
    lines = table.set_index(["model", "sampler", "metric"])
    ends = {end: (name, part) for name, column in MEASURED.items() if column.interval
            for end, part in zip(column.ends, ("low", "high"), strict=True)}  # fmt: skip
    for model, row, extractor, name, value in numbers(exported):
        metric, part = ends.get(name, (name, "value"))
        line = lines.loc[(model, row, metric)]
        assert line[part] == value
        of_extractor = metric not in ("samples", "reference_images")
        assert line["extractor"] == (extractor if of_extractor else "")
        assert line["samples"] == 32
    assert lines.loc[("ddpm", "ddim-3", "fid"), "reference"] == "training"
    assert lines.loc[("ddpm", "ddim-3", "bits_per_dim"), "reference"] == "held-out"
    assert lines.loc[("vae", "prior", "reconstruction_mse"), "reference"] == "held-out"
    assert lines.loc[("vae", "prior", "parameters"), "reference"] == "none"
    assert pd.isna(lines.loc[("vae", "prior", "parameters"), "samples"])
    again = pd.read_csv(exported.measurements, keep_default_na=False)
    assert [*again["value"]] == [*table["value"]]


class Intervals(Metric):
    """Metrics with intervals: of an extractor, and of the row."""

    columns = (
        Column("fid", "FID", better="lower", interval=True, reference="held-out"),
        Column("plain", "plain_%"),
    )
    order, needs, explanation = 0, ("samples", "features"), ""

    def read(self, row: Any) -> Any:
        raise NotImplementedError


@pytest.fixture
def invented(monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """A league of two models and two extractors, with a metric that has intervals."""
    from genlab.report import league as module

    metric = Intervals()
    measured = {column.name: column for column in metric.columns} | {
        "samples": Column("samples", "N")
    }
    columns = (*module.KEYS, "fid", "fid_low", "fid_high", "plain", "samples")
    heads = module.KEYS | {name: column.head for name, column in measured.items()}
    numeric = tuple(name for name in columns if name not in module.NAMES and name != "seed")
    for place in (module, exports):
        monkeypatch.setattr(place, "COLUMNS", columns)
        monkeypatch.setattr(place, "MEASURED", measured)
        monkeypatch.setattr(place, "HEADS", heads)
        monkeypatch.setattr(place, "metrics", lambda: (metric,))
    monkeypatch.setattr(exports, "NUMBERS", numeric)
    rows = [
        ("a_1", "x", 5.0, 4.5, 5.5, "too few images"), ("a_1", "y", SHARP, 0.25, 0.5, 2.0),
        ("b", "x", 4.0, 3.5, 4.5, 1.0), ("b", "y", 3.0, 2.0, 4.0, 3.0),
    ]  # fmt: skip
    return pd.DataFrame(
        [
            ("digits", model, "-", 0, "ddim", extractor, fid, low, high, plain, 2000)
            for model, extractor, fid, low, high, plain in rows
        ],
        columns=list(columns),
    )


def test_intervals_stand_in_every_form(invented: pd.DataFrame, tmp_path: Path) -> None:
    lines = measurements(invented).set_index(["model", "extractor", "metric"])
    line = lines.loc[("a_1", "y", "fid")]
    assert (line["value"], line["low"], line["high"]) == (SHARP, 0.25, 0.5)
    assert (line["reference"], line["samples"]) == ("held-out", 2000)
    assert ("a_1", "x", "plain") not in lines.index
    path = tmp_path / "league.parquet"
    write_parquet(path, with_reasons_apart(invented))
    assert read_parquet_rows(path)[1]["fid"] == SHARP
    assert read_parquet_rows(path)[0]["plain"] == "too few images"


def test_a_number_may_lack_an_interval(invented: pd.DataFrame) -> None:
    """Where the images suffice for the number alone."""
    ends = ["fid_low", "fid_high"]
    invented[ends] = invented[ends].astype(object)
    invented.loc[2, ends] = "too few images"
    line = measurements(invented).set_index(["model", "metric"]).loc[("b", "fid")].iloc[0]
    assert line["value"] == 4 and pd.isna(line["low"]) and pd.isna(line["high"])
    assert "textbf" not in latex(invented[invented["extractor"] == "x"])  # 5 may be better than 4


def test_latex_has_a_table_for_each_extractor(invented: pd.DataFrame) -> None:
    assert latex(invented) == (
        "% data set digits, features of x, N = 2,000; needs booktabs\n"
        "\\begin{tabular}{lllr}\n"
        "\\toprule\n"
        "model & sampler & seed & FID \\\\\n"
        "\\midrule\n"
        "a\\_1 & ddim & 0 & 5 {\\scriptsize [4.5, 5.5]} \\\\\n"
        "b & ddim & 0 & \\textbf{4} {\\scriptsize [3.5, 4.5]} \\\\\n"
        "\\bottomrule\n"
        "\\end{tabular}\n\n"
        "% data set digits, features of y, N = 2,000; needs booktabs\n"
        "\\begin{tabular}{lllr}\n"
        "\\toprule\n"
        "model & sampler & seed & FID \\\\\n"
        "\\midrule\n"
        "a\\_1 & ddim & 0 & \\textbf{0.3} {\\scriptsize [0.25, 0.5]} \\\\\n"
        "b & ddim & 0 & 3 {\\scriptsize [2, 4]} \\\\\n"
        "\\bottomrule\n"
        "\\end{tabular}\n"
    )


def test_latex_of_a_study_is_rectangular_and_escaped(exported: StudyFolder) -> None:
    text = exported.league_latex.read_text()
    body = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(body) == 1 + 4
    widths = {len(re.findall(r"(?<!\\)&", line)) for line in body}
    assert widths == {2 + sum(column.better != "none" for column in MEASURED.values())}
    assert not re.search(r"(?<!\\)[_#$]", text)
    assert r"\textit{no model}" in text


def test_special_characters_are_printed_as_they_are() -> None:
    assert escaped(r"a_b & 5 % ~ \x {y}") == (
        r"a\_b \& 5 \% \textasciitilde{} \textbackslash{}x \{y\}"
    )


def test_every_metric_says_what_it_refers_to() -> None:
    references = {c.name: m.reference(c) for m in metrics() for c in m.columns}
    assert references["fid"] == references["reconstruction_fid"] == "training"
    assert references["reconstruction_mse"] == references["bits_per_dim"] == "held-out"
    assert references["inception_score"] == references["seconds_per_image"] == "none"


def test_a_damaged_parquet_file_is_named(exported: StudyFolder) -> None:
    """A flipped bit in the values of a page, and a file that was cut off."""
    path = exported.league_parquet
    content = path.read_bytes()
    for damaged in (content[:100], b""):
        path.write_bytes(damaged)
        with pytest.raises(GenLabError, match=f"{path}: damaged"):
            read_parquet(path)
    flipped = bytearray(content)
    flipped[content.index(b"stripes")] ^= 1
    path.write_bytes(flipped)
    with pytest.raises(GenLabError, match=f"{path}: damaged"):
        read_parquet(path)


def test_the_files_are_the_same_when_written_again(exported: StudyFolder) -> None:
    paths = (exported.league_parquet, exported.measurements_parquet, exported.league_latex)
    before = [path.read_bytes() for path in paths]
    league(exported)
    assert [path.read_bytes() for path in paths] == before
