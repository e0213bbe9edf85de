"""What docs/workflow.md says of changing a study is so, by the real Snakemake."""

from __future__ import annotations

import re
import shlex

from project import LONG, Job, Project, jobs
from test_readme import ROOT, WORKFLOW


def commands(document: str) -> list[list[str]]:
    """The calls of Snakemake in a document's part on changing a study, as dry runs."""
    text = (ROOT / document).read_text(encoding="utf-8")
    (part,) = re.findall(r"^## (?:Change the study|修改实验)\n(.*?)(?:^## |\Z)", text, re.S | re.M)
    lines = re.findall(r"^    (?:\$ )?(snakemake .*)$", part, re.M)
    return [["-n", *shlex.split(line, comments=True)[1:]] for line in lines]


def test_both_languages_give_the_same_commands() -> None:
    for document in WORKFLOW:
        assert [command[3:] for command in commands(document)] == [
            ["--config", "seeds=[0, 1, 2]"],
            ["--configfile", "config/studies/beta.yaml"],
            ["--config", "models=[vae, ddmp]"],
        ]


def test_the_wrong_command_ends_as_shown_and_the_right_one_plans(bare: Project) -> None:
    """In the study that is left, rows that draw from neither model are named, and only they."""
    *_, wrong = commands(WORKFLOW[0])
    refused = bare.run("snakemake", *wrong)
    assert refused.returncode != 0
    for document in WORKFLOW:
        text = (ROOT / document).read_text(encoding="utf-8")
        (shown,) = re.findall(r"^    (config/config\.yaml: .*), \.\.\.\)$", text, re.M)
        assert shown in refused.stdout + refused.stderr
    right = bare.run("snakemake", LONG, *[part.replace("ddmp", "ddpm") for part in wrong])
    assert right.returncode == 0, right.stdout + right.stderr
    notes = re.findall(r"^note: samplers: '(\S+)' is left out", right.stderr, re.M)
    assert notes == ["prior-t0.7", "tokens-w2", "dpm-10-w2"]
    assert {Job("train", model) for model in ("vae", "ddpm")} <= jobs(right.stdout + right.stderr)


def test_the_default_study_on_colour_is_refused_with_the_line_that_plans(bare: Project) -> None:
    colour = ["-n", "--config", "datasets=[cifar10]"]
    refused = bare.run("snakemake", *colour)
    assert refused.returncode != 0
    assert "Traceback" not in refused.stdout + refused.stderr
    (models,) = re.findall(r"the line is `models: (\[.*\])`", refused.stdout + refused.stderr)
    assert Job("train", "vae") in bare.plan(*colour[1:], f"models={models}", study=None)
