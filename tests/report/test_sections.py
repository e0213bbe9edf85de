"""A section is one file and one template: page, order and code hash follow from them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tiny import write_costs

import genlab
from genlab.registry import modules_in
from genlab.report.sections import load_sections
from genlab.results.layout import StudyFolder
from genlab.workflow.league import league

PACKAGE = Path(genlab.__file__).parent
CODE = """
from genlab.report.sections import Section


class SizesSection(Section):
    title = "Model sizes"
    order = 55  # between samples, 50, and prompts, 60
    introduction = "Parameters of each <em>model</em>."

    def applies(self, study):
        return len(study.settings.models) > LIMIT

    def read(self, study):
        rows = study.league.drop_duplicates("model").set_index("model")["parameters"]
        return {"sizes": rows.drop("calibration").to_dict()}
"""
TEMPLATE = "{% for name, size in sizes.items() %}<b>{{ name }}: {{ size }}</b>{% endfor %}"
HASHES = """
from genlab.results.code import code
print(code("genlab.workflow.league"), code("genlab.workflow.report", "genlab.report.sections.*"))
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package, to be changed."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, tmp_path / "src/genlab", ignore=ignored)
    return tmp_path / "src/genlab"


def python(package: Path, *arguments: str) -> str:
    """What Python prints with the copy of the package in the place of the real one."""
    environment = os.environ | {"PYTHONPATH": str(package.parent)}
    ended = subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def add_section(package: Path, limit: int) -> None:
    folder = package / "report/sections"
    (folder / "model_sizes.py").write_text(CODE.replace("LIMIT", str(limit)), encoding="utf-8")
    (folder / "model_sizes.html.jinja").write_text(TEMPLATE, encoding="utf-8")


@pytest.fixture
def reportable(trained_study: StudyFolder) -> StudyFolder:
    """The tiny study with its league and one measured job."""
    write_costs(trained_study)
    league(trained_study)
    return trained_study


def test_two_files_are_a_section(package: Path, reportable: StudyFolder) -> None:
    add_section(package, limit=1)
    python(package, "-m", "genlab", "report", "--config", str(reportable.config))
    page = reportable.report.read_text(encoding="utf-8")
    navigation = page.partition("<nav")[2].partition("</nav>")[0]
    links = re.findall(r'<a href="#([\w-]+)">(.*?)</a>', navigation)
    sections = re.findall(r'<section id="([\w-]+)">\s*<h2>(.*?)</h2>', page)
    assert links == sections
    names = [name for name, _ in sections]
    assert names[names.index("model-sizes") - 1] == "samples"
    assert names[names.index("model-sizes") + 1] == "quiz"
    content = page[page.index('<section id="model-sizes">') :].partition("</section>")[0]
    assert "<h2>Model sizes</h2>" in content
    assert "<p>Parameters of each <em>model</em>.</p>" in content
    models = re.findall(r"<b>(\w+): (\d+)</b>", content)
    assert [name for name, _ in models] == ["vae", "ddpm"]
    assert all(int(size) > 0 for _, size in models)


def test_a_section_that_does_not_apply_is_left_out(package: Path, reportable: StudyFolder) -> None:
    add_section(package, limit=2)  # of two models
    python(package, "-m", "genlab", "report", "--config", str(reportable.config))
    page = reportable.report.read_text(encoding="utf-8")
    assert "Model sizes" not in page and 'id="samples"' in page


def test_a_section_is_part_of_the_code_of_the_report_alone(package: Path) -> None:
    """The hashes of the rules `league` and `report`: before, with it, with another template."""
    template = package / "report/sections/model_sizes.html.jinja"
    hashes = [python(package, "-c", HASHES).split()]
    add_section(package, limit=1)
    hashes.append(python(package, "-c", HASHES).split())
    template.write_text(TEMPLATE.replace("<b>", "<i>"), encoding="utf-8")
    hashes.append(python(package, "-c", HASHES).split())
    assert len({of_league for of_league, _ in hashes}) == 1
    assert len({of_report for _, of_report in hashes}) == 3


def test_every_section_has_a_template_and_a_place_of_its_own() -> None:
    sections = load_sections()
    assert len(sections) == len(modules_in("genlab.report.sections"))
    folder = PACKAGE / "report/sections"
    templates = {path.name.removesuffix(".html.jinja") for path in folder.glob("*.jinja")}
    assert templates == {section.name for section in sections}
    assert len({section.order for section in sections}) == len(sections)
    assert len({section.title for section in sections}) == len(sections)


def test_every_head_says_what_it_is_the_head_of() -> None:
    """Of a row, a column, or a group of columns as wide as the head; for screen readers."""
    for path in (PACKAGE / "report").rglob("*.jinja"):
        text = path.read_text(encoding="utf-8")
        heads = re.findall(r"<th\b.*?>", text)
        assert all(re.search(r'scope="(row|col|colgroup)"', head) for head in heads), path
        groups = [int(span) for span in re.findall(r'<colgroup span="(\d+)"', text)]
        widths = [int(span) for span in re.findall(r'colspan="(\d+)" scope="colgroup"', text)]
        assert groups[len(groups) - len(widths) :] == widths, path


def test_names_of_sections_are_known_without_importing_them() -> None:
    """Planning a workflow needs the names for the code hash, and must stay fast."""
    code = "import sys, genlab.report.sections; print(*sys.modules)"
    modules = set(python(PACKAGE, "-c", code).split())
    assert "genlab.report.sections" in modules
    assert not {"matplotlib", "pandas", "jinja2", *modules_in("genlab.report.sections")} & modules


def test_a_file_without_a_section_is_named(package: Path) -> None:
    (package / "report/sections/model_sizes.py").write_text("", encoding="utf-8")
    code = "from genlab.report.sections import load_sections\ntry: load_sections()\n" + (
        "except Exception as error: print(error)"
    )
    expected = f"{package / 'report/sections/model_sizes.py'}: defines no subclass of Section\n"
    assert python(package, "-c", code) == expected
