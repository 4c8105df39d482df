"""DCGAN for 28x28 images by way of 2x2, the network of VEEGAN's and PacGAN's experiments on stacked MNIST.

Zinan Lin, Ashish Khetan, Giulia Fanti, Sewoong Oh, "PacGAN: The power of two samples in generative adversarial
networks", 2017, arXiv:1712.04086, section 4.2 (the setting of Akash Srivastava et al., "VEEGAN: Reducing Mode Collapse
in GANs using Implicit Variational Learning", 2017, arXiv:1705.07761), and the authors' code.

It is no setting of `dcgan`, which goes to 28 pixels from 7x7 by two doublings: this one starts at 2x2 and makes four,
by way of 4, 7 and 14.

Differs: images lie in [-1, 1], as tanh gives them, where the authors' real images lie in [0, 1]; padding is the same on
all sides; no layer before a BatchNorm has a bias; D's BatchNorm can be replaced (``d_norm``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal, get_args

from torch import nn

from ganbench import Cell, DataSpec, ImageSpec, Latent, hookimpl
from ganbench_zoo.blocks import (
    JUDGED,
    Judge,
    Norm,
    Unconditional,
    convolutions,
    coupling,
    deconvolution,
    deconvolutions,
    require_choice,
    require_drawable,
    require_positive,
    small,
    undrawable,
)

SIZES = (28,)


@dataclass(frozen=True)
class Dcgan28:
    """5x5 kernels of stride 2 for 28x28 images: ``width`` channels at 14x14, twice as many at each halving to 2x2.

    ``d_norm`` normalises the discriminator, except its first and last layers (spectral norm: all of them).
    ``latent_size`` uniform latents; ``d_outputs`` outputs of the discriminator: their mean is its logit, all of them
    its embedding.
    """

    name: ClassVar[str] = "dcgan28"
    paper: ClassVar[str] = "arXiv:1712.04086"
    recipe: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {
            "batch_size": 64,
            "schedule": ("D", "G", "G"),
            "g_lr": 2e-4,
            "d_lr": 2e-4,
            "g_betas": (0.5, 0.999),
            "d_betas": (0.5, 0.999),
            "ema_halflife_images": 0,
        }
    )

    offers: ClassVar[frozenset[str]] = JUDGED

    width: int = 64
    d_norm: Norm = "batch"
    latent_size: int = 100
    d_outputs: int = 1

    def __post_init__(self) -> None:
        require_positive(self, "width", "latent_size", "d_outputs")
        require_choice(self, "d_norm", get_args(Norm))

    @property
    def batch_coupling(self) -> Literal["none", "normalisation"]:
        """BatchNorm in the discriminator couples its decisions."""
        return coupling(self.d_norm)

    def compatible(self, cell: Cell) -> str | None:
        return undrawable(self.name, cell.data, SIZES)

    def latent(self, data: DataSpec) -> Latent:
        return Latent(self.latent_size, distribution="uniform")

    def generator(self, data: DataSpec) -> nn.Module:
        channels, _ = require_drawable(self.name, data, SIZES)
        width = self.width
        hidden = deconvolutions(self.latent_size, (8 * width, 4 * width, 2 * width, width), (2, 4, 7, 14), 5)
        return Unconditional(*hidden, deconvolution(width, channels, 5, (14, 28), bias=True), nn.Tanh())

    def discriminator(self, data: DataSpec) -> nn.Module:
        channels, _ = require_drawable(self.name, data, SIZES)
        width = self.width
        widths = (channels, width, 2 * width, 4 * width, 8 * width)
        body = nn.Sequential(*convolutions(widths, 5, self.d_norm), nn.Flatten())
        return Judge(body, small(nn.Linear(8 * width * 2 * 2, self.d_outputs), self.d_norm == "spectral"))

    @classmethod
    def smallest(cls) -> tuple[Dcgan28, DataSpec]:
        return cls(width=2, d_norm="none", latent_size=4), ImageSpec((1, 28, 28), classes=3)


@hookimpl
def architectures() -> list[type]:
    """Offer `Dcgan28`."""
    return [Dcgan28]
