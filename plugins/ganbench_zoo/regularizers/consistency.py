"""Consistency: the discriminator should say the same of an image and of the image flipped and shifted.

Han Zhang, Zizhao Zhang, Augustus Odena, Honglak Lee, "Consistency Regularization for Generative Adversarial Networks",
2019, arXiv:1910.12027 (CR, on the last layer: ``real``); Zhengli Zhao, Sameer Singh, Honglak Lee, Zizhao Zhang,
Augustus Odena, Han Zhang, "Improved Consistency Regularization for GANs", 2020, arXiv:2002.04724, algorithms 1 (bCR:
``real`` and ``fake``) and 2 (zCR: ``latent_d`` and ``latent_g``).

The default is CR. bCR is real = fake = 10; zCR is real = 0, latent_d = 5, latent_g = 0.5; both together are ICR
(StudioGAN has latent_d = 20 and sigma = 0.05 on CIFAR-10).

Differs: the generator's term of zCR, which asks that near latents give images apart, is a mean over pixels and not a
sum, so that its weight does not depend on the size of the images. Shifted images are filled up by reflection. Where a
run augments what the discriminator sees, it is the augmented images that are flipped and shifted.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import ClassVar

import torch
from torch import Tensor

from ganbench import Cell, Game, ImageSpec, hookimpl

WEIGHTS = ("real", "fake", "latent_d", "latent_g")


@dataclass(frozen=True)
class Consistency:
    """Squared changes of D's logits, weighted by ``real`` and ``fake`` for images, by ``latent_d`` for latents.

    Images are mirrored with probability 1/2 where ``flip`` is set, and shifted by up to ``shift`` pixels along both
    axes; latents get noise of standard deviation ``sigma``. ``latent_g`` rewards G for images that change with them.
    """

    name: ClassVar[str] = "consistency"
    paper: ClassVar[str] = "arXiv:1910.12027"
    formula: ClassVar[str] = (
        "D: real E[(D(x) - D(Tx))^2] + fake E[(D(G(z)) - D(TG(z)))^2] + latent_d E[(D(G(z)) - D(G(z + s)))^2]    "
        "G: -latent_g E[(G(z) - G(z + s))^2]"
    )
    separable: ClassVar[bool] = True

    real: float = 10.0
    fake: float = 0.0
    latent_d: float = 0.0
    latent_g: float = 0.0
    flip: bool = True
    shift: int = 4
    sigma: float = 0.03

    def __post_init__(self) -> None:
        for field in (*WEIGHTS, "sigma"):
            if not (isfinite(getattr(self, field)) and getattr(self, field) >= 0):
                raise ValueError(f"consistency needs a finite {field} >= 0, not {getattr(self, field)}")
        if not any(getattr(self, field) for field in WEIGHTS):
            raise ValueError(f"consistency needs one of {', '.join(WEIGHTS)} above 0")
        if self.shift < 0:
            raise ValueError(f"consistency needs shift >= 0, not {self.shift}")

    @property
    def phases(self) -> frozenset[str]:
        """Return whose terms there are."""
        of_discriminator = self.real or self.fake or self.latent_d
        return frozenset({"discriminator"} if of_discriminator else ()) | ({"generator"} if self.latent_g else set())

    def compatible(self, cell: Cell) -> str | None:
        if (self.real or self.fake) and not isinstance(cell.data, ImageSpec):
            return "consistency flips and shifts images, and these are points"
        if (self.latent_d or self.latent_g) and cell.latent.size > cell.latent.noise:
            return "consistency adds noise to latents, and the codes in this latent would no longer be codes"
        return None

    def penalty(self, game: Game) -> Tensor:
        if game.phase == "generator":
            return -self.latent_g * (game.clean_fake - self._nearby(game)).square().mean()
        terms = []
        if self.real:
            moved = game.critic(self._move(game, game.real), game.real_labels).logits
            terms.append(self.real * (game.real_logits - moved).square().mean())
        if self.fake:
            moved = game.critic(self._move(game, game.fake), game.fake_labels).logits
            terms.append(self.fake * (game.fake_logits - moved).square().mean())
        if self.latent_d:
            with torch.no_grad():
                nearby = game.augment(self._nearby(game))
            moved = game.critic(nearby, game.fake_labels).logits
            terms.append(self.latent_d * (game.fake_logits - moved).square().mean())
        return torch.stack(terms).sum()

    def _nearby(self, game: Game) -> Tensor:
        z = game.latents
        return game.generate(z + self.sigma * game.normal(*z.shape), game.fake_labels).images

    def _move(self, game: Game, images: Tensor) -> Tensor:
        """Flip and shift each of ``images`` (N, C, H, W) by itself, no further than it can be reflected."""
        if self.flip:
            images = torch.where(game.uniform(len(images), 1, 1, 1) < 0.5, images.flip(3), images)
        for axis in (2, 3):
            size = images.shape[axis]
            furthest = min(self.shift, size - 1)
            if furthest:
                steps = (game.uniform(len(images)) * (2 * furthest + 1)).long().clamp(max=2 * furthest) - furthest
                images = shifted(images, steps, axis)
        return images


def shifted(images: Tensor, steps: Tensor, axis: int) -> Tensor:
    """Shift each of ``images`` (N, C, H, W) along ``axis`` by its own number in ``steps`` (N,), reflected at the edge.

    Where a step is s, place i gets what stood at i + s.
    """
    last = images.shape[axis] - 1
    index = (torch.arange(last + 1, device=images.device) + steps[:, None]).abs()  # (N, H) or (N, W)
    index = last - (last - index).abs()
    return images.gather(axis, (index[:, None, :, None] if axis == 2 else index[:, None, None, :]).expand_as(images))


@hookimpl
def regularizers() -> list[type]:
    """Offer `Consistency`."""
    return [Consistency]
