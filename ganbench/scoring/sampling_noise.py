"""How much scores vary because their samples were drawn at random: what a ladder's steps are compared with."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ganbench.scoring.ladder import Stock

DRAWS = 8
"""Sets by which a spread is known, where there are enough samples for so many."""


@dataclass(frozen=True)
class CleanSets:
    """Clean sets as ``divisions`` of the stock, int64 (m,) rows each, disjoint within a division.

    What two independent sets differ by is then seen without bias, whatever the metric. ``factor`` turns the spread of
    sets of m samples into that of ``n``.
    """

    divisions: tuple[tuple[Tensor, ...], ...]
    factor: float

    def spread(self, values: Sequence[Sequence[float | None]]) -> float | None:
        """Return the standard deviation of a metric over clean sets of ``n``, from its values set by set.

        It is pooled over divisions; None where no division has two values.
        """
        known = [[value for value in division if value is not None] for division in values]
        usable = [division for division in known if len(division) > 1]
        if not usable:
            return None
        squares = sum((len(division) - 1) * statistics.variance(division) for division in usable)
        return self.factor * math.sqrt(squares / sum(len(division) - 1 for division in usable))


def clean_sets(stock: Stock) -> CleanSets:
    """Return sets of ``n`` samples, or of half the stock where that is less, for at least `DRAWS` - 1 comparisons."""
    total, rng = len(stock.images), stock.rng("clean sets")
    size = max(1, min(stock.n, total // 2))
    count = min(DRAWS, total // size)
    divisions = -(-(DRAWS - 1) // max(count - 1, 1))
    drawn = (torch.randperm(total, generator=rng) for _ in range(divisions))
    sets = tuple(tuple(order[i * size : (i + 1) * size] for i in range(count)) for order in drawn)
    return CleanSets(sets, math.sqrt(size / stock.n))


def redrawn(stock: Stock) -> Iterator[Stock]:
    """Yield `DRAWS` stocks of the same samples in other orders: their rungs are made of other samples."""
    rng = stock.rng("redrawn")
    for _ in range(DRAWS):
        yield Stock(stock.take(torch.randperm(len(stock.images), generator=rng)), stock.n, stock.seed)


def noise_along(
    errors: Sequence[float | None], effective: Sequence[float], spread: float, last: float | None = None
) -> tuple[float, ...]:
    """Return the standard error of a metric on every rung of a ladder, rung 0 being clean.

    It is the larger of the metric's own ``errors`` and the ``spread`` of clean sets. Copies are no new samples: on a
    rung with copies it is that of its ``effective`` number of samples. Where the spread of the ``last`` rung is known
    from drawing it anew, the variance goes from the clean one to that one in proportion to 1 / effective.
    """
    own = [max(error or 0.0, spread) for error in errors]
    scarcity = [1 / count - 1 / effective[0] for count in effective]
    if last is None or scarcity[-1] <= 0:
        return tuple(one * math.sqrt(effective[0] / count) for one, count in zip(own, effective, strict=True))
    more = max(last**2 - own[0] ** 2, 0.0)
    return tuple(
        max(one, math.sqrt(own[0] ** 2 + more * share / scarcity[-1])) for one, share in zip(own, scarcity, strict=True)
    )
