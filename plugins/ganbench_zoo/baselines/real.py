"""Real training images in place of generated ones: what a perfect generator would score; no publication.

Differs: nothing to differ from. The images are drawn without replacement, so the row is the sampling floor of the
training split against the reference split.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

import ganbench
from ganbench import DataSpec, Images
from ganbench.components import Sampler
from ganbench.values import Stream


@dataclass(frozen=True)
class Real:
    """Training images, drawn without replacement: the row that a perfect generator would reach."""

    name: ClassVar[str] = "real"
    paper: ClassVar[str] = "reference row, no publication"

    def fit(self, data: DataSpec, images: Images | Stream, rng: torch.Generator) -> Sampler:
        """Shuffle ``images`` once by ``rng``; the sampler returns the first n, or all where there are fewer."""
        order = torch.randperm(len(images), generator=rng, device=rng.device).cpu()
        return lambda n: images.pixels[order[:n]]


@ganbench.hookimpl
def baselines() -> Sequence[type]:
    """Offer `Real`."""
    return [Real]
