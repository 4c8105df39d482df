"""Deep Learning for Classical Japanese Literature, Clanuwat, Bober-Irizar, Kitamoto, Lamb, Yamamoto and Ha, 2018.

arXiv:1812.01718; Kuzushiji-MNIST as torchvision reads it (IDX files under ``<root>/KMNIST/raw``, downloaded on first
use): cursive characters in 28x28 pixels, one channel, ten classes, 60,000 training and 10,000 test images.

Differs: ``size=32`` pads with two zero pixels on every side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import ganbench
from ganbench import Images, ImageSpec
from ganbench_zoo.idx import SIZES, load_idx
from ganbench_zoo.splits import require


@dataclass(frozen=True)
class Kmnist:
    """Kuzushiji-MNIST, ``size`` 28 or 32 (zero-padded), with its own training and test split."""

    name: ClassVar[str] = "kmnist"
    paper: ClassVar[str] = "arXiv:1812.01718"
    extractor: ClassVar[str] = "inception_v3"
    domain: ClassVar[str] = "kmnist"

    size: int = 28

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise ValueError(f"kmnist: size is {self.size!r}, not one of {SIZES}")

    def spec(self, root: Path) -> ImageSpec:
        """Return one channel of ``size`` x ``size``, ten classes."""
        return ImageSpec((1, self.size, self.size), classes=10)

    def load(self, root: Path, split: str) -> Images:
        """Return "train" (60,000) or "test" (10,000): uint8 (N, 1, size, size), int64 labels.

        Raises:
            ValueError: there is no such split, or the files are missing or broken.
        """
        require(split, ("train", "test"), self.name)
        return Images(*load_idx("KMNIST", self.name, root, train=split == "train", size=self.size))


@ganbench.hookimpl
def datasets() -> Sequence[type]:
    """Offer `Kmnist`."""
    return [Kmnist]
