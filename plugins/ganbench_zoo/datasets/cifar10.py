"""Learning multiple layers of features from tiny images, A. Krizhevsky, University of Toronto, 2009.

CIFAR-10 as torchvision reads it (the Python batches under ``<root>/cifar-10-batches-py``, downloaded on first use and
compared with their MD5 before they are opened): 32x32 pixels, three channels, ten classes, 50,000 training and 10,000
test images.

Differs: nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import ganbench
from ganbench import Images, ImageSpec
from ganbench_zoo.cifar import load_cifar
from ganbench_zoo.splits import require


@dataclass(frozen=True)
class Cifar10:
    """CIFAR-10 with its own training and test split."""

    name: ClassVar[str] = "cifar10"
    paper: ClassVar[str] = "Krizhevsky 2009, Learning multiple layers of features from tiny images"
    extractor: ClassVar[str] = "inception_v3"
    domain: ClassVar[str] = "cifar10"

    def spec(self, root: Path) -> ImageSpec:
        """Return three channels of 32x32, ten classes."""
        return ImageSpec((3, 32, 32), classes=10)

    def load(self, root: Path, split: str) -> Images:
        """Return "train" (50,000) or "test" (10,000): uint8 (N, 3, 32, 32), int64 labels.

        Raises:
            ValueError: there is no such split, or the files are missing or broken and cannot be downloaded.
        """
        require(split, ("train", "test"), self.name)
        return load_cifar("CIFAR10", self.name, root, train=split == "train")


@ganbench.hookimpl
def datasets() -> Sequence[type]:
    """Offer `Cifar10`."""
    return [Cifar10]
