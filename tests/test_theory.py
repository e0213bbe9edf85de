"""The theory chapters: places in the code exist, both languages agree, figures have scripts."""

from __future__ import annotations

import importlib
import re
from operator import attrgetter
from pathlib import Path

import pytest
from documents import missing_targets, targets, text

THEORY = Path(__file__).parents[1] / "docs" / "theory"
CHAPTERS = sorted(path.name for path in THEORY.glob("*.md") if path.name[0].isdigit())
LANGUAGES = (THEORY, THEORY / "zh")
PLACE = re.compile(r"`src/(genlab/[\w/]+)\.py:([\w.]+)`")


def displays(path: Path) -> list[str]:
    """Formulas on lines of their own, without words and without reasons at the ends of lines."""
    formulas = re.findall(r"^\$\$\n(.*?)\n\$\$$", text(path), flags=re.MULTILINE | re.DOTALL)
    return [re.sub(r"&&.*|\\text(rm)?\{[^}]*\}|\s", "", formula) for formula in formulas]


def test_there_are_eight_chapters_in_both_languages() -> None:
    assert [name[0] for name in CHAPTERS] == list("12345678")
    assert sorted(path.name for path in (THEORY / "zh").glob("[0-9]*.md")) == CHAPTERS


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_place_in_the_code_exists(chapter: str) -> None:
    places = PLACE.findall(text(THEORY / chapter))
    assert len(places) >= 6
    for module, name in places:
        attrgetter(name)(importlib.import_module(module.replace("/", ".")))


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_both_languages_have_the_same_formulas_places_and_sections(chapter: str) -> None:
    english, chinese = (language / chapter for language in LANGUAGES)
    assert PLACE.findall(text(english)) == PLACE.findall(text(chinese))
    assert displays(english) == displays(chinese)
    heads = [re.findall(r"^#+ ", text(path), flags=re.MULTILINE) for path in (english, chinese)]
    assert heads[0] == heads[1]
    papers = [set(re.findall(r"\d{4}\.\d{5}", text(path))) for path in (english, chinese)]
    assert papers[0] == papers[1]


@pytest.mark.parametrize("folder", LANGUAGES, ids=["en", "zh"])
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_links_and_pictures_exist(chapter: str, folder: Path) -> None:
    assert any(target.suffix == ".png" for target in targets(folder / chapter))
    assert missing_targets(folder / chapter) == []


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_script_draws_its_figure(chapter: str) -> None:
    name = chapter.removesuffix(".md")
    script = THEORY / "figures" / f"{name.replace('-', '_')}.py"
    assert f"theory/{name}.png" in text(THEORY / chapter)
    assert f"python docs/theory/figures/{script.name}" in text(script)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_it_asks_three_questions_with_answers(chapter: str) -> None:
    for folder in LANGUAGES:
        assert text(folder / chapter).count("<details>") == 3
