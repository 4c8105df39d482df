"""An Analysis of Single-Layer Networks in Unsupervised Feature Learning, A. Coates, H. Lee, A. Y. Ng, AISTATS 2011.

STL-10 as torchvision downloads it (binary files under ``<root>/stl10_binary``): 96x96 pixels, three channels. To train
on there are 100,000 images without labels (``part="unlabeled"``, which GANs are commonly trained on), 5,000 of ten
classes ("train"), or both ("train+unlabeled"); "test" are the 8,000 test images. Nothing is cropped or flipped.

Differs: ``size`` 48 (the default, as in SN-GAN, arXiv:1802.05957), 32 or 64 shrinks with Pillow's Lanczos filter.
Labels are kept only with ``part="train"``. The files are known by their length, not by their MD5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

import ganbench
from ganbench import Images, ImageSpec
from ganbench_zoo.decode import resize_all
from ganbench_zoo.download import ensure
from ganbench_zoo.originals import check_memory
from ganbench_zoo.splits import require

FOLDER = "stl10_binary"
SIDE = 96
SIZES = (32, 48, 64, 96)
PARTS = ("unlabeled", "train", "train+unlabeled")
COUNTS = {"train": 5_000, "test": 8_000, "unlabeled": 100_000}


@dataclass(frozen=True)
class Stl10:
    """STL-10 at ``size`` 32, 48, 64 or 96; ``part`` is "unlabeled", "train" (with labels) or "train+unlabeled"."""

    name: ClassVar[str] = "stl10"
    paper: ClassVar[str] = "Coates, Lee and Ng 2011, AISTATS"
    extractor: ClassVar[str] = "inception_v3"
    domain: ClassVar[str] = "stl10"

    part: str = "unlabeled"
    size: int = 48

    def __post_init__(self) -> None:
        if self.part not in PARTS:
            raise ValueError(f"stl10: part is {self.part!r}, not one of {', '.join(PARTS)}")
        if self.size not in SIZES:
            raise ValueError(f"stl10: size is {self.size!r}, not one of {SIZES}")

    def spec(self, root: Path) -> ImageSpec:
        """Return three channels of ``size`` x ``size``, ten classes where there are labels."""
        return ImageSpec((3, self.size, self.size), classes=10 if self.part == "train" else None)

    def load(self, root: Path, split: str) -> Images:
        """Return "train" (the part) or "test" (8,000): uint8 (N, 3, size, size), int64 labels or None.

        Raises:
            ValueError: there is no such split, it is too large for memory, or files are missing or of another length.
        """
        import torchvision

        require(split, ("train", "test"), self.name)
        parts = ["test"] if split == "test" else self.part.split("+")
        labelled, folder = self.part == "train", root / FOLDER
        lengths = {f"{part}_X.bin": COUNTS[part] * 3 * SIDE**2 for part in parts}
        if labelled:
            lengths |= {f"{part}_y.bin": COUNTS[part] for part in parts}
        cls = torchvision.datasets.STL10
        ensure(self.name, root, lambda: _unfit(folder, lengths), lambda: cls(root, download=True))
        count = sum(COUNTS[part] for part in parts)
        check_memory(f"stl10, part {self.part}", count * 3 * self.size**2, "set a smaller size or another part")
        pixels = [resize_all(_read(folder / f"{part}_X.bin"), self.size) for part in parts]
        return Images(torch.from_numpy(np.concatenate(pixels)), _labels(folder, parts[0]) if labelled else None)


def _unfit(folder: Path, lengths: dict[str, int]) -> str | None:
    """Name the first file that is missing from ``folder`` or of another length, or None."""
    for name, length in lengths.items():
        if not (folder / name).is_file():
            return f"{name} was looked for in {folder} and is not there"
        found = (folder / name).stat().st_size
        if found != length:
            return f"{folder / name} is broken ({found:,} bytes, not {length:,})"
    return None


def _read(path: Path) -> np.ndarray:
    """Return uint8 (N, 3, 96, 96) on disk; the files hold one column of pixels after another."""
    return np.memmap(path, np.uint8, "r").reshape(-1, 3, SIDE, SIDE).transpose(0, 1, 3, 2)


def _labels(folder: Path, part: str) -> torch.Tensor:
    """Return int64 (N,) from 0 to 9. Raises ValueError for what is no class."""
    path = folder / f"{part}_y.bin"
    labels = torch.from_numpy(np.fromfile(path, np.uint8)).long() - 1
    if not 0 <= int(labels.min()) <= int(labels.max()) < 10:
        raise ValueError(
            f"stl10: {path} has labels from {int(labels.min()) + 1} to {int(labels.max()) + 1}, not 1 to 10"
        )
    return labels


@ganbench.hookimpl
def datasets() -> Sequence[type]:
    """Offer `Stl10`."""
    return [Stl10]
