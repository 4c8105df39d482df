"""k-nearest-neighbour balls of two equally large sets, in blocks, for precision, recall, density, coverage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ganbench.scoring.distances import SPARE, TIE, Frame, Lists, Rows, all_exact, exact, listed_within, ranges, smallest

DEPTH = 8
"""Neighbours found in the first search, so that another k up to this needs none of its own."""
GROUPS = 20
"""Groups of generated samples that are left out, one at a time, for a standard error."""
MANY = 50
"""Where more than one pair in this many is too near to a radius, rows are compared in float64 as a whole."""


@dataclass(frozen=True)
class Reached:
    """Real samples that are reached without each group; see `ganbench.components.LeftOut`."""

    shares: Tensor
    by_none: int
    by_one: int

    @classmethod
    def of(cls, by_group: Tensor, more: Tensor | None = None) -> Reached:
        """Count from bool (G, N), whether each group reaches each real sample.

        ``more`` (G, N) says which the others reach only because the group is missing.
        """
        times = by_group.sum(dim=0)
        without = times - by_group.long() > 0
        if more is not None:
            without |= more
        return cls(without.double().mean(dim=1).cpu(), int((times == 0).sum()), int((times == 1).sum()))


@dataclass(frozen=True)
class BallCounts:
    """Which samples fall into which balls; see `ganbench.components.Neighbours`."""

    generated_in_real: Tensor
    real_in_generated: Tensor
    real_covered: Tensor
    recall_left_out: Reached | None = None
    coverage_left_out: Reached | None = None


class Pair:
    """Two sets of N rows and the nearest neighbours within each.

    Every count is that of float64 distances: bounds from float32 products decide where they can, and the others are
    computed anew.
    """

    def __init__(self, generated: Tensor, real: Tensor, device: torch.device | None) -> None:
        n = min(len(generated), len(real))
        place = torch.device("cpu") if device is None or device.type == "mps" else device  # mps has no float64
        sides = [side[:n].to(place) for side in (generated, real)]
        frame = Frame.of(*sides)
        self._n = n
        self._generated, self._real = (Rows(side, frame) for side in sides)
        self._lists: tuple[Lists, Lists] | None = None

    def counts(self, k: int, groups: int = 0) -> BallCounts:
        """Count the balls of the k-th neighbour that hold each sample of the other set.

        With ``groups``, also say what holds when each of so many groups of generated samples is left out.
        """
        if not 1 <= k < self._n:
            raise ValueError(f"{k} neighbours need at least {k + 1} samples on each side, and there are {self._n}")
        generated, real = self._balls(k)
        place, groups = self._real.norms.device, min(groups, self._n)
        in_real = torch.zeros(self._n, dtype=torch.int64, device=place)
        in_generated = torch.zeros_like(in_real)
        covered, recalled = (torch.zeros(max(groups, 1), self._n, dtype=torch.bool, device=place) for _ in range(2))
        wider = _WiderBalls(generated, groups) if groups else None
        for group, rows in self._blocks(groups):
            bounds = self._generated.lower_bounds(rows, self._real)
            inside_generated, inside_real = generated.hold(bounds, rows), real.hold(bounds, rows)
            in_real[rows] = inside_real.sum(dim=1)
            in_generated += inside_generated.sum(dim=0)
            covered[group] |= inside_real.any(dim=0)
            recalled[group] |= inside_generated.any(dim=0)
            if wider:
                wider.look(bounds, rows, inside_generated)
        counts = (in_real.cpu(), in_generated.cpu(), covered.any(dim=0).cpu())
        if not wider:
            return BallCounts(*counts)
        return BallCounts(*counts, Reached.of(recalled, wider.found), Reached.of(covered))

    def _balls(self, k: int) -> tuple[_Balls, _Balls]:
        """Return the balls of the k-th neighbour around generated and around real rows."""
        if self._lists is None or self._lists[0][0].shape[1] < min(k + SPARE, self._n - 1):
            depth = min(max(k, DEPTH) + SPARE, self._n - 1)
            self._lists = listed_within(self._generated, depth), listed_within(self._real, depth)
        return (
            _Balls(self._generated, self._lists[0], k, self._generated, self._real, by_row=True),
            _Balls(self._real, self._lists[1], k, self._generated, self._real, by_row=False),
        )

    def _blocks(self, groups: int) -> Iterator[tuple[int, slice]]:
        """Yield (group, rows) over blocks of generated rows, none of which reaches over the edge of a group."""
        count = max(groups, 1)
        for group in range(count):
            start, stop = _edge(group, count, self._n), _edge(group + 1, count, self._n)
            for part in ranges(stop - start, self._n):
                yield group, slice(start + part.start, start + part.stop)


class _Balls:
    """Balls around the rows of one set, and which of them hold which rows of the other; all as matrices (rows, columns)
    of generated and real rows. The centres are the rows where ``by_row``, else the columns.
    """

    def __init__(self, centres: Rows, lists: Lists, k: int, rows: Rows, columns: Rows, *, by_row: bool) -> None:
        self.centres, self.lists, self.k = centres, lists, k
        self.rows, self.columns, self.by_row = rows, columns, by_row
        bounds, whose = lists
        margin = centres.margin()
        upper = bounds + 2 * (margin[:, None] + margin[whose])
        self._low, self._high = bounds[:, k - 1].clamp(min=0.0), upper.kthvalue(k, dim=1).values
        self._radii = torch.full_like(centres.norms, torch.nan)

    def hold(self, bounds: Tensor, rows: slice) -> Tensor:
        """Return bool (n, N): whether a row and a column are no farther apart than the radius; balls are closed.

        ``bounds`` are the lower bounds on the distances of ``rows`` to all columns.
        """
        low, high = (self._low[rows, None], self._high[rows, None]) if self.by_row else (self._low, self._high)
        upper = bounds + 2 * self.rows.margin()[rows, None]
        upper += 2 * self.columns.margin()
        inside = upper <= low
        pairs = (bounds <= high).logical_xor_(inside).nonzero()  # what is surely inside is possibly inside
        if len(pairs) * MANY > bounds.numel():
            of_rows = torch.unique(pairs[:, 0])
            inside[of_rows] = self._compare_all(of_rows, rows.start)
        elif len(pairs):
            of_rows, of_columns = pairs[:, 0] + rows.start, pairs[:, 1]
            distances = exact(self.rows, of_rows, self.columns, of_columns)
            tie = TIE * (self.rows.norms[of_rows] + self.columns.norms[of_columns])
            radii = self._exact_radii(of_rows if self.by_row else of_columns)
            inside[pairs[:, 0], pairs[:, 1]] = distances <= radii + tie
        return inside

    def _compare_all(self, of_rows: Tensor, start: int) -> Tensor:
        """Return bool (n, N) for rows ``start + of_rows``, all in float64."""
        rows = of_rows + start
        distances = all_exact(self.rows, rows, self.columns)
        tie = TIE * (self.rows.norms[rows, None] + self.columns.norms)
        if self.by_row:
            return distances <= self._exact_radii(rows)[:, None] + tie
        return distances <= self._exact_radii(torch.arange(len(self.columns), device=rows.device)) + tie

    def _exact_radii(self, which: Tensor) -> Tensor:
        """Return the squared radii float64 (n,) of the balls ``which``, computing those that were not yet wanted."""
        wanted = torch.unique(which)
        missing = wanted[self._radii[wanted].isnan()]
        if len(missing):
            self._radii[missing] = smallest(self.centres, self.centres, self.lists, missing, self.k)[0]
        return self._radii[which]


class _WiderBalls:
    """Generated balls as they grow when a group of generated samples, some neighbours among them, is left out.

    Only for standard errors: distances are those of the products, radii as far as the lists of neighbours go.
    """

    def __init__(self, balls: _Balls, groups: int) -> None:
        n, k = len(balls.centres), balls.k
        bounds, whose = balls.lists
        margin = balls.centres.margin()
        distances = bounds + margin[:, None] + margin[whose]  # (N, depth)
        edges = torch.tensor([_edge(group, groups, n) for group in range(groups)], device=whose.device)
        of = torch.searchsorted(edges, torch.arange(n, device=whose.device), right=True) - 1  # (N,): groups of the rows
        self._left_out = of[whose[:, :k]]  # (N, k): groups whose absence moves the radius
        kept = of[whose][:, None, :] != self._left_out[:, :, None]  # (N, k, depth)
        place = (kept.cumsum(dim=2) < k).sum(dim=2).clamp(max=whose.shape[1] - 1)  # of the k-th that is kept
        self._radii = distances.gather(1, place)  # (N, k)
        self._radii[self._left_out == of[:, None]] = -1.0  # then the ball itself is left out
        self._widest = self._radii.amax(dim=1)
        self._rows, self._columns = balls.rows.margin(), balls.columns.margin()
        self.found = torch.zeros(groups, len(balls.columns), dtype=torch.bool, device=whose.device)

    def look(self, bounds: Tensor, rows: slice, inside: Tensor) -> None:
        """Note which real rows a wider ball of ``rows`` holds that the ball itself does not."""
        distances = bounds + self._rows[rows, None]
        distances += self._columns
        pairs = (distances <= self._widest[rows, None]).logical_and_(~inside).nonzero()
        apart = distances[pairs[:, 0], pairs[:, 1]]
        for i in range(self._radii.shape[1]):
            held = apart <= self._radii[rows][pairs[:, 0], i]
            self.found[self._left_out[rows][pairs[held, 0], i], pairs[held, 1]] = True


def _edge(group: int, groups: int, n: int) -> int:
    """Return the first row of a group, of ``n`` rows in as equal groups as can be."""
    return group * n // groups
