"""MMD GAN: the maximum mean discrepancy between embeddings that the critic learns.

Mikołaj Bińkowski, Danica J. Sutherland, Michael Arbel, Arthur Gretton, "Demystifying MMD GANs", 2018, arXiv:1801.01401:
the unbiased estimator, mixtures of kernels, and the gradient penalty on the witness function. After
Chun-Liang Li, Wei-Cheng Chang, Yu Cheng, Yiming Yang, Barnabás Póczos, "MMD GAN: Towards Deeper Understanding of Moment
Matching Network", 2017, arXiv:1705.08584.

Differs: no autoencoder (2017), no penalty on the critic's activations and no learning rate that follows a three-sample
test (2018); the recipe starts with five critic updates, not ten. The number of embedding dimensions is the
architecture's: 16 in the paper, ``d_outputs`` in ours. One interpolation weight a decision, as in ``wgan_gp``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor

from ganbench import Cell, Critique, Game, hookimpl

Kernel = Literal["rational_quadratic", "gaussian", "distance"]
ALPHAS = (0.2, 0.5, 1.0, 2.0, 5.0)
SIGMAS = (2.0, 5.0, 10.0, 20.0, 40.0, 80.0)


@dataclass(frozen=True)
class Mmd:
    """The critic raises the squared MMD between embeddings of real and generated samples, the generator lowers it.

    ``kernel``: rational quadratic kernels of alpha 0.2 to 5, summed; Gaussians of sigma 2 to 80, summed; or half the
    negative distance, with which the squared MMD is half the energy distance. ``linear`` is the weight of an inner
    product added to it; 1 is the paper's rq*. ``penalty`` weights the squared distance from 1 of the witness function's
    gradient between real and generated samples; 0 leaves it out.
    """

    name: ClassVar[str] = "mmd"
    paper: ClassVar[str] = "arXiv:1801.01401"
    formula: ClassVar[str] = (
        "D: -MMD^2(x, G(z)) + penalty E[(|grad f| - 1)^2], f = E k(x, .) - E k(G(z), .)    G: MMD^2"
    )
    recipe: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {
            "batch_size": 64,
            "schedule": ("D", "D", "D", "D", "D", "G"),
            "g_lr": 1e-4,
            "d_lr": 1e-4,
            "g_betas": (0.5, 0.9),
            "d_betas": (0.5, 0.9),
        }
    )

    kernel: Kernel = "rational_quadratic"
    linear: float = 0.0
    penalty: float = 1.0

    def __post_init__(self) -> None:
        if self.kernel not in get_args(Kernel):
            raise ValueError(f"mmd needs kernel in {', '.join(get_args(Kernel))}, not {self.kernel!r}")
        for field in ("linear", "penalty"):
            value = getattr(self, field)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"mmd needs a finite {field} >= 0, not {value}")

    def compatible(self, cell: Cell) -> str | None:
        if "embedding" not in cell.offers:
            named = getattr(cell.discriminator, "name", "this combination")
            return f"mmd compares embeddings, and the discriminator of {named} gives none"
        if cell.batch_size // cell.pac < 2:
            return "mmd compares samples of one side with each other, which takes two decisions a batch"
        if self.penalty and cell.batch_coupling == "normalisation":
            return (
                "mmd penalises the gradient at each sample, which BatchNorm in the discriminator mixes with others; "
                "mmd(penalty=0) does not"
            )
        for regularizer in cell.regularizers:
            if hasattr(regularizer, "select") or hasattr(regularizer, "latents"):
                return f"{regularizer.name} goes by which sample has the higher logit, which says nothing under mmd"
        return None

    def discriminator(self, game: Game) -> Tensor:
        real, fake = _embedding(game.real_critique), _embedding(game.fake_critique)
        loss = -self._squared_mmd(real, fake)
        if self.penalty:
            loss = loss + self.penalty * self._steepness(game, real, fake)
        return loss

    def generator(self, game: Game) -> Tensor:
        return self._squared_mmd(_embedding(game.real_critique), _embedding(game.fake_critique))

    def _steepness(self, game: Game, real: Tensor, fake: Tensor) -> Tensor:
        """Return the mean squared distance from 1 of the witness function's slope between real and generated."""
        x = game.mix(game.real, game.fake)
        between = _embedding(game.critic(x, game.real_labels))
        witness = self._kernel(between, real).mean(dim=1) - self._kernel(between, fake).mean(dim=1)  # (units,)
        slope = game.slope(witness, x).norm(dim=1)
        game.log("slope", slope)
        return (slope - 1).square().mean()

    def _squared_mmd(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the unbiased estimate from embeddings (m, k) and (n, k), m, n >= 2; it can be negative."""
        return _between_others(self._kernel(x, x)) + _between_others(self._kernel(y, y)) - 2 * self._kernel(x, y).mean()

    def _kernel(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the kernel between rows of ``x`` (m, k) and of ``y`` (n, k): (m, n)."""
        squared = (x[:, None] - y).square().sum(dim=2)  # not |x|^2 + |y|^2 - 2 <x, y>, which cancels
        if self.kernel == "rational_quadratic":
            value = sum(torch.exp(-alpha * torch.log1p(squared / (2 * alpha))) for alpha in ALPHAS)
        elif self.kernel == "gaussian":
            value = sum(torch.exp(-squared / (2 * sigma**2)) for sigma in SIGMAS)
        else:
            value = -_root(squared) / 2
        return value + self.linear * (x @ y.T) if self.linear else value


def _embedding(critique: Critique) -> Tensor:
    """Return the embedding (units, k), in float32 where it is of half precision."""
    embedding = critique.embedding.flatten(1)
    return embedding.to(torch.promote_types(embedding.dtype, torch.float32))


def _between_others(kernel: Tensor) -> Tensor:
    """Return the mean of a square matrix without its diagonal."""
    n = kernel.shape[0]
    return (kernel.sum() - kernel.diagonal().sum()) / (n * (n - 1))


def _root(squared: Tensor) -> Tensor:
    """Return the square root, with gradient 0 at 0."""
    positive = squared > 0
    return torch.where(positive, torch.where(positive, squared, 1).sqrt(), 0)


@hookimpl
def losses() -> list[type]:
    """Offer `Mmd`."""
    return [Mmd]
