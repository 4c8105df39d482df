"""A small convolutional network that is never trained, as a feature space for tests on any image; no publication.

Three 3x3 convolutions of stride 2 with SiLU, averaged over positions. Weights are uniform with variance 2 / fan-in
(K. He et al., 2015, arXiv:1502.01852), drawn from a generator of their own. Each feature is standardised by mean and
deviation over smooth random images (4x4 uniform noise, enlarged to 32x32), so no data are needed for a readable scale:
1 is about one deviation.

Differs: from extractors that know images: it sees colour and texture, not content. Use it where a feature space must be
there at once, not where scores are to be believed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

import ganbench
from ganbench import DataSpec, Features
from ganbench_zoo.pixels import check_images, exact_float32, moved, refusal

STEPS = 1 << 16  # mean and deviation are rounded to 1 / STEPS, so that every machine has the same
IMAGES = 256


@dataclass(frozen=True)
class RandomConvNetwork:
    """The `FeatureNetwork` of `RandomConv`; ``mean`` and ``std`` are (width,)."""

    weights: tuple[Tensor, ...]
    mean: Tensor
    std: Tensor
    provenance: Mapping[str, Any]
    canonical: bool = False

    @torch.no_grad()
    def __call__(self, stored: Tensor) -> Features:
        """Map images (N, 1 or 3, H, W), uint8 or floats in [0, 255], to float32 features (N, width)."""
        check_images(stored)
        pixels = moved(stored, self.mean.device).float().div(127.5).sub(1).expand(-1, 3, -1, -1)
        with exact_float32():
            return Features((averages(pixels, self.weights) - self.mean) / self.std)


@dataclass(frozen=True)
class RandomConv:
    """A fixed random network: ``width`` features of images with one or three channels, no logits.

    ``seed`` draws its weights.
    """

    name: ClassVar[str] = "random_conv"
    paper: ClassVar[str] = "none: a random network"
    domains: ClassVar[frozenset[str] | None] = None
    continuous: ClassVar[bool] = True

    seed: int = 0
    width: int = 64

    def __post_init__(self) -> None:
        if not 1 <= self.width <= 4096:
            raise ValueError(f"width must be from 1 to 4096, not {self.width}")
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed must be from 0 to 2^63 - 1, not {self.seed}")

    def accepts(self, data: DataSpec) -> str | None:
        return refusal(self.name, data)

    def available(self) -> str | None:
        return None

    def load(self, device: torch.device) -> RandomConvNetwork:
        rng = torch.Generator().manual_seed(self.seed)
        weights = tuple(drawn(before, after, rng) for before, after in ((3, 16), (16, 32), (32, self.width)))
        smooth = F.interpolate(
            torch.rand(IMAGES, 3, 4, 4, generator=rng).double() * 2 - 1, size=(32, 32), mode="bilinear"
        )
        features = averages(smooth, [weight.double() for weight in weights])
        mean, std = (rounded(values) for values in (features.mean(0), features.std(0)))
        std = std.clamp(min=1 / STEPS)
        facts = {
            "network": "three random convolutions",
            "layer": "average over positions, standardised",
            "width": self.width,
            "weights_sha256": sha256((*weights, mean, std)),
            "preprocessing": {"input": "[0, 255], one channel repeated to three, to [-1, 1] by x / 127.5 - 1"},
        }
        return RandomConvNetwork(tuple(w.to(device) for w in weights), mean.to(device), std.to(device), facts)


def averages(x: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """Map (N, 3, H, W) in [-1, 1] to the last convolution's averages over positions, (N, width)."""
    for weight in weights:
        x = F.silu(F.conv2d(x, weight, stride=2, padding=1))
    return x.mean(dim=(2, 3))


def drawn(before: int, after: int, rng: torch.Generator) -> Tensor:
    """Draw weights (after, before, 3, 3): uniform numbers are the same on every machine, normal ones are not."""
    bound = (6 / (9 * before)) ** 0.5
    return (torch.rand(after, before, 3, 3, generator=rng) * 2 - 1) * bound


def rounded(values: Tensor) -> Tensor:
    """Round float64 to multiples of 1 / STEPS, as float32: what is left of rounding errors of the sums goes."""
    return (values * STEPS).round().div(STEPS).float()


def sha256(tensors: Sequence[Tensor]) -> str:
    """Return the SHA-256 over the values of ``tensors`` one after another."""
    sha = hashlib.sha256()
    for tensor in tensors:
        sha.update(tensor.numpy().astype("<f4").tobytes())
    return sha.hexdigest()


@ganbench.hookimpl
def extractors() -> Sequence[type]:
    """Offer `RandomConv`."""
    return [RandomConv]
