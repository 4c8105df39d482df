"""SN-ResNet: residual networks of 32x32 pixels with a spectrally normalised discriminator.

Takeru Miyato, Toshiki Kataoka, Masanori Koyama, Yuichi Yoshida, "Spectral Normalization for Generative Adversarial
Networks", 2018, arXiv:1802.05957, appendix B.4, table 4; initialisation as in the authors' code (Glorot's uniform, gain
sqrt 2 inside the residual branch).

Differs: the generator's update uses one batch of the run's size, where the authors use twice the discriminator's; power
iteration runs once an update, not once a forward pass. The shared blocks compute shortcuts and pooled convolutions in a
cheaper order (`ganbench_zoo.blocks`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from torch import nn

from ganbench import Cell, DataSpec, ImageSpec, Latent, hookimpl
from ganbench_zoo.blocks import (
    JUDGED,
    DiscriminatorBlock,
    GeneratorBlock,
    Judge,
    SumPool,
    Unconditional,
    glorot,
    require_positive,
    undrawable,
)

SIZES = (32,)


@dataclass(frozen=True)
class SnResnet:
    """Residual networks for 32x32 images: ``g_width`` channels in the generator, ``d_width`` in the discriminator.

    With the defaults and 3 channels, 4,276,739 and 1,053,825 parameters. ``latent_size`` normal latents.
    """

    name: ClassVar[str] = "sn_resnet"
    paper: ClassVar[str] = "arXiv:1802.05957"
    recipe: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {
            "batch_size": 64,
            "schedule": ("D", "D", "D", "D", "D", "G"),
            "g_lr": 2e-4,
            "d_lr": 2e-4,
            "g_betas": (0.0, 0.9),
            "d_betas": (0.0, 0.9),
            "g_lr_decay": "linear",
            "d_lr_decay": "linear",
        }
    )

    offers: ClassVar[frozenset[str]] = JUDGED

    g_width: int = 256
    d_width: int = 128
    latent_size: int = 128

    def __post_init__(self) -> None:
        require_positive(self, "g_width", "d_width", "latent_size")

    def compatible(self, cell: Cell) -> str | None:
        return undrawable(self.name, cell.data, SIZES)

    def latent(self, data: DataSpec) -> Latent:
        return Latent(self.latent_size)

    def generator(self, data: DataSpec) -> nn.Module:
        channels, width = self._channels(data), self.g_width
        return Unconditional(
            glorot(nn.Linear(self.latent_size, width * 4 * 4)),
            nn.Unflatten(1, (width, 4, 4)),
            *(GeneratorBlock(width, width) for _ in range(3)),  # 8x8, 16x16, 32x32
            nn.BatchNorm2d(width),
            nn.ReLU(),
            glorot(nn.Conv2d(width, channels, 3, padding=1)),
            nn.Tanh(),
        )

    def discriminator(self, data: DataSpec) -> nn.Module:
        channels, width = self._channels(data), self.d_width
        body = nn.Sequential(
            DiscriminatorBlock(channels, width, pool=True, first=True),  # 16x16
            DiscriminatorBlock(width, width, pool=True),  # 8x8
            DiscriminatorBlock(width, width),
            DiscriminatorBlock(width, width),
            nn.ReLU(),
            SumPool(),
        )
        return Judge(body, glorot(nn.Linear(width, 1), spectral=True))

    @classmethod
    def smallest(cls) -> tuple[SnResnet, DataSpec]:
        return cls(g_width=4, d_width=4, latent_size=4), ImageSpec((1, 32, 32), classes=3)

    def _channels(self, data: DataSpec) -> int:
        if reason := undrawable(self.name, data, SIZES):
            raise ValueError(reason)
        return data.shape[0]


@hookimpl
def architectures() -> list[type]:
    """Offer `SnResnet`."""
    return [SnResnet]
