"""Gradient-based learning applied to document recognition, LeCun, Bottou, Bengio and Haffner, Proc. IEEE 86(11), 1998.

MNIST as torchvision reads it (IDX files under ``<root>/MNIST/raw``, downloaded on first use): 28x28 pixels, one
channel, ten classes, 60,000 training and 10,000 test images.

Differs: the default extractor is a classifier trained on a part of MNIST, and it must not have seen what a GAN is
trained on. So of the 60,000 training images 20,000 belong to the split "extractor" and 40,000 to "train", by the
SHA-256 of ``mnist:<index>``; "test" is MNIST's own. ``disjoint=False`` gives all 60,000 as "train", as published
results use them, and then "train" contains the training data of mnist_cnn. ``size=32`` pads with two zero pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch

import ganbench
from ganbench import Images, ImageSpec
from ganbench_zoo.idx import SIZES, load_idx
from ganbench_zoo.splits import partition, require

SPLITS = {"extractor": 20_000, "train": 40_000}


@dataclass(frozen=True)
class Mnist:
    """MNIST, ``size`` 28 or 32 (zero-padded); 40,000 images to train on, all 60,000 with ``disjoint=False``."""

    name: ClassVar[str] = "mnist"
    paper: ClassVar[str] = "LeCun, Bottou, Bengio and Haffner 1998, Proc. IEEE 86(11)"
    extractor: ClassVar[str] = "mnist_cnn"
    domain: ClassVar[str] = "mnist"

    size: int = 28
    disjoint: bool = True

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise ValueError(f"mnist: size is {self.size!r}, not one of {SIZES}")

    def spec(self, root: Path) -> ImageSpec:
        """Return one channel of ``size`` x ``size``, ten classes."""
        return ImageSpec((1, self.size, self.size), classes=10)

    def load(self, root: Path, split: str) -> Images:
        """Return one split: uint8 (N, 1, size, size), int64 labels; N is 20,000, 40,000 (or 60,000) and 10,000.

        Raises:
            ValueError: ``split`` is none of "extractor", "train", "test", or the files are missing or broken.
        """
        require(split, ("extractor", "train", "test"), self.name)
        pixels, labels = load_idx("MNIST", self.name, root, train=split != "test", size=self.size)
        if split == "test" or (split == "train" and not self.disjoint):
            return Images(pixels, labels)
        index = torch.tensor(partition(len(pixels), "mnist", SPLITS)[split])
        return Images(pixels[index], labels[index])


@ganbench.hookimpl
def datasets() -> Sequence[type]:
    """Offer `Mnist`."""
    return [Mnist]
