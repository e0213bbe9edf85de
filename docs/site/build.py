"""Builds the documentation site:

    python docs/site/build.py [FOLDER]

FOLDER (docs/_build) then holds `source`, the pages as Sphinx reads them, and `html`, the site.
A warning of Sphinx, a broken link, or anything that a page would fetch from another host is an
error.
"""

from __future__ import annotations

import gc
import shutil
import sys
from pathlib import Path

from check import problems
from pages import ROOT, assemble
from sphinx.cmd.build import build_main


def build(folder: Path) -> int:
    """Build the site in `folder`; return the exit status."""
    gc.set_threshold(100_000)  # Sphinx keeps what it makes; looking for garbage took a fifth
    assemble(folder / "source")
    html = folder / "html"
    shutil.rmtree(html, ignore_errors=True)  # pages whose source is gone
    options = ["-q", "-W", "--keep-going", "-n", "-c", str(ROOT / "docs")]
    folders = ["-d", str(folder / "doctrees"), str(folder / "source"), str(html)]
    status = build_main([*options, "-b", "html", *folders])
    report = ROOT / "docs/report"
    if report.is_dir():
        shutil.copytree(report, html / "report", dirs_exist_ok=True)
    broken = problems(html)
    for problem in broken:
        print(f"error: {problem}", file=sys.stderr)
    return status or int(bool(broken))


if __name__ == "__main__":
    sys.exit(build(Path(sys.argv[1]) if sys.argv[1:] else ROOT / "docs/_build"))
