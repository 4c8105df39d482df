"""AdamW: Adam whose weight decay does not pass through its moments.

Ilya Loshchilov, Frank Hutter, "Decoupled Weight Decay Regularization", 2017, arXiv:1711.05101, algorithm 2.

Differs: as PyTorch computes it, the decay is multiplied by the learning rate, where algorithm 2 multiplies it by the
schedule's factor alone; the default decay is PyTorch's, the paper searches for its own on each problem.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ganbench import hookimpl
from ganbench_zoo.moments import check_adam, fusible


@dataclass(frozen=True)
class AdamW:
    """Adam with learning rate ``lr``, decay rates ``betas`` and ``eps``, and every weight drawn to 0 beside it.

    The recipe's learning rates and betas replace these.
    """

    name: ClassVar[str] = "adamw"
    paper: ClassVar[str] = "arXiv:1711.05101"
    formula: ClassVar[str] = "w <- w - lr (m / (sqrt(v) + eps) + weight_decay w), m and v bias-corrected"

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        check_adam("adamw", self.lr, self.betas, self.eps)
        if not 0 <= self.weight_decay < float("inf"):
            raise ValueError(f"adamw needs a finite weight_decay >= 0, not {self.weight_decay}")

    def build(self, params: Sequence[Tensor]) -> torch.optim.Optimizer:
        return torch.optim.AdamW(
            params,
            lr=self.lr,
            betas=tuple(self.betas),
            eps=self.eps,
            weight_decay=self.weight_decay,
            fused=fusible(params),
        )


@hookimpl
def optimizers() -> list[type]:
    """Offer `AdamW`."""
    return [AdamW]
