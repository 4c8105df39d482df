"""Softmax GAN: the samples of a batch, real and generated, compete for one unit of probability.

Min Lin, "Softmax GAN", 2017, arXiv:1704.06191, equations of section 3.

Differs: in nothing; the paper's energy of a sample is minus its logit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ganbench import Game, hookimpl


@dataclass(frozen=True)
class Softmax:
    """The discriminator spreads the probability evenly over real samples, the generator over all samples."""

    name: ClassVar[str] = "softmax"
    paper: ClassVar[str] = "arXiv:1704.06191"
    formula: ClassVar[str] = (
        "D: log Z - mean D(x)    G: log Z - mean over x and G(z) of D    Z = sum of exp D over both"
    )

    def discriminator(self, game: Game) -> Tensor:
        both = torch.cat([game.real_logits, game.fake_logits])  # (2 units,)
        return both.logsumexp(dim=0) - game.real_logits.mean()

    def generator(self, game: Game) -> Tensor:
        both = torch.cat([game.real_logits, game.fake_logits])
        return both.logsumexp(dim=0) - both.mean()


@hookimpl
def losses() -> list[type]:
    """Offer `Softmax`."""
    return [Softmax]
