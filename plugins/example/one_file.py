"""The total variation game, as a plugin of one file: ``ganbench run --plugins one_file.py --loss total_variation``.

Sebastian Nowozin, Botond Cseke, Ryota Tomioka, "f-GAN: Training Generative Neural Samplers using Variational Divergence
Minimization", 2016, arXiv:1606.00709: the variational objective, with the output activation tanh(v) / 2 and the
conjugate f*(t) = t that the paper gives for the total variation.

Differs: in nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ganbench import hookimpl
from ganbench.components import Game


@dataclass(frozen=True)
class TotalVariation:
    """A bounded variational estimate of the total variation distance, raised by D and lowered by G."""

    name: ClassVar[str] = "total_variation"
    paper: ClassVar[str] = "arXiv:1606.00709"
    formula: ClassVar[str] = "D: E[t(D(G(z)))] - E[t(D(x))]    G: -E[t(D(G(z)))]    t(a) = tanh(a) / 2"

    def discriminator(self, game: Game) -> Tensor:
        return game.fake_logits.tanh().mean() / 2 - game.real_logits.tanh().mean() / 2

    def generator(self, game: Game) -> Tensor:
        return -game.fake_logits.tanh().mean() / 2


@hookimpl
def losses() -> list[type]:
    """Offer `TotalVariation`."""
    return [TotalVariation]
