"""The small networks of the unrolled GAN's experiment on stacked MNIST: D with a fraction of G's channels.

Luke Metz, Ben Poole, David Pfau, Jascha Sohl-Dickstein, "Unrolled Generative Adversarial Networks", 2016,
arXiv:1611.02163, the appendix on 1000 modes; layer by layer and in its settings as the code of PacGAN (Zinan Lin,
Ashish Khetan, Giulia Fanti, Sewoong Oh, 2017, arXiv:1712.04086, section 4.2) has them.

Differs: no layer before a BatchNorm has a bias; padding is the same on all sides; D's BatchNorm can be replaced
(``d_norm``). Nothing here is unrolled.
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
    deconvolutions,
    require_choice,
    require_drawable,
    require_positive,
    small,
    undrawable,
)

SIZES = (28,)
SHARES = (0.25, 0.5)


@dataclass(frozen=True)
class UnrolledDcgan:
    """3x3 kernels for 28x28 images: the generator has 8 ``width`` channels at 4x4 and ``width`` at 28x28.

    The discriminator has ``d_share`` of the generator's channels at each place, a quarter or half of them. ``d_norm``
    normalises all its hidden layers (spectral norm: the weights of all layers). ``latent_size`` normal latents.
    """

    name: ClassVar[str] = "unrolled_dcgan"
    paper: ClassVar[str] = "arXiv:1611.02163"
    recipe: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {
            "batch_size": 128,
            "g_lr": 1e-4,
            "d_lr": 2e-4,
            "g_betas": (0.5, 0.99),
            "d_betas": (0.5, 0.99),
            "ema_halflife_images": 0,
        }
    )

    offers: ClassVar[frozenset[str]] = JUDGED

    width: int = 8
    d_share: float = 0.25
    d_norm: Norm = "batch"
    latent_size: int = 256

    def __post_init__(self) -> None:
        require_positive(self, "width", "latent_size")
        require_choice(self, "d_norm", get_args(Norm))
        if self.d_share not in SHARES:
            raise ValueError(f"unrolled_dcgan needs d_share 0.25 or 0.5, not {self.d_share}")
        if not (self.width * self.d_share).is_integer():
            raise ValueError(
                f"unrolled_dcgan needs a whole number of channels: width {self.width} times {self.d_share}"
            )

    @property
    def batch_coupling(self) -> Literal["none", "normalisation"]:
        """BatchNorm in the discriminator couples its decisions."""
        return coupling(self.d_norm)

    def compatible(self, cell: Cell) -> str | None:
        return undrawable(self.name, cell.data, SIZES)

    def latent(self, data: DataSpec) -> Latent:
        return Latent(self.latent_size)

    def generator(self, data: DataSpec) -> nn.Module:
        channels, _ = require_drawable(self.name, data, SIZES)
        width = self.width
        hidden = deconvolutions(self.latent_size, (8 * width, 4 * width, 2 * width, width), (4, 7, 14, 28), 3)
        return Unconditional(*hidden, small(nn.Conv2d(width, channels, 3, padding=1)), nn.Tanh())

    def discriminator(self, data: DataSpec) -> nn.Module:
        channels, _ = require_drawable(self.name, data, SIZES)
        width = int(self.width * self.d_share)
        widths = (channels, width, 2 * width, 4 * width)  # 28x28, 14x14, 7x7, 4x4
        body = nn.Sequential(*convolutions(widths, 3, self.d_norm, leak=0.3, first=True), nn.Flatten())
        return Judge(body, small(nn.Linear(4 * width * 4 * 4, 1), self.d_norm == "spectral"))

    @classmethod
    def smallest(cls) -> tuple[UnrolledDcgan, DataSpec]:
        return cls(width=4, d_norm="none", latent_size=4), ImageSpec((1, 28, 28), classes=3)


@hookimpl
def architectures() -> list[type]:
    """Offer `UnrolledDcgan`."""
    return [UnrolledDcgan]
