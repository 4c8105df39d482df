"""How unevenly the modes are filled, of data whose modes are known and equally likely.

"PacGAN: The power of two samples in generative adversarial networks", Z. Lin, A. Khetan, G. Fanti, S. Oh, 2017,
arXiv:1712.04086; "VEEGAN: Reducing Mode Collapse in GANs using Implicit Variational Learning", A. Srivastava,
L. Valkov, C. Russell, M. U. Gutmann, C. Sutton, 2017, arXiv:1705.07761:

    KL(p || uniform) = log K - H(p),  p_k = share of mode k among samples of high quality, in nats

A perfect model shows (K - 1) / (2 n) of it in expectation, since p is counted from n samples. The standard error is
that of the counted entropy, to second order (G. P. Basharin, "On a Statistical Estimate for the Entropy of a Sequence
of Independent Random Variables", 1959; B. Harris, "The statistical estimation of entropy in the non-parametric case",
1975):

    var = (sum_k p_k log^2 p_k - H^2) / n + (K - 1) / (2 n^2)

where the counted first term is by itself (K - 1) / n^2 too large.

Differs: nothing in the value. No sample of high quality: no value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ganbench import FeatureStore, Measured, hookimpl
from ganbench.components import MetricContext
from ganbench_zoo.truth import RADIUS, check_radius, counts


@dataclass(frozen=True)
class ModeKl:
    """Divergence of the shares of the modes from equal shares, in nats: from 0 to the log of the number of modes."""

    radius: float = RADIUS

    name: ClassVar[str] = "mode_kl"
    paper: ClassVar[str] = "arXiv:1712.04086"
    direction: ClassVar[str] = "lower"
    scale: ClassVar[str] = "log"
    needs: ClassVar[frozenset[str]] = frozenset({"truth"})
    blind: ClassVar[frozenset[str]] = frozenset({"noise", "blur", "contrast", "mixing"})
    version: ClassVar[int] = 1
    formula: ClassVar[str] = "log K + sum_k p_k log p_k"
    floor: ClassVar[str] = "bias"

    def __post_init__(self) -> None:
        check_radius(self.radius)

    def compute(self, generated: FeatureStore, real: FeatureStore, context: MetricContext) -> Measured:
        """Return the divergence. Raises ValueError where no sample is of high quality."""
        filled = counts(generated, context.truth, self.radius).double()
        n = float(filled.sum())
        if n == 0:
            raise ValueError("no sample is of high quality, so the modes have no shares")
        p = filled / n
        value = math.log(len(p)) + float(torch.xlogy(p, p).sum())
        return Measured(max(value, 0.0), _error(p, n) if context.errors else None)


def _error(p: Tensor, n: float) -> float:
    occupied = p[p > 0]
    logs = occupied.log()
    first = float((occupied * logs.square()).sum() - (occupied * logs).sum().square()) / n
    bias = (len(occupied) - 1) / n**2
    return math.sqrt(max(first - bias, 0.0) + bias / 2)


@hookimpl
def metrics() -> Sequence[type]:
    """Offer the divergence from equal modes."""
    return [ModeKl]
