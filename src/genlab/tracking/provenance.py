"""Where a run comes from: the commit of the code and the hash of the data."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

from genlab import __version__
from genlab.io.files import read_json
from genlab.results.layout import DataFolder


def git_commit(folder: Path | None = None) -> str:
    """The commit of the checkout, '+changes' if it was edited, 'unknown' outside a checkout."""

    def ask(*question: str) -> str:
        command = ["git", "-C", str(folder or Path(__file__).parent), *question]
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
        return answer.stdout.strip()

    try:
        return ask("rev-parse", "HEAD") + (
            "+changes" if ask("status", "--porcelain", "-uno") else ""
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def run_tags(data: DataFolder) -> dict[str, str]:
    """Tags of a run: versions, commit, and the SHA-256 of its data set."""
    return {
        "git_commit": git_commit(),
        "dataset_sha256": read_json(data.manifest)["sha256"],
        "genlab": __version__,
        "python": platform.python_version(),
    }
