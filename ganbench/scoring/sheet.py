"""Sample sheets: a grid of stored images as one PNG."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor

from ganbench.errors import ResultsError
from ganbench.files import write_atomically

GAP = 2  # pixels between images
SHORTEST_SIDE = 32  # smaller images are enlarged by a whole factor, so that a sheet can be looked at


def grid(stored: Tensor, columns: int | None = None) -> Tensor:
    """Lay uint8 (N, C, H, W) out in rows, as square as may be, on white; return uint8 (H', W', 1 or 3).

    Images of one or three channels are shown as they are, of others the first channel.

    Raises:
        ValueError: these are no images, or there are none.
    """
    if stored.dim() != 4 or stored.dtype != torch.uint8 or not len(stored):
        raise ValueError(f"a sheet wants uint8 images (N, C, H, W); found {stored.dtype} {tuple(stored.shape)}")
    images = stored if stored.shape[1] in (1, 3) else stored[:, :1]
    scale = math.ceil(SHORTEST_SIDE / min(images.shape[2:]))
    images = images.repeat_interleave(scale, dim=2).repeat_interleave(scale, dim=3)
    n, channels, height, width = images.shape
    columns = min(n, columns or math.ceil(math.sqrt(n)))
    rows = math.ceil(n / columns)
    sheet = torch.full((channels, rows * (height + GAP) + GAP, columns * (width + GAP) + GAP), 255, dtype=torch.uint8)
    for i, image in enumerate(images):
        top, left = (i // columns) * (height + GAP) + GAP, (i % columns) * (width + GAP) + GAP
        sheet[:, top : top + height, left : left + width] = image
    return sheet.permute(1, 2, 0)


def write_sheet(path: Path, stored: Tensor, columns: int | None = None) -> None:
    """Write the `grid` of ``stored`` as a PNG, atomically.

    Raises:
        ResultsError: the file cannot be written.
    """
    from PIL import Image

    pixels = grid(stored, columns).numpy()
    picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    try:
        write_atomically(path, lambda temporary: picture.save(temporary, format="PNG"))
    except OSError as error:
        raise ResultsError(f"cannot write {path}: {error.strerror or error}") from error
