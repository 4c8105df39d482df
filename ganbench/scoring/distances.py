"""Squared distances between many rows: bounds for all from fast products, exact values for the few that need them.

On the CPU products are taken in float32, elsewhere in float64. The bounds hold for any order in which the d terms of a
product may be summed: it is off by at most d u |x||y|, u the unit roundoff (N. J. Higham, "Accuracy and Stability of
Numerical Algorithms", 2002, section 3.1).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ganbench.scoring.products import packed, products

BLOCK_ELEMENTS = 1 << 22
"""Bounds held at once (16 MB in float32)."""
TILE = 1024
"""Rows that are packed together, and compared with as many at once."""
TIE = 1e-12
"""Squared distances are equal when they differ by less than this share of the squared norms: float32's resolution."""
TINY = 1e-30
"""What products may lose to underflow, where the largest coordinate is about 1."""
SPARE = 4
"""Neighbours listed beyond those asked for, so that the list surely holds them."""


def fast_dtype(device: torch.device) -> torch.dtype:
    """Return in what products are taken: elsewhere than on the CPU, float32 may stand for fewer digits."""
    return torch.float32 if device.type == "cpu" else torch.float64


class Rows:
    """One of several sets of rows (N, d) that are compared with each other: as given, and packed for fast products.

    ``norms`` (N,) are squared norms in float64, in the ``frame`` that the sets share. ``slack`` is the share of summed
    norms by which a product may be off, ties included.
    """

    def __init__(self, given: Tensor, frame: Frame) -> None:
        self.given, self.frame = given, frame
        self.dtype = fast_dtype(given.device)
        self.norms = torch.empty(len(given), dtype=torch.float64, device=given.device)
        self._tiles = []
        for rows in tiles(len(given)):
            exact = self.exactly(rows)
            self.norms[rows] = exact.square().sum(dim=1)
            self._tiles.append((rows, self._packed(exact)))
        # beyond the sum of d terms: rows, norms and bounds are rounded too
        self.slack = (given.shape[1] + 32) * torch.finfo(self.dtype).eps / 2 + TIE

    def __len__(self) -> int:
        return len(self.given)

    def exactly(self, rows: slice | Tensor) -> Tensor:
        """Return centred rows (n, d) in float64."""
        return (self.given[rows].double() - self.frame.centre) * self.frame.unit

    def margin(self) -> Tensor:
        """Return this set's part (N,) of half the width of the bounds, in the precision of the products."""
        return (self.norms * self.slack + TINY).to(self.dtype)

    def lower_bounds(self, rows: slice, others: Rows) -> Tensor:
        """Return bounds (n, M) from below on the squared distances of ``rows`` to all M of ``others``."""
        bounds = torch.empty(rows.stop - rows.start, len(others), dtype=self.dtype, device=self.norms.device)
        x, near, far = self._packed(self.exactly(rows) * -2.0), self._reduced(), others._reduced()
        for columns, y in others._tiles:
            torch.add(self._products(x, y), far[columns], out=bounds[:, columns])
        return bounds.add_(near[rows, None])

    def own_lower_bounds(self) -> Iterator[tuple[slice, slice, Tensor]]:
        """Yield (rows, columns, bounds) of the tiles on and above the diagonal of all rows against all; inf on it."""
        reduced = self._reduced()
        for i, (rows, x) in enumerate(self._tiles):
            for columns, y in self._tiles[i:]:
                bounds = self._products(x, y).mul_(-2.0).add_(reduced[rows, None]).add_(reduced[columns])
                if rows == columns:
                    bounds.fill_diagonal_(torch.inf)
                yield rows, columns, bounds

    def _packed(self, exact: Tensor) -> Tensor:
        return packed(exact.float()) if self.dtype == torch.float32 else exact

    def _products(self, x: Tensor, y: Tensor) -> Tensor:
        return products(x, y) if self.dtype == torch.float32 else x @ y.T

    def _reduced(self) -> Tensor:
        return (self.norms - self.margin()).to(self.dtype)


@dataclass(frozen=True)
class Frame:
    """Where sets of rows are looked at from: their common mean (d,), and a power of two that makes norms moderate."""

    centre: Tensor
    unit: float

    @classmethod
    def of(cls, *sets: Tensor) -> Frame:
        """Return the frame of several sets of rows (N, d); near their mean, little is lost to cancellation."""
        parts = [side[rows] for side in sets for rows in ranges(len(side), side.shape[1])]
        centre = torch.stack([part.double().sum(dim=0) for part in parts]).sum(dim=0) / sum(map(len, sets))
        widest = max(float((part.double() - centre).abs().max()) for part in parts)
        return cls(centre, 2.0 ** -math.frexp(widest)[1] if widest else 1.0)


Lists = tuple[Tensor, Tensor]
"""Of each row the smallest lower bounds, ascending, and whose they are: (N, depth), int64 (N, depth)."""


def listed(a: Rows, b: Rows, depth: int) -> Lists:
    """Return the ``depth`` smallest lower bounds on the distances of each row of ``a`` to rows of ``b``."""
    lists = _empty_lists(a, depth)
    for rows in ranges(len(a), len(b)):
        _keep_smallest(lists, rows, a.lower_bounds(rows, b), 0)
    return lists


def listed_within(a: Rows, depth: int) -> Lists:
    """Return the same for ``a`` against itself, no row its own neighbour; each distance is looked at once."""
    lists = _empty_lists(a, depth)
    for rows, columns, bounds in a.own_lower_bounds():
        _keep_smallest(lists, rows, bounds, columns.start)
        if rows != columns:
            _keep_smallest(lists, columns, bounds.T.contiguous(), rows.start)
    return lists


def _empty_lists(a: Rows, depth: int) -> Lists:
    values = torch.full((len(a), depth), torch.inf, dtype=a.dtype, device=a.norms.device)
    return values, torch.zeros(len(a), depth, dtype=torch.int64, device=a.norms.device)


def _keep_smallest(lists: Lists, rows: slice, bounds: Tensor, first: int) -> None:
    """Merge ``bounds`` (n, m) on distances to others from ``first`` on into the lists of ``rows``."""
    values, whose = lists
    depth = values.shape[1]
    new = bounds.topk(min(depth, bounds.shape[1]), dim=1, largest=False)
    both = torch.cat([values[rows], new.values], dim=1)
    best = both.topk(depth, dim=1, largest=False)
    values[rows] = best.values
    whose[rows] = torch.cat([whose[rows], new.indices + first], dim=1).gather(1, best.indices)


def smallest(a: Rows, b: Rows, lists: Lists, rows: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the ``k``-th smallest squared distance of ``rows`` of ``a`` to rows of ``b``, float64 (n,), and to which.

    ``lists`` are those of `listed`, or of `listed_within` where ``b`` is ``a``: what they leave out is at least as far
    as their last bound. Rows whose k-th neighbour may be among what was left out are compared with all of ``b``.
    """
    bounds, whose = lists[0][rows], lists[1][rows]
    near = exact(a, rows.repeat_interleave(whose.shape[1]), b, whose.flatten()).view(whose.shape)
    values, places = near.sort(dim=1, stable=True)
    found, which = values[:, k - 1].clone(), whose.gather(1, places)[:, k - 1].clone()
    left_out = whose.shape[1] < len(b) - (a is b)
    unsure = (found > bounds[:, -1].clamp(min=0.0)).nonzero()[:, 0] if left_out else rows[:0]
    for block in ranges(len(unsure), len(b)):
        part = unsure[block]
        distances = all_exact(a, rows[part], b)
        if a is b:
            distances[torch.arange(len(part), device=distances.device), rows[part]] = torch.inf
        which[part] = distances.topk(k, dim=1, largest=False).indices[:, -1]
        found[part] = exact(a, rows[part], b, which[part])
    return found, which


def exact(a: Rows, of_a: Tensor, b: Rows, of_b: Tensor) -> Tensor:
    """Return the squared distances float64 (n,) of single pairs: rows ``of_a`` of ``a`` from rows ``of_b`` of ``b``."""
    found = torch.empty(len(of_a), dtype=torch.float64, device=a.norms.device)
    for part in ranges(len(of_a), 2 * a.given.shape[1]):
        apart = a.given[of_a[part]].double() - b.given[of_b[part]].double()
        found[part] = (apart * a.frame.unit).square().sum(dim=1)
    return found


def all_exact(a: Rows, of_a: Tensor, b: Rows) -> Tensor:
    """Return the squared distances float64 (n, len(b)) of rows ``of_a`` of ``a`` to all of ``b``; for few rows."""
    x = a.exactly(of_a)
    inner = torch.cat([x @ b.exactly(rows).T for rows in ranges(len(b), b.given.shape[1])], dim=1)
    return (a.norms[of_a, None] + b.norms - 2 * inner).clamp_(min=0.0)


def ranges(n: int, width: int) -> Iterator[slice]:
    """Yield slices of ``n`` rows, each of as many as make a block of ``width`` columns."""
    size = max(1, BLOCK_ELEMENTS // max(width, 1))
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def tiles(n: int) -> Iterator[slice]:
    """Yield slices of ``n`` rows, each of `TILE`."""
    for start in range(0, n, TILE):
        yield slice(start, min(start + TILE, n))
