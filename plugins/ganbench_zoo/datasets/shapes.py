"""Shapes of one colour on black, drawn from known factors; no publication.

Kind (ring, square, triangle, cross) x colour (red, green, blue, yellow, magenta, cyan) are the 24 modes and classes,
equally likely; place, size and angle vary freely within a mode. Image i of a split follows from (seed, split, i) alone,
so there is no end to them: ``train`` and ``test`` say how many are taken. How they are drawn, and how the mode of a
generated image is told (its truth, for metrics modes, hq and mode_kl), stands in `ganbench_zoo.outlines`.

Differs: from dSprites (L. Matthey, I. Higgins, D. Hassabis, A. Lerchner, 2017) in colour, in factors that are drawn
rather than enumerated, and in edges that are smooth. Its default extractor is a random network: no classifier of shapes
exists, and the truth needs none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

import ganbench
from ganbench import Images, ImageSpec
from ganbench_zoo import outlines
from ganbench_zoo.counted import uniform
from ganbench_zoo.outlines import COLOURS, KINDS, REACH, UPRIGHT, Placing, Sightings
from ganbench_zoo.splits import require

SIDE = 32
SIZES = (5.0, 8.0)
MODES = len(KINDS) * len(COLOURS)


@dataclass(frozen=True)
class Shapes:
    """``train`` and ``test`` images of 32x32 in colour, from known factors; ``rotation=False`` keeps all upright."""

    name: ClassVar[str] = "shapes"
    paper: ClassVar[str] = "drawn by ganbench, no publication"
    extractor: ClassVar[str] = "random_conv"
    domain: ClassVar[str] = "shapes"

    rotation: bool = True
    seed: int = 0
    train: int = 50_000
    test: int = 10_000

    def __post_init__(self) -> None:
        for field, number in (("train", self.train), ("test", self.test)):
            if number < 1:
                raise ValueError(f"shapes: {field} is {number!r}; it must be at least 1")

    def spec(self, root: Path) -> ImageSpec:
        """Return three channels of 32x32, one class a mode."""
        return ImageSpec((3, SIDE, SIDE), classes=MODES)

    def load(self, root: Path, split: str) -> Images:
        """Return one split: uint8 (N, 3, 32, 32), int64 modes. Raises ValueError for another than train or test."""
        require(split, ("train", "test"), self.name)
        modes, placing = self.factors(split, range(self.train if split == "train" else self.test))
        kinds, colours = modes // len(COLOURS), modes % len(COLOURS)
        return Images(outlines.draw(kinds, colours, SIDE, placing), modes)

    def factors(self, split: str, images: range) -> tuple[Tensor, Placing]:
        """Return what the numbered images of a split are drawn from: mode (kind * 6 + colour), int64 (n,), and place.

        Size is uniform in [5, 8] pixels, the place uniform where a shape of any kind of this size stays inside, the
        angle uniform.
        """
        drawn = uniform(f"shapes:{self.seed}:{split}", np.arange(images.start, images.stop, images.step), 5)
        numbers = torch.from_numpy(drawn)  # (n, 5)
        modes = (numbers[:, 0] * MODES).long()
        size = SIZES[0] + (SIZES[1] - SIZES[0]) * numbers[:, 1]
        free = SIDE - 1 - 2 * REACH * size
        if self.rotation:
            angle = 2 * math.pi * numbers[:, 4]
        else:
            angle = torch.tensor([UPRIGHT[kind] for kind in KINDS], dtype=torch.float64)[modes // len(COLOURS)]
        places = [REACH * size + free * numbers[:, column] for column in (2, 3)]
        return modes, Placing(*(factor.float() for factor in (*places, size, angle)))

    def truth(self, root: Path) -> Sightings:
        """Return what tells the modes of images."""
        return Sightings(SIDE, SIZES, self.rotation)


@ganbench.hookimpl
def datasets() -> Sequence[type]:
    """Offer `Shapes`."""
    return [Shapes]
