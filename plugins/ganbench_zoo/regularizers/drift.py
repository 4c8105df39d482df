"""Drift: the critic's output on real samples is kept near zero, where the Wasserstein loss leaves its level free.

Tero Karras, Timo Aila, Samuli Laine, Jaakko Lehtinen, "Progressive Growing of GANs for Improved Quality, Stability, and
Variation", 2017, arXiv:1710.10196, appendix A.1.

Differs: in nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ganbench import Game, hookimpl


@dataclass(frozen=True)
class Drift:
    """``weight`` (the paper's epsilon_drift) times the mean squared logit of real samples."""

    name: ClassVar[str] = "drift"
    paper: ClassVar[str] = "arXiv:1710.10196"
    formula: ClassVar[str] = "D: weight E[D(x)^2], x real"

    weight: float = 0.001

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight) and self.weight >= 0):
            raise ValueError(f"drift needs a finite weight >= 0, not {self.weight}")

    def penalty(self, game: Game) -> Tensor:
        return self.weight * game.real_logits.square().mean()


@hookimpl
def regularizers() -> list[type]:
    """Offer `Drift`."""
    return [Drift]
