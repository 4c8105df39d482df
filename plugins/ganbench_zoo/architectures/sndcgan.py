"""SNDCGAN: the standard CNN of spectral normalisation.

Takeru Miyato, Toshiki Kataoka, Masanori Koyama, Yuichi Yoshida, "Spectral Normalization for Generative Adversarial
Networks", 2018, arXiv:1802.05957, appendix B.4, table 3; the recipe is setting C of table 1.

Differs: BatchNorm and ReLU follow the generator's first layer as they do the others, as in Kurach et al.'s code
(arXiv:1807.04720); weights start from N(0, 0.02^2) as there; D's channels are those of the table, where that code
doubles them one layer earlier; power iteration runs once an update, not once a forward pass; 64 pixels are ours.
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
    coupling,
    deconvolutions,
    norm_layers,
    require_choice,
    require_drawable,
    require_positive,
    small,
    undrawable,
)

SIZES = (32, 48, 64)


@dataclass(frozen=True)
class Sndcgan:
    """Square images of 32, 48 or 64 pixels: ``width`` channels at full size, twice as many at each of three halvings.

    ``d_norm`` normalises the discriminator: its weights (spectral), or what its hidden layers but the first give.
    ``latent_size`` normal latents; ``d_outputs`` outputs of the discriminator: their mean is its logit, all of them
    its embedding.
    """

    name: ClassVar[str] = "sndcgan"
    paper: ClassVar[str] = "arXiv:1802.05957"
    recipe: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {"batch_size": 64, "g_lr": 2e-4, "d_lr": 2e-4, "g_betas": (0.5, 0.999), "d_betas": (0.5, 0.999)}
    )

    offers: ClassVar[frozenset[str]] = JUDGED

    width: int = 64
    d_norm: Norm = "spectral"
    latent_size: int = 128
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
        return Latent(self.latent_size)

    def generator(self, data: DataSpec) -> nn.Module:
        (channels, size), width = require_drawable(self.name, data, SIZES), self.width
        widths, sizes = (8 * width, 4 * width, 2 * width, width), (size // 8, size // 4, size // 2, size)
        hidden = deconvolutions(self.latent_size, widths, sizes, 4)
        return Unconditional(*hidden, small(nn.Conv2d(width, channels, 3, padding=1)), nn.Tanh())

    def discriminator(self, data: DataSpec) -> nn.Module:
        (channels, size), width = require_drawable(self.name, data, SIZES), self.width
        layers = self._layer(channels, width, 3, "none")
        for stage in range(3):
            layers += self._layer(width << stage, width << stage, 4, self.d_norm)
            layers += self._layer(width << stage, width << stage + 1, 3, self.d_norm)
        last = nn.Linear(8 * width * (size // 8) ** 2, self.d_outputs)
        return Judge(nn.Sequential(*layers, nn.Flatten()), small(last, self.d_norm == "spectral"))

    @classmethod
    def smallest(cls) -> tuple[Sndcgan, DataSpec]:
        return cls(width=2, latent_size=4), ImageSpec((1, 32, 32), classes=3)

    def _layer(self, inputs: int, outputs: int, kernel: int, norm: Norm) -> list[nn.Module]:
        """Return a convolution of stride 1 (3x3) or 2 (4x4), normalised by ``norm``, with LeakyReLU."""
        conv = nn.Conv2d(inputs, outputs, kernel, kernel - 2, 1, bias=norm != "batch")
        return [small(conv, self.d_norm == "spectral"), *norm_layers(norm, outputs), nn.LeakyReLU(0.1)]


@hookimpl
def architectures() -> list[type]:
    """Offer `Sndcgan`."""
    return [Sndcgan]
