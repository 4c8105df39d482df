"""Samples of high quality: what metrics on data with known modes share."""

from __future__ import annotations

import torch
from torch import Tensor

from ganbench import FeatureStore
from ganbench.components import Truth

RADIUS = 3.0
"""Standard deviations from its mode's mean within which a sample is of high quality (arXiv:1705.07761)."""


def check_radius(radius: float) -> None:
    """Raise ValueError for a radius that is not positive."""
    if not radius > 0:
        raise ValueError(f"radius is {radius!r}; it is a positive number of standard deviations")


def high_quality(generated: FeatureStore, radius: float) -> Tensor:
    """Return bool (n,): which samples belong to a mode and lie less than ``radius`` deviations from its mean.

    Where modes have no width (classes), every sample that belongs to one is of high quality.

    Raises:
        ValueError: the modes of the samples were not kept, or there is no sample.
    """
    modes, deviations = generated.modes, generated.deviations
    if modes is None:
        raise ValueError("the modes of the generated samples were not kept")
    if not len(modes):
        raise ValueError("there are no samples")
    near = torch.ones_like(modes, dtype=torch.bool) if deviations is None else deviations < radius
    return near & (modes >= 0)


def counts(generated: FeatureStore, truth: Truth, radius: float) -> Tensor:
    """Return how many samples of high quality each mode has, int64 (K,). Raises as `high_quality` does."""
    return generated.modes[high_quality(generated, radius)].bincount(minlength=truth.modes)
