"""`genlab check` as students and teachers call it: real files, real processes."""

from __future__ import annotations

import csv
import subprocess
import sys
import time
from pathlib import Path

import pytest

from genlab.app.cli import main
from genlab.course.exercises import exercises, find
from genlab.course.run import check_file
from genlab.errors import GenLabError

RIGHT = """
def guided(conditional, unconditional, w):
    return unconditional + w * (conditional - unconditional)
"""
WRONG = """
def guided(conditional, unconditional, w):
    return conditional + w * (conditional - unconditional)
"""
BITS = "\ndef bits_per_dim(log_p, dimensions):\n    return 8 - log_p / dimensions / 0.6931472\n"


def genlab(monkeypatch: pytest.MonkeyPatch, *args: str) -> int:
    """Status of the command line, run in this process."""
    monkeypatch.setattr(sys, "argv", ["genlab", "check", *args])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


def write(folder: Path, text: str, name: str = "answers.py") -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_the_list_the_template_and_the_verdicts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert genlab(monkeypatch) == 0
    listed = capsys.readouterr().out
    assert all(f"{e.number:5} {e.title}\n" in listed for e in exercises().values())

    assert genlab(monkeypatch, "9.2", "--template") == 0
    template = write(tmp_path, capsys.readouterr().out)
    assert genlab(monkeypatch, "9.2", str(template)) == 1
    assert "9.2 Classifier-free guidance: unfinished" in capsys.readouterr().out

    assert genlab(monkeypatch, "9.2", str(write(tmp_path, RIGHT))) == 0
    assert "9.2 Classifier-free guidance: right" in capsys.readouterr().out

    assert genlab(monkeypatch, "9.2", str(write(tmp_path, WRONG))) == 1
    assert "convention of Ho and Salimans" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["9.2"], "genlab check 9.2 FILE"),
        (["my.py"], "genlab check 5.1 my.py"),
        (["9.2", "--all", "empty"], "drop 9.2"),
        (["--template"], "needs an exercise"),
        (["9.9", "x.py"], "no exercise 9.9"),
        (["9.2", "nowhere.py"], "nowhere.py: no such file"),
        (["9.2", "notes.txt"], "not a Python file"),
        (["9.2", "empty"], "a folder; use --all"),
        (["--out", "x.csv"], "needs --all"),
        (["--all", "nowhere"], "no such folder"),
        (["--all", "empty"], "no submissions"),
    ],
)
def test_a_wrong_call_is_explained(
    args: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    write(tmp_path, "", "notes.txt")
    assert genlab(monkeypatch, *args) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error


MANY = f"""
import os, sys
print("said by the student")

{RIGHT}
{BITS}
def add_noise(x_0, eps, betas, t):
    keep = 1
    while True:
        keep = keep * 1

def gaussian_kl(mu_1, sigma_1, mu_2, sigma_2):
    ratio = sigma_1 / sigma_2
    return ratio + sigma

def iwae(log_w):
    os._exit(3)

def mixture_score(x, points, sigma):
    sys.exit()

def precision(real, generated, k):
    return input()
"""


def test_each_fault_is_told_and_stops_no_other_exercise(tmp_path: Path) -> None:
    file = write(tmp_path, MANY)
    start = time.monotonic()
    verdicts = check_file(
        file, ["0.2", "5.1", "2.2", "4.3", "6.2", "9.2", "10.3", "8.2"], seconds=1.5
    )
    assert time.monotonic() - start < 60
    lines = MANY.splitlines()
    sigma, loop = lines.index("    return ratio + sigma") + 1, lines.index("    while True:") + 1
    outcomes = {number: verdict.outcome for number, verdict in verdicts.items()}
    assert outcomes == {
        "0.2": "error",
        "5.1": "timeout",
        "2.2": "error",
        "4.3": "right",
        "6.2": "error",
        "9.2": "right",
        "10.3": "error",
        "8.2": "missing",
    }
    assert verdicts["0.2"].message == (
        f"answers.py, line {sigma}: return ratio + sigma\n  NameError: name 'sigma' is not defined"
    )
    assert "stopped after 1.5 s, in line " in verdicts["5.1"].message
    assert any(f"line {n} of answers.py" in verdicts["5.1"].message for n in (loop, loop + 1))
    assert verdicts["2.2"].message.startswith("the process ended with status 3")
    assert "SystemExit" in verdicts["6.2"].message
    assert "EOFError" in verdicts["10.3"].message
    assert not any("Traceback" in verdict.message for verdict in verdicts.values())


@pytest.mark.parametrize(
    ("text", "outcome", "message"),
    [
        ("x = 1\n\ndef guided(:\n", "error", "answers.py, line 3: def guided(:"),
        ("if True:\nx = 1\n", "error", "answers.py, line 2: x = 1"),
        ("import nothing_like_it\n", "error", "answers.py, line 1: import nothing_like_it\n"),
        ("while True:\n    pass\n", "timeout", "stopped after 1 s, in line"),
        ("x = '\udcff'", "error", "utf-8"),
        ("", "missing", "defines no function `guided`"),
    ],
)
def test_a_file_that_does_not_run(text: str, outcome: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "answers.py"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    verdicts = check_file(file, ["9.2", "4.3"], seconds=1)
    assert verdicts["9.2"].outcome == verdicts["4.3"].outcome == outcome
    assert message in verdicts["9.2"].message


def test_files_beside_the_answer_shadow_no_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "raise ValueError('this is not torch')", "torch.py")
    write(tmp_path, "SCALE = 1", "mine.py")
    monkeypatch.chdir(tmp_path)
    file = write(tmp_path, "import torch, mine\n" + RIGHT)
    assert check_file(file, ["9.2"])["9.2"].outcome == "right"


def test_a_folder_is_graded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "hand-in"
    folder.mkdir()
    write(folder, RIGHT + BITS, "ada.py")
    write(folder, WRONG, "bob/lesson9.py")
    write(folder, BITS + "\nimport this_is_not_there\n", "bob/lesson4.py")
    (folder / "nothing").mkdir()
    out = tmp_path / "grades.csv"
    assert genlab(monkeypatch, "--all", str(folder), "--out", str(out)) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split() == ["student", *exercises(), "right"]
    assert printed[1].split()[-1] == f"2/{len(exercises())}"
    assert printed[-1].startswith("+ right, - wrong")
    with out.open(encoding="utf-8", newline="") as file:
        rows = {row["student"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["ada", "bob"]
    assert (rows["ada"]["9.2"], rows["ada"]["4.3"], rows["ada"]["0.2"]) == (
        "right",
        "right",
        "missing",
    )
    assert (rows["bob"]["9.2"], rows["bob"]["4.3"]) == ("wrong", "error")
    assert (rows["ada"]["right"], rows["bob"]["right"]) == ("2", "0")


def test_a_missing_file_raises(tmp_path: Path) -> None:
    with pytest.raises(GenLabError, match="no such file"):
        check_file(tmp_path / "a.py", ["9.2"])


def test_importing_genlab_or_its_command_line_imports_no_torch() -> None:
    code = "import sys, genlab, genlab.app.cli; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_signature_is_shown_as_written() -> None:
    assert find("9.2").signature == (
        "guided(conditional: Tensor, unconditional: Tensor, w: float) -> Tensor"
    )
