"""Frechet distance between Gaussian fits of two feature sets.

"GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium", M. Heusel, H. Ramsauer,
T. Unterthiner, B. Nessler, S. Hochreiter, 2017, arXiv:1706.08500, equation 6; D. C. Dowson and B. V. Landau, "The
Frechet distance between multivariate normal distributions", 1982:

    FD = ||m1 - m2||^2 + tr(S1 + S2 - 2 (S1 S2)^1/2)

tr (S1 S2)^1/2 is the sum of the singular values of A1^T A2 for any factors S = A A^T.

Differs: the authors' code takes a matrix square root and adds 1e-6 to a singular covariance's diagonal; here the trace
comes from symmetric eigenvalues or singular values (`ganbench_zoo.frechet`), so any rank is exact to rounding and
nothing is added. Fewer samples than features are worked on as rows.

The standard error is that of the infinitesimal jackknife (L. A. Jaeckel, 1972): the spread of what each generated
sample contributes, over sqrt(N). It is right where N is many times the number of features and the two sets differ by
more than the bias. Nearer to the floor, or with fewer samples than features, it is too large: by a factor of up to 1.6.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ganbench import FeatureStore, Measured, hookimpl
from ganbench.components import MetricContext
from ganbench_zoo.frechet import distance, fit_of, influence
from ganbench_zoo.inception import SHA256


@dataclass(frozen=True)
class FrechetDistance:
    """Distance between Gaussian fits of the features; 0 for equal moments, biased upwards at finite N."""

    name: ClassVar[str] = "fd"
    paper: ClassVar[str] = "arXiv:1706.08500"
    direction: ClassVar[str] = "lower"
    scale: ClassVar[str] = "log"
    needs: ClassVar[frozenset[str]] = frozenset({"moments"})
    error_needs: ClassVar[frozenset[str]] = frozenset({"features"})
    version: ClassVar[int] = 1
    standard: ClassVar[int] = 1
    formula: ClassVar[str] = "|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^1/2)"
    published_name: ClassVar[str] = "fid"
    published_weights: ClassVar[str] = SHA256
    floor: ClassVar[str] = "bias"

    def settings(self, rows: int | None = None) -> dict[str, Any]:
        return {"ddof": 1, "covariance": "float64"}

    def compute(self, generated: FeatureStore, real: FeatureStore, context: MetricContext) -> float | Measured:
        a, b = fit_of(generated, "generated"), fit_of(real, "reference")
        value, rows = distance(a, b), generated.features
        if not context.errors or rows is None:
            return value
        return Measured(value, float(influence(a, b, rows).std()) / math.sqrt(a.count))


@hookimpl
def metrics() -> Sequence[type]:
    """Offer the Frechet distance."""
    return [FrechetDistance]
