"""Latent optimisation: latents first move to where the discriminator scores their samples higher.

Yan Wu, Jeff Donahue, David Balduzzi, Karen Simonyan, Timothy Lillicrap, "LOGAN: Latent Optimisation for Generative
Adversarial Networks", 2019, arXiv:1912.00953, algorithm 1 with the natural gradient step: the Fisher matrix is
approximated by g g^T + beta I, whose inverse times g is g / (beta + |g|^2). Both players differentiate through the
step, and the length of the step is penalised for both. Samples for scoring come from latents that were not moved.

Differs: the defaults alpha = 0.9, beta = 0.1, weight = 0.1 are those of StudioGAN's CIFAR-10 runs. The paper draws
latents from U(-1, 1) and clips moved ones to that range (``limit = 1``); normal latents have no range and are not
clipped. The first part ``share`` of the batch is moved, which is as random as any. Under packing a decision's latents
move together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ganbench import Cell, Game, hookimpl


@dataclass(frozen=True)
class LatentOptimisation:
    """Moves the part ``share`` of the latents by ``alpha`` g / (``beta`` + |g|^2), g = grad_z D(G(z)).

    ``weight`` is that of the mean squared step in both players' losses; moved latents stay in [-``limit``, ``limit``].
    """

    name: ClassVar[str] = "latent_optimisation"
    paper: ClassVar[str] = "arXiv:1912.00953"
    formula: ClassVar[str] = "z <- z + s, s = alpha g / (beta + |g|^2), g = grad_z D(G(z))    D, G: + weight E|s|^2"
    phases: ClassVar[frozenset[str]] = frozenset({"discriminator", "generator"})
    differentiates: ClassVar[frozenset[str]] = frozenset({"latents", "weights"})

    alpha: float = 0.9
    beta: float = 0.1
    weight: float = 0.1
    share: float = 0.8
    limit: float | None = None

    def __post_init__(self) -> None:
        for field in ("alpha", "beta"):
            if not 0 < getattr(self, field) < math.inf:
                raise ValueError(f"latent_optimisation needs a finite {field} > 0, not {getattr(self, field)}")
        if not 0 <= self.weight < math.inf:
            raise ValueError(f"latent_optimisation needs a finite weight >= 0, not {self.weight}")
        if not 0 < self.share <= 1:
            raise ValueError(f"latent_optimisation needs share in (0, 1], not {self.share}")
        if self.limit is not None and not 0 < self.limit < math.inf:
            raise ValueError(f"latent_optimisation needs a finite limit > 0 or none, not {self.limit}")

    def compatible(self, cell: Cell) -> str | None:
        if cell.discriminator is None:
            return "latent_optimisation asks the discriminator where to move, and there is none"
        if cell.latent.size > cell.latent.noise:
            return "latent_optimisation moves latents, and the codes in this latent would no longer be codes"
        if cell.latent.distribution == "uniform" and self.limit is None:
            return "latent_optimisation would move latents out of [-1, 1], where they are drawn: set limit = 1"
        if sum(isinstance(one, LatentOptimisation) for one in cell.regularizers) > 1:
            return "latent_optimisation moves latents once, and is named twice"
        return None

    def latents(self, game: Game, z: Tensor) -> Tensor:
        images = game.augment(game.generate(z, game.fake_labels).images)
        slope = game.slope(game.critic(images, game.fake_labels).logits, z)  # (units, m size)
        step = self.alpha * slope / (self.beta + slope.square().sum(dim=1, keepdim=True))
        moving = torch.arange(len(step), device=step.device) < math.ceil(self.share * len(step))
        step = step * moving[:, None]
        game.keep(self, "step", step)
        game.log("step", step.norm(dim=1))
        moved = z + step.view_as(z)
        return moved if self.limit is None else moved.clamp(-self.limit, self.limit)

    def penalty(self, game: Game) -> Tensor:
        moved = game.latents
        value = self.weight * game.kept(self, "step").square().sum(dim=1).mean()
        if game.phase == "discriminator":
            # Fakes carry no graph here. This adds 0, with the gradient that reaches D's weights through the latents.
            (slope,) = torch.autograd.grad(game.objective("discriminator"), moved, retain_graph=True)
            value = value + (slope * (moved - moved.detach())).sum()
        return value


@hookimpl
def regularizers() -> list[type]:
    """Offer `LatentOptimisation`."""
    return [LatentOptimisation]
