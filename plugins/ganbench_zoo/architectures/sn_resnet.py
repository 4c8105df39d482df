"""SN-ResNet: residual networks with a spectrally normalised discriminator.

Takeru Miyato, Toshiki Kataoka, Masanori Koyama, Yuichi Yoshida, "Spectral Normalization for Generative Adversarial
Networks", 2018, arXiv:1802.05957, appendix B.4, tables 4 (32 pixels), 5 (48) and 6 (128); 64 pixels, the first
convolution's width in D's blocks and initialisation (Glorot's uniform, gain sqrt 2 inside the residual branch) as in
the authors' code.

Differs: the generator's update uses one batch of the run's size, where the authors use twice the discriminator's; power
iteration runs once an update, not once a forward pass; labels are ignored, where table 6 is conditional. The shared
blocks compute shortcuts, pooling and upsampling in a cheaper order (`ganbench_zoo.blocks`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from torch import nn

from ganbench import Cell, DataSpec, ImageSpec, Latent, hookimpl
from ganbench_zoo.blocks import JUDGED, SumPool, require_drawable, require_positive, undrawable
from ganbench_zoo.residual import (
    RESIDUAL_SIZES,
    ResidualPlan,
    residual_discriminator,
    residual_generator,
    residual_plan,
)


@dataclass(frozen=True)
class SnResnet:
    """Residual networks for square images of 32, 48, 64 or 128 pixels.

    At 32 pixels the generator has ``g_width`` channels and the discriminator ``d_width``, with the defaults and 3
    channels 4,276,739 and 1,053,825 parameters. At other sizes the narrowest layers have a quarter of ``g_width`` and
    half of ``d_width``, the widest 16 times as many (8 times at 48 pixels in the generator). ``latent_size`` normal
    latents.
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
        return undrawable(self.name, cell.data, RESIDUAL_SIZES)

    def latent(self, data: DataSpec) -> Latent:
        return Latent(self.latent_size)

    def generator(self, data: DataSpec) -> nn.Module:
        return residual_generator(self.latent_size, data.shape[0], self._plan(data))

    def discriminator(self, data: DataSpec) -> nn.Module:
        return residual_discriminator(data, self._plan(data), SumPool(), widen_last=True)

    @classmethod
    def smallest(cls) -> tuple[SnResnet, DataSpec]:
        return cls(g_width=4, d_width=4, latent_size=4), ImageSpec((1, 32, 32), classes=3)

    def _plan(self, data: DataSpec) -> ResidualPlan:
        _, size = require_drawable(self.name, data, RESIDUAL_SIZES)
        return residual_plan(size, self.g_width, self.d_width)


@hookimpl
def architectures() -> list[type]:
    """Offer `SnResnet`."""
    return [SnResnet]
