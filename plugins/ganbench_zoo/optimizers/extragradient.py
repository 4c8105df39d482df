"""Extragradient: step from where one stands along the gradient at an extrapolated point.

Galina Korpelevich, "The extragradient method for finding saddle points and other problems", 1976; for GANs Gauthier
Gidel, Hugo Berard, Gaëtan Vignoud, Pascal Vincent, Simon Lacoste-Julien, "A Variational Inequality Perspective on
Generative Adversarial Networks", 2018, arXiv:1802.10551: equations 14 and 15 for ``base = "sgd"``, algorithm 4,
Extra-Adam with extrapolation (option 1), for ``base = "adam"``, whose moments take in both gradients of a step.

It is a method for simultaneous play, the schedule ``("DG",)``: both players extrapolate, then both step. On
min_x max_y xy it then contracts by 0.9582 a step at lr = 0.3. With ``("D", "G")`` each player extrapolates against the
other at rest.

Differs: both gradients of a step see the same samples, as in the paper's algorithm 5 for ``base = "sgd"``, where its
algorithm 4 draws new ones; no average of the iterates is taken but the generator's, which the recipe sets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from ganbench import hookimpl
from ganbench_zoo.moments import adam_directions, check_adam, descend


class ExtragradientDescent(torch.optim.Optimizer):
    """Keeps the point to step from between `extrapolate` and `step`; ``betas`` = None is the gradient itself.

    Weights without a gradient rest.
    """

    def __init__(self, params: Sequence[Tensor], lr: float, betas: tuple[float, float] | None, eps: float) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})
        self._starts: dict[Tensor, Tensor] = {}
        self._extrapolated = False

    @torch.no_grad()
    def extrapolate(self) -> None:
        """Keep every weight, and move it along the gradient."""
        params = [p for group in self.param_groups for p in group["params"]]
        if not self._starts:
            self._starts = {p: torch.empty_like(p) for p in params}
        torch._foreach_copy_(list(self._starts.values()), params)
        self._extrapolated = True
        self._move()

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:
        """Go back to the kept weights, and from there along the gradient at the extrapolated ones."""
        if self._extrapolated:
            torch._foreach_copy_(list(self._starts), list(self._starts.values()))
        self._extrapolated = False
        self._move()

    def _move(self) -> None:
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            directions, betas = [p.grad for p in params], group["betas"]
            if params and betas is not None:
                directions = adam_directions(directions, [self.state[p] for p in params], betas, group["eps"])
            if params:
                descend(params, directions, group["lr"])


@dataclass(frozen=True)
class Extragradient:
    """Extrapolates along the gradient (``base`` = "sgd") or Adam's direction ("adam"), then steps from the start.

    The recipe's learning rates and betas replace these; ``betas`` and ``eps`` are Adam's. A step costs two gradients.
    """

    name: ClassVar[str] = "extragradient"
    paper: ClassVar[str] = "arXiv:1802.10551"
    formula: ClassVar[str] = "w' = w_t - lr d(w_t); w_{t+1} = w_t - lr d(w'), d = g (sgd) or m / (sqrt(v) + eps) (adam)"
    evaluations: ClassVar[int] = 2

    base: Literal["sgd", "adam"] = "adam"
    lr: float = 1e-4
    betas: tuple[float, float] = (0.5, 0.9)
    eps: float = 1e-8

    def __post_init__(self) -> None:
        if self.base not in ("sgd", "adam"):
            raise ValueError(f"extragradient needs base = 'sgd' or 'adam', not {self.base!r}")
        check_adam("extragradient", self.lr, self.betas, self.eps)

    def build(self, params: Sequence[Tensor]) -> torch.optim.Optimizer:
        first, second = self.betas
        return ExtragradientDescent(params, self.lr, (first, second) if self.base == "adam" else None, self.eps)


@hookimpl
def optimizers() -> list[type]:
    """Offer `Extragradient`."""
    return [Extragradient]
