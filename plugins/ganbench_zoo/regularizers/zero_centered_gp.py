"""0-GP: the squared gradient of the discriminator between real and generated samples.

Hoang Thanh-Tung, Truyen Tran, Svetha Venkatesh, "Improving Generalization and Stability of Generative Adversarial
Networks", 2019, arXiv:1902.03984, the penalty of GAN-0-GP.

Differs: the path from generated to real samples is the straight line, as in the authors' code; one interpolation weight
a decision, so that packed samples move together; labels of the real samples are used at the points between. The default
weight is that of the authors' runs on MNIST.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ganbench import Game, hookimpl


@dataclass(frozen=True)
class ZeroCenteredGp:
    """``weight`` times the mean squared gradient norm, between real and generated samples."""

    name: ClassVar[str] = "zero_centered_gp"
    paper: ClassVar[str] = "arXiv:1902.03984"
    formula: ClassVar[str] = "D: weight E[|grad_x D(x)|^2], x = u real + (1 - u) generated, u ~ U(0, 1)"
    per_sample: ClassVar[bool] = True
    separable: ClassVar[bool] = True

    weight: float = 100.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight) and self.weight >= 0):
            raise ValueError(f"zero_centered_gp needs a finite weight >= 0, not {self.weight}")

    def penalty(self, game: Game) -> Tensor:
        x = game.mix(game.real, game.fake)
        slope = game.slope(game.critic(x, game.real_labels).logits, x)  # (units, -1)
        return self.weight * slope.square().sum(dim=1).mean()


@hookimpl
def regularizers() -> list[type]:
    """Offer `ZeroCenteredGp`."""
    return [ZeroCenteredGp]
