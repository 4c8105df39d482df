"""The relativistic pairing game: is this real sample more real than this generated one?

Alexia Jolicoeur-Martineau, "The relativistic discriminator: a key element missing from standard GAN", 2018,
arXiv:1807.00734, section 4, with f the log-sigmoid; in the form of Yiwen Huang, Aaron Gokaslan, Volodymyr Kuleshov,
James Tompkin, "The GAN is dead; long live the GAN! A Modern GAN Baseline", 2025, arXiv:2501.05441, equations 1 and 2.

Differs: in nothing; the penalties of the second paper are the regularizers ``r1`` and ``r2``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import softplus

from ganbench import Cell, Game, hookimpl


@dataclass(frozen=True)
class RpGan:
    """Both players look at the difference of logits within pairs, the k-th real with the k-th generated sample."""

    name: ClassVar[str] = "rpgan"
    paper: ClassVar[str] = "arXiv:1807.00734"
    formula: ClassVar[str] = "D: E[log(1 + exp(D(G(z)) - D(x)))]    G: E[log(1 + exp(D(x) - D(G(z))))]"

    def compatible(self, cell: Cell) -> str | None:
        for regularizer in cell.regularizers:
            if hasattr(regularizer, "select"):
                return f"rpgan pairs every generated sample with a real one, and {regularizer.name} leaves some out"
        return None

    def discriminator(self, game: Game) -> Tensor:
        return softplus(game.fake_logits - game.real_logits).mean()

    def generator(self, game: Game) -> Tensor:
        return softplus(game.real_logits - game.fake_logits).mean()


@hookimpl
def losses() -> list[type]:
    """Offer `RpGan`."""
    return [RpGan]
