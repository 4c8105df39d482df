"""Fixed splits: to which one an image belongs follows from the SHA-256 of its index or name, and from nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

T = TypeVar("T", bound=Hashable)


def ranked(keys: Sequence[T], salt: str) -> list[T]:
    """Return ``keys`` ordered by the SHA-256 of ``<salt>:<key>``: a shuffle that is the same on every machine."""
    return sorted(keys, key=lambda key: hashlib.sha256(f"{salt}:{key}".encode()).digest())


def partition(count: int, salt: str, sizes: Mapping[str, int]) -> dict[str, list[int]]:
    """Cut the indices 0 .. ``count`` - 1, ranked by hash, into disjoint splits of the given sizes, each ascending.

    Raises:
        ValueError: the sizes do not add up to ``count``.
    """
    if sum(sizes.values()) != count:
        raise ValueError(f"the splits {dict(sizes)} hold {sum(sizes.values())} indices, the set has {count}")
    order, splits, start = ranked(range(count), salt), dict[str, list[int]](), 0
    for name, size in sizes.items():
        splits[name] = sorted(order[start : start + size])
        start += size
    return splits


def require(split: str, known: Sequence[str], dataset: str) -> None:
    """Raise ValueError where ``split`` is none of ``known``."""
    if split not in known:
        raise ValueError(f"{dataset} has no split {split!r}; it has: {', '.join(known)}")
