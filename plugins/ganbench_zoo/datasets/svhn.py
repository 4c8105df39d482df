"""Reading Digits in Natural Images with Unsupervised Feature Learning, Netzer, Wang, Coates, Bissacco, Wu and Ng, 2011.

The cropped digits (format 2) of the Street View House Numbers as torchvision reads them (``train_32x32.mat`` and others
under ``<root>/svhn``, downloaded on first use and compared with their MD5 before they are opened): 32x32 pixels, three
channels, ten classes (the label 10 of the files is the digit 0), 73,257 training and 26,032 test images, and 531,131
easier ones that ``extra=True`` adds to "train". Nothing is cropped, resized or flipped.

Differs: nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

import ganbench
from ganbench import Images, ImageSpec
from ganbench_zoo.download import ensure
from ganbench_zoo.originals import damage
from ganbench_zoo.splits import require


@dataclass(frozen=True)
class Svhn:
    """Digits of house numbers, with their own training and test split; ``extra`` adds the extra set to "train"."""

    name: ClassVar[str] = "svhn"
    paper: ClassVar[str] = "Netzer et al. 2011, NIPS Workshop on Deep Learning and Unsupervised Feature Learning"
    extractor: ClassVar[str] = "inception_v3"
    domain: ClassVar[str] = "svhn"

    extra: bool = False

    def spec(self, root: Path) -> ImageSpec:
        """Return three channels of 32x32, ten classes."""
        return ImageSpec((3, 32, 32), classes=10)

    def load(self, root: Path, split: str) -> Images:
        """Return "train" (73,257, or 604,388 with ``extra``) or "test" (26,032): uint8 (N, 3, 32, 32), int64 labels.

        Raises:
            ValueError: there is no such split, or the files are missing or broken and cannot be downloaded.
        """
        require(split, ("train", "test"), self.name)
        names = ("train", "extra") if split == "train" and self.extra else (split,)
        parts = [self._part(root / "svhn", name) for name in names]
        return Images(*(torch.cat(columns) for columns in zip(*parts, strict=True)))

    def _part(self, folder: Path, part: str) -> tuple[Tensor, Tensor]:
        """Return the images and labels of one file."""
        import torchvision

        cls = torchvision.datasets.SVHN
        file = [tuple(cls.split_list[part][1:])]
        ensure(self.name, folder, lambda: damage(folder, file), lambda: cls(folder, split=part, download=True))
        stored = cls(folder, split=part, download=False)
        return torch.from_numpy(stored.data).contiguous(), torch.from_numpy(stored.labels).view(-1)


@ganbench.hookimpl
def datasets() -> Sequence[type]:
    """Offer `Svhn`."""
    return [Svhn]
