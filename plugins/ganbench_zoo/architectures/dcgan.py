"""DCGAN: strided convolutions in both players.

Alec Radford, Luke Metz, Soumith Chintala, "Unsupervised Representation Learning with Deep Convolutional Generative
Adversarial Networks", 2015, arXiv:1511.06434, section 3 and figure 1.

Differs: kernels are 4x4, as in the authors' Torch code, where figure 1 draws 5x5 (``kernel = 5``); the generator's
widest layer has 2^(k-1) ``width`` channels for k doublings, which at 64 pixels and ``width`` 64 is the 512 of that code
and half of figure 1's; 16, 28 and 32 pixels use fewer doublings (28 starts from 7x7); BatchNorm starts at gain 1, bias
0; the discriminator's BatchNorm can be replaced (``d_norm``).
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

START = MappingProxyType({16: 4, 28: 7, 32: 4, 64: 4})
"""Image size: the size from which the generator starts doubling."""


@dataclass(frozen=True)
class Dcgan:
    """Strided convolutions for square images of 16, 28, 32 or 64 pixels and any number of channels.

    ``width`` channels at half the image size, twice as many at each halving; ``d_norm`` normalises the discriminator,
    except its first and last layers (spectral norm: all of them); ``layer`` normalises over (C, H, W) with a gain a
    channel. ``latent_size`` latents of the given ``distribution``; ``d_outputs`` outputs of the discriminator: their
    mean is its logit, all of them its embedding.
    """

    name: ClassVar[str] = "dcgan"
    paper: ClassVar[str] = "arXiv:1511.06434"
    recipe: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {"batch_size": 128, "g_lr": 2e-4, "d_lr": 2e-4, "g_betas": (0.5, 0.999), "d_betas": (0.5, 0.999)}
    )

    offers: ClassVar[frozenset[str]] = JUDGED

    width: int = 64
    d_norm: Norm = "batch"
    kernel: Literal[4, 5] = 4
    latent_size: int = 100
    d_outputs: int = 1
    distribution: Literal["normal", "uniform"] = "uniform"

    def __post_init__(self) -> None:
        require_positive(self, "width", "latent_size", "d_outputs")
        require_choice(self, "d_norm", get_args(Norm))
        if self.kernel not in (4, 5):
            raise ValueError(f"dcgan needs kernel 4 or 5, not {self.kernel}")
        if self.distribution not in ("normal", "uniform"):
            raise ValueError(f"dcgan needs distribution normal or uniform, not {self.distribution!r}")

    @property
    def batch_coupling(self) -> Literal["none", "normalisation"]:
        """BatchNorm in the discriminator couples its decisions."""
        return coupling(self.d_norm)

    def compatible(self, cell: Cell) -> str | None:
        return undrawable(self.name, cell.data, START)

    def latent(self, data: DataSpec) -> Latent:
        return Latent(self.latent_size, distribution=self.distribution)

    def generator(self, data: DataSpec) -> nn.Module:
        channels, start, widths = self._plan(data)
        sizes = [start << stage for stage in range(len(widths))]
        hidden = deconvolutions(self.latent_size, widths[::-1], sizes, self.kernel)
        last = deconvolution(widths[0], channels, self.kernel, (sizes[-1], data.shape[1]), bias=True)
        return Unconditional(*hidden, last, nn.Tanh())

    def discriminator(self, data: DataSpec) -> nn.Module:
        channels, start, widths = self._plan(data)
        layers = convolutions((channels, *widths), self.kernel, self.d_norm)
        last = small(nn.Linear(widths[-1] * start * start, self.d_outputs), self.d_norm == "spectral")
        return Judge(nn.Sequential(*layers, nn.Flatten()), last)

    @classmethod
    def smallest(cls) -> tuple[Dcgan, DataSpec]:
        return cls(width=4, d_norm="none", latent_size=4), ImageSpec((1, 16, 16), classes=3)

    def _plan(self, data: DataSpec) -> tuple[int, int, list[int]]:
        """Return the image's channels, the smallest size, and the widths from the largest size to the smallest."""
        channels, size = require_drawable(self.name, data, START)
        start = START[size]
        return channels, start, [self.width << stage for stage in range((size // start).bit_length() - 1)]


@hookimpl
def architectures() -> list[type]:
    """Offer `Dcgan`."""
    return [Dcgan]
