"""Recall: the share of real samples that lie where generated samples lie.

"Improved Precision and Recall Metric for Assessing Generative Models", T. Kynkaanniemi, T. Karras, S. Laine,
J. Lehtinen, T. Aila, 2019, arXiv:1904.06991, equations 1 and 2:

    recall = 1/N sum_r [r in any ball around a generated sample, its radius the distance to its k-th neighbour]

with k = 3, equally many samples on both sides and a sample not its own neighbour. The standard error is a jackknife's
over groups of generated samples, whose absence also widens the balls of the rest; the reference is held fixed.

Differs: nothing; distances that differ by less than float32 features resolve are taken as equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from ganbench import FeatureStore, Measured, hookimpl
from ganbench.components import MetricContext
from ganbench_zoo.sampling import error_of_reach


@dataclass(frozen=True)
class Recall:
    """Share of real samples inside the generated manifold, estimated by k-nearest-neighbour balls."""

    k: int = 3

    name: ClassVar[str] = "recall"
    paper: ClassVar[str] = "arXiv:1904.06991"
    direction: ClassVar[str] = "higher"
    scale: ClassVar[str] = "logit"
    needs: ClassVar[frozenset[str]] = frozenset({"features"})
    blind: ClassVar[frozenset[str]] = frozenset({"noise", "blur", "contrast", "mixing"})
    version: ClassVar[int] = 1
    standard: ClassVar[int] = 5
    formula: ClassVar[str] = "1/N sum_r [r in union_g B(g, d_k(g))]"
    equal_n: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError(f"k must be at least 1, not {self.k}")

    def compute(self, generated: FeatureStore, real: FeatureStore, context: MetricContext) -> float | Measured:
        found = context.neighbours(self.k)
        value = float((found.real_in_generated > 0).double().mean())
        if not context.errors or found.recall_left_out is None:
            return value
        return Measured(value, error_of_reach(found.recall_left_out))


@hookimpl
def metrics() -> Sequence[type]:
    """Offer recall."""
    return [Recall]
