"""Optimistic descent: each step counts the newest direction twice and takes the last one back.

Constantinos Daskalakis, Andrew Ilyas, Vasilis Syrgkanis, Haoyang Zeng, "Training GANs with Optimism", 2017,
arXiv:1711.00141: optimistic mirror descent (section 2) for ``base = "sgd"``, algorithm 1, optimistic Adam, for
``base = "adam"``.

It is a method for simultaneous play, the schedule ``("DG",)``: on min_x max_y xy it then contracts where gradient
descent diverges, by 0.9487 a step at lr = 0.3. Before the first step the last direction is 0.

Differs: both directions are multiplied by the current learning rate, which a recipe may let decay; the paper's stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from ganbench import hookimpl
from ganbench_zoo.moments import adam_directions, check_adam, descend


class OptimisticDescent(torch.optim.Optimizer):
    """Keeps the last direction beside what the base keeps; ``betas`` = None is the gradient itself."""

    def __init__(self, params: Sequence[Tensor], lr: float, betas: tuple[float, float] | None, eps: float) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:
        """Move along twice the direction less the last one."""
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if not params:
                continue
            directions, states, betas = [p.grad for p in params], [self.state[p] for p in params], group["betas"]
            for p, state in zip(params, states, strict=True):
                if "last" not in state:
                    state["last"] = torch.zeros_like(p)
            if betas is not None:
                directions = adam_directions(directions, states, betas, group["eps"])
            lasts = [state["last"] for state in states]
            descend(params, directions, group["lr"], 2)
            descend(params, lasts, group["lr"], -1)
            torch._foreach_copy_(lasts, directions)


@dataclass(frozen=True)
class Optimistic:
    """Steps along 2 d_t - d_{t-1}, d the gradient (``base`` = "sgd") or Adam's direction ("adam").

    The recipe's learning rates and betas replace these; ``betas`` and ``eps`` are Adam's.
    """

    name: ClassVar[str] = "optimistic"
    paper: ClassVar[str] = "arXiv:1711.00141"
    formula: ClassVar[str] = "w_{t+1} = w_t - 2 lr d_t + lr d_{t-1}, d = g (sgd) or m / (sqrt(v) + eps) (adam)"

    base: Literal["sgd", "adam"] = "adam"
    lr: float = 1e-4
    betas: tuple[float, float] = (0.5, 0.9)
    eps: float = 1e-8

    def __post_init__(self) -> None:
        if self.base not in ("sgd", "adam"):
            raise ValueError(f"optimistic needs base = 'sgd' or 'adam', not {self.base!r}")
        check_adam("optimistic", self.lr, self.betas, self.eps)

    def build(self, params: Sequence[Tensor]) -> torch.optim.Optimizer:
        first, second = self.betas
        return OptimisticDescent(params, self.lr, (first, second) if self.base == "adam" else None, self.eps)


@hookimpl
def optimizers() -> list[type]:
    """Offer `Optimistic`."""
    return [Optimistic]
