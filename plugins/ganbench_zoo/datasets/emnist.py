"""EMNIST: an extension of MNIST to handwritten letters, G. Cohen, S. Afshar, J. Tapson, A. van Schaik, 2017.

arXiv:1702.05373, table II; as torchvision reads it (IDX files under ``<root>/EMNIST/raw``, downloaded on first use):
28x28 pixels, one channel. ``part`` names one of the six sets that the authors made of the same writing:

    balanced   47 classes   112,800 training and  18,800 test images
    letters    26 classes   124,800               20,800  (88,800 and 14,800 in the first release)
    digits     10 classes   240,000               40,000
    mnist      10 classes    60,000               10,000
    bymerge    47 classes   697,932              116,323
    byclass    62 classes   697,932              116,323

How many images there are is read off the files.

Differs: the files hold every image transposed, and torchvision hands them out so; here they stand upright. The letters
are numbered from 1 in the files and from 0 here. ``size=32`` pads with two zero pixels on every side. Some of the
digits are MNIST's, so part "mnist" has domain "emnist" like the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

import ganbench
from ganbench import Images, ImageSpec
from ganbench_zoo.download import ensure
from ganbench_zoo.idx import SIZES, check_idx, padded
from ganbench_zoo.splits import require

CLASSES: Mapping[str, int] = MappingProxyType(
    {"balanced": 47, "letters": 26, "digits": 10, "mnist": 10, "bymerge": 47, "byclass": 62}
)


@dataclass(frozen=True)
class Emnist:
    """Handwritten letters and digits: one ``part`` of EMNIST, ``size`` 28 or 32 (zero-padded)."""

    name: ClassVar[str] = "emnist"
    paper: ClassVar[str] = "arXiv:1702.05373"
    extractor: ClassVar[str] = "inception_v3"
    domain: ClassVar[str] = "emnist"

    part: str = "balanced"
    size: int = 28

    def __post_init__(self) -> None:
        if self.part not in CLASSES:
            raise ValueError(f"emnist: part is {self.part!r}, not one of {', '.join(CLASSES)}")
        if self.size not in SIZES:
            raise ValueError(f"emnist: size is {self.size!r}, not one of {SIZES}")

    def spec(self, root: Path) -> ImageSpec:
        """Return one channel of ``size`` x ``size`` and the classes of the part."""
        return ImageSpec((1, self.size, self.size), classes=CLASSES[self.part])

    def load(self, root: Path, split: str) -> Images:
        """Return "train" or "test" of the part: uint8 (N, 1, size, size), upright, int64 labels from 0.

        Raises:
            ValueError: there is no such split, or the files are missing or broken.
        """
        import torchvision

        require(split, ("train", "test"), self.name)
        cls, folder = torchvision.datasets.EMNIST, root / "EMNIST" / "raw"
        ensure(self.name, root, lambda: self._missing(folder), lambda: cls(root, split=self.part, download=True))
        count, *_ = check_idx(self.name, folder / self._file(split, "images-idx3"), (None, 28, 28))
        check_idx(self.name, folder / self._file(split, "labels-idx1"), (count,))
        stored = cls(root, split=self.part, train=split == "train", download=False)
        labels = stored.targets.long() - int(self.part == "letters")
        if not len(labels) or not 0 <= int(labels.min()) <= int(labels.max()) < CLASSES[self.part]:
            raise ValueError(f"emnist: {folder / self._file(split, 'labels-idx1')} has labels of no known class")
        return Images(padded(stored.data.transpose(1, 2), self.size).contiguous(), labels)

    def _file(self, split: str, content: str) -> str:
        return f"emnist-{self.part}-{split}-{content}-ubyte"

    def _missing(self, folder: Path) -> str | None:
        """Name the first file of the part that is not in ``folder``, or None."""
        names = [
            self._file(split, content) for split in ("train", "test") for content in ("images-idx3", "labels-idx1")
        ]
        absent = next((name for name in names if not (folder / name).is_file()), None)
        return absent and f"{absent} was looked for in {folder} and is not there"


@ganbench.hookimpl
def datasets() -> Sequence[type]:
    """Offer `Emnist`."""
    return [Emnist]
