"""Density: how many real balls a generated sample lies in, against what equal distributions would give.

"Reliable Fidelity and Diversity Metrics for Generative Models", M. F. Naeem, S. J. Oh, Y. Uh, Y. Choi, J. Yoo, 2020,
arXiv:2002.09797, the definition of density:

    density = 1/(k N) sum_g sum_r [g in B(r, d_k(r))]

with k = 5, equally many samples on both sides and a sample not its own neighbour. 1 in expectation for equal
distributions, not bounded above. The standard error is that of a mean: the reference and its balls are held fixed.

Differs: balls are closed as precision's are, where the authors' code takes them open; that matters only for ties, such
as a generated set that is the real set itself (1 + 1/k instead of 1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from ganbench import FeatureStore, Measured, hookimpl
from ganbench.components import MetricContext


@dataclass(frozen=True)
class Density:
    """Mean number of real balls around a generated sample, divided by k."""

    k: int = 5

    name: ClassVar[str] = "density"
    paper: ClassVar[str] = "arXiv:2002.09797"
    direction: ClassVar[str] = "higher"
    scale: ClassVar[str] = "linear"
    needs: ClassVar[frozenset[str]] = frozenset({"features"})
    blind: ClassVar[frozenset[str]] = frozenset({"mode_dropping", "duplication"})
    version: ClassVar[int] = 1
    standard: ClassVar[int] = 6
    formula: ClassVar[str] = "1/(k N) sum_g sum_r [g in B(r, d_k(r))]"
    equal_n: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError(f"k must be at least 1, not {self.k}")

    def compute(self, generated: FeatureStore, real: FeatureStore, context: MetricContext) -> float | Measured:
        inside = context.neighbours(self.k).generated_in_real.double() / self.k  # (N,)
        if not context.errors:
            return float(inside.mean())
        return Measured(float(inside.mean()), float(inside.std()) / math.sqrt(len(inside)))


@hookimpl
def metrics() -> Sequence[type]:
    """Offer density."""
    return [Density]
