"""Random numbers each of which follows from a seed and its own place alone: any of them can be drawn without the rest.

The n-th 64 bits are the n-th output of SplitMix64 (G. L. Steele, D. Lea, C. H. Flood, "Fast splittable pseudorandom
number generators", OOPSLA 2014), whose state after n steps is known in closed form. The seed is a text, hashed.
"""

from __future__ import annotations

import hashlib

import numpy as np

_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def bits(seed: str, rows: np.ndarray, columns: int) -> np.ndarray:
    """Return uint64 (n, columns): row r of an endless table of ``columns`` columns for each r of ``rows`` (n,)."""
    start = np.uint64(int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big"))
    places = rows.astype(np.uint64)[:, None] * np.uint64(columns) + np.arange(1, columns + 1, dtype=np.uint64)
    z = start + places * _STEP
    z = (z ^ (z >> np.uint64(30))) * _FIRST
    z = (z ^ (z >> np.uint64(27))) * _SECOND
    return z ^ (z >> np.uint64(31))


def uniform(seed: str, rows: np.ndarray, columns: int) -> np.ndarray:
    """Return float64 (n, columns) in [0, 1), multiples of 2^-53, from the same table."""
    return (bits(seed, rows, columns) >> np.uint64(11)) * 2.0**-53


def integers(seed: str, rows: np.ndarray, columns: int, below: int) -> np.ndarray:
    """Return int64 (n, columns) from 0 to ``below`` - 1; chances differ by below / 2^32 at most, relatively."""
    high = bits(seed, rows, columns) >> np.uint64(32)
    return ((high * np.uint64(below)) >> np.uint64(32)).astype(np.int64)
