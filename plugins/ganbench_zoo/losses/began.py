"""BEGAN: an autoencoder as discriminator, and a balance between the errors on real and generated samples.

David Berthelot, Thomas Schumm, Luke Metz, "BEGAN: Boundary Equilibrium Generative Adversarial Networks", 2017,
arXiv:1703.10717, section 3.4: the game with the control variable k, and the convergence measure M.

Differs: the L1 error is a mean over values, so that k and M do not depend on the image size. k moves once in each
generator update, with the error on real samples of the last discriminator update before it, which in one update each is
the paper's step. The learning rate is not halved where M stalls.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor

from ganbench import Cell, Critique, Game, hookimpl


@dataclass(frozen=True)
class Began:
    """L1 reconstruction errors, of which the generated samples' counts k times in the discriminator's loss.

    ``gamma`` in [0, 1] is the ratio of errors to be held, for less diversity and more detail the lower (the paper shows
    0.3, 0.5 and 0.7); ``lambda_k`` is how fast k follows. M is logged as ``convergence``.
    """

    name: ClassVar[str] = "began"
    paper: ClassVar[str] = "arXiv:1703.10717"
    formula: ClassVar[str] = (
        "D: L(x) - k L(G(z))    G: L(G(z))    k += lambda_k (gamma L(x) - L(G(z))), in [0, 1]    L(v) = |v - D(v)|"
    )
    recipe: ClassVar[Mapping[str, Any]] = MappingProxyType({"batch_size": 16, "g_lr": 1e-4, "d_lr": 1e-4})

    gamma: float = 0.5
    lambda_k: float = 0.001

    def __post_init__(self) -> None:
        if not 0 <= self.gamma <= 1:
            raise ValueError(f"began needs gamma in [0, 1], not {self.gamma}")
        if not (math.isfinite(self.lambda_k) and self.lambda_k >= 0):
            raise ValueError(f"began needs a finite lambda_k >= 0, not {self.lambda_k}")

    def compatible(self, cell: Cell) -> str | None:
        if "reconstruction" not in cell.offers:
            named = getattr(cell.discriminator, "name", "this combination")
            return f"began needs an autoencoder as discriminator, and that of {named} reconstructs nothing"
        for regularizer in cell.regularizers:
            if hasattr(regularizer, "select"):
                return f"began compares every sample with its reconstruction, and {regularizer.name} leaves some out"
        return None

    def state(self) -> Mapping[str, Tensor]:
        """Return k, which starts at 0, and the last error on real samples."""
        return {"k": torch.zeros(()), "real": torch.zeros(())}

    def discriminator(self, game: Game) -> Tensor:
        k = game.state(self)["k"]
        game.log("k", k)
        return _error(game.real_critique, game.real) - k * _error(game.fake_critique, game.fake)

    def generator(self, game: Game) -> Tensor:
        real, fake = game.state(self)["real"], _error(game.fake_critique, game.fake)
        game.log("convergence", real + (self.gamma * real - fake).abs())
        return fake

    def update(self, game: Game, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return the error on real samples after the discriminator's phase, k after the generator's."""
        if game.phase == "discriminator":
            return {"real": _error(game.real_critique, game.real).detach().to(state["real"].dtype)}
        fake = _error(game.fake_critique, game.fake).detach().to(state["k"].dtype)
        return {"k": (state["k"] + self.lambda_k * (self.gamma * state["real"] - fake)).clamp(0, 1)}


def _error(critique: Critique, x: Tensor) -> Tensor:
    """Return the mean absolute error of the reconstruction of ``x`` (N, *shape), packed or not."""
    reconstruction = critique.reconstruction  # (units, ...), as the discriminator saw x
    return (x.reshape(reconstruction.shape) - reconstruction).abs().mean()


@hookimpl
def losses() -> list[type]:
    """Offer `Began`."""
    return [Began]
