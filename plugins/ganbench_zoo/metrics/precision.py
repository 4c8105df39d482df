"""Precision: the share of generated samples that lie where real samples lie.

"Improved Precision and Recall Metric for Assessing Generative Models", T. Kynkaanniemi, T. Karras, S. Laine,
J. Lehtinen, T. Aila, 2019, arXiv:1904.06991, equations 1 and 2:

    precision = 1/N sum_g [g in any ball around a real sample, its radius the distance to its k-th neighbour]

with k = 3, equally many samples on both sides and a sample not its own neighbour. The standard error is that of a
share: the reference and its balls are held fixed.

Differs: nothing; distances that differ by less than float32 features resolve are taken as equal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from ganbench import FeatureStore, Measured, hookimpl
from ganbench.components import MetricContext


@dataclass(frozen=True)
class Precision:
    """Share of generated samples inside the real manifold, estimated by k-nearest-neighbour balls."""

    k: int = 3

    name: ClassVar[str] = "precision"
    paper: ClassVar[str] = "arXiv:1904.06991"
    direction: ClassVar[str] = "higher"
    scale: ClassVar[str] = "logit"
    needs: ClassVar[frozenset[str]] = frozenset({"features"})
    blind: ClassVar[frozenset[str]] = frozenset({"mode_dropping", "duplication"})
    version: ClassVar[int] = 1
    standard: ClassVar[int] = 4
    formula: ClassVar[str] = "1/N sum_g [g in union_r B(r, d_k(r))]"
    equal_n: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError(f"k must be at least 1, not {self.k}")

    def compute(self, generated: FeatureStore, real: FeatureStore, context: MetricContext) -> float | Measured:
        inside = (context.neighbours(self.k).generated_in_real > 0).double()  # (N,)
        if not context.errors:
            return float(inside.mean())
        return Measured(float(inside.mean()), float(inside.std()) / math.sqrt(len(inside)))


@hookimpl
def metrics() -> Sequence[type]:
    """Offer precision."""
    return [Precision]
