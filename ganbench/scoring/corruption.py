"""Known damage to stored samples, by degrees: uint8 images (N, C, H, W) and float32 points (N, d), the same kind out.

Random damage draws the same numbers at every degree, so that degrees differ in nothing else.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_ROWS = 256  # images in float32 at once


def add_noise(stored: Tensor, degree: float, rng: torch.Generator) -> Tensor:
    """Add normal noise; its standard deviation is ``degree`` of the range [0, 255], or of the points' own spread.

    The spread of points is the root of the mean variance of their coordinates.
    """
    size = 255.0 if stored.dtype == torch.uint8 else float(stored.double().var(dim=0, correction=0).mean().sqrt())

    def add(part: Tensor) -> Tensor:
        return part + degree * size * torch.randn(part.shape, generator=rng)

    return _by_rows(stored, add)


def blur(images: Tensor, degree: float) -> Tensor:
    """Blur with a Gaussian whose standard deviation is ``degree`` of the shorter side; at the border it is cut off."""
    deviation = degree * min(images.shape[2:])
    if deviation == 0:
        return images.clone()
    rows, columns = (_gaussian(side, deviation) for side in images.shape[2:])
    return _by_rows(images, lambda part: rows @ part @ columns.T)


def lower_contrast(images: Tensor, degree: float) -> Tensor:
    """Draw every value towards the mean of its image by ``degree``: at 1 the image is one grey."""
    return _by_rows(images, lambda part: torch.lerp(part, part.mean(dim=(1, 2, 3), keepdim=True), degree))


def mix_pairs(stored: Tensor, degree: float, rng: torch.Generator) -> Tensor:
    """Replace a share ``degree`` of the samples by the mean of themselves and another one; there must be two."""
    order = torch.randperm(len(stored), generator=rng)
    mixed = order[: round(degree * len(stored))]
    other = order.roll(-1)[: len(mixed)]
    changed = stored.clone()
    for start in range(0, len(mixed), _ROWS):
        rows = slice(start, start + _ROWS)
        mean = (stored[mixed[rows]].float() + stored[other[rows]].float()) / 2
        changed[mixed[rows]] = _as(stored.dtype, mean)
    return changed


def copied_rows(n: int, degree: float, sources: float, rng: torch.Generator) -> Tensor:
    """Return int64 (n,): the row that stands at each place once a share ``degree`` are copies of a few others.

    The others are a share ``sources`` of the rows, at least one, the same at every degree and never replaced.
    """
    order = torch.randperm(n, generator=rng)
    few = order[n - max(1, round(sources * n)) :]
    replaced = order[: min(round(degree * n), n - len(few))]
    rows = torch.arange(n)
    rows[replaced] = few[torch.randint(len(few), (n,), generator=rng)[: len(replaced)]]
    return rows


def _gaussian(side: int, deviation: float) -> Tensor:
    """Return (side, side): the weights of a Gaussian around each position, each row of sum 1."""
    at = torch.arange(side, dtype=torch.float64)
    return torch.softmax(-((at[:, None] - at) ** 2) / (2 * deviation**2), dim=1).float()


def _by_rows(stored: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply ``change`` to float32 blocks of rows, in order, and store the result as ``stored`` is stored."""
    changed = torch.empty_like(stored)
    for start in range(0, len(stored), _ROWS):
        part = stored[start : start + _ROWS].float()
        changed[start : start + len(part)] = _as(stored.dtype, change(part))
    return changed


def _as(dtype: torch.dtype, values: Tensor) -> Tensor:
    return values.clamp(0, 255).add(0.5).floor().to(dtype) if dtype == torch.uint8 else values.to(dtype)
