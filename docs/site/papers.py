"""The bibliography: every paper whose arXiv number the code names, and where it does."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from options import code, prose

NUMBER = re.compile(r"physics/\d{7}|(?<![\d.])[012]\d(?:0[1-9]|1[0-2])\.\d{4,5}(?!\d)")


def cited(root: Path) -> dict[str, list[str]]:
    """The files of the package that name each arXiv number."""
    files: dict[str, list[str]] = {}
    for path in sorted((root / "src/genlab").rglob("*")):
        if path.suffix in (".py", ".jinja"):
            for number in dict.fromkeys(NUMBER.findall(path.read_text(encoding="utf-8"))):
                files.setdefault(number, []).append(path.relative_to(root / "src").as_posix())
    return files


def bibliography() -> dict[str, list[str]]:
    """The authors and the title of each paper by its arXiv number."""
    path = Path(__file__).parent / "papers.yaml"
    papers: dict[str, list[str]] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return papers


def year_of(number: str) -> int:
    """The year that an arXiv number was given in."""
    digits = int(number.removeprefix("physics/")[:2])
    return digits + (1900 if digits > 90 else 2000)


def place(path: str) -> str:
    """A file as the name of its module, which links to the page that shows it."""
    if path.endswith(".jinja"):
        return code(Path(path).name)
    module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return f"{{py:obj}}`~{module}`"


def page(root: Path) -> str:
    """The page of the bibliography.

    Raises:
        KeyError: the code names a number that papers.yaml does not list.
    """
    listed = bibliography()
    rows = ["| year | authors | title | arXiv | named in |", "|---|---|---|---|---|"]
    for number, files in sorted(cited(root).items(), key=lambda item: (year_of(item[0]), item[0])):
        authors, title = listed[number]
        link = f"[{number}](https://arxiv.org/abs/{number})"
        names = ", ".join(map(place, files))
        rows.append(f"| {year_of(number)} | {prose(authors)} | {prose(title)} | {link} | {names} |")
    lead = "The papers whose arXiv numbers stand in the code, by the year of the number."
    return "\n\n".join(["# Bibliography", lead, "\n".join(rows)]) + "\n"
