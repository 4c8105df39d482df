"""Uniform noise in place of generated images: what a generator that learned nothing scores; no publication.

Differs: nothing to differ from. Images are independent uniform uint8 pixels; points are uniform over the smallest box
that holds the training points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

import ganbench
from ganbench import DataSpec, Images, ImageSpec
from ganbench.components import Sampler
from ganbench.values import Stream

CHUNK = 2**16


@dataclass(frozen=True)
class Noise:
    """Uniform uint8 pixels, or points uniform over the data's bounding box: the row that knows nothing."""

    name: ClassVar[str] = "noise"
    paper: ClassVar[str] = "reference row, no publication"

    def fit(self, data: DataSpec, images: Images | Stream, rng: torch.Generator) -> Sampler:
        """Take a seed from ``rng``; the sampler returns the same first n samples each time."""
        seed = int(torch.randint(2**63 - 1, (), generator=rng, device=rng.device))
        low, high = (torch.zeros(0), torch.zeros(0)) if isinstance(data, ImageSpec) else _box(images)

        def sample(n: int) -> Tensor:
            stream = torch.Generator().manual_seed(seed)
            if isinstance(data, ImageSpec):
                return torch.randint(256, (n, *data.shape), generator=stream, dtype=torch.uint8)
            return low + (high - low) * torch.rand(n, *data.shape, generator=stream)

        return sample


def _box(points: Images | Stream) -> tuple[Tensor, Tensor]:
    """Return the least and the largest coordinates, float32 (d,) each."""
    bounds = [torch.aminmax(points.pixels[rows], dim=0) for rows in torch.arange(len(points)).split(CHUNK)]
    return torch.stack([b.min for b in bounds]).amin(0), torch.stack([b.max for b in bounds]).amax(0)


@ganbench.hookimpl
def baselines() -> Sequence[type]:
    """Offer `Noise`."""
    return [Noise]
