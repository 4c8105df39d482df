"""Feature matching: generated samples should excite the discriminator's layers as real ones do, on average.

Tim Salimans, Ian Goodfellow, Wojciech Zaremba, Vicki Cheung, Alec Radford, Xi Chen, "Improved Techniques for Training
GANs", 2016, arXiv:1606.03498, section 3.1.

Differs: it is added, with a weight, to the generator's loss, which it replaces in the paper; all layers that the
discriminator gives are compared and summed, where the paper has one. Under packing a feature belongs to a decision.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ganbench import Cell, Game, hookimpl


@dataclass(frozen=True)
class FeatureMatching:
    """``weight`` times the squared distance between the mean features of real and generated samples."""

    name: ClassVar[str] = "feature_matching"
    paper: ClassVar[str] = "arXiv:1606.03498"
    formula: ClassVar[str] = "G: weight sum_l |E f_l(x) - E f_l(G(z))|^2, f_l the activations of layer l of D"
    phases: ClassVar[frozenset[str]] = frozenset({"generator"})

    weight: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight) and self.weight >= 0):
            raise ValueError(f"feature_matching needs a finite weight >= 0, not {self.weight}")

    def compatible(self, cell: Cell) -> str | None:
        if "features" not in cell.offers:
            owner = getattr(cell.discriminator, "name", "this combination")
            return f"feature_matching needs activations of the discriminator, and {owner} gives none"
        return None

    def penalty(self, game: Game) -> Tensor:
        layers = zip(game.real_critique.features, game.fake_critique.features, strict=True)
        distances = [(real.detach().mean(dim=0) - fake.mean(dim=0)).square().sum() for real, fake in layers]
        return self.weight * torch.stack(distances).sum()


@hookimpl
def regularizers() -> list[type]:
    """Offer `FeatureMatching`."""
    return [FeatureMatching]
