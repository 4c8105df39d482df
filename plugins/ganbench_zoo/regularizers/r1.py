"""R1: the squared gradient of the discriminator on real data.

Lars Mescheder, Andreas Geiger, Sebastian Nowozin, "Which Training Methods for GANs do actually Converge?", 2018,
arXiv:1801.04406, equation 9.

Differs: ``every`` > 1 applies the penalty only at each such update and multiplies it by as much, the lazy
regularization of Tero Karras et al., 2019, arXiv:1912.04958, section 3.1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ganbench import Game, hookimpl


@dataclass(frozen=True)
class R1:
    """``gamma`` / 2 times the mean squared gradient norm on real samples, once in ``every`` updates."""

    name: ClassVar[str] = "r1"
    paper: ClassVar[str] = "arXiv:1801.04406"
    formula: ClassVar[str] = "D: gamma / 2 E[|grad_x D(x)|^2], x real"
    differentiates: ClassVar[frozenset[str]] = frozenset({"real"})
    separable: ClassVar[bool] = True

    gamma: float = 10.0
    every: int = 1

    def __post_init__(self) -> None:
        if not (math.isfinite(self.gamma) and self.gamma >= 0):
            raise ValueError(f"r1 needs a finite gamma >= 0, not {self.gamma}")
        if self.every < 1:
            raise ValueError(f"r1 needs every >= 1, not {self.every}")

    def penalty(self, game: Game) -> Tensor:
        return self.gamma / 2 * game.slope(game.real_logits, game.real).square().sum(dim=1).mean()


@hookimpl
def regularizers() -> list[type]:
    """Offer `R1`."""
    return [R1]
