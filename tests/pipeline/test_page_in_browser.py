"""The report page, opened by a real browser from the disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import Literal

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import blank_page, needs_chromium
from PIL import Image
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
        "overview": 3 + 5,  # winners and models
        "quiz": 2,
        "samplers": 1,
        "samples": 9 + 2,  # two side by side
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
        "#overview", "#ranking", "#league", "#memorisation", "#learning-curves", "#samplers",
        "#classes", "#samples", "#quiz", "#prompts", "#reconstructions", "#strips",
        "#trajectories", "#likelihood-bounds", "#latent-space", "#disentanglement", "#elbo-study",
        "#losses", "#cost", "#runs", "#methods",
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
    page.locator("#league select").last.select_option("")  # rows of all extractors
    heads = page.locator("#league th")
    column = heads.all_text_contents().index(head)

    def values() -> list[str] | list[float]:
        """What the column holds; reasons for a missing number stand last and are left out."""
        cells = page.locator(f"#league tbody tr td:nth-child({column + 1})")
        raw = cells.evaluate_all("cells => cells.map(cell => cell.dataset.raw)")
        return [float(value) for value in raw if value != "no prior"] if numeric else raw

    before = sorted(values())
    assert len(set(before)) == different
    heads.nth(column).get_by_role("button").click()
    assert values() == before
    assert heads.nth(column).get_attribute("aria-sort") == "ascending"
    page.keyboard.press("Enter")  # the button has the focus
    assert values() == before[::-1]


def shown(page: Page, rows: str) -> list[str]:
    """The texts of what a reader sees of elements."""
    return [one.text_content() or "" for one in page.locator(rows).all() if one.is_visible()]


def test_the_first_screen_answers_the_question(opened: Opened) -> None:
    """The winners, what the study shows and the first models, without scrolling."""
    page = opened.page
    page.set_viewport_size({"width": 1400, "height": 1200})
    page.evaluate("scrollTo(0, 0)")
    best = page.locator("#overview .winner").first
    assert best.locator(".purpose").text_content() == "Best samples"
    name = best.locator(".name strong").text_content()
    models = page.locator("#overview tbody tr")
    assert models.count() == 5
    assert models.first.locator("th").text_content() == name
    assert page.locator("#overview li").first.text_content().startswith(f"{name} · ")
    for part in (best, page.locator("#overview .drawing svg"), models.first):
        box = part.bounding_box()
        assert box is not None and box["y"] + box["height"] <= 1200
    assert page.locator("#overview thead th").count() <= 13


def test_the_rows_are_filtered_and_columns_chosen(opened: Opened) -> None:
    page = opened.page
    form = page.locator("#league .filters")
    form.get_by_role("combobox", name="features of").select_option("classifier")
    assert len(shown(page, "#league tbody tr")) == 10
    form.get_by_role("combobox", name="model").select_option("ddpm")
    assert len(shown(page, "#league tbody tr")) == 2
    form.get_by_role("combobox", name="model").select_option("")
    assert "density" not in shown(page, "#league th")
    form.get_by_text("Choose columns").click()
    form.get_by_label("density", exact=True).check()
    assert "density" in shown(page, "#league th")
    form.get_by_label("density", exact=True).uncheck()
    assert "density" not in shown(page, "#league th")


def test_two_rows_stand_side_by_side(opened: Opened) -> None:
    page = opened.page
    for i, side in enumerate(("left", "right")):
        select = page.locator(f"#samples select[data-side={side}]")
        select.select_option(index=i + 2)
        row = select.evaluate("select => select.selectedOptions[0].textContent")
        source = page.locator(f'#samples img[data-row="{row}"]').get_attribute("src")
        assert page.locator(f"#samples img[data-side={side}]").get_attribute("src") == source


def test_the_quiz_scores_the_reader(opened: Opened) -> None:
    """Left is chosen in all rounds: right is what the page says of each, and the sum at the end."""
    page, right = opened.page, 0
    for _ in range(20):
        page.locator("#quiz .pair button").first.click()
        right += (page.locator("#quiz p[aria-live]").text_content() or "").startswith("Right")
        page.keyboard.press("Enter")  # the button for the next round has the focus
    assert 0 < right < 20
    text = page.locator("#quiz").text_content() or ""
    assert f"You chose the real image {right} of 20 times." in text
    assert text.count("told from real images") == 5


def test_a_link_to_a_run_unfolds_it(opened: Opened) -> None:
    page = opened.page
    page.locator("#overview tbody th a").first.click()
    run = page.locator(page.evaluate("location.hash"))
    assert run.get_attribute("open") is not None
    assert "genlab verify-row" in (run.text_content() or "")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_screen_readers_and_keyboards_reach_everything(
    opened: Opened, scheme: Literal["light", "dark"]
) -> None:
    """By the rules of axe-core."""
    browser = opened.page.context.browser
    assert browser is not None
    page = browser.new_page(bypass_csp=True, color_scheme=scheme)  # the policy lets no script in
    page.goto(opened.page.url)
    violations = Axe().run(page).response["violations"]
    page.close()
    assert [one["id"] for one in violations] == []


def test_figures_are_dark_on_a_dark_page_and_light_in_print(opened: Opened) -> None:
    """By the colour of a figure's corner, which is its ground."""

    def corner() -> int:
        figure = opened.page.locator("#losses .plot img")
        figure.scroll_into_view_if_needed()
        with Image.open(BytesIO(figure.screenshot())) as picture:
            return int(np.mean(picture.convert("RGB").getpixel((3, 3))))

    grounds = []
    for scheme, media in (("light", "screen"), ("dark", "screen"), ("dark", "print")):
        opened.page.emulate_media(color_scheme=scheme, media=media)
        grounds.append(corner())
    opened.page.emulate_media(color_scheme="light", media="screen")
    light, dark, printed = grounds
    assert light == printed == 255
    assert dark < 40


def test_it_is_printed_in_full_width(opened: Opened) -> None:
    """Numbers of the first tables are on the printed page, which is as wide as landscape paper."""
    page = opened.page
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 1040, "height": 700})
    assert page.locator("#overview .score").first.is_visible()
    width = page.locator("#overview table").evaluate("table => table.scrollWidth")
    page.emulate_media(media="screen")
    assert width <= 1040


@pytest.mark.parametrize("width", [360, 1400])
def test_the_page_fits_a_phone_and_a_desktop(opened: Opened, width: int) -> None:
    """Wide tables scroll inside their frame; the page itself never scrolls sideways."""
    opened.page.set_viewport_size({"width": width, "height": 800})
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_browser_has_nothing_to_complain_about(opened: Opened) -> None:
    """Stands last, so that it covers what the others did."""
    assert opened.complaints == []
