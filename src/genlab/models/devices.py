"""Which device a process computes on, and in which precision.

Snakemake counts GPUs but assigns none. Of several visible cards a process takes the first that no
other process of this user holds, by a file lock that the kernel releases when the process ends,
however it ends. A single visible card is left as it is, and so is the choice of a launcher of
several processes.
"""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from itertools import takewhile
from pathlib import Path
from typing import Literal

import pynvml
import torch
from filelock import FileLock, Timeout

from genlab.config.base import Precision

BF16_FLAGS = ("avx512_bf16", "amx_bf16", "bf16")  # x86 and Arm, as Linux calls them

_held: list[FileLock] = []  # kept for the life of the process


def cards() -> int:
    """Count the NVIDIA cards of this machine without starting CUDA in this process."""
    try:
        pynvml.nvmlInit()
        return int(pynvml.nvmlDeviceGetCount())
    except pynvml.NVMLError:
        return 0


def visible_cards() -> list[str]:
    """The cards that this process may use, by their CUDA names (numbers or UUIDs)."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        names = (name.strip() for name in chosen.split(","))
        return list(takewhile(lambda name: name not in ("", "-1"), names))  # as CUDA reads it
    if "SLURM_JOB_ID" in os.environ:  # the machine has cards, but this job was given none
        return []
    return [str(number) for number in range(cards())]


def lock_folder() -> Path:
    """Return the folder for this user's locks; nobody else can write into it.

    Raises:
        OSError: it can't be created, or something else has its name.
    """
    folder = Path(tempfile.gettempdir()) / f"genlab-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise NotADirectoryError(f"{folder} is not a folder of this user")
    return folder


def claim_gpus(count: int = 1) -> str | None:
    """Reserve `count` free cards of several visible ones and hide the others; return their names.

    Returns:
        None where there is nothing to choose, a launcher has chosen, or too few cards are free
        (then the processes share them as CUDA sees fit).
    """
    names = visible_cards()
    if len(names) < 2 or "LOCAL_RANK" in os.environ:
        return None
    # Each allocation of Slurm may number its own cards from 0.
    allocation = os.environ.get("SLURM_JOB_ID", "machine")
    try:
        folder, locks = lock_folder(), dict[str, FileLock]()
        for name in names:
            file = f"{allocation}-gpu{name}.lock".replace("/", "-")  # MIG's names hold slashes
            lock = FileLock(folder / file, timeout=0)
            try:
                lock.acquire()
            except Timeout:
                continue
            locks[name] = lock
            if len(locks) == count:
                _held.extend(locks.values())
                os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(locks)
                return ",".join(locks)
        for lock in locks.values():
            lock.release()
    except OSError as error:
        print(
            f"warning: no GPU could be reserved, this job may share one ({error})", file=sys.stderr
        )
    return None


def compute_exactly() -> None:
    """Make a GPU compute float32 in full and the same bits in every call, as a processor does.

    By default its convolutions round their inputs to TensorFloat-32, and some sums are added up in
    the order in which their terms arrive. An operation that has no reproducible form warns.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS starts
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def allow_tf32() -> None:
    """Let a GPU round factors to TensorFloat-32, until the next call of `compute_exactly`."""
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = True


def pick_device(cpu: bool) -> torch.device:
    """Return an NVIDIA or AMD GPU where there is one and `cpu` is false, otherwise the CPU.

    Apple's GPUs are not used: they have no float64, which noise levels and samplers need.
    """
    if cpu:
        return torch.device("cpu")
    claim_gpus()
    if not torch.cuda.is_available():
        return torch.device("cpu")
    compute_exactly()
    return torch.device("cuda")


def join_processes(cpu: bool) -> torch.device:
    """Initialise communication between the processes of a command; return this one's device.

    A single process gets the device of `pick_device`.
    """
    device = pick_device(cpu)
    if "LOCAL_RANK" not in os.environ:
        return device
    from accelerate import PartialState

    own: torch.device = PartialState(cpu=device.type == "cpu").device
    return own


def has_bf16(cuda: bool, cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the GPU (`cuda`) or the processor has instructions for bfloat16."""
    if cuda:
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    try:
        flags = set(cpuinfo.read_text(encoding="utf-8").split())
    except OSError:
        return False
    return not flags.isdisjoint(BF16_FLAGS)


def resolve_precision(precision: Precision, cuda: bool) -> Literal["fp32", "bf16"]:
    """Resolve the `precision` of a configuration on this machine."""
    if precision != "auto":
        return precision
    return "bf16" if has_bf16(cuda) else "fp32"
