"""Adam's direction, for the optimizers that use it otherwise than Adam does, and what such optimizers share.

Diederik P. Kingma, Jimmy Ba, "Adam: A Method for Stochastic Optimization", 2014, arXiv:1412.6980, algorithm 1.

Everything here works on lists of tensors at once, waits for no device, and changes tensors that stay where they are, so
that a step can be recorded as a CUDA graph.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, MutableMapping, Sequence
from typing import Any

import torch
from torch import Tensor

FUSED = frozenset({"cpu", "cuda"})
"""Types of devices for which PyTorch has fused kernels of Adam, AdamW and SGD."""


def fusible(params: Iterable[Tensor]) -> bool | None:
    """Return True where one fused kernel can step all of ``params``, else None: PyTorch chooses."""
    return all(param.device.type in FUSED for param in params) or None


def adam_directions(
    gradients: Sequence[Tensor], states: Sequence[MutableMapping[str, Any]], betas: tuple[float, float], eps: float
) -> list[Tensor]:
    """Take each gradient into the two moments in its state (made when absent), return every m / (sqrt(v) + eps).

    Both moments are bias-corrected by the number of gradients that they hold, kept as a 0-dim tensor.
    """
    for gradient, state in zip(gradients, states, strict=True):
        if "count" not in state:
            state["count"] = torch.zeros((), dtype=gradient.dtype, device=gradient.device)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(gradient), torch.zeros_like(gradient)
    counts, means, squares = ([state[key] for state in states] for key in ("count", "exp_avg", "exp_avg_sq"))
    torch._foreach_add_(counts, 1)
    torch._foreach_lerp_(means, gradients, 1 - betas[0])
    torch._foreach_mul_(squares, betas[1])
    torch._foreach_addcmul_(squares, gradients, gradients, 1 - betas[1])
    spreads = torch._foreach_div(squares, corrections(counts, betas[1]))
    torch._foreach_sqrt_(spreads)
    torch._foreach_add_(spreads, eps)
    directions = torch._foreach_div(means, corrections(counts, betas[0]))
    torch._foreach_div_(directions, spreads)
    return list(directions)


def corrections(counts: Sequence[Tensor], beta: float) -> list[Tensor]:
    """Return 1 - beta^t for every count t, to the last digits also where beta^t is near 1."""
    exponent = math.log(beta) if beta else -math.inf
    return list(torch.stack(list(counts)).mul_(exponent).expm1_().neg_().unbind())


def descend(params: Sequence[Tensor], directions: Sequence[Tensor], lr: float | Tensor, times: float = 1.0) -> None:
    """Subtract ``times`` ``lr`` each direction; ``lr`` may be a 0-dim tensor, which is not read."""
    if isinstance(lr, Tensor):
        directions, lr = torch._foreach_mul(list(directions), lr), 1.0
    torch._foreach_add_(list(params), list(directions), alpha=-lr * times)


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
