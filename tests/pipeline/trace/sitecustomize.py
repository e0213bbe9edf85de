"""Notes the files under results/ that a stage opens for reading.

Python imports this module by its name where its folder is on the path. A stage is known by its log,
where its output goes; the notes go to a file of the log's name under $GENLAB_TRACE.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

LOG = Path("/proc/self/fd/1").readlink()
HERE = Path.cwd()
RESULTS = f"{HERE}/results/"


def trace(notes: Path) -> None:
    """Append the path of every file under results/ that is opened for reading to `notes`."""
    notes.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(notes, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event != "open" or not isinstance(arguments[0], str | bytes | os.PathLike):
            return
        flags = arguments[2] if isinstance(arguments[2], int) else 0
        path = HERE / os.fsdecode(arguments[0])
        if flags & os.O_ACCMODE == os.O_RDONLY and str(path).startswith(RESULTS):
            os.write(file, f"{path.relative_to(HERE)}\n".encode())

    sys.addaudithook(hook)


if "GENLAB_TRACE" in os.environ and str(LOG).startswith(RESULTS) and LOG.suffix == ".log":
    trace(Path(os.environ["GENLAB_TRACE"]) / LOG.relative_to(HERE))
