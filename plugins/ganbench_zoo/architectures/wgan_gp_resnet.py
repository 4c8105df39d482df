"""The residual networks of WGAN-GP for 32x32 images, with a critic that BatchNorm does not couple.

Ishaan Gulrajani, Faruk Ahmed, Martin Arjovsky, Vincent Dumoulin, Aaron Courville, "Improved Training of Wasserstein
GANs", 2017, arXiv:1704.00028, the appendix on CIFAR-10, and the authors' code.

Differs: the generator's update uses one batch of the run's size, where the authors use twice the critic's; real images
get no noise against quantisation; labels are ignored. ``d_norm = "layer"`` is an option of that code, off by default as
here. The shared blocks compute shortcuts, pooling and upsampling in a cheaper order (`ganbench_zoo.blocks`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal, get_args

from torch import nn

from ganbench import Cell, DataSpec, ImageSpec, Latent, hookimpl
from ganbench_zoo.blocks import JUDGED, MeanPool, require_choice, require_drawable, require_positive, undrawable
from ganbench_zoo.residual import ResidualPlan, residual_discriminator, residual_generator

SIZES = (32,)
CriticNorm = Literal["none", "layer"]


@dataclass(frozen=True)
class WganGpResnet:
    """Residual networks for 32x32 images, with ``width`` channels in every layer of both players.

    ``d_norm`` "layer" normalises over (C, H, W), with a gain a channel, before each ReLU of the critic's blocks but the
    first. ``latent_size`` normal latents.
    """

    name: ClassVar[str] = "wgan_gp_resnet"
    paper: ClassVar[str] = "arXiv:1704.00028"
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

    width: int = 128
    d_norm: CriticNorm = "none"
    latent_size: int = 128

    def __post_init__(self) -> None:
        require_positive(self, "width", "latent_size")
        require_choice(self, "d_norm", get_args(CriticNorm))

    def compatible(self, cell: Cell) -> str | None:
        return undrawable(self.name, cell.data, SIZES)

    def latent(self, data: DataSpec) -> Latent:
        return Latent(self.latent_size)

    def generator(self, data: DataSpec) -> nn.Module:
        return residual_generator(self.latent_size, data.shape[0], self._plan(data))

    def discriminator(self, data: DataSpec) -> nn.Module:
        return residual_discriminator(data, self._plan(data), MeanPool(), self.d_norm)

    @classmethod
    def smallest(cls) -> tuple[WganGpResnet, DataSpec]:
        return cls(width=4, latent_size=4), ImageSpec((1, 32, 32), classes=3)

    def _plan(self, data: DataSpec) -> ResidualPlan:
        require_drawable(self.name, data, SIZES)
        width = self.width
        return ResidualPlan(4, (width,) * 4, (width,) * 2, (width,) * 2)


@hookimpl
def architectures() -> list[type]:
    """Offer `WganGpResnet`."""
    return [WganGpResnet]
