"""Frechet distance extrapolated to infinitely many generated samples.

"Effectively Unbiased FID and Inception Score and where to find them", M. J. Chong and D. Forsyth, 2020,
arXiv:1911.07023, section 4: the bias of the Frechet distance falls as 1/N, and depends on the generator, so the
distance is measured at several N and the line through

    FD_N = FD_inf + b / N

is followed to 1/N = 0.

Differs: in place of random subsets the samples are cut, in random order, into j = 1, 2, ... ``levels`` disjoint subsets
of N/j, whose mean is FD at N/j. Every level then holds every sample once, so what a sample adds to the distance is the
same at all levels and falls out of the slope. The standard error adds that part, by the infinitesimal jackknife, to the
spread that a bootstrap over the subsets of each level gives the intercept. Only the generated side is extrapolated: the
bias that comes from the finite reference remains. It may be negative.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ganbench import FeatureStore, Measured, hookimpl
from ganbench.components import MetricContext
from ganbench_zoo.frechet import Fit, distance, fit_of, fit_rows, influence

BOOTSTRAPS = 200
FEWEST_PER_FEATURE = 8
"""Rows of the smallest subset for each feature: with fewer the bias does not fall as 1/N (5 are too few)."""


@dataclass(frozen=True)
class FrechetDistanceInfinity:
    """Intercept of the Frechet distance against 1/N: free of the generated side's bias."""

    levels: int = 10

    name: ClassVar[str] = "fd_inf"
    paper: ClassVar[str] = "arXiv:1911.07023"
    direction: ClassVar[str] = "lower"
    scale: ClassVar[str] = "linear"
    needs: ClassVar[frozenset[str]] = frozenset({"moments", "features"})
    version: ClassVar[int] = 1
    formula: ClassVar[str] = "intercept of FD_N = FD_inf + b / N"
    floor: ClassVar[str] = "bias"

    def __post_init__(self) -> None:
        if self.levels < 2:
            raise ValueError(f"a line needs at least 2 levels, not {self.levels}")

    def settings(self, rows: int | None = None) -> dict[str, Any]:
        return {
            "levels": self.levels,
            "fewest_per_feature": FEWEST_PER_FEATURE,
            "bootstraps": BOOTSTRAPS,
            "ddof": 1,
            "covariance": "float64",
        }

    def compute(self, generated: FeatureStore, real: FeatureStore, context: MetricContext) -> Measured:
        if generated.features is None:
            raise ValueError("no features were kept")
        n, width = generated.features.shape
        levels = min(self.levels, n // (FEWEST_PER_FEATURE * width))
        if levels < 2:
            raise ValueError(
                f"the line needs at least {2 * FEWEST_PER_FEATURE} samples for each of the {width} features, "
                f"and there are {n}"
            )
        rng = torch.Generator().manual_seed(context.seed)
        rows, reference = generated.features[torch.randperm(n, generator=rng)], fit_of(real, "reference")
        found = [
            torch.tensor(
                [distance(fit_rows(part), reference) for part in rows.tensor_split(level)], dtype=torch.float64
            )
            for level in range(1, levels + 1)
        ]
        value = _intercept(torch.stack([level.mean() for level in found]))
        return Measured(value, _error(found, rows, reference, rng) if context.errors else None)


def _intercept(means: Tensor) -> float:
    """Return where the least-squares line through ``means`` at 1, 2, ... times 1/N meets 0."""
    x = torch.arange(1, len(means) + 1, dtype=torch.float64)
    slope = ((x - x.mean()) * means).sum() / (x - x.mean()).square().sum()
    return float(means.mean() - slope * x.mean())


def _error(found: list[Tensor], rows: Tensor, reference: Fit, rng: torch.Generator) -> float:
    drawn = []
    for _ in range(BOOTSTRAPS):
        again = [level[torch.randint(len(level), (len(level),), generator=rng)].mean() for level in found]
        drawn.append(_intercept(torch.stack(again)))
    spread = float(torch.tensor(drawn, dtype=torch.float64).std())
    pulled = float(influence(fit_rows(rows), reference, rows).std()) / math.sqrt(len(rows))
    return math.hypot(spread, pulled)


@hookimpl
def metrics() -> Sequence[type]:
    """Offer the extrapolated Frechet distance."""
    return [FrechetDistanceInfinity]
