"""What every rule declares, and the tools that read the workflow."""

from __future__ import annotations

import re

import pytest
from project import ORIGINAL, Project

RULES = {
    match[1]: match[2]
    for path in sorted((ORIGINAL / "rules").glob("*.smk"))
    for match in re.finditer(r"^rule (\w+):\n((?:    .*\n|\n)*)", path.read_text(), re.M)
}
DECLARED = {
    "log": r"^    log:\n        f\"{LOGS}/",
    "benchmark": r"^    benchmark:\n        f\"{COSTS}/",
    "conda": r"^    conda:\n        \"\.\./envs/genlab\.yaml\"\n",
    "threads": r"^    threads: ",
    "gpu": r"^        gpu=",
    "mem_mb": r"^        mem_mb=",
    "runtime": r"^        runtime=",
    "shell": r"^    shell:\n        \"genlab \w+ ",
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("what", DECLARED)
def test_every_rule_declares_its_needs_and_is_one_call_of_genlab(rule: str, what: str) -> None:
    assert re.search(DECLARED[what], RULES[rule], re.M), RULES[rule]


@pytest.mark.parametrize(
    "command",
    [
        pytest.param("snakemake --lint", id="lint"),
        pytest.param("snakefmt --check Snakefile rules", id="format"),
    ],
)
def test_the_workflow_is_clean(bare: Project, command: str) -> None:
    done = bare.run(*command.split())
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rulegraph_can_be_drawn(bare: Project) -> None:
    """As Mermaid, each rule of the default study a node that leads to the target `all`."""
    done = bare.run("snakemake", "--rulegraph", "mermaid-js")
    assert done.returncode == 0, done.stderr
    assert "flowchart" in done.stdout
    nodes = dict(re.findall(r"(id\d+)\[(\w+)\]", done.stdout))
    only_where_factors_are_known = {"disentangle"}
    assert set(nodes.values()) == {*RULES, "all"} - only_where_factors_are_known
    edges = {(nodes[a], nodes[b]) for a, b in re.findall(r"(id\d+) --> (id\d+)", done.stdout)}
    assert {("prepare", "train"), ("train", "sample"), ("report", "all")} <= edges
