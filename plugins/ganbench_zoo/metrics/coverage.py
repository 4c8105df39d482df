"""Coverage: the share of real samples that have a generated one in their neighbourhood.

"Reliable Fidelity and Diversity Metrics for Generative Models", M. F. Naeem, S. J. Oh, Y. Uh, Y. Choi, J. Yoo, 2020,
arXiv:2002.09797, the definition of coverage:

    coverage = 1/N sum_r [some g in B(r, d_k(r))]

with k = 5, equally many samples on both sides and a sample not its own neighbour. About 1 - 2^-k for equal
distributions. The standard error is a jackknife's over groups of generated samples; the reference is held fixed.

Differs: balls are closed as precision's are, where the authors' code takes them open; that matters only for ties.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from ganbench import FeatureStore, Measured, hookimpl
from ganbench.components import MetricContext
from ganbench_zoo.sampling import error_of_reach


@dataclass(frozen=True)
class Coverage:
    """Share of real balls that hold at least one generated sample."""

    k: int = 5

    name: ClassVar[str] = "coverage"
    paper: ClassVar[str] = "arXiv:2002.09797"
    direction: ClassVar[str] = "higher"
    scale: ClassVar[str] = "logit"
    needs: ClassVar[frozenset[str]] = frozenset({"features"})
    version: ClassVar[int] = 1
    standard: ClassVar[int] = 7
    formula: ClassVar[str] = "1/N sum_r [some g in B(r, d_k(r))]"
    equal_n: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError(f"k must be at least 1, not {self.k}")

    def compute(self, generated: FeatureStore, real: FeatureStore, context: MetricContext) -> float | Measured:
        found = context.neighbours(self.k)
        value = float(found.real_covered.double().mean())
        if not context.errors or found.coverage_left_out is None:
            return value
        return Measured(value, error_of_reach(found.coverage_left_out))


@hookimpl
def metrics() -> Sequence[type]:
    """Offer coverage."""
    return [Coverage]
