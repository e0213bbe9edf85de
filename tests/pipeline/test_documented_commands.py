"""Every command that the documents show is one that the tools understand.

A study is planned by the real Snakemake, a call of `genlab` is read by its own command line, and
a target of `make` is one of the Makefile. A command whose mistake a document shows is left out.
"""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from documents import text
from project import ORIGINAL, Project
from typer.testing import CliRunner

from genlab.app.cli import app

DOCUMENTS = sorted(
    path
    for pattern in ("README*.md", "docs/*.md", "docs/*/*.md", "benchmarks/*.md")
    for path in ORIGINAL.glob(pattern)
)
COMMAND = re.compile(
    r"^(?:    )?(?:\$ )?((?:make|snakemake|genlab)(?: [^\n]*)?)$"  # a line of a block
    r"|`((?:make|snakemake|genlab) [^`\n]*)`",  # within a sentence
    re.M,
)
WRONG = "models=[vae, ddmp]"
"""The mistake that docs/workflow.md shows with its message (test_readme_commands.py)."""
OWN = {f"config/studies/{name}.yaml" for name in ("leaves", "mine", "extended")}
"""Studies that the documents write, planned by test_own_pictures.py and test_extending.py."""
WITH_BUCKET = "profiles/kubernetes"
"""A profile that can't plan without a bucket; planned by test_kubernetes.py."""


def commands() -> list[tuple[str, ...]]:
    """The different commands of all documents, in words."""
    found = {
        tuple(shlex.split((block or within).partition(" > ")[0], comments=True))
        for path in DOCUMENTS
        for block, within in COMMAND.findall(text(path))
    }
    elsewhere = OWN | {WITH_BUCKET, WRONG}
    return sorted(words for words in found if elsewhere.isdisjoint(words))


def called(name: str) -> list[tuple[str, ...]]:
    """The commands that call a tool, without its name."""
    return [words[1:] for words in commands() if words[0] == name]


def test_there_are_commands_of_each_tool() -> None:
    assert all(called(name) for name in ("make", "snakemake", "genlab"))


@pytest.mark.parametrize("arguments", called("snakemake"), ids=shlex.join)
def test_a_documented_study_plans(arguments: tuple[str, ...], bare: Project) -> None:
    """On a cluster nothing is submitted by a plan either."""
    if "profiles/slurm" in arguments and not shutil.which("sbatch"):
        pytest.skip("the plugin for Slurm asks for sbatch")
    planned = bare.run("snakemake", "-n", *arguments)
    assert planned.returncode == 0, planned.stdout + planned.stderr


def understood(*arguments: str) -> bool:
    """Whether the command line reads these; with `--help` behind them, it does nothing then."""
    return CliRunner().invoke(app, [*arguments, "--help"]).exit_code == 0


@pytest.mark.parametrize("arguments", called("genlab"), ids=shlex.join)
def test_a_documented_call_is_understood(arguments: tuple[str, ...]) -> None:
    assert understood(*arguments)
    assert not understood(*arguments, "--no-such-option")


def test_documented_targets_of_make_exist() -> None:
    makefile = text(ORIGINAL / "Makefile")
    targets = {word for words in called("make") for word in words if "=" not in word}
    assert targets <= {*re.findall(r"^([a-z-]+):", makefile, re.M)}


def test_every_document_is_read() -> None:
    """Among them the README in both languages."""
    assert {Path("README.md"), Path("README.zh.md")} <= {p.relative_to(ORIGINAL) for p in DOCUMENTS}
