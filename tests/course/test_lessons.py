"""The lessons: what they name is there, and both languages say the same."""

from __future__ import annotations

import ast
import re
from itertools import pairwise
from pathlib import Path

import pytest
import typer
import yaml
from documents import missing_targets, targets, text

from genlab.app.cli import app
from genlab.config.base import read_yaml
from genlab.config.study import load_model
from genlab.course.exercises import exercises

ROOT = Path(__file__).parents[2]
COURSE = ROOT / "docs/course"
LESSONS = sorted(COURSE.glob("[0-9]*-*.md"), key=lambda path: int(path.stem.partition("-")[0]))
FILES = [*LESSONS, COURSE / "README.md", COURSE / "solutions.md"]
BOTH = [*FILES, *(COURSE / "zh" / path.name for path in FILES)]
TARGETS = {"genlab", "snakemake", "python", "make", "source"}
EACH = pytest.mark.parametrize("path", BOTH, ids=lambda path: str(path.relative_to(COURSE)))
LESSON = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)


def chinese(path: Path) -> Path:
    return COURSE / "zh" / path.name


def code_spans(content: str) -> list[str]:
    """Text between backticks, and the lines of code blocks without a language."""
    fences = re.findall(r"^```(\w*)\n(.*?)^```", content, re.S | re.M)
    blocks = [body for language, body in fences if not language]
    outside = re.sub(r"```.*?```", "", content, flags=re.S)
    return re.findall(r"`([^`\n]+)`", outside) + [
        line for block in blocks for line in block.splitlines()
    ]


def test_there_are_twelve_lessons_in_both_languages() -> None:
    assert [int(path.stem.partition("-")[0]) for path in LESSONS] == list(range(12))
    assert {path.name for path in (COURSE / "zh").iterdir()} == {path.name for path in FILES}
    for path in (COURSE / "README.md", COURSE / "zh/README.md"):
        assert re.findall(r"^\| \[.*?\]\((\S+)\)", text(path), re.M) == [
            lesson.name for lesson in LESSONS
        ]


@LESSON
def test_a_lesson_has_its_form(path: Path) -> None:
    content = text(path)
    sections = ["Outcomes", "Prerequisites", "Read", "Do", "Look at", "Exercises"]
    assert re.findall(r"^## (.*)$", content, re.M) == [*sections, "For the teacher"]
    number = path.stem.partition("-")[0]
    assert content.startswith(f"# {number}. ")
    assert "\n**Question.** " in content
    entries = re.findall(
        r"^\*\*(\d+)\.(\d+) \((easy|medium|hard)(, checked)?\)\.\*\*", content, re.M
    )
    assert [(lesson, int(place)) for lesson, place, _, _ in entries] == [
        (number, place) for place in range(1, len(entries) + 1)
    ]
    assert 3 <= len(entries) <= 5
    checked = {f"{lesson}.{place}" for lesson, place, _, mark in entries if mark}
    assert checked == {n for n, e in exercises().items() if e.place[0] == int(number)}
    assert bool(checked) == (int(number) < 11)
    for line in content.splitlines():
        if match := re.match(r"\*\*(\d+\.\d+) \(\w+, checked\)", line):
            assert f"`genlab check {match[1]} answers.py`" in line
            assert f"`{exercises()[match[1]].name}`" in line


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_both_languages_have_the_same_skeleton(path: Path) -> None:
    """Headings, exercises with grade and mark, code, commands and links."""
    english, other = text(path), text(chinese(path))
    translated = {"容易": "easy", "中等": "medium", "困难": "hard", "自动检查": "checked"}
    for word, meaning in translated.items():
        other = other.replace(word, meaning)

    def skeleton(content: str) -> dict[str, list[str]]:
        links = re.findall(r"\]\(([^)#]+)\)", content)
        return {
            "headings": re.findall(r"^(#+ (?:\d+\.)?)", content, re.M),
            "exercises": [
                re.sub(r"[^\w.]+", " ", mark).strip()
                for mark in re.findall(r"^\*\*(\d+\.\d+[^*]*?)[.。]?\*\*", content, re.M)
            ],
            "code": sorted(span for span in code_spans(content)),
            "blocks": re.findall(r"```.*?```", content, re.S),
            "formulas": re.findall(r"^\$\$$", content, re.M),
            "links": sorted({Path(link).name for link in links} - {"theory"} - {"README.zh.md"}),
        }

    first, second = skeleton(english), skeleton(other)
    for part in ("headings", "exercises", "code", "blocks", "formulas"):
        assert first[part] == second[part], part
    skip = {"README.md", "zh"}  # the pages' links to each other, and the theory's folder
    assert set(first["links"]) - skip == set(second["links"]) - skip


@EACH
def test_links_and_paths_lead_somewhere(path: Path) -> None:
    assert missing_targets(path) == []
    for target in targets(path):
        if "theory" in target.parts:  # in the language of the lesson
            assert ("zh" in target.parts) == ("zh" in path.parts), target
    for name in code_spans(text(path)):
        if re.fullmatch(r"(src|config|tests|docs|examples|notebooks)/[\w./-]+", name):
            assert (ROOT / name).exists() or name.endswith("/mine.yaml"), name


@EACH
def test_commands_are_real(path: Path) -> None:
    commands = [span for span in code_spans(text(path)) if span.split()[0] in TARGETS]
    subcommands = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    makefile = text(ROOT / "Makefile")
    for command in commands:
        program, *rest = command.split()
        if program == "genlab" and rest:
            assert rest[0] in subcommands, command
            if rest[0] == "check" and len(rest) > 1 and rest[1][0].isdigit():
                assert rest[1] in exercises(), command
        if program == "make" and rest:
            assert f"\n{rest[0]}:" in makefile, command
        if program == "python" and rest:
            assert (ROOT / rest[0]).exists(), command
        if "--configfile" in rest:
            study = rest[rest.index("--configfile") + 1]
            assert (ROOT / study).exists() or study == "config/studies/mine.yaml", command


@LESSON
def test_models_rows_and_samplers_of_a_lesson_exist(path: Path) -> None:
    content = text(path)
    for entry in re.findall(r"\{preset: [^}]+\}", content):
        load_model(yaml.safe_load(entry), {}, ROOT / "config", str(path))
    rows = {
        name
        for study in ("config.yaml", "studies/samplers.yaml", "studies/guidance.yaml")
        for name in read_yaml(ROOT / "config" / study)["samplers"]
    }
    pattern = r"[a-z-]*(?:ddpm|dpm|solver|maruyama|edm|heun|prior)-[wt]?[\d.]+(?:-w\d)?"
    named = {span for span in code_spans(content) if re.fullmatch(pattern, span)}
    assert named <= rows


@EACH
def test_a_paragraph_is_one_line_and_formulas_are_closed(path: Path) -> None:
    content = re.sub(r"```.*?```", "", text(path), flags=re.S)
    assert content.count("$$") % 2 == 0
    assert all(line == "$$" for line in content.splitlines() if "$$" in line)
    prose = re.sub(r"\$\$.*?\$\$", "", content, flags=re.S)
    lines = prose.splitlines()
    for line, following in pairwise(lines):
        assert prose_ends(line) or prose_ends(following), (line, following)
        assert line.count("$") % 2 == 0, line


def prose_ends(line: str) -> bool:
    """Whether a line is blank or an item of a list or table, which may stand beside another."""
    return not line.strip() or line.startswith(("|", "- ", "#")) or line[0].isdigit()


@pytest.mark.parametrize("name", ["solutions.md", "zh/solutions.md"])
def test_solutions_are_complete_and_their_code_is_that_of_the_classes(name: str) -> None:
    content = text(COURSE / name)
    numbers = re.findall(r"^\*\*(\d+\.\d+)\.\*\*", content, re.M)
    asked = [
        number
        for lesson in LESSONS
        for number in re.findall(r"^\*\*(\d+\.\d+) \(", text(lesson), re.M)
    ]
    assert numbers == asked
    parts = re.split(r"^\*\*(\d+\.\d+)\.\*\*", content, flags=re.M)
    for number, part in zip(parts[1::2], parts[2::2], strict=True):
        code = re.findall(r"```python\n(.*?)\n```", part, re.S)
        assert code == ([exercises()[number].code] if number in exercises() else [])
    for code in re.findall(r"```python\n(.*?)```", content, re.S):
        ast.parse(code)


@LESSON
def test_python_of_a_lesson_runs(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On the whole as it stands, with fewer images or draws."""
    for code in re.findall(r"```python\n(.*?)```", text(path), re.S):
        smaller = code.replace("(200, 500, 1000)", "(200,)").replace(", 1_000_000", "")
        exec(compile(smaller, path.name, "exec", dont_inherit=True), {})
        assert capsys.readouterr().out


def test_every_numbers_exercise_is_named_in_a_lesson() -> None:
    named = {
        number
        for lesson in LESSONS
        for number in re.findall(r"genlab check (\d+\.\d+) answers", text(lesson))
    }
    assert named == set(exercises())
