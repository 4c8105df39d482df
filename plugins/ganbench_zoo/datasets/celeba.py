"""Deep Learning Face Attributes in the Wild, Z. Liu, P. Luo, X. Wang, X. Tang, 2014.

arXiv:1411.7766; CelebA, aligned and cropped by its authors to 178x218 pixels, three channels, as torchvision downloads
it (images in ``<root>/celeba/img_align_celeba`` or in the .zip of that name, and lists beside it, which are compared
with their MD5; the download needs the package gdown). The split is the authors' own: 162,770 images in "train", 19,867
in "val" and 19,962 in "test", no person in two of them. Nothing is flipped. What is decoded is kept on disk for later
runs (`ganbench_zoo.decoded`) unless ``cache=False``.

Differs: the centred square of ``crop`` pixels is taken, 178 by default (the full width), and shrunk to ``size`` with
Pillow's Lanczos filter; ``crop=108`` is that of the DCGAN code (A. Radford, L. Metz, S. Chintala, arXiv:1511.06434) and
of what follows it. Scores at different crops cannot be compared. Without ``attribute`` there are no labels; with one
("Male", "Smiling") there are two classes, 0 for those that lack it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

import ganbench
from ganbench import Images, ImageSpec
from ganbench.errors import did_you_mean
from ganbench.values import Stream
from ganbench_zoo.decode import Decoder
from ganbench_zoo.decoded import load_whole, open_rows
from ganbench_zoo.download import ensure
from ganbench_zoo.members import open_source
from ganbench_zoo.originals import damage
from ganbench_zoo.rows import ImageRows
from ganbench_zoo.splits import require

SPLITS = {"train": "0", "val": "1", "test": "2"}
WIDTH = 178
IMAGES, PARTITION, ATTRIBUTES = "img_align_celeba", "list_eval_partition.txt", "list_attr_celeba.txt"


@dataclass(frozen=True)
class CelebA:
    """Aligned faces: the centred ``crop`` at ``size`` pixels a side; two classes where an ``attribute`` is named."""

    name: ClassVar[str] = "celeba"
    paper: ClassVar[str] = "arXiv:1411.7766"
    extractor: ClassVar[str] = "inception_v3"
    domain: ClassVar[str] = "celeba"

    size: int = 64
    crop: int = WIDTH
    attribute: str | None = None
    cache: bool = field(default=True, metadata={"location": True})

    def __post_init__(self) -> None:
        if not 1 <= self.crop <= WIDTH:
            raise ValueError(f"celeba: crop is {self.crop!r}, not between 1 and {WIDTH}")
        if not 1 <= self.size <= 512:
            raise ValueError(f"celeba: size is {self.size!r}, not between 1 and 512")

    def spec(self, root: Path) -> ImageSpec:
        """Return three channels of ``size`` x ``size``, two classes where an attribute is given."""
        return ImageSpec((3, self.size, self.size), classes=None if self.attribute is None else 2)

    def load(self, root: Path, split: str) -> Images:
        """Return one split: uint8 (N, 3, size, size), int64 labels or None; decoded as a whole.

        Raises:
            ValueError: there is no such split or attribute, files are missing or broken, or memory does not suffice.
        """
        rows, labels = self._rows(root, split)
        return Images(load_whole(rows, self.name, "set a smaller size", self.cache), labels)

    def stream(self, root: Path, split: str) -> Stream:
        """Return one split whose images are decoded as they are asked for; small or kept ones at once.

        Raises as `load`.
        """
        rows, labels = self._rows(root, split)
        return Stream(open_rows(rows, self.cache), labels)

    def _rows(self, root: Path, split: str) -> tuple[ImageRows, Tensor | None]:
        import torchvision

        require(split, tuple(SPLITS), self.name)
        cls, folder = torchvision.datasets.CelebA, root / "celeba"
        lists = {PARTITION} if self.attribute is None else {PARTITION, ATTRIBUTES}
        files = [(name, md5) for _, md5, name in cls.file_list if name in lists]
        ensure(self.name, root, lambda: _missing(folder) or damage(folder, files), lambda: cls(root, download=True))
        pairs = [line.split() for line in (folder / PARTITION).read_text(encoding="ascii").splitlines()]
        names = [name for name, number in pairs if number == SPLITS[split]]
        loose = (folder / IMAGES).is_dir()
        source = open_source(folder / (IMAGES if loose else f"{IMAGES}.zip"))
        paths = names if loose else [f"{IMAGES}/{name}" for name in names]
        absent = sorted(set(paths) - set(source.names))
        if absent:
            raise ValueError(
                f"celeba: {source.path} lacks {len(absent):,} of {len(paths):,} images: {absent[0]} and so on"
            )
        decoder = Decoder(source, (3, self.size, self.size), paths[0], self.size, crop=self.crop)
        return ImageRows(decoder, paths), None if self.attribute is None else self._labels(folder, names)

    def _labels(self, folder: Path, names: Sequence[str]) -> Tensor:
        _, header, *lines = (folder / ATTRIBUTES).read_text(encoding="ascii").splitlines()
        known = header.split()
        if self.attribute not in known:
            raise ValueError(f"celeba has no attribute {self.attribute!r}{did_you_mean(self.attribute, known)}")
        column = 1 + known.index(self.attribute)
        values = {fields[0]: fields[column] for fields in map(str.split, lines)}
        return torch.tensor([int(values[name] == "1") for name in names])


def _missing(folder: Path) -> str | None:
    """Say that there are no images in ``folder``, or None."""
    if (folder / IMAGES).is_dir() or (folder / f"{IMAGES}.zip").is_file():
        return None
    return f"{IMAGES} or {IMAGES}.zip was looked for in {folder} and is not there"


@ganbench.hookimpl
def datasets() -> Sequence[type]:
    """Offer `CelebA`."""
    return [CelebA]
