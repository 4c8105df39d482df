"""SAGAN: residual networks with self-attention, spectrally normalised in both players.

Han Zhang, Ian Goodfellow, Dimitris Metaxas, Augustus Odena, "Self-Attention Generative Adversarial Networks", 2018,
arXiv:1805.08318, sections 3 and 4: equations (1) to (3), spectral norm in both players, separate learning rates.

Differs: labels are ignored, where the paper's networks are conditional (BatchNorm in G, projection in D); 32 and 64
pixels are ours, with the attention at half the image's size where that is under 32; keys and values are not pooled, and
values have an eighth of the channels, as in the equations, where the authors' code pools both and keeps half of the
channels; power iteration runs once an update. The residual networks are those of `ganbench_zoo.residual`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ganbench import Cell, DataSpec, ImageSpec, Latent, hookimpl
from ganbench_zoo.blocks import JUDGED, SumPool, glorot, require_drawable, require_positive, undrawable
from ganbench_zoo.residual import (
    Insertion,
    ResidualPlan,
    residual_discriminator,
    residual_generator,
    residual_plan,
)

SIZES = (32, 64, 128)


class SelfAttention(nn.Module):
    """Self-attention over places, added to its input with a weight gamma that starts at 0.

    f, g and h map to an eighth of the channels, v maps back; all are 1x1 convolutions without bias.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(1, channels // 8)
        self.f, self.g, self.h = (glorot(nn.Conv2d(channels, inner, 1, bias=False), 1.0, True) for _ in range(3))
        self.v = glorot(nn.Conv2d(inner, channels, 1, bias=False), 1.0, True)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        f, g, h = (layer(x).flatten(2) for layer in (self.f, self.g, self.h))  # (N, inner, places)
        scores = f.transpose(1, 2) @ g  # (N, i, j): f(x_i) . g(x_j)
        beta = torch.softmax(scores, dim=1)  # over i, for each place j that is drawn
        o = self.v((h @ beta).unflatten(2, x.shape[2:]))  # (N, C, H, W)
        return x + self.gamma * o


@dataclass(frozen=True)
class Sagan:
    """Square images of 32, 64 or 128 pixels, with self-attention where features have ``attention`` pixels.

    Where the image has not twice as many, attention sits at half its size. Widths are those of `sn_resnet`:
    ``g_width`` and ``d_width`` at 32 pixels, at other sizes from a quarter and a half of these. ``latent_size`` normal
    latents.
    """

    name: ClassVar[str] = "sagan"
    paper: ClassVar[str] = "arXiv:1805.08318"
    recipe: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {"schedule": ("D", "G"), "g_lr": 1e-4, "d_lr": 4e-4, "g_betas": (0.0, 0.9), "d_betas": (0.0, 0.9)}
    )

    offers: ClassVar[frozenset[str]] = JUDGED

    g_width: int = 256
    d_width: int = 128
    attention: int = 32
    latent_size: int = 128

    def __post_init__(self) -> None:
        require_positive(self, "g_width", "d_width", "latent_size")
        if self.attention not in (8, 16, 32):
            raise ValueError(f"sagan needs attention at 8, 16 or 32 pixels, not {self.attention}")

    def compatible(self, cell: Cell) -> str | None:
        return undrawable(self.name, cell.data, SIZES)

    def latent(self, data: DataSpec) -> Latent:
        return Latent(self.latent_size)

    def generator(self, data: DataSpec) -> nn.Module:
        plan = self._plan(data)
        return residual_generator(self.latent_size, data.shape[0], plan, spectral=True, after=self._attend(data))

    def discriminator(self, data: DataSpec) -> nn.Module:
        return residual_discriminator(data, self._plan(data), SumPool(), after=self._attend(data))

    @classmethod
    def smallest(cls) -> tuple[Sagan, DataSpec]:
        return cls(g_width=4, d_width=4, latent_size=4, attention=8), ImageSpec((1, 32, 32), classes=3)

    def _plan(self, data: DataSpec) -> ResidualPlan:
        _, size = require_drawable(self.name, data, SIZES)
        return residual_plan(size, self.g_width, self.d_width)

    def _attend(self, data: DataSpec) -> Insertion:
        """Return what puts self-attention behind the block whose output has the size for it."""
        place = min(self.attention, data.shape[1] // 2)

        def after(size: int, width: int) -> Sequence[nn.Module]:
            return [SelfAttention(width)] if size == place else []

        return after


@hookimpl
def architectures() -> list[type]:
    """Offer `Sagan`."""
    return [Sagan]
