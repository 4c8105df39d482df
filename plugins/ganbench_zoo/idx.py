"""MNIST and its drop-in replacements: IDX files, read by torchvision after a look at their headers."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from ganbench_zoo.download import ensure

COUNTS = {"train": 60_000, "t10k": 10_000}
SIZES = (28, 32)


def load_idx(kind: str, dataset: str, root: Path, *, train: bool, size: int) -> tuple[Tensor, Tensor]:
    """Return uint8 (N, 1, size, size) and int64 labels of torchvision's class ``kind`` under ``root/kind/raw``.

    28 pixels a side are stored; 32 are 28 with two zero pixels on every side.

    Raises:
        ValueError: a file is missing and cannot be downloaded, or is truncated or not what its name says.
    """
    import torchvision

    cls: Any = getattr(torchvision.datasets, kind)
    folder = root / kind / "raw"
    ensure(dataset, root, lambda: _missing(folder), lambda: cls(root, download=True))
    part = "train" if train else "t10k"
    check_idx(dataset, folder / f"{part}-images-idx3-ubyte", (COUNTS[part], 28, 28))
    check_idx(dataset, folder / f"{part}-labels-idx1-ubyte", (COUNTS[part],))
    stored = cls(root, train=train, download=False)
    return padded(stored.data, size), stored.targets.long()


def padded(pixels: Tensor, size: int) -> Tensor:
    """Return (N, 28, 28) as (N, 1, size, size), with zeros around."""
    return F.pad(pixels[:, None], ((size - 28) // 2,) * 4)


def _missing(folder: Path) -> str | None:
    """Name the first of the four files that is not in ``folder``, or None."""
    for part in COUNTS:
        for content in ("images-idx3", "labels-idx1"):
            if not (folder / f"{part}-{content}-ubyte").is_file():
                return f"{part}-{content}-ubyte was looked for in {folder} and is not there"
    return None


def check_idx(dataset: str, path: Path, shape: tuple[int | None, ...]) -> tuple[int, ...]:
    """Compare header and length of an IDX file of unsigned bytes with ``shape``, None being any number.

    Returns the shape that the header says.

    Raises:
        ValueError: the file is of another shape, truncated, too long, or no IDX file.
    """
    length = 4 * (1 + len(shape))
    with path.open("rb") as file:
        head = file.read(length)
    if len(head) < length or head[:4] != bytes([0, 0, 8, len(shape)]):
        raise ValueError(f"{dataset}: {path} is no IDX file of {len(shape)} dimensions; delete it and run again")
    found = struct.unpack(f">{len(shape)}I", head[4:])
    if any(wanted not in {None, side} for side, wanted in zip(found, shape, strict=True)):
        raise ValueError(f"{dataset}: {path} holds an array of {found}, expected {shape}")
    expected, size = length + _product(found), path.stat().st_size
    if size != expected:
        what = "is truncated" if size < expected else "is too long"
        raise ValueError(
            f"{dataset}: {path} {what}: its header promises {expected} bytes, it has {size}; "
            "delete it to have it downloaded again"
        )
    return found


def _product(shape: tuple[int, ...]) -> int:
    product = 1
    for side in shape:
        product *= side
    return product
