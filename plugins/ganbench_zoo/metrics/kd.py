"""Kernel distance: the squared maximum mean discrepancy of two feature sets under a cubic kernel.

"Demystifying MMD GANs", M. Binkowski, D. J. Sutherland, M. Arbel, A. Gretton, 2018, arXiv:1801.01401, the unbiased
estimator of the squared MMD:

    k(x, y) = (x.y / d + 1)^3
    KD = sum_{i != j} [k(x_i, x_j) + k(y_i, y_j)] / (m (m - 1)) - 2 sum_{i, j} k(x_i, y_j) / m^2

averaged over random subsets of m rows of each set. Unbiased, so it may be negative, and is never clipped.

Differs: the subset size shrinks to half of the smaller set where that is below ``subset_size``; rows are drawn by torch
and sums taken in float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ganbench import FeatureStore, hookimpl
from ganbench.components import MetricContext
from ganbench_zoo.inception import SHA256


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

    def compute(self, generated: FeatureStore, real: FeatureStore, context: MetricContext) -> float:
        if generated.features is None or real.features is None:
            raise ValueError("no features were kept")
        rows = min(len(generated.features), len(real.features))
        size = min(self.subset_size, rows // 2)
        if size < 2:
            raise ValueError(f"subsets of half the samples need at least 4 samples on each side, and there are {rows}")
        x, y = generated.features.double(), real.features.double()
        rng = torch.Generator().manual_seed(context.seed)
        values = [
            _mmd2(x[torch.randperm(len(x), generator=rng)[:size]], y[torch.randperm(len(y), generator=rng)[:size]])
            for _ in range(self.subsets)
        ]
        return float(torch.stack(values).mean())


def _mmd2(x: Tensor, y: Tensor) -> Tensor:
    """Return the unbiased squared MMD of ``x`` and ``y``, both (m, d)."""
    m = len(x)
    within = sum(kernel.sum() - kernel.diagonal().sum() for kernel in (_kernel(x, x), _kernel(y, y)))
    return within / (m * (m - 1)) - 2 * _kernel(x, y).mean()


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.T).div_(x.shape[1]).add_(1.0).pow_(3)  # (m, m)


@hookimpl
def metrics() -> Sequence[type]:
    """Offer the kernel distance."""
    return [KernelDistance]
