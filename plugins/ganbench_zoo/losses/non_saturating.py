"""The non-saturating game: the generator raises log D(G(z)) and has a gradient where the discriminator is sure.

Ian J. Goodfellow, Jean Pouget-Abadie, Mehdi Mirza, Bing Xu, David Warde-Farley, Sherjil Ozair, Aaron Courville, Yoshua
Bengio, "Generative Adversarial Networks", 2014, arXiv:1406.2661, section 3, after equation 1.

Differs: computed from logits, with -log sigmoid(a) = softplus(-a), and never as the log of a sigmoid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import softplus

from ganbench import Game, hookimpl


@dataclass(frozen=True)
class NonSaturating:
    """The discriminator of the minimax game, and a generator that maximises E[log D(G(z))]."""

    name: ClassVar[str] = "non_saturating"
    paper: ClassVar[str] = "arXiv:1406.2661"
    formula: ClassVar[str] = "D: -E[log D(x)] - E[log(1 - D(G(z)))]    G: -E[log D(G(z))]    D = sigmoid(logit)"

    def discriminator(self, game: Game) -> Tensor:
        return softplus(-game.real_logits).mean() + softplus(game.fake_logits).mean()

    def generator(self, game: Game) -> Tensor:
        return softplus(-game.fake_logits).mean()


@hookimpl
def losses() -> list[type]:
    """Offer `NonSaturating`."""
    return [NonSaturating]
