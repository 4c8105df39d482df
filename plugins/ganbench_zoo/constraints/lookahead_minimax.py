"""Lookahead-minmax: every k rounds both players go back part of the way to slow weights.

Tatjana Chavdarova, Matteo Pagliardini, Sebastian U. Stich, François Fleuret, Martin Jaggi, "Taming GANs with
Lookahead-Minmax", 2020, arXiv:2006.14567, algorithm 1; after Michael R. Zhang et al., "Lookahead Optimizer", 2019,
arXiv:1907.08610.

A round of the schedule is one step of algorithm 1: its critic updates and the generator's. Both players go back at the
same moment, which is what turns circling into converging; the optimizers keep their moments.

Differs: there are no second, slower weights (the paper's nested variant), and the generator's average is the recipe's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ganbench import hookimpl


@dataclass(frozen=True)
class LookaheadMinimax:
    """Slow weights move the share ``alpha`` of the way to the fast ones every ``every`` rounds, and replace them."""

    name: ClassVar[str] = "lookahead_minimax"
    paper: ClassVar[str] = "arXiv:2006.14567"
    formula: ClassVar[str] = "every k rounds: s <- s + alpha (w - s), w <- s, for the weights w of both players"
    after: ClassVar[Literal["discriminator", "generator", "round"]] = "round"

    alpha: float = 0.5
    every: int = 5

    def __post_init__(self) -> None:
        if not 0 < self.alpha <= 1:
            raise ValueError(f"lookahead_minimax needs alpha in (0, 1], not {self.alpha}")
        if self.every < 1:
            raise ValueError(f"lookahead_minimax needs every >= 1, not {self.every}")

    def state(self, params: Sequence[Tensor]) -> Mapping[str, Tensor]:
        return {str(i): param.detach().clone() for i, param in enumerate(params)}

    def __call__(self, params: Sequence[Tensor], state: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for i, param in enumerate(params):
                param.copy_(state[str(i)].lerp_(param, self.alpha))


@hookimpl
def constraints() -> list[type]:
    """Offer `LookaheadMinimax`."""
    return [LookaheadMinimax]
