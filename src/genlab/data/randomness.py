"""Randomness by address: what is drawn depends on where it stands, not on what was drawn before."""

from __future__ import annotations

import hashlib

import numpy as np


def address(*parts: int | str) -> int:
    """A 63-bit number that depends on all `parts` and their order; equal parts, equal number."""
    text = "/".join(str(part) for part in parts).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def generator(*parts: int | str) -> np.random.Generator:
    """A stream of its own for every address: counter-based Philox (Salmon et al. 2011)."""
    return np.random.Generator(np.random.Philox(key=address(*parts)))
