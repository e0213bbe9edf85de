"""The pages of the site: which file becomes which page, and the links between them.

`assemble` copies the Markdown files and notebooks of the project from where they are into one
folder of sources for Sphinx. A link in them leads to a place in the repository; the copy leads to
the page which that file became. A linked text file that is no page (a study, a profile) becomes a
page of its own, so that no link leaves the site.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path, PurePosixPath

import api
import commands
import measures
import options
import papers

ROOT = Path(__file__).parents[2]

GUIDES = [
    "docs/families.md",
    "docs/workflow.md",
    "docs/pictures.md",
    "docs/cluster.md",
    "docs/evaluation.md",
    "docs/tracking.md",
    "docs/extending.md",
    "docs/design.md",
    "docs/dependencies.md",
    "benchmarks/README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
]
"""The guides in their order; other files of docs/ follow."""
HAND_WRITTEN = ("index", "learning-path", "course", "faq", "glossary", "examples", "notebooks")
"""Files of docs/ that are no guides."""
NAMES = {"benchmarks/README.md": "benchmarks", "README.md": "readme", "README.zh.md": "zh/readme"}
"""Pages whose name does not follow from the file's."""
TITLES = {
    "readme": "Overview",
    "notebooks": "All notebooks",
    "benchmarks": "Benchmarks",
    "changelog": "Changes",
    "zh/index": "首页",
    "zh/readme": "概览",
}
"""Titles of pages in the navigation, where they differ from the page's own."""
FOLDERS = {
    "docs/theory": "theory/1-elbo",
    "docs/theory/zh": "zh/theory/1-elbo",
    "notebooks": "notebooks",
    "examples": "examples",
    "docs": "index",
}
"""The page that a link to a folder leads to."""
REPORT = {
    "docs/index.md": '\n<p><a href="report/index.html">The report of a study</a></p>\n',
    "docs/zh/index.md": '\n<p><a href="../report/index.html">一个实验的报告（英文）</a></p>\n',
}
"""The link to a report in docs/report, where there is one."""
PICTURES = (".png", ".svg", ".gif", ".jpg")
LEXERS = {".py": "python", ".yaml": "yaml", ".toml": "toml", ".smk": "python", ".ipynb": "json"}

LINK = re.compile(r"(?<=\]\()([^)\s]+)(?=[)\s])|(?<=src=\")([^\"]+)(?=\")")
FENCE = re.compile(r"^( *```.*?^ *```\s*?$)", re.M | re.S)
CHINESE_LINES = re.compile("(?<=[\u3000-\u9fff\uff00-\uffef])\n(?=[\u3000-\u9fff\uff00-\uffef])")
"""Ends of lines within a Chinese paragraph, which a browser would show as spaces."""
MERMAID = re.compile(r"```mermaid\nflowchart LR\n(.*?)```", re.S)


def page_name(path: str) -> str:
    """Return the name of the page that the file at `path` in the repository becomes."""
    if path in NAMES:
        return NAMES[path]
    name = PurePosixPath(path).with_suffix("").as_posix().removeprefix("docs/")
    chinese = re.fullmatch(r"(theory|course)/zh/(.+)", name)
    return (f"zh/{chinese[1]}/{chinese[2]}" if chinese else name).lower()


def number(stem: str) -> int:
    """The number that the name of a chapter or a lesson begins with; -1 for any other."""
    first = stem.partition("-")[0]
    return int(first) if first.isdecimal() else -1


def sections() -> dict[str, list[str]]:
    """The files of the navigation by the heading that they stand under."""

    def files(pattern: str) -> list[str]:
        """Those of numbered chapters and lessons in order of their numbers."""
        paths = sorted(ROOT.glob(pattern), key=lambda path: (number(path.stem), path.name))
        return [path.relative_to(ROOT).as_posix() for path in paths]

    others = [
        path
        for path in files("docs/*.md")
        if path not in GUIDES and PurePosixPath(path).stem not in HAND_WRITTEN
    ]
    guides = [*GUIDES, *others, "docs/faq.md", "docs/glossary.md"]
    chinese = [f"docs/zh/{path.removeprefix('docs/')}" for path in guides]
    return {
        "Start": ["README.md", "docs/learning-path.md", "docs/examples.md"],
        "Theory": files("docs/theory/*.md"),
        "Course": files("docs/course/*.md"),
        "Notebooks": [
            "docs/notebooks.md",
            *files("notebooks/*.ipynb"),
            *files("docs/solutions/*.md"),
        ],
        "Guides": guides,
        "开始": [
            "docs/zh/index.md",
            "README.zh.md",
            "docs/zh/learning-path.md",
            "docs/zh/notebooks.md",
        ],
        "指南": [path for path in chinese if (ROOT / path).exists()],
        "理论": files("docs/theory/zh/*.md"),
        "课程": files("docs/course/zh/*.md"),
    }


def generated() -> dict[str, dict[str, str]]:
    """The generated pages by heading and name, as Markdown; those of the library as .rst."""
    return {
        "Options": options.pages(ROOT),
        "Reference": {
            "reference/commands": commands.page(),
            "reference/measures": measures.page(),
            "reference/bibliography": papers.page(ROOT),
        },
        "Library": api.pages(),
    }


def write(path: Path, text: str) -> None:
    """Write a file unless it has this content, so that Sphinx reads again only what changed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def as_table(match: re.Match[str]) -> str:
    """The graph of the rules as a table: a script that draws graphs would weigh megabytes."""
    needs: dict[str, list[str]] = {}
    for source, target in re.findall(r"(\w+) --> (\w+)", match[1]):
        needs.setdefault(target, []).append(source)
    rows = [
        f"| `{rule}` | {', '.join(f'`{one}`' for one in names)} |"
        for rule, names in sorted(needs.items())
    ]
    return "\n".join(["| rule | reads what these wrote |", "|---|---|", *rows, ""])


class Assembly:
    """A folder of sources that is being filled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.contents = sections()
        self.made = generated()
        listed = [path for paths in self.contents.values() for path in paths]
        self.names = {path: page_name(path) for path in ["docs/index.md", *listed]}
        self.written: set[Path] = set()

    def put(self, name: str, text: str) -> None:
        """Write the source file `name`."""
        write(self.folder / name, text)
        self.written.add(self.folder / name)

    def relink(self, text: str, origin: str) -> str:
        """Turn the links of the file `origin` in the repository into links between pages."""
        here = PurePosixPath(self.names[origin]).parent

        def target(match: re.Match[str]) -> str:
            link = match[0]
            path, hash_, anchor = link.partition("#")
            if not path or re.match(r"[a-z]+:", link):
                return link
            place = os.path.normpath(PurePosixPath(origin).parent / path)
            page = self.page_of(place)
            return os.path.relpath(page, here) + hash_ + anchor if page else link

        parts = FENCE.split(text)
        parts[::2] = [LINK.sub(target, part) for part in parts[::2]]
        return "".join(parts)

    def page_of(self, place: str) -> str | None:
        """The source file that the file or folder `place` of the repository is shown by."""
        if place in self.names:
            return self.names[place] + PurePosixPath(place).suffix
        if place in FOLDERS:
            return f"{FOLDERS[place]}.md"
        path = (ROOT / place).resolve()
        if not path.is_file() or not path.is_relative_to(ROOT):
            return None
        if path.suffix in PICTURES:
            copy = self.folder / place
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy)
            self.written.add(copy)
            return place
        name = f"files/{place}.md"
        fence = "``````"
        lexer = LEXERS.get(path.suffix, "text")
        content = path.read_text(encoding="utf-8")
        head = f"---\norphan: true\n---\n# {place}\n\n"
        self.put(name, f"{head}{fence}{lexer}\n{content.rstrip()}\n{fence}\n")
        return name

    def markdown(self, path: str) -> None:
        """Copy a Markdown file."""
        text = (ROOT / path).read_text(encoding="utf-8")
        text = MERMAID.sub(as_table, self.relink(text, path))
        if self.names[path].startswith("zh/"):
            text = CHINESE_LINES.sub("", text)
        if (ROOT / "docs/report/index.html").exists():
            text = text.replace("<!-- report -->", REPORT[path]) if path in REPORT else text
        if path == "docs/index.md":
            text += self.toctrees()
        self.put(f"{self.names[path]}.md", text)

    def notebook(self, path: str) -> None:
        """Copy a notebook with its outputs."""
        content = json.loads((ROOT / path).read_text(encoding="utf-8"))
        for cell in content["cells"]:
            if cell["cell_type"] == "markdown":
                cell["source"] = self.relink("".join(cell["source"]), path)
        self.put(f"{self.names[path]}.ipynb", json.dumps(content))

    def toctrees(self) -> str:
        """The navigation, which home holds."""
        trees = {name: [self.names[p] for p in paths] for name, paths in self.contents.items()}
        chinese = {name: trees.pop(name) for name in ("开始", "指南", "理论", "课程")}
        trees |= {name: list(pages) for name, pages in self.made.items()} | chinese

        def entry(page: str) -> str:
            return f"{TITLES[page]} <{page}>" if page in TITLES else page

        blocks = []
        for name, pages in trees.items():
            head = ["", "```{toctree}", ":hidden:", f":caption: {name}", ""]
            if pages:
                blocks.append("\n".join([*head, *map(entry, pages), "```", ""]))
        return "".join(blocks)

    def fill(self) -> None:
        """Write all pages, and delete those of an earlier time."""
        for path in self.names:
            if path.endswith(".ipynb"):
                self.notebook(path)
            else:
                self.markdown(path)
        for section, pages in self.made.items():
            suffix = "rst" if section == "Library" else "md"
            for name, text in pages.items():
                self.put(f"{name}.{suffix}", text)
        for old in self.folder.rglob("*"):
            if old.is_file() and old not in self.written:
                old.unlink()


def assemble(folder: Path) -> None:
    """Fill `folder` with the sources of all pages."""
    Assembly(folder).fill()
