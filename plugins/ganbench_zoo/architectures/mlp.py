"""Multilayer perceptrons, the networks of the first GAN.

Ian J. Goodfellow, Jean Pouget-Abadie, Mehdi Mirza, Bing Xu, David Warde-Farley, Sherjil Ozair, Aaron Courville, Yoshua
Bengio, "Generative Adversarial Networks", 2014, arXiv:1406.2661, section 5.

Differs: the discriminator uses LeakyReLU(0.2) where the paper uses maxout with dropout; the generator's hidden layers
are all ReLU and its images end in tanh, not in a sigmoid, as they lie in [-1, 1]; widths, Adam and the normal latent
are ours, chosen for small images; weights start as PyTorch's linear layers do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from torch import nn

from ganbench import DataSpec, ImageSpec, Latent, hookimpl
from ganbench_zoo.blocks import JUDGED, Judge, Unconditional, require_positive


@dataclass(frozen=True)
class Mlp:
    """Fully connected networks for images of any size and for points.

    ``depth`` hidden layers of ``width`` units in each player, ``latent_size`` normal latents; ``d_outputs`` outputs of
    the discriminator: their mean is its logit, all of them its embedding.
    """

    name: ClassVar[str] = "mlp"
    paper: ClassVar[str] = "arXiv:1406.2661"
    recipe: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {"g_lr": 1e-3, "d_lr": 1e-3, "g_betas": (0.5, 0.999), "d_betas": (0.5, 0.999)}
    )

    offers: ClassVar[frozenset[str]] = JUDGED

    width: int = 256
    depth: int = 2
    latent_size: int = 64
    d_outputs: int = 1

    def __post_init__(self) -> None:
        require_positive(self, "width", "depth", "latent_size", "d_outputs")

    def latent(self, data: DataSpec) -> Latent:
        return Latent(self.latent_size)

    def generator(self, data: DataSpec) -> nn.Module:
        layers: list[nn.Module] = []
        size = self.latent_size
        for _ in range(self.depth):
            layers += [nn.Linear(size, self.width), nn.ReLU()]
            size = self.width
        layers.append(nn.Linear(size, math.prod(data.shape)))
        if isinstance(data, ImageSpec):
            layers += [nn.Tanh(), nn.Unflatten(1, data.shape)]
        return Unconditional(*layers)

    def discriminator(self, data: DataSpec) -> nn.Module:
        layers: list[nn.Module] = [nn.Flatten()]
        size = math.prod(data.shape)
        for _ in range(self.depth):
            layers += [nn.Linear(size, self.width), nn.LeakyReLU(0.2)]
            size = self.width
        return Judge(nn.Sequential(*layers), nn.Linear(size, self.d_outputs))

    @classmethod
    def smallest(cls) -> tuple[Mlp, DataSpec]:
        return cls(width=8, depth=1, latent_size=4), ImageSpec((1, 4, 4), classes=3)


@hookimpl
def architectures() -> list[type]:
    """Offer `Mlp`."""
    return [Mlp]
