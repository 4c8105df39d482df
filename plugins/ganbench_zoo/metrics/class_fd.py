"""Frechet distance class by class, averaged: what a mixture of all classes hides.

"cGANs with Projection Discriminator", T. Miyato and M. Koyama, 2018, arXiv:1802.05637, intra FID:

    class_fd = 1/K sum_c FD(generated of class c, reference of class c)

Differs: classes of generated samples are by default those that the extractor sees, on both sides, so that generators
that know no classes can be compared; ``classes = "given"`` takes the labels of the samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from ganbench import FeatureStore, Measured, hookimpl
from ganbench.components import MetricContext
from ganbench_zoo.classwise import CLASSES, class_distances, mean_error


@dataclass(frozen=True)
class ClassDistance:
    """Mean over classes of the Frechet distance within each."""

    classes: Literal["predicted", "given"] = "predicted"

    name: ClassVar[str] = "class_fd"
    paper: ClassVar[str] = "arXiv:1802.05637"
    direction: ClassVar[str] = "lower"
    scale: ClassVar[str] = "log"
    version: ClassVar[int] = 1
    formula: ClassVar[str] = "1/K sum_c FD(generated of class c, reference of class c)"
    floor: ClassVar[str] = "bias"

    def __post_init__(self) -> None:
        if self.classes not in CLASSES:
            raise ValueError(f"classes is {self.classes!r}, not one of {CLASSES}")

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"features", "labels"} | ({"logits"} if self.classes == "predicted" else set()))

    def settings(self, rows: int | None = None) -> dict[str, Any]:
        return {"classes": self.classes, "ddof": 1, "covariance": "float64"}

    def compute(self, generated: FeatureStore, real: FeatureStore, context: MetricContext) -> Measured:
        found = class_distances(generated, real, self.classes, context.errors)
        return Measured(sum(found.values) / len(found.values), mean_error(found.errors))


@hookimpl
def metrics() -> Sequence[type]:
    """Offer the mean distance of the classes."""
    return [ClassDistance]
