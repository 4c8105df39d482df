"""Kernel distance: the squared maximum mean discrepancy of two feature sets under a cubic kernel.

"Demystifying MMD GANs", M. Binkowski, D. J. Sutherland, M. Arbel, A. Gretton, 2018, arXiv:1801.01401, the unbiased
estimator of the squared MMD:

    k(x, y) = (x.y / d + 1)^3
    KD = sum_{i != j} [k(x_i, x_j) + k(y_i, y_j)] / (m (m - 1)) - 2 sum_{i, j} k(x_i, y_j) / m^2

averaged over random subsets of m rows of each set. Unbiased, so it may be negative, and is never clipped.

Differs: the subset size shrinks to half of the smaller set where that is below ``subset_size``; torch draws the rows.
Products of the float32 features are taken in float32, kernels and their sums in float64: within 1e-7 of the mean
absolute kernel, it is what float64 throughout would give. Nothing of size N x N is ever held.

The standard error is that of the infinitesimal jackknife for these subsets (L. A. Jaeckel, 1972): of row i the part

    g(i) = 2 / (m B) sum_b [mean_j k(x_i, x_j) - mean_j k(x_i, y_j) - the same of a mean row of subset b]

over the subsets b that hold it, the reference and the drawing of rows held fixed. Where the sets are alike, what is
left is the noise of pairs (i, j), which the sum of g^2 counts twice; it is estimated from one subset and taken off once
(B. Efron and C. Stein, 1981).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from ganbench import FeatureStore, Measured, hookimpl
from ganbench.components import MetricContext
from ganbench.scoring.products import products
from ganbench_zoo.inception import SHA256

TILE = 1024
"""Rows and columns of a kernel that are held at once where all of it is gone through; 8 MB."""
SMALL_TILE = 256
"""The same within a subset, of whose symmetric kernels little more than half is then computed."""


@dataclass(frozen=True)
class KernelDistance:
    """Unbiased squared MMD of the features; its expectation is 0 for equal distributions."""

    subsets: int = 100
    subset_size: int = 1000

    name: ClassVar[str] = "kd"
    paper: ClassVar[str] = "arXiv:1801.01401"
    direction: ClassVar[str] = "lower"
    scale: ClassVar[str] = "linear"
    needs: ClassVar[frozenset[str]] = frozenset({"features"})
    version: ClassVar[int] = 1
    standard: ClassVar[int] = 3
    formula: ClassVar[str] = "E k(x, x') + E k(y, y') - 2 E k(x, y), k(x, y) = (x.y / d + 1)^3"
    published_name: ClassVar[str] = "kid"
    published_weights: ClassVar[str] = SHA256
    published_settings: ClassVar[dict[str, Any]] = {"subsets": 100, "subset_size": 1000}
    floor: ClassVar[str] = "zero"

    def __post_init__(self) -> None:
        if self.subsets < 1:
            raise ValueError(f"subsets must be at least 1, not {self.subsets}")
        if self.subset_size < 2:
            raise ValueError(f"subset_size must be at least 2, not {self.subset_size}")

    def settings(self, rows: int | None = None) -> dict[str, Any]:
        size = self.subset_size if rows is None else min(self.subset_size, rows // 2)
        return {"subsets": self.subsets, "subset_size": size, "kernel": "(x.y/d + 1)^3", "dtype": "float64"}

    def compute(self, generated: FeatureStore, real: FeatureStore, context: MetricContext) -> float | Measured:
        if generated.features is None or real.features is None:
            raise ValueError("no features were kept")
        x, y = generated.features.float(), real.features.float()
        size = min(self.subset_size, min(len(x), len(y)) // 2)
        if size < 2:
            least = min(len(x), len(y))
            raise ValueError(f"subsets of half the samples need at least 4 samples on each side, and there are {least}")
        rng = torch.Generator().manual_seed(context.seed)
        drawn = [torch.randperm(len(side), generator=rng)[:size] for _ in range(self.subsets) for side in (x, y)]
        of_x, of_y = torch.stack(drawn[::2]), torch.stack(drawn[1::2])  # (B, m)
        sums = (_all_sums if _all_is_less(x, y, of_x) else _subset_sums)(x, y, of_x, of_y)
        within = (float(sums.within.sum()) + sums.reference) / (self.subsets * size * (size - 1))
        value = within - 2 * float(sums.across.sum()) / (self.subsets * size**2)
        return Measured(value, _standard_error(sums, of_x, x)) if context.errors else value


class _Sums(NamedTuple):
    """Sums of kernels over all pairs of each subset, of a row with itself left out: by row of x, and over all of y."""

    within: Tensor  # (N,)
    across: Tensor  # (N,)
    reference: float


def _all_is_less(x: Tensor, y: Tensor, drawn: Tensor) -> bool:
    """Return whether all kernels take less time than those of the subsets: both with their overheads, as measured."""
    return (len(x) + len(y)) ** 2 < 4.5 * drawn.numel() * drawn.shape[1]


def _standard_error(sums: _Sums, drawn: Tensor, x: Tensor) -> float:
    subsets, m = drawn.shape
    member = _membership(len(x), drawn)  # (N, B)
    times = member.sum(dim=1).double()
    pull = sums.within / (m - 1) - sums.across / m
    parts = (pull - times * (pull.sum() / (subsets * m))) * (2 / (m * subsets))
    common = (member.T @ member).double()  # (B, B): rows that two subsets have in common
    pairs = float(common.square().sum() - times.square().sum()) / 2  # i < j, by the square of the subsets they share
    twice = pairs * (2 / (m * (m - 1) * subsets)) ** 2 * _noise_of_pairs(x[drawn[0]])
    return max(float(parts.square().sum()) - twice, 0.0) ** 0.5


def _noise_of_pairs(x: Tensor) -> float:
    """Return the variance of k(x_i, x_j) that is of neither row alone, over i != j of ``x`` (m, d)."""
    m = len(x)
    squares, sums = 0.0, torch.zeros(m, dtype=torch.float64)
    for rows, columns, kernel in _tiles(x, SMALL_TILE):
        squares += float(kernel.square().sum()) * (1 if rows == columns else 2)
        _add(sums, rows, columns, kernel)
    means = sums / (m - 1)
    total = squares / (m * (m - 1)) - float(means.mean()) ** 2
    return max(total - 2 * float(means.var()), 0.0)


def _all_sums(x: Tensor, y: Tensor, of_x: Tensor, of_y: Tensor) -> _Sums:
    """Go once through all kernels, each weighted with the number of subsets that hold both of its rows."""
    in_x, in_y = _membership(len(x), of_x), _membership(len(y), of_y)  # (N, B)
    across = torch.zeros(len(x), dtype=torch.float64)
    for rows in _ranges(len(x), TILE):
        for columns in _ranges(len(y), TILE):
            weights = in_x[rows] @ in_y[columns].T
            across[rows] += _kernel(x[rows], y[columns]).mul_(weights).sum(dim=1)
    return _Sums(_weighted(x, in_x), across, float(_weighted(y, in_y).sum()))


def _weighted(x: Tensor, member: Tensor) -> Tensor:
    """Return the weighted sum of each row's kernels (N,), from one triangle of tiles."""
    sums = torch.zeros(len(x), dtype=torch.float64)
    for rows, columns, kernel in _tiles(x, TILE):
        _add(sums, rows, columns, kernel.mul_(member[rows] @ member[columns].T))
    return sums


def _subset_sums(x: Tensor, y: Tensor, of_x: Tensor, of_y: Tensor) -> _Sums:
    """Sum the kernels subset by subset."""
    within, across, reference = (torch.zeros(len(side), dtype=torch.float64) for side in (x, x, y))
    for rows_x, rows_y in zip(of_x, of_y, strict=True):
        a, b = x[rows_x], y[rows_y]
        across.index_add_(0, rows_x, _kernel(a, b).sum(dim=1))
        for side, drawn, sums in ((a, rows_x, within), (b, rows_y, reference)):
            here = torch.zeros(len(drawn), dtype=torch.float64)
            for rows, columns, kernel in _tiles(side, SMALL_TILE):
                _add(here, rows, columns, kernel)
            sums.index_add_(0, drawn, here)
    return _Sums(within, across, float(reference.sum()))


def _tiles(x: Tensor, size: int) -> Iterator[tuple[slice, slice, Tensor]]:
    """Yield (rows, columns, kernel) of the tiles on and above the diagonal, which is zero."""
    ranges = _ranges(len(x), size)
    for i, rows in enumerate(ranges):
        for columns in ranges[i:]:
            kernel = _kernel(x[rows], x[columns])
            if rows == columns:
                kernel.diagonal().zero_()
            yield rows, columns, kernel


def _add(sums: Tensor, rows: slice, columns: slice, tile: Tensor) -> None:
    """Add a tile of a symmetric matrix, and its mirror image off the diagonal, to the sums of all rows (N,)."""
    sums[rows] += tile.sum(dim=1)
    if rows != columns:
        sums[columns] += tile.sum(dim=0)


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    """Return k(x, y) in float64 (a, b) of float32 (a, d) and (b, d)."""
    return products(x, y).double().mul_(1 / x.shape[1]).add_(1.0).pow_(3)


def _membership(n: int, drawn: Tensor) -> Tensor:
    """Return float32 (n, B): 1 where a row is in a subset."""
    return torch.zeros(n, len(drawn)).scatter_(0, drawn.T, 1.0)


def _ranges(n: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


@hookimpl
def metrics() -> Sequence[type]:
    """Offer the kernel distance."""
    return [KernelDistance]
