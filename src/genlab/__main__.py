"""`python -m genlab` and `genlab`: a process for one command.

Importing PyTorch creates many objects that live until exit. Garbage collection is off during
imports, and the process exits by `os._exit` without freeing them. This halves the time of a short
stage.
"""

import atexit
import gc
import io
import os
import sys

gc.disable()  # until the stage begins
_status = 1


@atexit.register  # the first to be registered, so it is called last
def _leave() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(_status)


def run() -> None:
    """The command line, as a process of its own."""
    global _status  # noqa: PLW0603 - a process has one
    from genlab.app.cli import main

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # a log shows each line when it is written
    try:
        main()
        _status = 0
    except SystemExit as end:
        _status = end.code if isinstance(end.code, int) else int(end.code is not None)
        raise


if __name__ == "__main__":
    run()
