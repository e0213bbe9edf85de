"""League and page: every cell holds a number or says why not; nothing comes from outside."""

from __future__ import annotations

import math
import re
import shutil
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import blank_page, needs_chromium

from genlab.config.evaluators import extractor
from genlab.config.families import FamilyConfig
from genlab.config.families.code_prior import CodePriorConfig
from genlab.config.families.ddpm import DDPMConfig
from genlab.config.families.flow_matching import FlowMatchingConfig
from genlab.config.families.glow import GlowConfig
from genlab.config.families.vae import VAEConfig
from genlab.config.families.vqvae import VQVAEConfig
from genlab.errors import GenLabError
from genlab.evaluation.metrics import ONE_CLASS, RowRecord
from genlab.evaluation.metrics.bits_per_dim import BitsPerDim, bits_of
from genlab.evaluation.metrics.classifier_accuracy import NOT_REQUESTED
from genlab.evaluation.metrics.ranking import NOT_RANKED
from genlab.evaluation.metrics.used_codes import NO_CODES
from genlab.io.energy import NOT_MEASURED
from genlab.io.files import read_json, write_json
from genlab.report.league import (
    COLUMNS,
    HEADS,
    MEASURED,
    NAMES,
    NO_ENCODER,
    NO_LATENTS,
    NO_MODEL,
    NO_SAMPLES,
    best_cells,
    cell_text,
    markdown,
    missing_needs,
    readable,
)
from genlab.results.layout import StudyFolder
from genlab.results.origin import KEY, metrics_origin
from genlab.workflow.evaluate import evaluate
from genlab.workflow.league import league
from genlab.workflow.report import report

BENCHMARK = "s\th:m:s\tmax_rss\n{}\t0:00:01\t{}\n"


@pytest.fixture
def reported(trained_study: StudyFolder) -> StudyFolder:
    """The tiny study with its league and its page; jobs were measured as Snakemake does it."""
    at = trained_study
    for name, seconds, memory in (("stripes/vae/seed0/train", 1.5, 300), ("league", 0.1, "-")):
        path = at.folder / "benchmarks" / f"{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(BENCHMARK.format(seconds, memory))
    league(at)
    report(at)
    return at


def test_every_row_is_in_the_league_and_no_cell_is_empty(reported: StudyFolder) -> None:
    table = pd.read_csv(reported.league, keep_default_na=False)
    assert list(table.columns) == list(COLUMNS)
    assert list(zip(table["model"], table["sampler"], strict=True)) == [
        ("calibration", "real"), ("calibration", "noise"), ("vae", "prior"), ("ddpm", "ddim-3"),
    ]  # fmt: skip
    assert not (table.astype(str) == "").any(axis=None)
    reasons = {NO_MODEL, NO_ENCODER, NO_LATENTS, NO_CODES, NOT_REQUESTED, NOT_MEASURED, NOT_RANKED}
    for cell in table.drop(columns=list(NAMES)).to_numpy().ravel():
        assert cell in reasons or math.isfinite(float(cell))


def test_a_row_without_metrics_is_named_with_what_measures_it(
    trained_study: StudyFolder, genlab: Callable[..., Any]
) -> None:
    """As after `genlab evaluate --row` with some of a run's rows."""
    run = trained_study.run("stripes", "calibration", 0)
    evaluate(run, ["real"])
    ended = genlab("league", "--config", trained_study.config)
    command = f"genlab evaluate --run {run.folder}"
    assert ended.status == 1
    assert ended.err == (
        f"error: {run.metrics}: no metrics of noise; to measure all rows: {command}\n"
    )
    assert genlab(*command.split()[1:]).status == 0
    assert genlab("league", "--config", trained_study.config).status == 0


def test_a_cell_without_a_number_says_why(reported: StudyFolder) -> None:
    table = pd.read_csv(reported.league, keep_default_na=False).set_index(["model", "sampler"])
    assert table.loc[("calibration", "real"), "parameters"] == NO_MODEL
    assert table.loc[("calibration", "noise"), "evaluations"] == NO_MODEL
    assert table.loc[("ddpm", "ddim-3"), "reconstruction_mse"] == NO_ENCODER
    assert table.loc[("ddpm", "ddim-3"), "reconstruction_psnr"] == NO_ENCODER
    assert float(table.loc[("vae", "prior"), "reconstruction_mse"]) > 0
    text = reported.league_markdown.read_text()
    assert "(no model)" in text
    assert "(no encoder)" in text


def test_the_league_holds_the_measured_numbers_in_full(reported: StudyFolder) -> None:
    table = pd.read_csv(reported.league, keep_default_na=False).set_index(["model", "sampler"])
    for model, row in (("vae", "prior"), ("ddpm", "ddim-3"), ("calibration", "noise")):
        measured = read_json(reported.run("stripes", model, 0).metrics)[row]["classifier"]
        for name, value in measured.items():
            assert float(table.loc[(model, row), name]) == value
    run = reported.run("stripes", "ddpm", 0)
    cells = table.loc[("ddpm", "ddim-3")]
    assert int(cells["parameters"]) == read_json(run.summary)["parameters"]
    assert float(cells["evaluations"]) == 3
    assert float(cells["train_seconds"]) == read_json(run.cost)["train_seconds"]
    assert int(cells["images_seen"]) == 256
    assert cells["budget"] == "images"


@pytest.mark.parametrize(
    ("family", "shown", "kind", "elbo"),
    [
        (GlowConfig(), 1.0, "exact", "exact"),
        (VAEConfig(likelihood="logistic"), 3.0, "IWAE-7", 2.0),
        (DDPMConfig(), 4.0, "ODE", 2.0),
        (FlowMatchingConfig(), 4.0, "ODE", "no bound"),
    ],
)  # fmt: skip
def test_bits_are_those_of_the_last_kind_a_family_has(
    family: FamilyConfig, shown: object, kind: str, elbo: object
) -> None:
    kinds = ("exact", "elbo", "iwae", "ode")
    measured = {name: {"bits_per_dim": float(i)} for i, name in enumerate(kinds, 1)}
    assert bits_of(family, {"k": 7} | measured) == {
        "bits_per_dim": shown, "bits_kind": kind, "elbo_bits_per_dim": elbo,
    }  # fmt: skip


class Untrained:
    """A model of a family, with nothing on record."""

    summary = training_cost = likelihood = {}  # noqa: RUF012
    reconstruction = reconstruction_fid = latents = {}  # noqa: RUF012

    def __init__(self, family: FamilyConfig) -> None:
        self.family = family


GLOW, BERNOULLI, VQVAE = GlowConfig(), VAEConfig(likelihood="bernoulli"), VQVAEConfig()


@pytest.mark.parametrize(
    ("families", "name", "classes", "expected"),
    [
        ([GLOW], "classifier", 2, {"reconstructions": NO_ENCODER}),
        ([GLOW], "classifier", 1, {"reconstructions": NO_ENCODER, "logits": ONE_CLASS}),
        ([GLOW], "inception-v3-compat", 1, {"reconstructions": NO_ENCODER}),
        ([BERNOULLI], "classifier", 2, {"likelihood": "Bernoulli: binary pixels"}),
        ([VQVAE], "classifier", 2,
         {"samples": NO_SAMPLES, "latents": NO_LATENTS, "likelihood": VQVAE.no_likelihood}),
        ([CodePriorConfig(), VQVAE], "classifier", 2, {"latents": NO_LATENTS}),
        ([], "classifier", 2,
         dict.fromkeys(("model", "reconstructions", "latents", "likelihood"), NO_MODEL)),
    ],
)  # fmt: skip
def test_what_a_row_lacks_follows_from_its_families(
    families: list[FamilyConfig], name: str, classes: int, expected: dict[str, str]
) -> None:
    missing = missing_needs([Untrained(f) for f in families], extractor(name), classes)
    assert missing == expected


def test_a_reason_stands_in_every_column_of_a_metric() -> None:
    row = RowRecord([], {"likelihood": "Bernoulli: binary pixels"}, "classifier", {}, {})
    assert BitsPerDim().cells(row) == {
        "bits_per_dim": "Bernoulli: binary pixels",
        "bits_kind": "none",
        "elbo_bits_per_dim": "Bernoulli: binary pixels",
    }


def test_a_metric_that_was_not_measured_is_named(reported: StudyFolder) -> None:
    """As one that was added since; the workflow measures it when it runs again."""
    path = reported.run("stripes", "vae", 0).metrics
    content = read_json(path)
    del content["prior"]["classifier"]["recall"]
    write_json(path, content)
    with pytest.raises(GenLabError, match="vae/seed0: no value of 'recall' was measured"):
        league(reported)


@needs_chromium
def test_the_league_s_own_page_is_sorted_by_a_click(reported: StudyFolder) -> None:
    """Numbers by size, reasons last in either direction, a calibration row among the others."""
    table = pd.read_csv(reported.league, keep_default_na=False)
    column = [*HEADS].index("parameters")
    sizes = sorted(int(size) for size in table["parameters"] if str(size).isdigit())
    with blank_page() as page:
        page.goto(reported.league_html.as_uri())
        assert page.locator("th").all_inner_texts() == [*HEADS.values()]
        for expected in (sizes, sizes[::-1]):
            page.locator("th").nth(column).click()
            cells = page.locator(f"tbody td:nth-child({column + 1})")
            shown = [cell.get_attribute("data-raw") for cell in cells.all()]
            assert shown == [*map(str, expected), NO_MODEL, NO_MODEL]
        fid = page.locator(f"tbody tr:first-child td:nth-child({[*HEADS].index('fid') + 1})")
        assert cell_text(table.loc[table["parameters"] == str(sizes[-1])].iloc[0], "fid") == (
            fid.inner_text()
        )


@needs_chromium
def test_screen_readers_read_the_league_s_own_page(reported: StudyFolder) -> None:
    """By the rules of axe-core."""
    with blank_page() as page:
        page.goto(reported.league_html.as_uri())
        violations = Axe().run(page).response["violations"]
    assert [one["id"] for one in violations] == []


def test_the_markdown_is_one_table(reported: StudyFolder) -> None:
    lines = reported.league_markdown.read_text().splitlines()
    assert len(lines) == 2 + 4
    assert {line.count("|") for line in lines} == {len(HEADS) + 1}


@pytest.mark.parametrize(
    ("value", "column", "text"),
    [
        (0.0012345, "kid", "0.00123"),
        (12.3456, "fid", "12.3"),
        (123.456, "fid", "123.5"),
        (1234.56, "fid", "1,235"),
        (1e-12, "kid", "1e-12"),
        (-0.0004567, "kid", "-0.000457"),
        (1.0, "precision", "1"),
        (0.0, "recall", "0"),
        ("0.25", "recall", "0.25"),
        (1234567, "parameters", "1,234,567"),
        (1000, "seed", "1000"),
        ("0", "seed", "0"),
        (NO_MODEL, "kid", "(no model)"),
        (NO_ENCODER, "reconstruction_mse", "(no encoder)"),
    ],
)
def test_cells_are_short_for_people(value: object, column: str, text: str) -> None:
    assert readable(value, column) == text


def test_names_stand_as_they_are(reported: StudyFolder) -> None:
    table = pd.read_csv(reported.league, keep_default_na=False)
    first = [cell.strip() for cell in markdown(table).splitlines()[2].strip("|").split("|")]
    assert first[:6] == ["stripes", "calibration", "no model", "0", "real", "classifier"]


class Page(HTMLParser):
    """What a page refers to, which elements it never closes, and how its pictures are described."""

    VOID = ("meta", "link", "img", "br", "input", "hr")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.pictures: list[dict[str, str | None]] = []
        self.counts: Counter[str] = Counter()  # pictures by section
        self.ids: set[str] = set()
        self.open: list[str] = []
        self.section = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        names = ("src", "href", "srcset", "action", "data", "poster")
        self.addresses += [str(values[name]) for name in names if name in values]
        if tag == "section":
            self.section = str(values["id"])
        if tag == "img":
            self.pictures.append(values)
            self.counts[self.section] += 1
        if values.get("id"):
            self.ids.add(str(values["id"]))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_stands_alone(reported: StudyFolder) -> None:
    """Pictures are within the file, and every other address is a place on the page itself."""
    text = reported.report.read_text()
    page = Page(text)
    assert page.open == []
    for address in page.addresses:
        assert address.startswith(("data:", "#"))
        if address.startswith("#"):
            assert address.removeprefix("#") in page.ids
    without_pictures = re.sub(r"data:image/(webp|gif);base64,[A-Za-z0-9+/=]+", "", text)
    assert not re.search(r"https?://|//[a-z]+\.|@import|url\(", without_pictures)


def test_the_page_shows_every_row_and_describes_its_pictures(reported: StudyFolder) -> None:
    page = Page(reported.report.read_text())
    terms = "terms" in read_json(reported.run("stripes", "ddpm", 0).likelihood)
    expected = {
        "samples": 4 + 2, "reconstructions": 1, "strips": 1, "trajectories": 5 + 1 + 1,
        "likelihood-bounds": 1 + terms, "latent-space": 3 + 1, "losses": 1, "cost": 1,
    }  # fmt: skip
    assert {section: page.counts[section] for section in expected} == expected
    assert all(picture["alt"] for picture in page.pictures)


def test_the_page_is_made_the_same_again(reported: StudyFolder) -> None:
    before = reported.report.read_bytes()
    report(reported)
    assert reported.report.read_bytes() == before


def test_several_seeds_have_a_table_of_their_spread(reported: StudyFolder) -> None:
    """A copy of seed 0 for seed 1: the spread is none, and the page says so."""
    assert 'id="seeds"' not in reported.report.read_text()
    for model in ("vae", "ddpm"):
        first, second = (reported.run("stripes", model, seed) for seed in (0, 1))
        shutil.copytree(first.folder, second.folder)
    text = reported.config.read_text()
    reported.config.write_text(text.replace("seeds:\n- 0\n", "seeds:\n- 0\n- 1\n"))
    league(reported)
    report(reported)
    page = reported.report.read_text()
    section = page[page.index('<section id="seeds">') :].partition("</section>")[0]
    assert '<a href="#seeds">' in page and "over 2 seeds" in section
    table = pd.read_csv(reported.league, keep_default_na=False).set_index(["model", "seed"])
    fid = table.loc[("vae", 1), "fid"]
    assert f'<td data-raw="{float(fid)}">{readable(fid, "fid")} ± 0</td>' in section


# In order. As text -0.5 comes before -2, 1e-05 after 0.0123 and 10.25 before 9.5.
KIDS = [-2.0, -0.5, 1e-5, 0.0123, 9.5, 10.25, 123.0]


@needs_chromium
def test_classes_are_sorted_as_numbers(reported: StudyFolder) -> None:
    """By clicks in a real browser; FID stands behind the KID, and a class with too few images last.

    The rows are written by hand, in another order.
    """
    run = reported.run("stripes", "ddpm", 0)
    of_class: dict[str, dict[str, Any]] = {"few": {}}
    for kid in KIDS[::2] + KIDS[1::2]:
        of_class[f"row {kid}"] = {"across": {"kid": kid, "fid": 20 - kid}}
    written: dict[str, Any] = {}
    for row, per_class in of_class.items():
        at = run.samples(row)
        at.folder.mkdir()
        shutil.copy2(run.samples("ddim-3").config, at.config)
        written[row] = {KEY: metrics_origin(at), "classifier": {"per_class": per_class}}
    write_json(run.metrics, written)
    report(reported)
    with blank_page() as page:
        page.goto(reported.report.as_uri())
        page.locator("#classes th", has_text="across").click()
        rows = [title.rsplit(" ", 1)[1] for title in
                page.locator("#classes tbody th").all_text_contents()]  # fmt: skip
        cells = page.locator("#classes tbody td:nth-child(2)").all_text_contents()
    assert rows == [*map(str, KIDS), "few"]
    assert cells[0] == "-2 · 22" and cells[-1] == "(too few)"


def test_what_people_wrote_is_escaped(trained_study: StudyFolder) -> None:
    """A study's description is text, not HTML."""
    text = trained_study.config.read_text()
    trained_study.config.write_text(
        text.replace("description: ''", "description: <script>alert(1)</script>")
    )
    costs = trained_study.folder / "benchmarks/league.tsv"
    costs.parent.mkdir()
    costs.write_text(BENCHMARK.format(1, 1))
    league(trained_study)
    report(trained_study)
    page = trained_study.report.read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


@needs_chromium
def test_no_name_of_a_class_runs_in_a_browser(reported: StudyFolder) -> None:
    """Folders of pictures name the classes, and may have any name."""
    names = ["<script>document.title = 'taken'</script>", "<img src=x onerror=alert(1)>"]
    manifest = reported.data("stripes").manifest
    write_json(manifest, read_json(manifest) | {"classes": names})
    measured = reported.run("stripes", "ddpm", 0).metrics
    rows = read_json(measured)
    for row in rows.values():
        per_class = row["classifier"].get("per_class", {})
        row["classifier"]["per_class"] = dict(zip(names, per_class.values(), strict=False))
    write_json(measured, rows)
    league(reported)
    report(reported)
    dialogs: list[str] = []
    with blank_page() as page:
        page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
        page.goto(reported.report.as_uri())
        assert page.title() == "GenLab: tiny"
        assert page.locator("img[src=x]").count() == 0
        shown = page.locator("main").text_content() or ""
    assert dialogs == []
    assert names[0] in shown


def test_a_stage_that_is_missing_is_named(trained_study: StudyFolder, genlab: Any) -> None:
    metrics = trained_study.run("stripes", "vae", 0).metrics
    metrics.unlink()
    ended = genlab("league", "--config", trained_study.config)
    assert ended.status == 1
    assert ended.err == f"error: {metrics}: no such file; run the stage that makes it first\n"


def test_rows_whose_intervals_reach_the_best_one_are_bold_with_it() -> None:
    """FID 5 [4, 6]: 5.5 [5, 8] can't be told from it, 7 [6.5, 7.5] can; precision the other way."""
    base = dict.fromkeys(COLUMNS, "0") | {"dataset": "digits", "extractor": "classifier"}
    fids = [(5.0, 4.0, 6.0), (5.5, 5.0, 8.0), (7.0, 6.5, 7.5)]
    precisions = [(0.9, 0.8, 0.95), (0.7, 0.6, 0.85), (0.5, 0.4, 0.7)]
    rows = [
        base
        | {"model": f"model{i}"}
        | dict(zip(("fid", "fid_low", "fid_high"), fid, strict=True))
        | dict(zip(("precision", "precision_low", "precision_high"), precision, strict=True))
        for i, (fid, precision) in enumerate(zip(fids, precisions, strict=True))
    ]
    best = best_cells(pd.DataFrame(rows))
    assert {i for i, column in best if column == "fid"} == {0, 1}
    assert {i for i, column in best if column == "precision"} == {0, 1}


def test_a_column_without_intervals_has_no_best_cell() -> None:
    """One run each: which is the faster or smaller by chance, nothing says."""
    columns = {name: column for name, column in MEASURED.items() if column.better != "none"}
    base = dict.fromkeys(COLUMNS, "0") | {"dataset": "digits", "extractor": "classifier"}
    rows = [
        base | {"model": name} | {end: value for c in columns.values() for end in c.names}
        for name, value in (("a", 1.0), ("b", 2.0), ("c", 2.0))
    ]
    best = best_cells(pd.DataFrame(rows))
    assert {column for _, column in best} == {n for n, c in columns.items() if c.interval}
    assert not all(column.interval for column in columns.values())
    for i, column in best:
        assert (i == 0) == (columns[column].better == "lower")
