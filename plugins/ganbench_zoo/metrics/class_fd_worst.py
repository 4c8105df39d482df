"""Frechet distance of the class that is worst: what an average hides.

"cGANs with Projection Discriminator", T. Miyato and M. Koyama, 2018, arXiv:1802.05637, intra FID:

    class_fd_worst = max_c FD(generated of class c, reference of class c)

Differs: the paper averages; here the largest is taken. It is biased upwards by the choice, the more so the fewer
samples a class has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from ganbench import FeatureStore, Measured, hookimpl
from ganbench.components import MetricContext
from ganbench_zoo.classwise import CLASSES, class_distances


@dataclass(frozen=True)
class WorstClassDistance:
    """Largest Frechet distance of any class; its note names the class."""

    classes: Literal["predicted", "given"] = "predicted"

    name: ClassVar[str] = "class_fd_worst"
    paper: ClassVar[str] = "arXiv:1802.05637"
    direction: ClassVar[str] = "lower"
    scale: ClassVar[str] = "log"
    version: ClassVar[int] = 1
    formula: ClassVar[str] = "max_c FD(generated of class c, reference of class c)"
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
        number = max(range(len(found.values)), key=found.values.__getitem__)
        error = found.errors[number] if found.errors else None
        return Measured(found.values[number], error, f"class {number}")


@hookimpl
def metrics() -> Sequence[type]:
    """Offer the distance of the worst class."""
    return [WorstClassDistance]
