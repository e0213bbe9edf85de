"""One command in several processes, which share each batch of a training."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Sequence

from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from genlab.errors import GenLabError
from genlab.models.devices import claim_gpus, visible_cards


def is_launched() -> bool:
    """Whether this process is one of those that `launch`, torchrun or accelerate started."""
    return "LOCAL_RANK" in os.environ


def launch(processes: int, on_gpus: bool, arguments: Sequence[str]) -> None:
    """Run `genlab ARGUMENTS` in several processes of this machine, each on its own GPU if any.

    Raises:
        GenLabError: there are GPUs, but fewer than processes; a process failed; or a signal stopped
            them.
    """
    cards = visible_cards()
    if on_gpus and cards:
        if len(cards) < processes:
            raise GenLabError(
                f"{processes} processes need as many GPUs, but this one sees {len(cards)}; look at "
                "CUDA_VISIBLE_DEVICES, or ask for fewer with --gpus"
            )
        claim_gpus(processes)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
    )
    try:
        elastic_launch(config, sys.executable)("-m", "genlab", *arguments)
    except ChildFailedError:
        raise GenLabError(f"one of {processes} processes failed; see its message above") from None
    except SignalException as error:
        raise GenLabError(f"stopped by {error.sigval.name}") from None
