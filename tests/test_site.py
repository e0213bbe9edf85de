"""The documentation site, as `make docs` builds it, and as a browser shows it."""

from __future__ import annotations

import functools
import http.server
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from browser import blank_page, needs_chromium
from playwright.sync_api import Page

ROOT = Path(__file__).parents[1]
SITE = ROOT / "docs/site"
PAGES = {
    "home": "index.html",
    "home in Chinese": "zh/index.html",
    "README": "readme.html",
    "mathematics": "notebooks/ddpm.html",
    "options": "reference/options/families.html",
    "library": "reference/library/samplers.html",
}
THEORY = sorted(path.stem for path in (ROOT / "docs/theory").glob("*.md"))
if THEORY:
    PAGES["theory"] = f"theory/{THEORY[0]}.html"


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SITE / "build.py"), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the site; its build is an error if it warns, or if a link is broken."""
    folder = tmp_path_factory.mktemp("site")
    done = build(folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return folder / "html"


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    """Where a server on this machine serves the site."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

    handler = functools.partial(Handler, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with blank_page() as blank:
        yield blank


def text_of(site: Path, name: str) -> str:
    return (site / name).read_text(encoding="utf-8")


def test_every_file_of_documentation_is_a_page(site: Path) -> None:
    docs = ROOT / "docs"
    for path in [*docs.glob("*.md"), *docs.glob("zh/*.md")]:
        assert (site / path.relative_to(docs)).with_suffix(".html").exists(), path
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        assert "<img" in text_of(site, f"notebooks/{path.stem}.html"), path  # a stored output


def test_every_key_of_a_configuration_is_explained(site: Path) -> None:
    tables = [path.read_text("utf-8") for path in (site / "reference/options").glob("*.html")]
    rows = [row for table in tables for row in re.findall(r"<tr class=.*?</tr>", table, re.S)]
    keys = [re.findall(r"<td>(.*?)</td>", row, re.S) for row in rows]
    assert len(keys) > 300
    plain = [[re.sub("<[^>]+>", "", cell).strip() for cell in cells] for cells in keys]
    assert [cells[0] for cells in plain if cells and not cells[-1]] == []
    families = text_of(site, PAGES["options"])
    row = families[families.index('id="options-ddpm-config-timesteps"') :].partition("</tr>")[0]
    assert "whole number" in row
    assert "1000" in row


def test_every_command_is_in_the_reference(site: Path) -> None:
    reference = text_of(site, "reference/commands.html")
    done = subprocess.run(
        [sys.executable, "-m", "genlab", "--help"], capture_output=True, text=True, check=True,
        env=os.environ | {"COLUMNS": "100", "TERM": "dumb"},
    )  # fmt: skip
    commands = re.findall(r"^│ ([a-z][a-z-]+)  ", done.stdout, re.M)
    assert len(commands) > 20
    for command in commands:
        assert f"<h3>genlab {command}<" in reference, command


def test_the_bibliography_has_the_papers_that_the_code_names() -> None:
    listed = yaml.safe_load((SITE / "papers.yaml").read_text(encoding="utf-8"))
    files = [*(ROOT / "src/genlab").rglob("*.py"), *(ROOT / "src/genlab").rglob("*.jinja")]
    code = "\n".join(path.read_text(encoding="utf-8") for path in files)
    numbers = set(re.findall(r"(?<![\d.])(?:0[7-9]|[12]\d)[01]\d\.\d{4,5}(?!\d)", code))
    numbers |= set(re.findall(r"arXiv:([a-z-]+/\d{7})", code))
    assert len(numbers) > 70
    assert numbers == set(listed)


def test_a_broken_link_or_a_foreign_script_is_found(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(
        '<a href="b.html#there">a</a><a href="b.html#gone">b</a><a href="c.html">c</a>'
        '<a href="https://host/">fine</a><script src="https://host/x.js"></script>'
    )
    (tmp_path / "b.html").write_text('<p id="there">')
    code = f"import sys; sys.path.insert(0, {str(SITE)!r}); import check, pathlib; "
    code += f"print(*check.problems(pathlib.Path({str(tmp_path)!r})), sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "index.html: b.html#gone: no such anchor",
        "index.html: c.html: no such file",
        "index.html: loads https://host/x.js",
    ]


@needs_chromium
@pytest.mark.parametrize("name", PAGES.values(), ids=PAGES)
@pytest.mark.parametrize("width", [1300, 360])
def test_a_page_asks_no_other_host_and_fits_the_screen(
    name: str, width: int, address: str, page: Page
) -> None:
    requests: list[str] = []
    failures: list[str] = []
    page.set_viewport_size({"width": width, "height": 800})
    page.on("request", lambda request: requests.append(request.url))
    page.on("response", lambda one: failures.append(one.url) if one.status >= 400 else None)
    page.goto(address + name)
    formulas = page.locator("span.math, div.math").count()
    if formulas:
        page.wait_for_function(f"document.querySelectorAll('mjx-container').length >= {formulas}")
        assert page.locator("mjx-merror, [data-mjx-error]").count() == 0
    elif name in (PAGES["mathematics"], PAGES.get("theory")):
        pytest.fail("a page without its formulas")
    page.wait_for_load_state("networkidle")
    assert [url for url in requests if not url.startswith((address, "data:"))] == []
    assert failures == []
    assert page.evaluate("document.documentElement.scrollWidth") == width


@needs_chromium
def test_the_languages_lead_to_each_other(address: str, page: Page) -> None:
    page.set_viewport_size({"width": 1300, "height": 800})
    page.goto(address)
    assert page.locator("html").get_attribute("lang") == "en"
    assert "开始" not in page.locator(".sidebar-tree").inner_text()
    page.locator(".other-language a").click()
    page.wait_for_url("**/zh/index.html")
    assert page.locator("html").get_attribute("lang") == "zh-CN"
    navigation = page.locator(".sidebar-tree").inner_text()
    assert "学习路径" in navigation
    assert "Guides" not in navigation
    page.locator(".other-language a").click()
    page.wait_for_url("**/index.html")
    assert page.locator("html").get_attribute("lang") == "en"
    page.goto(address + "design.html")  # has no counterpart
    assert page.locator(".other-language").count() == 0
