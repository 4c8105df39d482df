"""Random pixels with random labels, for tests of everything but the images; no publication.

Every pixel is uniform from 0 to 255 and every label uniform over the classes, both from (seed, split, number of the
image) alone, as torchvision's ``FakeData`` serves to try a program without its data.

Differs: from ``FakeData`` in uniform rather than normal pixels, in splits of their own numbers, and in sets without
labels (``classes=None``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

import ganbench
from ganbench import Images, ImageSpec
from ganbench_zoo.counted import bits, integers
from ganbench_zoo.splits import require


@dataclass(frozen=True)
class Fake:
    """``train`` and ``test`` images of ``shape`` (C, H, W) without any sense, of ``classes`` classes or without."""

    name: ClassVar[str] = "fake"
    paper: ClassVar[str] = "random pixels, no publication"
    extractor: ClassVar[str] = "random_conv"
    domain: ClassVar[str] = "fake"

    shape: tuple[int, int, int] = (3, 32, 32)
    classes: int | None = 10
    train: int = 1000
    test: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        for field in ("classes", "train", "test"):
            number = getattr(self, field)
            if number is not None and number < 1:
                raise ValueError(f"fake: {field} is {number!r}; it must be at least 1")
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise ValueError(f"fake: shape is {self.shape!r}; it must be (C, H, W), all of them at least 1")

    def spec(self, root: Path) -> ImageSpec:
        """Return the shape and the number of classes that were asked for."""
        return ImageSpec(tuple(self.shape), classes=self.classes)

    def load(self, root: Path, split: str) -> Images:
        """Return one split: uint8 (N, *shape), int64 labels or None. Raises ValueError for another than train, test."""
        require(split, ("train", "test"), self.name)
        seed, size = f"fake:{self.seed}:{split}", math.prod(self.shape)
        rows = np.arange(self.train if split == "train" else self.test)
        drawn = bits(f"{seed}:pixels", rows, -(-size // 8)).astype("<u8").view(np.uint8)  # eight pixels a number
        pixels = torch.from_numpy(drawn[:, :size].reshape(len(rows), *self.shape))
        if self.classes is None:
            return Images(pixels)
        return Images(pixels, torch.from_numpy(integers(f"{seed}:labels", rows, 1, self.classes)[:, 0]))


@ganbench.hookimpl
def datasets() -> Sequence[type]:
    """Offer `Fake`."""
    return [Fake]
