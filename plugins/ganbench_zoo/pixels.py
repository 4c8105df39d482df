"""Images on their way into a network: which are taken, how they are resized and moved, in what precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from ganbench import DataSpec, ImageSpec


def refusal(name: str, data: DataSpec) -> str | None:
    """Say why ``data`` are not images of one or three channels, or None."""
    if not isinstance(data, ImageSpec):
        return f"{name} takes images, not points of shape {data.shape}"
    if data.shape[0] not in {1, 3}:
        return f"{name} takes one or three channels, not {data.shape[0]}"
    return None


def check_images(stored: Tensor) -> None:
    """Refuse what are no images. Raises ValueError unless ``stored`` is (N, C, H, W), uint8 or floats."""
    if stored.dim() != 4 or not (stored.dtype == torch.uint8 or stored.is_floating_point()):
        found = f"{stored.dtype} of shape {tuple(stored.shape)}"
        raise ValueError(f"images must be (N, C, H, W), uint8 or floats in [0, 255], not {found}")


def resized(images: Tensor, side: int) -> Tensor:
    """Map images (N, C, H, W) to float32 (N, C, side, side), bilinearly as TensorFlow 1 does.

    Pixel i of the result lies at i * H / side of the source: corners are not aligned and nothing is smoothed. Bit for
    bit what torch-fidelity computes, in another order: along the width first, for all rows once.
    """
    for dim in (3, 2):
        low, high, share = _grid(images.shape[dim], side, images.device)
        before = images.index_select(dim, low).float()
        after = images.index_select(dim, high).float()
        images = after.sub_(before).mul_(share if dim == 3 else share[:, None]).add_(before)
    return images


def _grid(size: int, side: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Return for each of ``side`` pixels its two sources among ``size`` and the share of the second, all (side,)."""
    place = torch.arange(side, dtype=torch.float32, device=device) * (size / side)
    low = place.long()
    return low, (low + 1).clamp_max(size - 1), place - low


@contextmanager
def exact_float32() -> Iterator[None]:
    """Let convolutions and matrix products inside be float32 throughout, never TF32 or bf16; restore the setting after.

    Torch rounds float32 convolutions to TF32 on a GPU unless told otherwise, which moves features by about 1e-3.
    """
    settings = [torch.backends.cudnn.conv, torch.backends.cuda.matmul]
    settings += [torch.backends.mkldnn.conv, torch.backends.mkldnn.matmul]
    before = [setting.fp32_precision for setting in settings]
    try:
        for setting in settings:
            setting.fp32_precision = "ieee"
        yield
    finally:
        for setting, value in zip(settings, before, strict=True):
            setting.fp32_precision = value


def moved(stored: Tensor, device: torch.device) -> Tensor:
    """Return ``stored`` on ``device``; to a GPU through pinned memory, so that the next batch is prepared meanwhile."""
    if device.type == "cuda" and stored.device.type == "cpu":
        return stored.pin_memory().to(device, non_blocking=True)
    return stored.to(device)
