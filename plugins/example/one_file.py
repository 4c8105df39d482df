"""The hinge game with squared hinges, as a plugin of one file: ``ganbench run --plugins one_file.py ...``.

Jae Hyun Lim, Jong Chul Ye, "Geometric GAN", 2017, arXiv:1705.02894.

Differs: the discriminator's hinges are squared, made up for this example.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import relu

from ganbench import Game, hookimpl


@dataclass(frozen=True)
class SquaredHinge:
    """A discriminator with squared hinges at ``margin``, and a generator that moves along its normal."""

    name: ClassVar[str] = "squared_hinge"
    paper: ClassVar[str] = "after arXiv:1705.02894"
    formula: ClassVar[str] = "D: E[max(0, m - D(x))^2] + E[max(0, m + D(G(z)))^2]    G: -E[D(G(z))]    m = margin"

    margin: float = 1.0

    def __post_init__(self) -> None:
        if not self.margin > 0:
            raise ValueError(f"squared_hinge needs margin > 0, not {self.margin}")

    def discriminator(self, game: Game) -> Tensor:
        real, fake = relu(self.margin - game.real_logits), relu(self.margin + game.fake_logits)
        return real.square().mean() + fake.square().mean()

    def generator(self, game: Game) -> Tensor:
        return -game.fake_logits.mean()


@hookimpl
def losses() -> list[type]:
    """Offer `SquaredHinge`."""
    return [SquaredHinge]
