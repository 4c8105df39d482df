"""The non-saturating game: the generator raises log D(G(z)) and has a gradient where the discriminator is sure.

Ian J. Goodfellow, Jean Pouget-Abadie, Mehdi Mirza, Bing Xu, David Warde-Farley, Sherjil Ozair, Aaron Courville, Yoshua
Bengio, "Generative Adversarial Networks", 2014, arXiv:1406.2661, section 3, after equation 1.

Differs: computed from logits, with -log sigmoid(a) = softplus(-a), and never as the log of a sigmoid. ``smoothing``,
0 here, is the one-sided label smoothing of Tim Salimans et al., "Improved Techniques for Training GANs", 2016,
arXiv:1606.03498, section 3.4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import softplus

from ganbench import Game, hookimpl


@dataclass(frozen=True)
class NonSaturating:
    """The discriminator of the minimax game, and a generator that maximises E[log D(G(z))].

    The discriminator's target for real samples is 1 - ``smoothing``.
    """

    name: ClassVar[str] = "non_saturating"
    paper: ClassVar[str] = "arXiv:1406.2661"
    formula: ClassVar[str] = "D: -E[log D(x)] - E[log(1 - D(G(z)))]    G: -E[log D(G(z))]    D = sigmoid(logit)"

    smoothing: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.smoothing < 1:
            raise ValueError(f"non_saturating needs smoothing in [0, 1), not {self.smoothing}")

    def discriminator(self, game: Game) -> Tensor:
        loss = softplus(-game.real_logits).mean() + softplus(game.fake_logits).mean()
        if self.smoothing:  # (1 - s) softplus(-a) + s softplus(a) = softplus(-a) + s a
            loss = loss + self.smoothing * game.real_logits.mean()
        return loss

    def generator(self, game: Game) -> Tensor:
        return softplus(-game.fake_logits).mean()


@hookimpl
def losses() -> list[type]:
    """Offer `NonSaturating`."""
    return [NonSaturating]
