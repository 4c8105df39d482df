"""Classifier score: the Inception-Score formula on any classifier.

"Improved Techniques for Training GANs", T. Salimans, I. Goodfellow, W. Zaremba, V. Cheung, A. Radford, X. Chen, 2016,
arXiv:1606.03498, section 4:

    CS = exp(E_x KL(p(y | x) || p(y)))

Differs: the authors' code averages over ten splits of the samples, which lowers the score of small sets; here the
default is one split, and the published name ``is`` stands for ten. p log p is 0 at p = 0. The standard error is that of
the infinitesimal jackknife: the score times the standard error of the mean divergence, since moving the marginal has no
first-order effect. The spread of the splits is no error of the mean of all, and is not given.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from ganbench import FeatureStore, Measured, hookimpl
from ganbench.components import MetricContext
from ganbench_zoo.inception import SHA256


@dataclass(frozen=True)
class ClassifierScore:
    """Exponential of the information that a sample gives on its class; from 1 to the number of classes."""

    splits: int = 1

    name: ClassVar[str] = "cs"
    paper: ClassVar[str] = "arXiv:1606.03498"
    direction: ClassVar[str] = "higher"
    scale: ClassVar[str] = "log"
    needs: ClassVar[frozenset[str]] = frozenset({"logits"})
    version: ClassVar[int] = 1
    standard: ClassVar[int] = 2
    formula: ClassVar[str] = "exp E_x KL(p(y | x) || p(y))"
    published_name: ClassVar[str] = "is"
    published_weights: ClassVar[str] = SHA256
    published_settings: ClassVar[dict[str, Any]] = {"splits": 10}

    def __post_init__(self) -> None:
        if self.splits < 1:
            raise ValueError(f"splits must be at least 1, not {self.splits}")

    def settings(self, rows: int | None = None) -> dict[str, Any]:
        return {"splits": self.splits, "dtype": "float64"}

    def compute(self, generated: FeatureStore, real: FeatureStore, context: MetricContext) -> float | Measured:
        logits = generated.logits
        if logits is None:
            raise ValueError("the extractor gives no class logits")
        n = len(logits)
        if n < self.splits:
            raise ValueError(f"{self.splits} splits need at least as many samples, and there are {n}")
        scores, errors = [], []
        for i in range(self.splits):
            part = logits[i * n // self.splits : (i + 1) * n // self.splits].double()  # (m, K)
            p = part.softmax(dim=1)
            divergence = (torch.xlogy(p, p) - torch.xlogy(p, p.mean(dim=0))).sum(dim=1)  # (m,)
            scores.append(float(divergence.mean().exp()))
            if context.errors and len(part) > 1:
                errors.append(scores[-1] * float(divergence.std()) / math.sqrt(len(part)))
        value = sum(scores) / self.splits
        return Measured(value, math.hypot(*errors) / self.splits) if len(errors) == self.splits else value


@hookimpl
def metrics() -> Sequence[type]:
    """Offer the classifier score."""
    return [ClassifierScore]
