"""Path length: a step in the style should change the image by the same length wherever it is taken.

Tero Karras, Samuli Laine, Miika Aittala, Janne Hellsten, Jaakko Lehtinen, Timo Aila, "Analyzing and Improving the Image
Quality of StyleGAN", 2019, arXiv:1912.04958, section 3.2, equation 4; moving average, scaling of y and the mean over
layers as in appendix B and the authors' code.

Differs: the average a is a constant for the gradient, as in the equation; the authors' code also differentiates the
hundredth part of a that comes from the same batch. The term is taken on the whole batch, in their code on half of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ganbench import Cell, Game, hookimpl


@dataclass(frozen=True)
class PathLength:
    """``weight`` times the squared distance of path lengths from their moving average of decay ``decay``.

    It acts once in ``every`` updates of the generator, multiplied by as much.
    """

    name: ClassVar[str] = "path_length"
    paper: ClassVar[str] = "arXiv:1912.04958"
    formula: ClassVar[str] = "G: weight E[(|J_w^T y| - a)^2], y ~ N(0, I) / sqrt(H W), a <- a + decay (E|J_w^T y| - a)"
    phases: ClassVar[frozenset[str]] = frozenset({"generator"})

    weight: float = 2.0
    decay: float = 0.01
    every: int = 4

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight) and self.weight >= 0):
            raise ValueError(f"path_length needs a finite weight >= 0, not {self.weight}")
        if not 0 < self.decay <= 1:
            raise ValueError(f"path_length needs decay in (0, 1], not {self.decay}")
        if self.every < 1:
            raise ValueError(f"path_length needs every >= 1, not {self.every}")

    def compatible(self, cell: Cell) -> str | None:
        if "style" not in cell.offers:
            return f"path_length needs the style of each sample, and {cell.generator.name}'s generator gives none"
        return None

    def state(self) -> Mapping[str, Tensor]:
        return {"a": torch.zeros(())}

    def penalty(self, game: Game) -> Tensor:
        lengths = path_lengths(game)
        game.keep(self, "length", lengths.detach().mean())
        game.log("path_length", lengths)
        return self.weight * (lengths - self._average(game, game.state(self))).square().mean()

    def update(self, game: Game, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        return {"a": self._average(game, state)}

    def _average(self, game: Game, state: Mapping[str, Tensor]) -> Tensor:
        return state["a"].lerp(game.kept(self, "length"), self.decay)


def path_lengths(game: Game) -> Tensor:
    """Return |J_w^T y| of each sample (N,), the root mean square over layers where the style has several."""
    images, style = game.sample.images, game.sample.style  # (N, *shape); (N, d) or (N, L, d)
    y = game.normal(*images.shape) / math.sqrt(math.prod(images.shape[2:]))
    (slope,) = torch.autograd.grad((images * y).sum(), style, create_graph=True)
    squares = slope.float().square().sum(dim=-1)  # (N,) or (N, L)
    return squares.reshape(len(images), -1).mean(dim=1).sqrt()


@hookimpl
def regularizers() -> list[type]:
    """Offer `PathLength`."""
    return [PathLength]
