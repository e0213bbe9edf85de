"""Every benchmark still finds what it uses of the library and of its peers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SCRIPTS = sorted(path.stem for path in BENCHMARKS.glob("*.py"))


@pytest.fixture(scope="module")
def outcomes() -> dict[str, str]:
    """The error of importing each script, empty if there is none; all in one process."""
    code = """
import importlib, sys
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
        print(name, "ok")
    except Exception as error:
        print(name, type(error).__name__, str(error).replace("\\n", " "))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, *SCRIPTS],
        cwd=BENCHMARKS, capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = [line.split(" ", 1) for line in done.stdout.splitlines()]
    return {line[0]: line[1] for line in lines if line[0] in SCRIPTS}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_benchmark_can_be_imported(name: str, outcomes: dict[str, str]) -> None:
    assert outcomes[name] == "ok"


@pytest.mark.parametrize("name", sorted({*SCRIPTS} - {"common", "sides", "mnist"}))
def test_the_readme_says_how_to_run_it(name: str) -> None:
    assert f"benchmarks/{name}.py" in (BENCHMARKS / "README.md").read_text(encoding="utf-8")
