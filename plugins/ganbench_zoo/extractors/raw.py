"""Samples as their own features: pixels or points, without a network; no publication.

Distances between them are exact where the data are points, and for images a floor of what a feature space should do:
two images of one digit lie far apart.

Differs: from every other extractor in having no weights and no class logits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor

import ganbench
from ganbench import DataSpec, Features
from ganbench_zoo.pixels import check_images

LIMIT = 8192
PROVENANCE: Mapping[str, Any] = MappingProxyType(
    {
        "network": "none",
        "layer": "samples, flattened",
        "width": "of a sample",
        "weights_sha256": None,
        "preprocessing": {"images": "[0, 255], to [-1, 1] by x / 127.5 - 1", "points": "float32, as they are"},
    }
)


@dataclass(frozen=True)
class RawNetwork:
    """The `FeatureNetwork` of `Raw`."""

    device: torch.device
    provenance: Mapping[str, Any]
    canonical: bool = False

    def __call__(self, stored: Tensor) -> Features:
        """Map images (N, C, H, W), uint8 or floats in [0, 255], or points (N, d) to float32 (N, C H W) or (N, d)."""
        stored = stored.to(self.device)
        if stored.dim() == 2:
            return Features(stored.float())
        check_images(stored)
        return Features(stored.flatten(1).float().div(127.5).sub(1))


@dataclass(frozen=True)
class Raw:
    """Pixels or points themselves, at most 8,192 numbers a sample; no logits."""

    name: ClassVar[str] = "raw"
    paper: ClassVar[str] = "none: the samples themselves"
    domains: ClassVar[frozenset[str] | None] = None
    continuous: ClassVar[bool] = True

    def accepts(self, data: DataSpec) -> str | None:
        size = prod(data.shape)
        if size <= LIMIT:
            return None
        shape = "x".join(map(str, data.shape))
        gigabytes = 8 * size**2 / 1e9
        return (
            f"raw takes at most {LIMIT:,} numbers a sample, and {shape} are {size:,}, whose covariance alone takes "
            f"{gigabytes:.1f} GB; choose an extractor with a network, or smaller images"
        )

    def available(self) -> str | None:
        return None

    def load(self, device: torch.device) -> RawNetwork:
        return RawNetwork(device, dict(PROVENANCE))


@ganbench.hookimpl
def extractors() -> Sequence[type]:
    """Offer `Raw`."""
    return [Raw]
