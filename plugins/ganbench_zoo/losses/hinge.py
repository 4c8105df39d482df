"""The hinge game: the discriminator stops pushing samples that lie beyond its margin.

Jae Hyun Lim, Jong Chul Ye, "Geometric GAN", 2017, arXiv:1705.02894; in the form of Takeru Miyato et al., 2018,
arXiv:1802.05957, section 4.

Differs: in nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import relu

from ganbench import Game, hookimpl


@dataclass(frozen=True)
class Hinge:
    """A soft-margin discriminator, and a generator that moves along its normal."""

    name: ClassVar[str] = "hinge"
    paper: ClassVar[str] = "arXiv:1705.02894"
    formula: ClassVar[str] = "D: E[max(0, 1 - D(x))] + E[max(0, 1 + D(G(z)))]    G: -E[D(G(z))]"

    def discriminator(self, game: Game) -> Tensor:
        return relu(1 - game.real_logits).mean() + relu(1 + game.fake_logits).mean()

    def generator(self, game: Game) -> Tensor:
        return -game.fake_logits.mean()


@hookimpl
def losses() -> list[type]:
    """Offer `Hinge`."""
    return [Hinge]
