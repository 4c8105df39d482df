"""From samples as people have them to stored ones: axes in their order, floats of a known range, nothing broken.

Stored samples are images uint8 (N, C, H, W) in [0, 255], or points float32 (N, d).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from ganbench.values import DataSpec, ImageSpec, PointSpec

Axes = Literal["NCHW", "NHWC", "NHW", "ND"]

FLOATS = frozenset({"bfloat16", "float16", "float32", "float64"})
USUAL = (-1.0, 1.0)  # what generators give
SLACK = 1 / 1020  # floats may leave their range by a quarter of a grey level: rounding, no other range


@dataclass(frozen=True)
class Form:
    """How samples of one shape and type become stored ones; ``name`` says whose they are, for messages.

    ``value_range`` is what the floats of images lie in; None is [-1, 1] with a look at whether that can be.
    """

    name: str
    data: DataSpec
    axes: Axes
    floats: bool
    value_range: tuple[float, float] | None = None

    def store(self, rows: Tensor, numbers: Tensor | None = None) -> Tensor:
        """Return ``rows`` stored: uint8 (n, C, H, W) or float32 (n, d); floats are scaled and rounded half up.

        ``numbers`` int64 (n,) says which rows of the set they are, for messages.

        Raises:
            ValueError: a value is NaN, infinite, or outside the range.
        """
        if self.axes == "NHWC":
            rows = rows.permute(0, 3, 1, 2)
        elif self.axes == "NHW":
            rows = rows.unsqueeze(1)
        if not self.floats:
            return rows.contiguous()
        rows = rows.float()
        finite = torch.isfinite(rows)
        if not finite.all():
            raise ValueError(f"{self.name} holds NaN or infinity, first in row {_first(~finite, numbers)} (from 0)")
        if self.axes == "ND":
            return rows.contiguous()
        low, high = self.value_range or USUAL
        slack = SLACK * (high - low)
        outside = (rows < low - slack) | (rows > high + slack)
        if outside.any():
            raise ValueError(
                f"{self.name} holds {float(rows[outside][0]):g} in row {_first(outside, numbers)} (from 0), outside "
                f"[{low:g}, {high:g}]; say in which range its floats are (--range LOW,HIGH), or store it as uint8"
            )
        return rows.sub(low).div(high - low).clamp(0, 1).mul(255).add(0.5).floor().byte().contiguous()

    def lowest(self, rows: Tensor) -> float:
        """Return the least value of ``rows`` where `check_lowest` will want to know it."""
        guessed = self.floats and self.axes != "ND" and self.value_range is None
        return float(rows.min()) if guessed and rows.numel() else 0.0

    def check_lowest(self, lowest: float) -> None:
        """Refuse a set whose range nobody gave and whose least value is not negative: it is in [0, 1], or black.

        Raises:
            ValueError: so it is.
        """
        if self.floats and self.axes != "ND" and self.value_range is None and lowest >= 0:
            raise ValueError(
                f"{self.name} holds floats of which none is negative, so they are hardly in [-1, 1]; "
                "say in which range they are (--range 0,1), or store them as uint8"
            )


def form_of(name: str, shape: tuple[int, ...], dtype: str, value_range: tuple[float, float] | None = None) -> Form:
    """Return how samples of ``shape`` (N, ...) and ``dtype`` ("uint8", "float32", ...) become stored ones.

    Four axes are images, channels first where the second axis has 1 or 3 (else 2 or 4) entries, channels last where
    the last one has; three axes are grey images (N, H, W); two are points (N, d), which must be floats.

    Raises:
        ValueError: they can be no stored samples.
    """
    if dtype != "uint8" and dtype not in FLOATS:
        raise ValueError(f"{name} holds {dtype}; images are uint8 or floats, points are floats")
    if value_range is not None and not value_range[0] < value_range[1]:
        raise ValueError(f"the range {value_range[0]:g},{value_range[1]:g} of {name} is empty; write LOW,HIGH")
    floats = dtype != "uint8"
    if len(shape) not in {2, 3, 4} or 0 in shape[1:]:
        raise ValueError(
            f"{name} has shape {shape}; images are (N, C, H, W), (N, H, W, C) or (N, H, W), points are (N, d)"
        )
    if len(shape) == 2:
        if not floats:
            raise ValueError(f"{name} has shape {shape} and holds {dtype}; points (N, d) are floats")
        return Form(name, PointSpec((shape[1],)), "ND", floats)
    if len(shape) == 3:
        return Form(name, ImageSpec((1, *shape[1:])), "NHW", floats, value_range)
    for channels in ({1, 3}, {2, 4}):
        if shape[1] in channels:
            return Form(name, ImageSpec((shape[1], shape[2], shape[3])), "NCHW", floats, value_range)
        if shape[3] in channels:
            return Form(name, ImageSpec((shape[3], shape[1], shape[2])), "NHWC", floats, value_range)
    raise ValueError(f"{name} has shape {shape}, of which neither the second nor the last axis can be colour channels")


def content_sha(data: DataSpec, n: int, chunks: Iterable[Tensor]) -> str:
    """Return the SHA-256 over type, shape and values of ``n`` stored samples that come in ``chunks``, in order."""
    dtype = torch.uint8 if isinstance(data, ImageSpec) else torch.float32
    sha = hashlib.sha256(f"{dtype} {(n, *data.shape)} ".encode())
    for chunk in chunks:
        sha.update(chunk.cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return sha.hexdigest()


class Held:
    """Stored samples in memory as `ganbench.values.Rows`."""

    def __init__(self, stored: Tensor, data: DataSpec) -> None:
        self.stored, self.data = stored, data

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, rows: Tensor) -> Tensor:
        return self.stored[rows]

    @property
    def whole(self) -> Tensor:
        """All of them."""
        return self.stored

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over type, shape and values."""
        return content_sha(self.data, len(self.stored), [self.stored])


def dtype_name(dtype: Any) -> str:
    """Return the name of a torch or numpy type: ``torch.float32`` -> "float32"."""
    return str(getattr(dtype, "name", dtype)).removeprefix("torch.")


def _first(mask: Tensor, numbers: Tensor | None) -> int:
    """Return the number of the first row of ``mask`` (n, ...) that holds a true value."""
    row = int(mask.flatten(1).any(dim=1).nonzero()[0])
    return row if numbers is None else int(numbers[row])
