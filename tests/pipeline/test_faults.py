"""A sample of `make faults`: a study that is killed at a random moment, and a clock set back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks/faults.py"


def test_a_disturbed_study_ends_with_the_bytes_of_an_undisturbed_one(tmp_path: Path) -> None:
    options = ("--parts", "clock", "kills", "--kills", "1")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *options],
        cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads((tmp_path / "results/benchmarks/faults.json").read_text())["rows"]
    assert all(row["end"].endswith("same bytes") for row in rows)
    assert len(rows) >= 2
