"""Random numbers by address: a stream depends on its address, not on earlier draws."""

from __future__ import annotations

import hashlib

import numpy as np


def address(*parts: int | str) -> int:
    """Hash `parts`, in their order, to a 63-bit number."""
    text = "/".join(str(part) for part in parts).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def generator(*parts: int | str) -> np.random.Generator:
    """Return the random stream of an address: counter-based Philox (Salmon et al. 2011)."""
    return np.random.Generator(np.random.Philox(key=address(*parts)))
