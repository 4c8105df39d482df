"""The Wasserstein game: a critic whose mean difference is a transport cost, if something keeps it Lipschitz.

Martin Arjovsky, Soumith Chintala, Léon Bottou, "Wasserstein GAN", 2017, arXiv:1701.07875, equation 2 and algorithm 1.

Differs: the Lipschitz bound is another component's: add the constraint ``weight_clip`` (this paper), the regularizer
``wgan_gp``, or an architecture with spectral norm. RMSProp and five critic steps are left to the suite for that reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ganbench import Game, hookimpl


@dataclass(frozen=True)
class Wasserstein:
    """The difference of the critic's means; unbounded unless a constraint, a penalty or the critic bounds its slope."""

    name: ClassVar[str] = "wasserstein"
    paper: ClassVar[str] = "arXiv:1701.07875"
    formula: ClassVar[str] = "D: E[D(G(z))] - E[D(x)]    G: -E[D(G(z))]"

    def discriminator(self, game: Game) -> Tensor:
        return game.fake_logits.mean() - game.real_logits.mean()

    def generator(self, game: Game) -> Tensor:
        return -game.fake_logits.mean()


@hookimpl
def losses() -> list[type]:
    """Offer `Wasserstein`."""
    return [Wasserstein]
