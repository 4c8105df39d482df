"""Sliced Wasserstein distance of two feature sets.

"Wasserstein Barycenter and Its Application to Texture Mixing", J. Rabin, G. Peyre, J. Delon, M. Bernot, 2011; on
Inception features: "Monge Inception Distance for Generative Models Evaluation", Q. Berthet et al., 2026,
arXiv:2605.06797:

    SW2^2 = E_u W2^2(u.x, u.y), W2^2 of N and N numbers = 1/N sum_i (a_(i) - b_(i))^2, a and b sorted

over unit vectors u that are uniform on the sphere, drawn once from the evaluation seed and shared by all sets, with
equally many samples on both sides. A shift by v gives |v|^2 / d. Biased upwards at finite N.

Vectors come as orthonormal bases, one after another, so that all directions are looked at alike.

Differs: the squared distance is reported as it is, where the paper's is 3 d times as large, d the number of features.
The standard error is that of the infinitesimal jackknife: what a sample contributes is the mean over u of its transport
potential.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ganbench import FeatureStore, Measured, hookimpl
from ganbench.components import MetricContext
from ganbench.scoring.products import products

BLOCK = 64
"""Directions that are sorted at once."""


@dataclass(frozen=True)
class SlicedWasserstein:
    """Mean squared Wasserstein-2 distance of the features along random ``directions``; assumes no Gaussians."""

    directions: int = 512

    name: ClassVar[str] = "sw"
    paper: ClassVar[str] = "arXiv:2605.06797"
    direction: ClassVar[str] = "lower"
    scale: ClassVar[str] = "log"
    needs: ClassVar[frozenset[str]] = frozenset({"features"})
    version: ClassVar[int] = 1
    formula: ClassVar[str] = "E_u 1/N sum_i ((u.x)_(i) - (u.y)_(i))^2"
    floor: ClassVar[str] = "bias"
    equal_n: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.directions < 1:
            raise ValueError(f"directions must be at least 1, not {self.directions}")

    def settings(self, rows: int | None = None) -> dict[str, Any]:
        return {"directions": self.directions, "axes": "orthonormal bases", "dtype": "float64"}

    def compute(self, generated: FeatureStore, real: FeatureStore, context: MetricContext) -> Measured:
        if generated.features is None or real.features is None:
            raise ValueError("no features were kept")
        n = min(len(generated.features), len(real.features))
        if n < 2:
            raise ValueError(f"sorting needs at least 2 samples on each side, and there are {n}")
        x, y = generated.features[:n], real.features[:n]
        total, pulls = 0.0, torch.zeros(n, dtype=torch.float64)
        for axes in _axes(self.directions, x.shape[1], context.seed).split(BLOCK):
            a, order = products(axes, x).double().sort(dim=1)  # (b, N)
            apart = a - products(axes, y).double().sort(dim=1).values
            total += float(apart.square().mean(dim=1).sum())
            if context.errors:
                pulls += _potentials(a, apart, order).sum(dim=0)
        error = float((pulls / self.directions).std()) / math.sqrt(n) if context.errors else None
        return Measured(total / self.directions, error)


def _axes(count: int, width: int, seed: int) -> Tensor:
    """Return ``count`` unit vectors of ``width``, float32: one random orthonormal basis after another."""
    rng, bases, left = torch.Generator().manual_seed(seed), [], count
    while left > 0:
        drawn = torch.randn(width, min(width, left), generator=rng, dtype=torch.float64)
        bases.append(torch.linalg.qr(drawn).Q.T)
        left -= width
    return torch.cat(bases).float()


def _potentials(a: Tensor, apart: Tensor, order: Tensor) -> Tensor:
    """Return the transport potential of each sample along each axis (b, N), in the samples' own order.

    Its slope at a_(i) is 2 (a_(i) - b_(i)); ``a`` (b, N) is sorted by ``order``, ``apart`` is a - b.
    """
    steps = (a[:, 1:] - a[:, :-1]) * (apart[:, 1:] + apart[:, :-1])  # trapezoids
    heights = torch.cat([torch.zeros_like(a[:, :1]), steps.cumsum(dim=1)], dim=1)
    return torch.empty_like(heights).scatter_(1, order, heights - heights.mean(dim=1, keepdim=True))


@hookimpl
def metrics() -> Sequence[type]:
    """Offer the sliced Wasserstein distance."""
    return [SlicedWasserstein]
