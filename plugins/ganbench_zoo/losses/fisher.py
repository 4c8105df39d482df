"""Fisher GAN: the critic's mean difference, in units of its own standard deviation.

Youssef Mroueh, Tom Sercu, "Fisher GAN", 2017, arXiv:1705.09675, equation 9 and algorithm 1: the constraint that the
critic's second moment is 1 is kept by an augmented Lagrangian, whose multiplier moves down its own gradient.

Differs: in nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor

from ganbench import Game, hookimpl


@dataclass(frozen=True)
class Fisher:
    """The difference of means under a second moment of 1: a penalty of ``rho`` and a multiplier of that step size.

    The recipe is the paper's for DCGAN networks.
    """

    name: ClassVar[str] = "fisher"
    paper: ClassVar[str] = "arXiv:1705.09675"
    formula: ClassVar[str] = (
        "D: E[D(G(z))] - E[D(x)] - lambda (1 - O) + rho / 2 (1 - O)^2, O = E[D(x)^2 + D(G(z))^2] / 2    G: -E[D(G(z))]"
    )
    recipe: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {
            "batch_size": 64,
            "schedule": ("D", "D", "G"),
            "g_lr": 2e-4,
            "d_lr": 2e-4,
            "g_betas": (0.5, 0.999),
            "d_betas": (0.5, 0.999),
        }
    )

    rho: float = 1e-6

    def __post_init__(self) -> None:
        if not (math.isfinite(self.rho) and self.rho > 0):
            raise ValueError(f"fisher needs a finite rho > 0, not {self.rho}")

    def state(self) -> Mapping[str, Tensor]:
        """Return the multiplier, which starts at 0."""
        return {"lambda": torch.zeros(())}

    def discriminator(self, game: Game) -> Tensor:
        slack, multiplier = _slack(game), game.state(self)["lambda"]
        game.log("second_moment", 1 - slack)
        game.log("lambda", multiplier)
        difference = game.real_logits.mean() - game.fake_logits.mean()
        return -difference - multiplier * slack + self.rho / 2 * slack.square()

    def generator(self, game: Game) -> Tensor:
        return -game.fake_logits.mean()

    def update(self, game: Game, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return the multiplier after a step of size rho down its gradient, in the discriminator's phase alone."""
        if game.phase == "generator":
            return {}
        return {"lambda": state["lambda"] - self.rho * _slack(game).detach().to(state["lambda"].dtype)}


def _slack(game: Game) -> Tensor:
    """Return what the critic's second moment leaves to 1."""
    return 1 - (game.real_logits.square().mean() + game.fake_logits.square().mean()) / 2


@hookimpl
def losses() -> list[type]:
    """Offer `Fisher`."""
    return [Fisher]
