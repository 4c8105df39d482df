"""The nearest row of another set, in blocks and in float64."""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK_ELEMENTS = 1 << 23
"""Distances held at once (64 MB)."""


def nearest(rows: Tensor, others: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return for each of ``rows`` (n, d) the nearest of ``others`` (m, d), or of the other rows where these are None.

    Returns the squared distances float64 (n,), 0 for equal rows and for nothing else, and the places int64 (n,). Which
    row is nearest is found up to rounding by |a|^2 + |b|^2 - 2 a.b of centred rows; the distance is then that of the
    difference.
    """
    among = rows if others is None else others
    centre = among.double().mean(dim=0)
    a, b = rows.double() - centre, among.double() - centre
    norms = b.square().sum(dim=1)
    places = torch.empty(len(a), dtype=torch.int64)
    size = max(1, BLOCK_ELEMENTS // len(b))
    for start in range(0, len(a), size):
        block = a[start : start + size]
        distances = torch.addmm(norms, block, b.T, alpha=-2.0)  # (n', m), less |a|^2
        if others is None:
            own = torch.arange(len(block))
            distances[own, start + own] = torch.inf
        places[start : start + len(block)] = distances.argmin(dim=1)
    exact = [(x - b[i]).square().sum(dim=1) for x, i in zip(a.split(4096), places.split(4096), strict=True)]
    return torch.cat(exact), places
