"""What a run depends on besides its spec: the versions, the commit of the code, its data."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

import torch

from genlab import __version__
from genlab.io.files import read_json
from genlab.results.layout import DataFolder


def git_commit(folder: Path | None = None) -> str:
    """The commit of the checkout, '+changes' if it was edited, 'unknown' outside a checkout."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder or Path(__file__).parent), *arguments]
        result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
        return result.stdout.strip()

    try:
        return git("rev-parse", "HEAD") + (
            "+changes" if git("status", "--porcelain", "-uno") else ""
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def processor() -> str:
    """The kind of processor that this process computes on: its GPU, or its CPU and instructions.

    On the same kind, with as many threads, the same code computes the same bytes.
    """
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return torch.cuda.get_device_name()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    name = next(names, platform.processor() or platform.machine())
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"


def read_environment(code: str) -> dict[str, str]:
    """What this process runs with: versions, commit, `code` (the hash of its modules), processor,
    and the numbers of threads and of the machine's cores.
    """
    return {
        "genlab": __version__,
        "git_commit": git_commit(),
        "code": code,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "processor": processor(),
        "threads": str(torch.get_num_threads()),
        "cores": str(os.cpu_count()),
    }


def run_tags(data: DataFolder, environment: dict[str, str]) -> dict[str, str]:
    """Tags of a run: its environment, as `read_environment` returns it, and its data's SHA-256."""
    return {**environment, "dataset_sha256": read_json(data.manifest)["sha256"]}
