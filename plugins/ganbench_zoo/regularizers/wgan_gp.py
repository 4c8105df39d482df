"""WGAN-GP: the critic's gradient between real and generated samples is drawn to norm 1.

Ishaan Gulrajani, Faruk Ahmed, Martin Arjovsky, Vincent Dumoulin, Aaron Courville, "Improved Training of Wasserstein
GANs", 2017, arXiv:1704.00028, equation 3 and algorithm 1.

Differs: one interpolation weight a decision, so that packed samples move together; labels of the real samples are used
at the points between. The recipe is algorithm 1's; a suite's own ``[recipe]`` wins over it, also over its five critic
updates to one of the generator.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from torch import Tensor

from ganbench import Cell, Game, hookimpl


@dataclass(frozen=True)
class WganGp:
    """``weight`` times the mean squared distance of the gradient norm from 1, between real and generated samples."""

    name: ClassVar[str] = "wgan_gp"
    paper: ClassVar[str] = "arXiv:1704.00028"
    formula: ClassVar[str] = "D: weight E[(|grad_x D(x)| - 1)^2], x = u real + (1 - u) generated, u ~ U(0, 1)"
    per_sample: ClassVar[bool] = True
    separable: ClassVar[bool] = True
    recipe: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {
            "batch_size": 64,
            "schedule": ("D", "D", "D", "D", "D", "G"),
            "g_lr": 1e-4,
            "d_lr": 1e-4,
            "g_betas": (0.0, 0.9),
            "d_betas": (0.0, 0.9),
        }
    )

    weight: float = 10.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight) and self.weight >= 0):
            raise ValueError(f"wgan_gp needs a finite weight >= 0, not {self.weight}")

    def compatible(self, cell: Cell) -> str | None:
        if cell.batch_coupling == "normalisation":
            return (
                "wgan_gp penalises the gradient at each sample, which BatchNorm in the discriminator mixes with others"
            )
        return None

    def penalty(self, game: Game) -> Tensor:
        x = game.mix(game.real, game.fake)
        slope = game.slope(game.critic(x, game.real_labels).logits, x)  # (units, -1)
        return self.weight * (slope.norm(dim=1) - 1).square().mean()


@hookimpl
def regularizers() -> list[type]:
    """Offer `WganGp`."""
    return [WganGp]
