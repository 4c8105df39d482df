"""WGAN-LP: the critic's gradient between real and generated samples is held at norm 1 or less, from above only.

Henning Petzka, Asja Fischer, Denis Lukovnikov, "On the regularization of Wasserstein GANs", 2017, arXiv:1709.08894,
the one-sided penalty.

Differs: one interpolation weight a decision, so that packed samples move together; labels of the real samples are used
at the points between. The authors' code compares weights from 0.1 to 500; the default is its, and WGAN-GP's, 10. The
recipe is that code's five critic updates to one of the generator.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from torch import Tensor

from ganbench import Game, hookimpl


@dataclass(frozen=True)
class WganLp:
    """``weight`` times the mean square of what the gradient norm exceeds 1 by, between real and generated samples."""

    name: ClassVar[str] = "wgan_lp"
    paper: ClassVar[str] = "arXiv:1709.08894"
    formula: ClassVar[str] = "D: weight E[max(0, |grad_x D(x)| - 1)^2], x = u real + (1 - u) generated, u ~ U(0, 1)"
    per_sample: ClassVar[bool] = True
    separable: ClassVar[bool] = True
    recipe: ClassVar[Mapping[str, Any]] = MappingProxyType({"schedule": ("D", "D", "D", "D", "D", "G")})

    weight: float = 10.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight) and self.weight >= 0):
            raise ValueError(f"wgan_lp needs a finite weight >= 0, not {self.weight}")

    def penalty(self, game: Game) -> Tensor:
        x = game.mix(game.real, game.fake)
        slope = game.slope(game.critic(x, game.real_labels).logits, x)  # (units, -1)
        return self.weight * (slope.norm(dim=1) - 1).clamp(min=0).square().mean()


@hookimpl
def regularizers() -> list[type]:
    """Offer `WganLp`."""
    return [WganLp]
