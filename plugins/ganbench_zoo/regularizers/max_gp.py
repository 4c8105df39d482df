"""MaxGP: the steepest gradient of the discriminator between real and generated samples, an estimate of its slope.

Zhiming Zhou, Jiadong Liang, Yuxuan Song, Lantao Yu, Hongwei Wang, Weinan Zhang, Yong Yu, Zhihua Zhang, "Lipschitz
Generative Adversarial Nets", 2019, arXiv:1902.05687, the penalty on the Lipschitz constant as the authors estimate it.

Differs: the maximum is over this batch alone; the buffer of the steepest points so far, which the authors' code leaves
off by default, is left out. One interpolation weight a decision, so that packed samples move together; labels of the
real samples are used at the points between. The default weight is the authors' code's, which tries 0.01 to 10 on
CIFAR-10. A larger batch finds a larger maximum, so the penalty's strength depends on the batch size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ganbench import Game, hookimpl


@dataclass(frozen=True)
class MaxGp:
    """``weight`` times the largest squared gradient norm of the batch, between real and generated samples."""

    name: ClassVar[str] = "max_gp"
    paper: ClassVar[str] = "arXiv:1902.05687"
    formula: ClassVar[str] = (
        "D: weight (max |grad_x D(x)|)^2 over the batch, x = u real + (1 - u) generated, u ~ U(0, 1)"
    )
    per_sample: ClassVar[bool] = True

    weight: float = 0.1

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight) and self.weight >= 0):
            raise ValueError(f"max_gp needs a finite weight >= 0, not {self.weight}")

    def penalty(self, game: Game) -> Tensor:
        x = game.mix(game.real, game.fake)
        slope = game.slope(game.critic(x, game.real_labels).logits, x)  # (units, -1)
        return self.weight * slope.square().sum(dim=1).amax()


@hookimpl
def regularizers() -> list[type]:
    """Offer `MaxGp`."""
    return [MaxGp]
