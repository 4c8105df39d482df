"""Modes captured, of data whose modes are known.

"PacGAN: The power of two samples in generative adversarial networks", Z. Lin, A. Khetan, G. Fanti, S. Oh, 2017,
arXiv:1712.04086; "VEEGAN: Reducing Mode Collapse in GANs using Implicit Variational Learning", A. Srivastava,
L. Valkov, C. Russell, M. U. Gutmann, C. Sutton, 2017, arXiv:1705.07761:

    modes = #{k : some sample of mode k lies within 3 standard deviations of its mean}

Where modes are classes that an oracle tells (stacked digits), every sample of a mode counts.

Differs: nothing. The number of samples belongs to the value: more of them capture more modes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from ganbench import FeatureStore, hookimpl
from ganbench.components import MetricContext
from ganbench_zoo.truth import RADIUS, check_radius, counts


@dataclass(frozen=True)
class Modes:
    """Number of modes with at least one sample of high quality: within ``radius`` standard deviations."""

    radius: float = RADIUS

    name: ClassVar[str] = "modes"
    paper: ClassVar[str] = "arXiv:1712.04086"
    direction: ClassVar[str] = "higher"
    scale: ClassVar[str] = "linear"
    needs: ClassVar[frozenset[str]] = frozenset({"truth"})
    blind: ClassVar[frozenset[str]] = frozenset({"noise", "blur", "contrast", "duplication", "mixing"})
    version: ClassVar[int] = 1
    formula: ClassVar[str] = "#{k : some sample of mode k within 3 sigma}"

    def __post_init__(self) -> None:
        check_radius(self.radius)

    def compute(self, generated: FeatureStore, real: FeatureStore, context: MetricContext) -> float:
        return float((counts(generated, context.truth, self.radius) > 0).sum())


@hookimpl
def metrics() -> Sequence[type]:
    """Offer the number of modes."""
    return [Modes]
