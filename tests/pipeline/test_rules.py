"""What every rule declares, and the tools that read the workflow."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from project import JOB, LONG, ORIGINAL, Project
from snakemake.scheduling.job_scheduler import JobScheduler
from typer.main import get_command

from genlab.app.cli import app

RULES = """
import json
Path("rules.json").write_text(json.dumps({
    each.name: {
        "log": [str(path) for path in each.log],
        "benchmark": str(each.benchmark),
        "conda": str(each.conda_env),
        "resources": {
            name: each._evaluator(None, attempt=1) if each.is_evaluable() else each.value
            for name, each in each.resources.items() if name != "tmpdir"
        },
        "shell": each.shellcmd,
    }
    for each in workflow.rules
}))
"""
BASES = {"light", "compute"}
NEED_A_GPU = {
    "train", "sample", "reconstruct", "trajectories", "reference_features", "features", "rfid",
    "likelihood", "explore", "disentangle", "prompts", "curve", "elbo", "elbo_study",
}  # fmt: skip


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Every rule of the workflow as Snakemake itself reads it, but `all` and those to inherit."""
    project = Project.copy(tmp_path_factory.mktemp("rules") / "project")
    project.edit("Snakefile", lambda text: text + RULES)
    done = project.run("env", "-u", "GENLAB_GPUS", "snakemake", "--list", "--cores", "8")
    assert done.returncode == 0, done.stderr
    rules: dict[str, dict[str, Any]] = json.loads((project.root / "rules.json").read_text())
    assert rules.pop("all")["shell"] is None
    return {name: rule for name, rule in rules.items() if name not in BASES}


def test_every_rule_has_a_log_a_benchmark_and_the_environment(
    rules: dict[str, dict[str, Any]],
) -> None:
    for rule in rules.values():
        (log,) = rule["log"]
        assert log.startswith("results/default/logs/") and log.endswith(".log")
        measured = rule["benchmark"]
        assert measured.startswith("results/default/benchmarks/") and measured.endswith(".tsv")
        assert rule["conda"] == "../envs/genlab.yaml"
    logs = [rule["log"][0] for rule in rules.values()]
    assert len(set(logs)) == len(logs)


def test_every_job_is_one_call_of_genlab(bare: Project, rules: dict[str, dict[str, Any]]) -> None:
    """With its output in its own log, and a GPU named where its rule may have one."""
    stages = get_command(app).commands  # type: ignore[attr-defined]
    text = bare.snakemake(LONG, "-n", "--printshellcmds")
    announced = JOB.findall(text)
    commands = re.findall(r"^Shell command: (?!None)(.+)$", text, re.M)
    assert len(commands) == len(announced) - 1  # `all` has none
    logs = set()
    for command in commands:
        call = re.fullmatch(r"genlab (\S+) [^;&|<>]* > (results/smoke/logs/\S+\.log) 2>&1", command)
        assert call and call[1] in stages, command
        logs.add(call[2])
    assert len(logs) == len(commands)
    assert {rule for rule, _ in announced} == {*rules, "all"}
    with_gpus = {command.split()[1] for command in commands if "--gpus" in command}
    commands_of_rules = {name.replace("_", "-") for name in NEED_A_GPU - {"reference_features"}}
    assert with_gpus == commands_of_rules


def test_every_rule_says_what_it_needs(rules: dict[str, dict[str, Any]]) -> None:
    """A GPU where a network computes; memory in MB and minutes, for a cluster."""
    assert {name for name, rule in rules.items() if rule["resources"]["gpu"]} == NEED_A_GPU
    for name, rule in rules.items():
        needs = rule["resources"]
        assert needs["gpu"] in (0, 1), name
        assert 1000 <= needs["mem_mb"] <= 16000, name
        assert 30 <= needs["runtime"] <= 1440, name
    assert max(rules, key=lambda name: rules[name]["resources"]["runtime"]) == "train"


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


def test_the_rulegraph_can_be_drawn(bare: Project, rules: dict[str, dict[str, Any]]) -> None:
    """As Mermaid, each rule of the default study a node that leads to the target `all`."""
    done = bare.run("snakemake", "--rulegraph", "mermaid-js")
    assert done.returncode == 0, done.stderr
    assert "flowchart" in done.stdout
    nodes = dict(re.findall(r"(id\d+)\[(\w+)\]", done.stdout))
    on_request = {"disentangle", "curve"}  # of data with known factors; of a study with curves
    assert set(nodes.values()) == {*rules, "all"} - on_request
    edges = {(nodes[a], nodes[b]) for a, b in re.findall(r"(id\d+) --> (id\d+)", done.stdout)}
    assert {("prepare", "train"), ("train", "sample"), ("report", "all")} <= edges


def test_the_attribute_that_the_workflow_clears_exists() -> None:
    """Snakemake's limit of jobs a second is no public interface; without it, no timers are left."""
    assert "job_rate_limiter" in JobScheduler.__init__.__code__.co_names
    assert "job_rate_limiter" in JobScheduler.schedule.__code__.co_names
    assert "workflow.scheduler.job_rate_limiter = None" in (ORIGINAL / "Snakefile").read_text()
