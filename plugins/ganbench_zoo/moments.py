"""Adam's direction, for the optimizers that use it otherwise than Adam does.

Diederik P. Kingma, Jimmy Ba, "Adam: A Method for Stochastic Optimization", 2014, arXiv:1412.6980, algorithm 1.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import torch
from torch import Tensor


def adam_direction(gradient: Tensor, state: MutableMapping[str, Any], betas: tuple[float, float], eps: float) -> Tensor:
    """Take ``gradient`` into the two moments in ``state`` (made when it is empty), return m / (sqrt(v) + eps).

    Both moments are bias-corrected by the number of gradients that they hold.
    """
    if "step" not in state:
        state["step"] = 0
        state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(gradient), torch.zeros_like(gradient)
    state["step"] += 1
    t, m, v = state["step"], state["exp_avg"], state["exp_avg_sq"]
    m.lerp_(gradient, 1 - betas[0])
    v.mul_(betas[1]).addcmul_(gradient, gradient, value=1 - betas[1])
    spread = v.div(1 - betas[1] ** t).sqrt_().add_(eps)
    return m.div(1 - betas[0] ** t).div_(spread)


def check_adam(name: str, lr: float, betas: tuple[float, ...], eps: float) -> None:
    """Refuse hyperparameters that Adam gives no meaning. Raises ValueError."""
    check_lr(name, lr)
    if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
        raise ValueError(f"{name} needs two betas in [0, 1), not {betas}")
    if not 0 < eps < float("inf"):
        raise ValueError(f"{name} needs a finite eps > 0, not {eps}")


def check_lr(name: str, lr: float) -> None:
    """Refuse a learning rate that is negative or not finite. Raises ValueError."""
    if not 0 <= lr < float("inf"):
        raise ValueError(f"{name} needs a finite lr >= 0, not {lr}")
