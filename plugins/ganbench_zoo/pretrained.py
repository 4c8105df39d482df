"""Networks that were trained on photographs, as extractors of images of any size: what they have in common.

Pixels reach them as in torch-fidelity 0.4: enlarged or shrunk bilinearly as TensorFlow 1 does, then shifted and scaled
by channel; the image of one channel is repeated to three.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ganbench import DataSpec, Features
from ganbench_zoo.pixels import check_images, exact_float32, moved, refusal, resized
from ganbench_zoo.weights import Release, absence, locate, obtain, unfit

ORDER = torch.channels_last
Colours = tuple[float, float, float]
IMAGENET: tuple[Colours, Colours] = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
"""Mean and standard deviation of ImageNet's red, green and blue, in [0, 255]."""


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
class Pretrained(ABC):
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

    @abstractmethod
    def build(self, state: Mapping[str, Tensor], device: torch.device) -> nn.Module:
        """Return the module that `PretrainedNetwork` wants; any error says that ``state`` is another network's."""

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
