"""LeCam: the discriminator's output on each side is drawn to its moving average on the other side.

Hung-Yu Tseng, Lu Jiang, Ce Liu, Ming-Hsuan Yang, Weilong Yang, "Regularizing Generative Adversarial Networks under
Limited Data", 2021, arXiv:2104.03310, the regularizer R_LC.

Differs: both squares are taken whole, as in the paper; the authors' code counts only a D(x) above a_F and a D(G(z))
below a_R. The averages contain the current batch and are divided by the weight that they have gathered (as in the
authors' code for StyleGAN2), so they start as the means of the first batch. The default weight is that of the authors'
runs of BigGAN on CIFAR, which also wait for 1,000 updates (``start``) and decay by 0.9.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ganbench import Game, hookimpl


@dataclass(frozen=True)
class LeCam:
    """``weight`` times the mean squared distances of D(x) from a_F and of D(G(z)) from a_R.

    a_R and a_F are averages of the logits of real and of generated samples, in which each update counts ``decay`` times
    as much as the next. The penalty acts from update number ``start`` (counted from 0) on.
    """

    name: ClassVar[str] = "lecam"
    paper: ClassVar[str] = "arXiv:2104.03310"
    formula: ClassVar[str] = "D: weight (E[(D(x) - a_F)^2] + E[(D(G(z)) - a_R)^2]), a <- decay a + (1 - decay) E[D]"

    weight: float = 0.3
    decay: float = 0.99
    start: int = 0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight) and self.weight >= 0):
            raise ValueError(f"lecam needs a finite weight >= 0, not {self.weight}")
        if not 0 <= self.decay < 1:
            raise ValueError(f"lecam needs a decay in [0, 1), not {self.decay}")
        if self.start < 0:
            raise ValueError(f"lecam needs start >= 0, not {self.start}")

    def state(self) -> Mapping[str, Tensor]:
        """Return the sums of the averages, and ``gathered``, the sum of the weights in either."""
        return {name: torch.zeros(()) for name in ("real", "fake", "gathered")}

    def update(self, game: Game, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        news = {
            "real": game.real_logits.detach().float().mean(),
            "fake": game.fake_logits.detach().float().mean(),
            "gathered": torch.ones_like(state["gathered"]),
        }
        return {name: self.decay * state[name] + (1 - self.decay) * new for name, new in news.items()}

    def penalty(self, game: Game) -> Tensor:
        sums = self.update(game, game.state(self))
        real, fake = (sums[side] / sums["gathered"] for side in ("real", "fake"))  # a_R, a_F
        distances = (game.real_logits - fake).square().mean() + (game.fake_logits - real).square().mean()
        return self.weight * distances * (game.step >= self.start)


@hookimpl
def regularizers() -> list[type]:
    """Offer `LeCam`."""
    return [LeCam]
