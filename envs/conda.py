"""Writes envs/genlab.yaml, the conda environment of the rules, from the pins of the lock.

    python envs/conda.py > envs/genlab.yaml

The project itself is added to the environment by genlab.post-deploy.sh beside it.
"""

from __future__ import annotations

import re
from pathlib import Path

HEAD = """\
# Written by envs/conda.py from requirements.lock; used with `snakemake --sdm conda`.
channels: [conda-forge, nodefaults]
dependencies:
  - python=3.11
  - pip
  - pip:
"""


def pins(lock: str) -> list[str]:
    """The lines `name[extras]==version ; marker` of a lock, without its hashes."""
    return [
        line.removesuffix("\\").strip()
        for line in lock.splitlines()
        if re.match(r"^[A-Za-z0-9._-]+(\[[^]]+\])?==", line)
    ]


def environment(lock: str) -> str:
    """The conda environment with the pins of `lock`."""
    return HEAD + "".join(f'      - "{pin}"\n' for pin in pins(lock))


if __name__ == "__main__":
    print(environment((Path(__file__).parent / "requirements.lock").read_text()), end="")
