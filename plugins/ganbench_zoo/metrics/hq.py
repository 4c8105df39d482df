"""High-quality samples, of data whose modes are known.

"VEEGAN: Reducing Mode Collapse in GANs using Implicit Variational Learning", A. Srivastava, L. Valkov, C. Russell,
M. U. Gutmann, C. Sutton, 2017, arXiv:1705.07761; "PacGAN: The power of two samples in generative adversarial networks",
Z. Lin, A. Khetan, G. Fanti, S. Oh, 2017, arXiv:1712.04086:

    hq = 1/n sum_x [x lies within 3 standard deviations of the nearest mode's mean]

Differs: nothing. Real samples of a d-dimensional mode reach P(chi2_d < 9), in the plane 1 - e^-4.5 = 0.98889, not 1; a
model that puts every sample on a mean reaches 1, which is why mode_spread stands beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from ganbench import FeatureStore, Measured, hookimpl
from ganbench.components import MetricContext
from ganbench_zoo.truth import RADIUS, check_radius, high_quality


@dataclass(frozen=True)
class HighQuality:
    """Share of samples within ``radius`` standard deviations of the nearest mode's mean."""

    radius: float = RADIUS

    name: ClassVar[str] = "hq"
    paper: ClassVar[str] = "arXiv:1705.07761"
    direction: ClassVar[str] = "higher"
    scale: ClassVar[str] = "logit"
    needs: ClassVar[frozenset[str]] = frozenset({"truth"})
    blind: ClassVar[frozenset[str]] = frozenset({"mode_dropping", "duplication"})
    version: ClassVar[int] = 1
    formula: ClassVar[str] = "1/n sum_x [d(x, nearest mode) < 3 sigma]"

    def __post_init__(self) -> None:
        check_radius(self.radius)

    def compute(self, generated: FeatureStore, real: FeatureStore, context: MetricContext) -> Measured:
        """Return the share, with the binomial standard error."""
        good = high_quality(generated, self.radius)
        share = float(good.double().mean())
        return Measured(share, math.sqrt(share * (1 - share) / len(good)) if context.errors else None)


@hookimpl
def metrics() -> Sequence[type]:
    """Offer the share of samples of high quality."""
    return [HighQuality]
