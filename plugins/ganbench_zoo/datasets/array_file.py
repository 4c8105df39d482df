"""Images or points of one's own in one array, from a .npy or .npz file; no publication.

uint8 images are (N, C, H, W), (N, H, W, C) or, grey, (N, H, W); floats likewise, in [-1, 1] unless ``value_range`` says
otherwise; floats (N, d) are points. Of a .npz the array ``key`` is taken, else the only one, or ``arr_0``, ``images``,
``samples``; whole numbers under ``labels``, ``y`` or ``label`` beside it are the classes. 20 % of the rows (at least
one), ranked by the SHA-256 of ``array_file:<row>``, are held out as "test", the rest is "train"; "all" holds every row.

Differs: floats become uint8 as a generator's images do, scaled to [0, 255] and rounded half up. What is refused stands
in `ganbench_zoo.arrays` and `ganbench.stored`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

import ganbench
from ganbench import DataSpec, Images, PointSpec
from ganbench.folders import data_folder
from ganbench.stored import Form, Held, form_of
from ganbench.values import Stream
from ganbench_zoo.arrays import ArrayFile as Array
from ganbench_zoo.arrays import locate, split_name, type_name
from ganbench_zoo.members import resolve
from ganbench_zoo.rows import ArrayRows, may_be_held
from ganbench_zoo.splits import ranked, require

SPLITS = ("train", "test", "all")


@dataclass(frozen=True)
class ArrayFile:
    """Images or points of your own: the array in the .npy or .npz file at ``path``, there under ``key``.

    ``value_range`` is what the floats of images lie in, [-1, 1] if left out. A relative ``path`` is looked for in the
    working directory, then in the data root. Images have inception_v3 as their extractor, points have raw.
    """

    name: ClassVar[str] = "array_file"
    paper: ClassVar[str] = "your own samples, no publication"
    domain: ClassVar[str] = "array_file"

    path: str = field(metadata={"location": True})
    key: str | None = None
    value_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if not self.path:
            raise ValueError("array_file: path is empty; it must name a .npy or .npz file")
        if self.value_range is not None and not self.value_range[0] < self.value_range[1]:
            raise ValueError(f"array_file: value_range is {self.value_range!r}; the first must be below the second")

    @property
    def extractor(self) -> str:
        """The default extractor, which follows from the shape of the array."""
        try:
            _, form = self._read(data_folder())
        except ValueError:  # spec() says what is wrong
            return "inception_v3"
        return "raw" if isinstance(form.data, PointSpec) else "inception_v3"

    @classmethod
    def opening(cls, path: Path) -> ArrayFile | None:
        """Open a .npy, a .npz or one array of it (x.npz:key).

        Raises:
            ValueError: the array is not there, is truncated, or is none of numbers.
        """
        parts = split_name(path)
        if parts is None:
            return None
        opened = cls(path=str(parts[0]), key=parts[1])
        opened.spec(Path())
        return opened

    def spec(self, root: Path) -> DataSpec:
        """Return the shape that the header says, and one class more than the highest label."""
        array, form = self._read(root)
        labels = array.read_labels()
        return form.data if labels is None else replace(form.data, classes=int(labels.max()) + 1)

    def load(self, root: Path, split: str) -> Images:
        """Return one split: uint8 (N, C, H, W) or float32 (N, d), int64 labels or None.

        Raises:
            ValueError: there is no such split; the array is broken, empty, or holds what cannot be stored.
        """
        rows, labels = self._rows(root, split)
        return Images(rows.read(), labels)

    def stream(self, root: Path, split: str) -> Stream:
        """Return one split whose rows are read as they are asked for; a small one is read at once. Raises as `load`."""
        rows, labels = self._rows(root, split)
        return Stream(Held(rows.read(), rows.form.data) if may_be_held(rows.nbytes) else rows, labels)

    def fingerprint(self, root: Path) -> str:
        """Return the SHA-256 over type, shape and values of the stored samples."""
        return self._rows(root, "all")[0].fingerprint

    def _read(self, root: Path) -> tuple[Array, Form]:
        array = locate(resolve(self.path, root), self.key)
        header = array.header
        if header.shape[:1] == (0,):
            raise ValueError(f"{array.name} holds no samples")
        return array, form_of(array.name, header.shape, type_name(header.dtype), self.value_range)

    def _rows(self, root: Path, split: str) -> tuple[ArrayRows, Tensor | None]:
        require(split, SPLITS, self.path)
        array, form = self._read(root)
        values, labels = array.open(), array.read_labels()
        if split == "all":
            return ArrayRows(values, form), labels
        order = ranked(range(len(values)), self.name)
        held_out = max(1, len(order) // 5)
        chosen = torch.tensor(sorted(order[:held_out] if split == "test" else order[held_out:]), dtype=torch.int64)
        return ArrayRows(values, form, chosen), None if labels is None else labels[chosen]


@ganbench.hookimpl
def datasets() -> Sequence[type]:
    """Offer `ArrayFile`."""
    return [ArrayFile]
