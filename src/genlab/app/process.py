"""What every command's process does before and after its stage."""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec

P = ParamSpec("P")


def process_start() -> float:
    """When this process started, in seconds since the epoch, to a hundredth of a second."""
    started = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(started) / os.sysconf("SC_CLK_TCK")
    return time.time() - age


def keep_freed_memory() -> None:
    """Let glibc keep freed blocks below 32 MiB for the next ones instead of unmapping them.

    glibc raises its threshold when the first large block is freed. Activations of a network are
    allocated and freed in such sizes, and mapping each one anew costs a tenth of the time of
    sampling.
    """
    bytes(31 << 20)  # never touched, so the kernel does not have to provide the pages


def end_with_workflow() -> None:
    """End this process, as by SIGTERM, as soon as the Snakemake that started it is gone.

    A job that outlives a killed workflow would write into the folder of the next one. A training
    takes the signal as it takes any other: it writes a checkpoint first.
    """
    workflow = os.environ.get("GENLAB_WORKFLOW", "")
    if not workflow.isdecimal() or not hasattr(os, "pidfd_open"):  # by hand, or not on Linux
        return
    try:
        process = os.pidfd_open(int(workflow))
    except ProcessLookupError:
        os.kill(os.getpid(), signal.SIGTERM)
        return
    except OSError:  # of another user, say
        return

    def watch() -> None:
        select.select([process], [], [])
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def work(stage: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
    """Call `stage`; with GENLAB_TIMINGS=FILE in the environment, append its times to FILE."""
    gc.enable()  # was off while modules were imported
    keep_freed_memory()
    end_with_workflow()
    start = time.time()
    try:
        stage(*args, **kwargs)
    finally:
        if timings := os.environ.get("GENLAB_TIMINGS"):
            times = {"process": process_start(), "begun": start, "ended": time.time()}
            with Path(timings).open("a", encoding="utf-8") as file:
                file.write(json.dumps({"stage": stage.__name__, **times}) + "\n")
