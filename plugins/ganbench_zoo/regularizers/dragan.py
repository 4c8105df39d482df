"""DRAGAN: the discriminator's gradient around real samples is drawn to norm k.

Naveen Kodali, Jacob Abernethy, James Hays, Zsolt Kira, "On Convergence and Stability of GANs", 2017, arXiv:1705.07215,
the penalty of DRAGAN.

Differs: the noise is that of the authors' code, where the paper writes N(0, c I): uniform on [0, ``c`` s] in every
coordinate, s the standard deviation over all values of the batch of real samples, then scaled by a uniform number. That
number is one a decision, so that packed samples move together; labels of the real samples are used. Mario Lucic et al.,
2017, arXiv:1711.10337, centre the noise instead: uniform on [-s / 2, s / 2], and not scaled again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ganbench import Game, hookimpl


@dataclass(frozen=True)
class Dragan:
    """``weight`` times the mean squared distance of the gradient norm from ``k``, at real samples with noise.

    ``c`` is the largest noise, in standard deviations of the batch of real samples.
    """

    name: ClassVar[str] = "dragan"
    paper: ClassVar[str] = "arXiv:1705.07215"
    formula: ClassVar[str] = "D: weight E[(|grad_x D(x)| - k)^2], x = real + u c std(real) v, u and v ~ U(0, 1)"
    per_sample: ClassVar[bool] = True

    weight: float = 10.0
    k: float = 1.0
    c: float = 0.5

    def __post_init__(self) -> None:
        for field in ("weight", "k", "c"):
            if not (math.isfinite(getattr(self, field)) and getattr(self, field) >= 0):
                raise ValueError(f"dragan needs a finite {field} >= 0, not {getattr(self, field)}")

    def penalty(self, game: Game) -> Tensor:
        real = game.real
        noisy = real + self.c * real.std(correction=0) * game.uniform(*real.shape)  # (N, *shape)
        x = game.mix(noisy, real)
        slope = game.slope(game.critic(x, game.real_labels).logits, x)  # (units, -1)
        return self.weight * (slope.norm(dim=1) - self.k).square().mean()


@hookimpl
def regularizers() -> list[type]:
    """Offer `Dragan`."""
    return [Dragan]
