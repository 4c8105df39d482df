"""The networks of PacGAN's experiments on rings and grids of points: BatchNorm in G, maxout in D.

Zinan Lin, Ashish Khetan, Giulia Fanti, Sewoong Oh, "PacGAN: The power of two samples in generative adversarial
networks", 2017, arXiv:1712.04086, section 4.1 and appendix, and the authors' code.

Differs: BatchNorm's population statistics move as in that code, but the engine estimates them anew before it scores.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Any, ClassVar

from torch import Tensor, nn

from ganbench import Cell, DataSpec, ImageSpec, Latent, PointSpec, hookimpl
from ganbench_zoo.blocks import JUDGED, Judge, Unconditional, require_positive, small


class Maxout(nn.Module):
    """A linear layer whose units each take the largest of several ``pieces`` (Goodfellow et al., arXiv:1302.4389)."""

    def __init__(self, inputs: int, outputs: int, pieces: int) -> None:
        super().__init__()
        self.linear = small(nn.Linear(inputs, outputs * pieces))
        self.pieces = pieces

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x).unflatten(1, (-1, self.pieces)).amax(dim=2)  # (N, outputs)


@dataclass(frozen=True)
class PacganMlp:
    """Points of any dimension: ``g_depth`` layers of ``g_width`` ReLUs against ``d_depth`` of ``d_width`` maxout units.

    Each maxout unit has ``pieces`` pieces. ``latent_size`` normal latents.
    """

    name: ClassVar[str] = "pacgan_mlp"
    paper: ClassVar[str] = "arXiv:1712.04086"
    recipe: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {
            "batch_size": 100,
            "schedule": ("DG",),
            "g_lr": 1e-4,
            "d_lr": 1e-4,
            "g_betas": (0.8, 0.999),
            "d_betas": (0.8, 0.999),
            "ema_halflife_images": 0,
        }
    )

    offers: ClassVar[frozenset[str]] = JUDGED

    g_width: int = 400
    g_depth: int = 4
    d_width: int = 200
    d_depth: int = 3
    pieces: int = 5
    latent_size: int = 2

    def __post_init__(self) -> None:
        require_positive(self, "g_width", "g_depth", "d_width", "d_depth", "pieces", "latent_size")

    def compatible(self, cell: Cell) -> str | None:
        return self._undrawable(cell.data)

    def latent(self, data: DataSpec) -> Latent:
        return Latent(self.latent_size)

    def generator(self, data: DataSpec) -> nn.Module:
        self._refuse(data)
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise([self.latent_size, *[self.g_width] * self.g_depth]):
            layers += [small(nn.Linear(inputs, outputs, bias=False)), nn.BatchNorm1d(outputs, momentum=0.05), nn.ReLU()]
        return Unconditional(*layers, small(nn.Linear(self.g_width, math.prod(data.shape))))

    def discriminator(self, data: DataSpec) -> nn.Module:
        self._refuse(data)
        widths = [math.prod(data.shape), *[self.d_width] * self.d_depth]
        body = nn.Sequential(*(Maxout(inputs, outputs, self.pieces) for inputs, outputs in pairwise(widths)))
        return Judge(body, small(nn.Linear(self.d_width, 1)))

    @classmethod
    def smallest(cls) -> tuple[PacganMlp, DataSpec]:
        return cls(g_width=8, g_depth=2, d_width=4, d_depth=2, pieces=2), PointSpec((2,))

    def _undrawable(self, data: DataSpec) -> str | None:
        if isinstance(data, ImageSpec):
            channels, height, width = data.shape
            return f"pacgan_mlp draws points, not images of {channels}x{height}x{width}"
        return None

    def _refuse(self, data: DataSpec) -> None:
        if reason := self._undrawable(data):
            raise ValueError(reason)


@hookimpl
def architectures() -> list[type]:
    """Offer `PacganMlp`."""
    return [PacganMlp]
