"""Networks that were trained on photographs, as extractors of images of any size: what they have in common.

Pixels reach them as in torch-fidelity 0.4: enlarged or shrunk bilinearly as TensorFlow 1 does, then shifted and scaled
by channel; the image of one channel is repeated to three.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ganbench import DataSpec, Features, ImageSpec
from ganbench_zoo.weights import Release, absence, locate, obtain, unfit

ORDER = torch.channels_last
Colours = tuple[float, float, float]
IMAGENET: tuple[Colours, Colours] = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
"""Mean and standard deviation of ImageNet's red, green and blue, in [0, 255]."""


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


@dataclass(frozen=True)
class PretrainedNetwork:
    """A loaded network: the `FeatureNetwork` of every `Pretrained`.

    ``module`` maps (N, 3, side, side) of ``dtype`` to features (N, d), or to features and logits (N, K). ``mean`` and
    ``std`` are (3, 1, 1).
    """

    module: Callable[[Tensor], Any]
    side: int
    mean: Tensor
    std: Tensor
    dtype: torch.dtype
    provenance: Mapping[str, Any]
    canonical: bool

    @torch.no_grad()
    def __call__(self, stored: Tensor) -> Features:
        """Map images (N, 1 or 3, H, W), uint8 or floats in [0, 255], to float32 features and perhaps logits.

        Raises:
            ValueError: they are no images, or of another dtype.
        """
        check_images(stored)
        with exact_float32():
            pixels = resized(moved(stored, self.mean.device), self.side)
            pixels = pixels.sub(self.mean).div_(self.std)  # (N, 3, side, side)
            given = self.module(pixels.to(dtype=self.dtype, memory_format=ORDER))
        features, logits = given if isinstance(given, tuple) else (given, None)
        return Features(features.float(), None if logits is None else logits.float())


@dataclass(frozen=True)
class Pretrained:
    """What the extractors share whose weights somebody released; each adds its name, its facts and `build`.

    ``weights`` is a path; without it the variable that `release` names and torch's hub cache are looked at.
    """

    name: ClassVar[str]
    domains: ClassVar[frozenset[str] | None] = None
    continuous: ClassVar[bool] = True
    release: ClassVar[Release]
    network: ClassVar[str]
    layer: ClassVar[str]
    width: ClassVar[int]
    side: ClassVar[int]
    colours: ClassVar[tuple[Colours, Colours]]
    published: ClassVar[bool] = False

    weights: str | None = None

    @property
    def dtype(self) -> torch.dtype:
        """What the network computes in."""
        return torch.float32

    def accepts(self, data: DataSpec) -> str | None:
        return refusal(self.name, data)

    def available(self) -> str | None:
        return absence(self.release, locate(self.release, self.weights))

    def build(self, state: Mapping[str, Tensor], device: torch.device) -> nn.Module:
        """Return the module that `PretrainedNetwork` wants; any error says that ``state`` is another network's."""
        raise NotImplementedError

    def load(self, device: torch.device) -> PretrainedNetwork:
        """Return the network, downloading its weights where they are neither given nor in torch's hub cache.

        Raises:
            ExtractorUnavailable: there are no weights and no network, or the cached file is not the released one.
            ValueError: the file that was given holds something else than this network's weights.
        """
        location = locate(self.release, self.weights)
        contents = obtain(self.release, location)
        try:
            module = self.build(contents.state, device)
        except (RuntimeError, TypeError, AttributeError, KeyError, IndexError, ValueError) as error:
            raise unfit(self.release, location, error) from error
        mean, std = (torch.tensor(values, device=device)[:, None, None] for values in self.colours)
        canonical = self.published and contents.released and self.dtype == torch.float32
        return PretrainedNetwork(module, self.side, mean, std, self.dtype, self.facts(contents.sha256), canonical)

    def facts(self, sha256: str) -> dict[str, Any]:
        """Return the provenance of features computed with the weights of this SHA-256."""
        mean, std = self.colours
        return {
            "network": self.network,
            "layer": self.layer,
            "width": self.width,
            "weights_sha256": sha256,
            "precision": str(self.dtype).removeprefix("torch."),
            "preprocessing": {
                "input": f"[0, 255], one channel repeated to three, (x - mean) / std, mean {mean}, std {std}",
                "resize": f"bilinear to {self.side}x{self.side} as TensorFlow 1 does, corners not aligned",
            },
        }
