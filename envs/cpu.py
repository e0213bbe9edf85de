"""Prints what a lock names without CUDA, for an environment with CPU builds of PyTorch.

    python envs/cpu.py container.lock             the lock, without PyTorch and what only CUDA needs
    python envs/cpu.py container.lock --torch     torch==VERSION+cpu torchvision==VERSION+cpu

PyPI has builds of torch with CUDA only, and those can't be imported without its libraries. The CPU
builds are on an index of PyTorch's own, so that no lock of PyPI's packages holds their hashes.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

TORCH = ("torch", "torchvision")
CUDA = re.compile(r"triton|cuda-.+|nvidia-(?!ml-py$).+")
"""Packages that only CUDA builds of torch need; nvidia-ml-py is plain Python and counts GPUs."""
ENTRY = re.compile(r"^(?=[a-z0-9])", re.M)


def entries(lock: str) -> list[tuple[str, str]]:
    """The name of the package and the text of each entry; a package may have several entries."""
    texts = ENTRY.split(lock)
    return [(re.split(r"[\[=]", text, maxsplit=1)[0], text) for text in texts if "==" in text]


def without_cuda(lock: str) -> str:
    """The lock without PyTorch and what only CUDA needs."""
    return "".join(
        text for name, text in entries(lock) if name not in TORCH and not CUDA.fullmatch(name)
    )


def cpu_builds(lock: str) -> str:
    """The CPU builds of the versions of PyTorch that the lock pins."""
    pins = (text.split()[0] for name, text in entries(lock) if name in TORCH)
    return " ".join(f"{pin}+cpu" for pin in pins)


if __name__ == "__main__":
    content = (Path(__file__).parent / sys.argv[1]).read_text()
    print(cpu_builds(content) if "--torch" in sys.argv else without_cuda(content), end="")
