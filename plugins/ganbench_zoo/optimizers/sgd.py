"""Stochastic gradient descent, perhaps with momentum.

Herbert Robbins, Sutton Monro, "A Stochastic Approximation Method", Annals of Mathematical Statistics 22(3), 1951;
momentum after Boris Polyak, "Some methods of speeding up the convergence of iteration methods", 1964.

With the schedule ``("DG",)`` this is simultaneous gradient descent, which on min_x max_y xy moves away from the
equilibrium by sqrt(1 + lr^2) a step; with ``("D", "G")`` it is alternating, and circles around it.

Differs: in nothing; PyTorch computes it, on CPUs and CUDA devices by its fused kernel, and multiplies the momentum by
the current learning rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ganbench import hookimpl
from ganbench_zoo.moments import check_lr, fusible


@dataclass(frozen=True)
class Sgd:
    """Learning rate ``lr``, which the recipe's replace, and ``momentum``."""

    name: ClassVar[str] = "sgd"
    paper: ClassVar[str] = "Robbins and Monro 1951, Ann. Math. Statist. 22(3)"
    formula: ClassVar[str] = "u <- momentum u + g; w <- w - lr u"

    lr: float = 0.01
    momentum: float = 0.0

    def __post_init__(self) -> None:
        check_lr("sgd", self.lr)
        if not 0 <= self.momentum < 1:
            raise ValueError(f"sgd needs momentum in [0, 1), not {self.momentum}")

    def build(self, params: Sequence[Tensor]) -> torch.optim.Optimizer:
        return torch.optim.SGD(params, lr=self.lr, momentum=self.momentum, fused=fusible(params))


@hookimpl
def optimizers() -> list[type]:
    """Offer `Sgd`."""
    return [Sgd]
