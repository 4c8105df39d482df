"""RMSProp: steps divided by a running root mean square of the gradient; the optimizer of the first Wasserstein GANs.

Tijmen Tieleman, Geoffrey Hinton, "Lecture 6.5: rmsprop", Coursera, 2012; in the form that PyTorch computes. Martin
Arjovsky, Soumith Chintala, Léon Bottou, "Wasserstein GAN", 2017, arXiv:1701.07875, algorithm 1, line 6, uses it with
learning rate 0.00005.

Differs: ``alpha`` is PyTorch's 0.99, with which WGAN's authors trained, where the lecture has 0.9.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ganbench import hookimpl
from ganbench_zoo.moments import check_lr


@dataclass(frozen=True)
class RmsProp:
    """Learning rate ``lr``, decay rate ``alpha`` of the mean square, ``eps`` added to its root.

    The recipe's learning rates replace the default; its betas have no meaning here.
    """

    name: ClassVar[str] = "rmsprop"
    paper: ClassVar[str] = "Tieleman and Hinton 2012, lecture 6.5"
    formula: ClassVar[str] = "v <- alpha v + (1 - alpha) g^2; w <- w - lr g / (sqrt(v) + eps)"

    lr: float = 5e-5
    alpha: float = 0.99
    eps: float = 1e-8

    def __post_init__(self) -> None:
        check_lr("rmsprop", self.lr)
        if not 0 <= self.alpha < 1:
            raise ValueError(f"rmsprop needs alpha in [0, 1), not {self.alpha}")
        if not 0 < self.eps < float("inf"):
            raise ValueError(f"rmsprop needs a finite eps > 0, not {self.eps}")

    def build(self, params: Sequence[Tensor]) -> torch.optim.Optimizer:
        return torch.optim.RMSprop(params, lr=self.lr, alpha=self.alpha, eps=self.eps)


@hookimpl
def optimizers() -> list[type]:
    """Offer `RmsProp`."""
    return [RmsProp]
