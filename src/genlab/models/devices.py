"""Which device a process computes on, and in which precision.

Snakemake counts GPUs but assigns none. A process that may choose takes the first card nobody
holds, by a file lock that the kernel releases when the process ends, however it ends. Whoever set
CUDA_VISIBLE_DEVICES, or Slurm, or a launcher of several processes, has chosen already.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Literal

import torch
from filelock import FileLock, Timeout

from genlab.config.base import Precision

BF16_FLAGS = ("avx512_bf16", "amx_bf16", "bf16")  # x86 and Arm, as Linux calls them
CHOSEN_ELSEWHERE = ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID", "LOCAL_RANK")

_held: list[FileLock] = []  # kept for the life of the process


def cards() -> int:
    """NVIDIA cards of this machine, counted without starting CUDA in this process."""
    return len(list(Path("/proc/driver/nvidia/gpus").glob("*")))


def claim_gpu(count: int | None = None, folder: Path | None = None) -> str | None:
    """Make one free card the only visible one, and return its number.

    Args:
        count: cards of the machine; None counts them.
        folder: where the locks lie; None takes the machine's folder for temporary files.

    Returns:
        None where there is no card, the choice was made elsewhere, or all cards are held (then
        the processes share them as CUDA sees fit).
    """
    if any(chosen in os.environ for chosen in CHOSEN_ELSEWHERE):
        return None
    for number in range(cards() if count is None else count):
        lock = FileLock((folder or Path(tempfile.gettempdir())) / f"genlab-gpu{number}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        _held.append(lock)
        os.environ["CUDA_VISIBLE_DEVICES"] = str(number)
        return str(number)
    return None


def pick_device(cpu: bool) -> torch.device:
    """A GPU where there is one and it is wanted, otherwise the CPU."""
    if cpu:
        return torch.device("cpu")
    claim_gpu()
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def has_bf16(cuda: bool, cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the GPU (`cuda`) or the processor has instructions for bfloat16."""
    if cuda:
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    try:
        flags = set(cpuinfo.read_text(encoding="utf-8").split())
    except OSError:
        return False
    return not flags.isdisjoint(BF16_FLAGS)


def resolve_precision(asked: Precision, cuda: bool) -> Literal["fp32", "bf16"]:
    """What a `precision` of the configuration comes to on this machine."""
    if asked != "auto":
        return asked
    return "bf16" if has_bf16(cuda) else "fp32"
