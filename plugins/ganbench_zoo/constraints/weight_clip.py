"""Weight clipping: every weight of the critic is kept in [-c, c] after each of its updates.

Martin Arjovsky, Soumith Chintala, Léon Bottou, "Wasserstein GAN", 2017, arXiv:1701.07875, algorithm 1, line 7.

Differs: in nothing; as in the authors' code, biases and the gains of normalisation layers are clipped too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ganbench import hookimpl


@dataclass(frozen=True)
class WeightClip:
    """Clamp every parameter of the discriminator to [-``c``, ``c``]."""

    name: ClassVar[str] = "weight_clip"
    paper: ClassVar[str] = "arXiv:1701.07875"
    formula: ClassVar[str] = "w <- min(c, max(-c, w))"
    after: ClassVar[Literal["discriminator", "generator", "round"]] = "discriminator"

    c: float = 0.01

    def __post_init__(self) -> None:
        if not (math.isfinite(self.c) and self.c > 0):
            raise ValueError(f"weight_clip needs a finite c > 0, not {self.c}")

    def __call__(self, params: Sequence[Tensor], state: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for param in params:
                param.clamp_(-self.c, self.c)


@hookimpl
def constraints() -> list[type]:
    """Offer `WeightClip`."""
    return [WeightClip]
