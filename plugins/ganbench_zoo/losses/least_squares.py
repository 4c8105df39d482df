"""The least-squares game: both players regress the discriminator's output to targets.

Xudong Mao, Qing Li, Haoran Xie, Raymond Y. K. Lau, Zhen Wang, Stephen Paul Smolley, "Least Squares Generative
Adversarial Networks", 2016, arXiv:1611.04076, equation 2.

Differs: in nothing; the default targets are those of equation 9, with which the paper trains.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ganbench import Game, hookimpl


@dataclass(frozen=True)
class LeastSquares:
    """Regression to ``a`` for generated and ``b`` for real samples, and to ``c``, what the generator wants to hear.

    a = 0, b = c = 1 (equation 9) by default; b - c = 1 and b - a = 2, as in a = -1, b = 1, c = 0 (equation 8), give a
    Pearson chi-square divergence.
    """

    name: ClassVar[str] = "least_squares"
    paper: ClassVar[str] = "arXiv:1611.04076"
    formula: ClassVar[str] = "D: E[(D(x) - b)^2] / 2 + E[(D(G(z)) - a)^2] / 2    G: E[(D(G(z)) - c)^2] / 2"

    a: float = 0.0
    b: float = 1.0
    c: float = 1.0

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.a, self.b, self.c))):
            raise ValueError(f"least_squares needs finite targets, not a={self.a}, b={self.b}, c={self.c}")
        if self.a == self.b:
            raise ValueError(
                f"least_squares needs different targets for generated and real samples, not a = b = {self.a}"
            )

    def discriminator(self, game: Game) -> Tensor:
        return (game.real_logits - self.b).square().mean() / 2 + (game.fake_logits - self.a).square().mean() / 2

    def generator(self, game: Game) -> Tensor:
        return (game.fake_logits - self.c).square().mean() / 2


@hookimpl
def losses() -> list[type]:
    """Offer `LeastSquares`."""
    return [LeastSquares]
