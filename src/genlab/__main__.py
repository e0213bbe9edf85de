"""`python -m genlab` and `genlab`: a process for one command.

Such a process is born with more modules than it will ever use, PyTorch's above all, and most
stages are short. Two things save half of what they cost: no garbage is looked for while modules
are imported, since they live to the end; and at the end, when all that had to be done then is
done, the process leaves without taking them to pieces.
"""

import atexit
import gc
import io
import os
import sys

gc.disable()  # until the stage begins
_status = 1


@atexit.register  # before anything else has been, and therefore called last
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
