"""EBGAN: an autoencoder's reconstruction error as an energy, low on data and above a margin elsewhere.

Junbo Zhao, Michael Mathieu, Yann LeCun, "Energy-based Generative Adversarial Network", 2016, arXiv:1609.03126,
equations 1 and 2 with the energy of section 2.3, and the pulling-away term of section 2.4 (EBGAN-PT).

Differs: the energy is the squared error averaged over values in [-1, 1], so that a margin means the same for images of
every size. The paper picks a margin for each data set; 1, the default here, is what a reconstruction of zeros
misses of pixels of -1 and 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import normalize, relu

from ganbench import Cell, Critique, Game, hookimpl


@dataclass(frozen=True)
class Ebgan:
    """Energies of generated samples are pushed up to ``margin`` and no further.

    ``pulling_away`` is the weight of the mean squared cosine between the codes of generated samples in the generator's
    loss, which drives them apart; 0 leaves it out.
    """

    name: ClassVar[str] = "ebgan"
    paper: ClassVar[str] = "arXiv:1609.03126"
    formula: ClassVar[str] = (
        "D: E[e(x)] + E[max(0, margin - e(G(z)))]    G: E[e(G(z))] + weight E[cos^2(s, s')]    e(v) = |v - D(v)|^2"
    )

    margin: float = 1.0
    pulling_away: float = 0.1

    def __post_init__(self) -> None:
        if not (math.isfinite(self.margin) and self.margin > 0):
            raise ValueError(f"ebgan needs a finite margin > 0, not {self.margin}")
        if not (math.isfinite(self.pulling_away) and self.pulling_away >= 0):
            raise ValueError(f"ebgan needs a finite pulling_away >= 0, not {self.pulling_away}")

    def compatible(self, cell: Cell) -> str | None:
        named = getattr(cell.discriminator, "name", "this combination")
        if "reconstruction" not in cell.offers:
            return f"ebgan needs an autoencoder as discriminator, and that of {named} reconstructs nothing"
        for regularizer in cell.regularizers:
            if hasattr(regularizer, "select"):
                return f"ebgan compares every sample with its reconstruction, and {regularizer.name} leaves some out"
        if self.pulling_away and "embedding" not in cell.offers:
            return f"ebgan pulls codes away from each other, and the autoencoder of {named} gives none"
        if self.pulling_away and cell.batch_size // cell.pac < 2:
            return "ebgan pulls codes away from each other, which takes two decisions a batch"
        return None

    def discriminator(self, game: Game) -> Tensor:
        real, fake = _energy(game.real_critique, game.real), _energy(game.fake_critique, game.fake)
        return real.mean() + relu(self.margin - fake).mean()

    def generator(self, game: Game) -> Tensor:
        energy = _energy(game.fake_critique, game.fake).mean()
        if not self.pulling_away:
            return energy
        return energy + self.pulling_away * likeness(game.fake_critique.embedding)


def _energy(critique: Critique, x: Tensor) -> Tensor:
    """Return the mean squared error of each reconstruction of ``x`` (N, *shape), packed or not: (units,)."""
    reconstruction = critique.reconstruction  # (units, ...), as the discriminator saw x
    return (x.reshape(reconstruction.shape) - reconstruction).square().flatten(1).mean(dim=1)


def likeness(codes: Tensor) -> Tensor:
    """Return the mean squared cosine between different rows of ``codes`` (N, ...), N >= 2."""
    n = codes.shape[0]
    directions = normalize(codes.flatten(1), dim=1)
    squared = (directions @ directions.T).square()  # (N, N)
    return (squared.sum() - squared.diagonal().sum()) / (n * (n - 1))


@hookimpl
def losses() -> list[type]:
    """Offer `Ebgan`."""
    return [Ebgan]
