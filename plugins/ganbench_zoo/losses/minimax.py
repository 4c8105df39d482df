"""The minimax game: one value function that the discriminator raises and the generator lowers.

Ian J. Goodfellow, Jean Pouget-Abadie, Mehdi Mirza, Bing Xu, David Warde-Farley, Sherjil Ozair, Aaron Courville, Yoshua
Bengio, "Generative Adversarial Networks", 2014, arXiv:1406.2661, equation 1.

Differs: computed from logits, with -log sigmoid(a) = softplus(-a), and never as the log of a sigmoid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import softplus

from ganbench import Game, hookimpl


@dataclass(frozen=True)
class Minimax:
    """The zero-sum game V(D, G) = E[log D(x)] + E[log(1 - D(G(z)))] itself."""

    name: ClassVar[str] = "minimax"
    paper: ClassVar[str] = "arXiv:1406.2661"
    formula: ClassVar[str] = "D: -E[log D(x)] - E[log(1 - D(G(z)))]    G: E[log(1 - D(G(z)))]    D = sigmoid(logit)"

    def discriminator(self, game: Game) -> Tensor:
        return softplus(-game.real_logits).mean() + softplus(game.fake_logits).mean()

    def generator(self, game: Game) -> Tensor:
        return -softplus(game.fake_logits).mean()


@hookimpl
def losses() -> list[type]:
    """Offer `Minimax`."""
    return [Minimax]
