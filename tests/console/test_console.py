"""What a run of Snakemake shows: the plugin, driven by the real Snakemake on a small workflow."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "src"
SNAKEFILE = """
from pathlib import Path
from snakemake.logging import logger
from genlab.results.layout import StudyFolder

study = StudyFolder(Path("results/mini"))
logger.info("Study mini", extra={"study": study, "workflow": workflow})
run = "results/mini/{dataset}/{model}/seed{seed}"

rule all:
    input: study.report

rule reference_features:
    output: "results/mini/{dataset}/reference/{split}/classifier.npz"
    shell: "touch {output}"

rule train:
    output: run + "/weights"
    log: run + "/train.log"
    params: config.get("setting")
    shell:
        "echo first line > {log}; sleep {config[seconds]}; touch {output};"
        " if [ {wildcards.model} = {config[bad]} ]; then echo error: it is bad >> {log}; false; fi"

rule report:
    input:
        expand(run + "/weights", dataset="digits", model=["vae", "ddpm"], seed=[0, 1]),
        "results/mini/digits/reference/train/classifier.npz",
        "league.csv",
    output: study.report
    shell: "cp league.csv results/mini/league.csv; touch {output}"
"""
LEAGUE = """dataset,model,seed,sampler,extractor,fdr,rank
digits,calibration,0,real,classifier,0.9,not ranked
digits,vae,0,prior,classifier,23.4,3
digits,ddpm,0,ddpm-50,classifier,5.829,1 to 2
digits,ddpm,1,ddpm-50,classifier,5.829,1 to 2
digits,ddpm,0,dpm-20,classifier,7.76,1 to 2
digits,vqvae,0,none,classifier,no prior,no prior
digits,ddpm,0,dpm-20,inception-v3-compat,7.76,1 to 2
"""
OUTCOME = """\
Best on digits by FDr, which is 1 for real images:
  5.83  ddpm, ddpm-50: rank 1 to 2
  7.76  ddpm, dpm-20: rank 1 to 2
  23.4  vae, prior: rank 3
Report: results/mini/report/index.html
All runs in MLflow: make ui
"""
JOBS = {
    "reference features digits, train",
    *(f"train {model} on digits, seed {seed}" for model in ("vae", "ddpm") for seed in (0, 1)),
    "report",
}
Snakemake = Callable[..., subprocess.CompletedProcess[str]]


def command(*arguments: str) -> list[str]:
    values = {"seconds": "0", "bad": "none"}
    values |= dict(argument.split("=") for argument in arguments if "=" in argument)
    options = [argument for argument in arguments if "=" not in argument]
    config = [f"{name}={value}" for name, value in values.items()]
    return [str(Path(sys.executable).parent / "snakemake"), "--cores", "2", "--logger", "genlab",
            "--show-failed-logs", "--keep-going", *options, "--config", *config]  # fmt: skip


@pytest.fixture
def snakemake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Snakemake:
    """`snakemake("-n", "bad=vae")` runs the small workflow; both streams are its output."""
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / "league.csv").write_text(LEAGUE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(SOURCES))
    monkeypatch.delenv("SNAKEMAKE_PROFILE", raising=False)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    return run


def job_lines(output: str) -> list[str]:
    """The names in the lines 'k/n  name: time'."""
    return re.findall(r"^\d+/\d+  (.+): \d+ s", output, re.M)


def test_a_run_has_a_line_for_each_job_and_ends_with_the_report(snakemake: Snakemake) -> None:
    done = snakemake()
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert lines[0] == "6 jobs to do"
    assert sorted(job_lines(done.stdout)) == sorted(JOBS)
    assert [line.split()[0] for line in lines[1:7]] == [f"{k}/6" for k in range(1, 7)]
    assert re.fullmatch(r"6 jobs done in \d+ s", lines[7])
    assert "\n".join(lines[8:]) + "\n" == OUTCOME
    assert "\x1b" not in done.stdout  # no terminal, no escape codes
    (log,) = Path(".snakemake/log").iterdir()
    assert "rule train:" in log.read_text()  # Snakemake's long form is kept

    done = snakemake()
    assert done.stdout == f"Nothing to do: everything is up to date\n{OUTCOME}"

    Path("results/mini/digits/vae/seed1/weights").unlink()
    done = snakemake("results/mini/digits/vae/seed1/weights")
    # A part of the study: it isn't finished, and nothing is said of a report.
    assert re.fullmatch(
        r"1 job to do\n1/1  train vae on digits, seed 1: \d+ s\n1 job done in \d+ s\n", done.stdout
    )


def test_a_failed_job_shows_its_log_and_the_others_go_on(snakemake: Snakemake) -> None:
    done = snakemake("bad=vae")
    assert done.returncode == 1
    for seed in (0, 1):
        assert (
            f"FAILED: train vae on digits, seed {seed}\n"
            f"  log: results/mini/digits/vae/seed{seed}/train.log\n"
            "  | first line\n  | error: it is bad\n"
        ) in done.stdout
    assert len(job_lines(done.stdout)) == 3
    end = done.stdout[done.stdout.index("2 of 6 jobs failed, 1 did not start:") :].splitlines()
    assert sorted(end[1:3]) == [
        f"  train vae on digits, seed {seed}: results/mini/digits/vae/seed{seed}/train.log"
        for seed in (0, 1)
    ]
    assert Path(end[3].removeprefix("Snakemake's own log: ")).is_file()
    assert end[4:] == ["Run the same command again to continue from here"]
    assert "Exception" not in done.stdout and "Report" not in done.stdout


def test_a_job_that_succeeds_at_the_second_try_is_no_failure(snakemake: Snakemake) -> None:
    text = Path("Snakefile").read_text()
    again = '"touch {output}.tries; echo >> {output}.tries; [ $(wc -l < {output}.tries) = 2 ];'
    Path("Snakefile").write_text(
        text.replace('shell: "touch {output}"', f'shell: {again} touch {{output}}"')
    )
    done = snakemake("--retries", "1")
    assert done.returncode == 0, done.stdout
    assert "FAILED: reference features digits, train\n" in done.stdout
    assert "Trying to restart job" in done.stdout
    assert sorted(job_lines(done.stdout)) == sorted(JOBS)
    assert done.stdout.endswith(OUTCOME)


def test_a_mistake_in_the_workflow_is_shown(snakemake: Snakemake) -> None:
    Path("Snakefile").write_text('raise WorkflowError("the study is wrong: remedy")')
    done = snakemake()
    assert done.returncode == 1
    assert "the study is wrong: remedy" in done.stdout


def test_a_dry_run_says_what_would_run_and_why(snakemake: Snakemake) -> None:
    done = snakemake("-n")
    table = [re.split(r"  +", line.strip()) for line in done.stdout.splitlines()[:-1]]
    assert table[0] == ["jobs", "rule", "of", "why"]
    # in the order of the workflow's layers
    assert sorted(table[1:-1]) == [
        ["1", "reference_features", "missing"],
        ["4", "train", "ddpm, vae", "missing"],
    ]
    assert table[-1] == ["1", "report", "missing"]
    end = "6 jobs would run; this was a dry run. --verbose shows each of them.\n"
    assert done.stdout.endswith(end)

    assert snakemake().returncode == 0
    Path("league.csv").write_text(LEAGUE + "digits,ddpm,1,dpm-20,classifier,9.5\n")
    assert snakemake("-n").stdout == (
        "jobs  rule    of  why\n"
        "   1  report      changed: league.csv\n"
        "1 job would run; this was a dry run. --verbose shows each of them.\n"
    )
    done = snakemake("-n", "setting=2")
    assert re.fullmatch(
        "jobs  rule    of         why\n"
        "   4  train   ddpm, vae  its code or settings changed\n"
        "   1  report             follows from the jobs above\n"
        "5 jobs would run; this was a dry run. --verbose shows each of them.\n",
        done.stdout,
    ), done.stdout


def test_verbose_is_the_long_form(snakemake: Snakemake) -> None:
    done = snakemake("--verbose", "-n")
    assert done.stdout.count("\nrule train:\n") == 4
    assert "    reason: Missing output files: results/mini/digits/vae/seed0/weights" in done.stdout
    done = snakemake("--verbose")
    assert re.search(r"^localrule train:$", done.stdout, re.M)
    assert OUTCOME in done.stdout


def test_other_commands_say_what_they_did(snakemake: Snakemake) -> None:
    assert snakemake("--unlock").stdout == "Unlocked working directory.\n"


def test_a_terminal_shows_what_runs(snakemake: Snakemake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the lines that stay, one that is written anew."""
    read = b""

    def keep(descriptor: int) -> bytes:
        nonlocal read
        part = os.read(descriptor, 4096)
        read += part
        return part

    monkeypatch.setenv("COLUMNS", "60")
    assert pty.spawn(command("seconds=2"), keep) == 0
    output = read.decode().replace("\r\n", "\n")
    shown = output.split("\r\x1b[2K")
    running = [text for text in shown if "running: train" in text]
    assert max(map(len, running)) == 59  # of two jobs, cut to fit the line
    assert any(re.match(r"\d/6; running: train (vae|ddpm) on digits, seed [01] \(1 s\)", text)
               for text in running)  # fmt: skip
    final = re.sub(r"[^\n]*\r\x1b\[2K", "", output)
    assert sorted(job_lines(final)) == sorted(JOBS)
    assert final.endswith(OUTCOME)
