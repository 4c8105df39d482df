"""Consensus optimization: both players also descend on the squared gradients of both.

Lars Mescheder, Sebastian Nowozin, Andreas Geiger, "The Numerics of GANs", 2017, arXiv:1705.10461, section 4: the
update h (v - gamma grad L) with L = |v|^2 / 2, v the gradients of the players' own objectives.

It is a method for simultaneous play, the schedule ``("DG",)``. On min_x max_y xy with gradient descent it contracts by
sqrt((1 - lr gamma)^2 + lr^2) a step. Penalties of other regularizers are no part of v.

Differs: each player takes the gradients of both on the samples of its own phase, so that two batches make one step.
Beside ``latent_optimisation`` it would need third derivatives, which PyTorch has for no BatchNorm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ganbench import Cell, Game, hookimpl


@dataclass(frozen=True)
class Consensus:
    """``gamma`` / 2 times the squared norm of the gradients of both players' losses, for each player."""

    name: ClassVar[str] = "consensus"
    paper: ClassVar[str] = "arXiv:1705.10461"
    formula: ClassVar[str] = "D, G: gamma / 2 (|grad_D loss_D|^2 + |grad_G loss_G|^2)"
    phases: ClassVar[frozenset[str]] = frozenset({"discriminator", "generator"})
    differentiates: ClassVar[frozenset[str]] = frozenset({"weights"})

    gamma: float = 10.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.gamma) and self.gamma >= 0):
            raise ValueError(f"consensus needs a finite gamma >= 0, not {self.gamma}")

    def compatible(self, cell: Cell) -> str | None:
        if not (hasattr(cell.loss, "discriminator") and hasattr(cell.loss, "generator")):
            return f"consensus is between two players, and {cell.loss.name} has one"
        if not {"D", "G"} <= set("".join(cell.schedule)):
            return "consensus is between two players, and the schedule moves one"
        return None

    def penalty(self, game: Game) -> Tensor:
        squares = []
        for player in ("discriminator", "generator"):
            weights = game.weights(player)
            gradients = torch.autograd.grad(game.objective(player), weights, create_graph=True, materialize_grads=True)
            squares.extend(gradient.float().square().sum() for gradient in gradients)
        total = torch.stack(squares).sum()
        game.log("field", total.sqrt())
        return self.gamma / 2 * total


@hookimpl
def regularizers() -> list[type]:
    """Offer `Consensus`."""
    return [Consensus]
