"""The report page, opened by a real browser from the disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from browser import blank_page, needs_chromium
from playwright.sync_api import Page
from project import Project

from genlab.io.files import read_json

pytestmark = needs_chromium


@dataclass
class Opened:
    """The page, and what the browser had to say about it."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def opened(smoke: Project) -> Iterator[Opened]:
    with blank_page() as page:
        opened = Opened(page)
        page.on("pageerror", lambda error: opened.complaints.append(str(error)))
        page.on("console", lambda message: opened.complaints.append(message.text)
                if message.type in ("error", "warning") else None)  # fmt: skip
        page.on("request", lambda request: opened.requests.append(request.url))
        page.goto((smoke.root / "results/smoke/report/index.html").as_uri())
        page.wait_for_load_state("load")
        yield opened


def test_it_asks_nobody_else_for_anything(opened: Opened) -> None:
    assert opened.requests
    assert {url.partition(":")[0] for url in opened.requests} <= {"file", "data"}


def test_every_picture_is_shown(opened: Opened, smoke: Project) -> None:
    widths = opened.page.eval_on_selector_all("img", "images => images.map(i => i.naturalWidth)")
    assert all(width > 0 for width in widths)
    terms = "terms" in read_json(smoke.root / "results/smoke/sprites/ddpm/seed0/likelihood.json")
    expected = {
        "samplers": 1,
        "samples": 9,
        "prompts": 2 + 1 + 1,  # two pictures that CLIP selected, ranking, a sheet of candidates
        "reconstructions": 2,
        "strips": 4,
        "trajectories": 2 * (5 + 1) + 1,  # figures and a film of two models, round trips
        "likelihood-bounds": 1 + terms,
        "latent-space": 3 + 1,
        "disentanglement": 1,
        "elbo-study": 4,
        "losses": 1,
        "cost": 2,
    }
    counts = {name: opened.page.locator(f"#{name} img").count() for name in expected}
    assert counts == expected


def test_the_links_lead_to_the_sections_in_order(opened: Opened) -> None:
    page = opened.page
    targets = page.eval_on_selector_all("nav a", "links => links.map(a => a.hash)")
    sections = page.eval_on_selector_all("main > section", "all => all.map(s => '#' + s.id)")
    assert targets == sections
    assert len(set(sections)) == len(sections)
    applying = (
        "#ranking", "#league", "#memorisation", "#learning-curves", "#samplers",
        "#classes", "#samples", "#prompts", "#reconstructions", "#strips",
        "#trajectories", "#likelihood-bounds", "#latent-space", "#disentanglement", "#elbo-study",
        "#losses", "#cost", "#methods",
    )  # fmt: skip
    assert [name for name in sections if name in applying] == list(applying)
    assert not {"#seeds", "#rate-distortion"} & set(sections)  # one seed, one VAE


def test_the_tables_have_a_row_for_each_row_and_each_job(opened: Opened, smoke: Project) -> None:
    assert opened.page.locator("#ranking tbody tr").count() == 9
    assert opened.page.locator("#league tbody tr").count() == 3 * 10  # in three feature spaces
    assert opened.page.locator("#league tbody tr.calibration").count() == 3 * 2
    jobs = list((smoke.root / "results/smoke/benchmarks").rglob("*.tsv"))
    # the report's own cost is known only after the page is written; publishing may end later too
    counted = [path for path in jobs if path.stem not in ("report", "publish")]
    rows = opened.page.locator("#cost tbody tr").count()
    assert len(counted) <= rows <= len(counted) + 1


@pytest.mark.parametrize(
    ("head", "numeric", "different"), [("FID", True, 3 * 9), ("sampler", False, 6)]
)
def test_a_click_on_a_head_sorts_and_another_one_reverses(
    opened: Opened, head: str, numeric: bool, different: int
) -> None:
    page = opened.page
    heads = page.locator("#league th")
    column = heads.all_text_contents().index(head)

    def values() -> list[str] | list[float]:
        """What the column holds; reasons for a missing number stand last and are left out."""
        cells = page.locator(f"#league tbody tr td:nth-child({column + 1})")
        raw = cells.evaluate_all("cells => cells.map(cell => cell.dataset.raw)")
        return [float(value) for value in raw if value != "no prior"] if numeric else raw

    before = sorted(values())
    assert len(set(before)) == different
    heads.nth(column).click()
    assert values() == before
    assert heads.nth(column).get_attribute("aria-sort") == "ascending"
    heads.nth(column).click()
    assert values() == before[::-1]


@pytest.mark.parametrize("width", [360, 1400])
def test_the_page_fits_a_phone_and_a_desktop(opened: Opened, width: int) -> None:
    """Wide tables scroll inside their frame; the page itself never scrolls sideways."""
    opened.page.set_viewport_size({"width": width, "height": 800})
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_browser_has_nothing_to_complain_about(opened: Opened) -> None:
    """Stands last, so that it covers what the others did."""
    assert opened.complaints == []
