"""k-nearest-neighbour balls of two equally large sets, in blocks, for precision, recall, density, coverage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

DEPTH = 8
"""Neighbours found in the first search, so that another k up to this needs none of its own."""
BLOCK_ELEMENTS = 1 << 23
"""Distances held at once (64 MB)."""
TIE = 1e-12
"""Squared distances are equal when they differ by less than this share of the squared norms: float32's resolution."""


@dataclass(frozen=True)
class BallCounts:
    """Which samples fall into which balls; see `ganbench.components.Neighbours`."""

    generated_in_real: Tensor
    real_in_generated: Tensor
    real_covered: Tensor


class Pair:
    """Two sets of N rows in float64, centred on their common mean, so that squared distances lose little to
    cancellation, and the nearest distances within each.
    """

    def __init__(self, generated: Tensor, real: Tensor, device: torch.device | None) -> None:
        n = min(len(generated), len(real))
        place = torch.device("cpu") if device is None or device.type == "mps" else device  # mps has no float64
        sides = [side[:n].to(place, torch.float64) for side in (generated, real)]
        centre = torch.cat(sides).mean(dim=0)
        self._n = n
        self._generated, self._real = (side - centre for side in sides)
        self._nearest: tuple[Tensor, Tensor] | None = None

    def counts(self, k: int) -> BallCounts:
        """Count the balls of the k-th neighbour that hold each sample of the other set."""
        generated_radius, real_radius = self._radii(k)
        in_real = torch.zeros(self._n, dtype=torch.int64, device=self._real.device)
        in_generated, covered = torch.zeros_like(in_real), torch.zeros_like(in_real, dtype=torch.bool)
        for start, distances, tie in _blocks(self._generated, self._real):
            rows = slice(start, start + len(distances))
            inside_real = distances <= real_radius + tie  # (b, N)
            in_real[rows] = inside_real.sum(dim=1)
            covered |= inside_real.any(dim=0)
            in_generated += (distances <= generated_radius[rows, None] + tie).sum(dim=0)
        return BallCounts(in_real.cpu(), in_generated.cpu(), covered.cpu())

    def _radii(self, k: int) -> tuple[Tensor, Tensor]:
        """Return the squared distances (N,) to the k-th neighbour, of generated and of real rows."""
        if not 1 <= k < self._n:
            raise ValueError(f"{k} neighbours need at least {k + 1} samples on each side, and there are {self._n}")
        if self._nearest is None or self._nearest[0].shape[1] <= k:
            depth = min(max(k, DEPTH), self._n - 1)
            self._nearest = _nearest(self._generated, depth), _nearest(self._real, depth)
        generated, real = self._nearest
        return generated[:, k], real[:, k]


def _nearest(rows: Tensor, depth: int) -> Tensor:
    """Return the squared distances of each row to itself and its ``depth`` neighbours, ascending, (N, depth + 1)."""
    nearest = torch.empty(len(rows), depth + 1, dtype=rows.dtype, device=rows.device)
    for start, distances, _ in _blocks(rows, rows):
        own = torch.arange(len(distances), device=rows.device)
        distances[own, start + own] = 0.0
        nearest[start : start + len(distances)] = distances.topk(depth + 1, dim=1, largest=False).values.sort().values
    return nearest


def _blocks(a: Tensor, b: Tensor) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Yield (first row, squared distances (n, len(b)), what counts as a tie (n, len(b))) over blocks of ``a``."""
    b_norms = b.square().sum(dim=1)
    size = max(1, BLOCK_ELEMENTS // max(len(b), 1))
    for start in range(0, len(a), size):
        block = a[start : start + size]
        norms = block.square().sum(dim=1)[:, None] + b_norms
        yield start, torch.addmm(norms, block, b.T, alpha=-2.0).clamp_(min=0.0), norms * TIE
