"""Frechet distance between Gaussian fits of two feature sets.

"GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium", M. Heusel, H. Ramsauer,
T. Unterthiner, B. Nessler, S. Hochreiter, 2017, arXiv:1706.08500, equation 6; D. C. Dowson and B. V. Landau, "The
Frechet distance between multivariate normal distributions", 1982:

    FD = ||m1 - m2||^2 + tr(S1 + S2 - 2 (S1 S2)^1/2)

tr (S1 S2)^1/2 is the sum of the singular values of A1^T A2 for any factors S = A A^T.

Differs: the authors' code takes a matrix square root and adds 1e-6 to a singular covariance's diagonal; here factors
come from symmetric eigendecompositions, without the directions whose variance is below rounding, so any rank is exact
to rounding and nothing is added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ganbench import FeatureStore, hookimpl
from ganbench.components import MetricContext
from ganbench_zoo.inception import SHA256


@dataclass(frozen=True)
class FrechetDistance:
    """Distance between Gaussian fits of the features; 0 for equal moments, biased upwards at finite N."""

    name: ClassVar[str] = "fd"
    paper: ClassVar[str] = "arXiv:1706.08500"
    direction: ClassVar[str] = "lower"
    scale: ClassVar[str] = "log"
    needs: ClassVar[frozenset[str]] = frozenset({"moments"})
    version: ClassVar[int] = 1
    standard: ClassVar[int] = 1
    formula: ClassVar[str] = "|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^1/2)"
    published_name: ClassVar[str] = "fid"
    published_weights: ClassVar[str] = SHA256
    floor: ClassVar[str] = "bias"

    def settings(self, rows: int | None = None) -> dict[str, Any]:
        return {"ddof": 1, "covariance": "float64"}

    def compute(self, generated: FeatureStore, real: FeatureStore, context: MetricContext) -> float:
        m1, a1, t1 = _fit(generated, "generated")
        m2, a2, t2 = _fit(real, "reference")
        cross = torch.linalg.svdvals(a1.T @ a2).sum() if a1.shape[1] and a2.shape[1] else 0.0
        value = (m1 - m2).square().sum() + t1 + t2 - 2 * cross
        return max(float(value), 0.0)  # rounding may leave equal moments a little below zero


def _fit(store: FeatureStore, side: str) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean (d,), factor A (d, r) with A A^T = covariance, and the covariance's trace."""
    n = store.count - store.nonfinite
    if store.mean is None or store.covariance is None:
        raise ValueError(f"no moments of the {side} samples were kept")
    if n < 2:
        raise ValueError(f"a covariance needs at least 2 samples, and there are {n} {side} ones")
    if not (torch.isfinite(store.mean).all() and torch.isfinite(store.covariance).all()):
        raise ValueError(f"the moments of the {side} samples are not finite")
    variances, axes = torch.linalg.eigh(store.covariance)  # ascending
    real = variances > variances[-1].clamp(min=0.0) * (len(store.mean) * torch.finfo(variances.dtype).eps)
    return store.mean, axes[:, real] * variances[real].sqrt(), store.covariance.trace()


@hookimpl
def metrics() -> Sequence[type]:
    """Offer the Frechet distance."""
    return [FrechetDistance]
