"""Optical recognition of handwritten digits, E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, 1998.

The 1,797 images of its test part that come with scikit-learn (`sklearn.datasets.load_digits`): 8x8 pixels of 0 to 16,
ten classes. No network and no file outside that package is read.

Differs: pixels are scaled to [0, 255] and images enlarged to 16x16 or 32x32 by bilinear interpolation (pixel centres,
``align_corners=False``), then rounded half up to uint8, so that convolutional networks have something to halve. The
images are cut into three disjoint splits of 599 by the SHA-256 of ``digits:<index>``: "extractor" (trains digits_cnn),
"train" (a GAN sees it), "test" (the reference of its scores).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F

import ganbench
from ganbench import Images, ImageSpec
from ganbench_zoo.splits import partition, require

SIZES = (16, 32)
SPLITS = {"extractor": 599, "train": 599, "test": 599}


@dataclass(frozen=True)
class Digits:
    """1,797 handwritten digits that come with scikit-learn, enlarged from 8x8 to ``size`` pixels a side (16 or 32)."""

    name: ClassVar[str] = "digits"
    paper: ClassVar[str] = "Alpaydin and Kaynak 1998, UCI Machine Learning Repository"
    extractor: ClassVar[str] = "digits_cnn"
    domain: ClassVar[str] = "digits"

    size: int = 16

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise ValueError(f"digits: size is {self.size!r}, not one of {SIZES}")

    def spec(self, root: Path) -> ImageSpec:
        """Return one channel of ``size`` x ``size``, ten classes."""
        return ImageSpec((1, self.size, self.size), classes=10)

    def load(self, root: Path, split: str) -> Images:
        """Return one split of 599: uint8 (599, 1, size, size), int64 labels 0 to 9.

        Raises:
            ValueError: ``split`` is none of "extractor", "train", "test".
        """
        from sklearn.datasets import load_digits

        require(split, tuple(SPLITS), self.name)
        bunch = load_digits()
        index = torch.tensor(partition(len(bunch.images), "digits", SPLITS)[split])
        small = torch.from_numpy(bunch.images).float()[index, None] * (255 / 16)  # (599, 1, 8, 8)
        large = F.interpolate(small, size=(self.size, self.size), mode="bilinear", align_corners=False)
        return Images(large.add(0.5).floor().clamp(0, 255).byte(), torch.from_numpy(bunch.target).long()[index])


@ganbench.hookimpl
def datasets() -> Sequence[type]:
    """Offer `Digits`."""
    return [Digits]
