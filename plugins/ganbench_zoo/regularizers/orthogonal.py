"""Orthogonal regularization: the filters of each layer are drawn to be orthogonal to each other.

Andrew Brock, Jeff Donahue, Karen Simonyan, "Large Scale GAN Training for High Fidelity Natural Image Synthesis", 2018,
arXiv:1809.11096, equation 3; with ``norms``, equation 2, after Andrew Brock, Theodore Lim, J. M. Ritchie, Nick Weston,
"Neural Photo Editing with Introspective Adversarial Networks", 2016, arXiv:1609.07093.

Differs: a layer's filters are the rows of its weight flattened to (first axis, -1), which the paper writes as columns;
in a transposed convolution the first axis counts input channels, so its rows are those. Every parameter of two or more
axes counts: embeddings too, which the authors' PyTorch code leaves out, and those of companion networks. That code adds
half of this gradient. Weights under spectral norm are penalised as they are stored.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from ganbench import Game, hookimpl

Side = Literal["generator", "discriminator", "both"]


@dataclass(frozen=True)
class Orthogonal:
    """``weight`` times the squared inner products between rows of the weights of ``player``, summed.

    With ``norms`` also times the squared distances of the rows' squared norms from 1.
    """

    name: ClassVar[str] = "orthogonal"
    paper: ClassVar[str] = "arXiv:1809.11096"
    formula: ClassVar[str] = "G: weight sum |W W^T o (1 - I)|^2 over its layers; with norms: weight sum |W W^T - I|^2"

    weight: float = 1e-4
    norms: bool = False
    player: Side = "generator"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight) and self.weight >= 0):
            raise ValueError(f"orthogonal needs a finite weight >= 0, not {self.weight}")
        if self.player not in get_args(Side):
            raise ValueError(f"orthogonal needs player in {', '.join(get_args(Side))}, not {self.player!r}")

    @property
    def phases(self) -> frozenset[str]:
        """The player whose weights it acts on, or both, each in its own phase."""
        return frozenset({"generator", "discriminator"} if self.player == "both" else {self.player})

    def penalty(self, game: Game) -> Tensor:
        total = torch.zeros((), device=game.step.device)
        for w in game.weights(game.phase):
            if w.dim() >= 2:
                total = total + _deviation(w.flatten(1), self.norms)
        return self.weight * total


def _deviation(w: Tensor, norms: bool) -> Tensor:
    """Return |w w^T - I|^2 of ``w`` (rows, columns), or |w w^T o (1 - I)|^2 without ``norms``.

    Where there are more rows than columns, the smaller w^T w takes part: |w w^T| = |w^T w|, and so
    |w w^T - I|^2 = |w^T w - I|^2 + rows - columns.
    """
    rows, columns = w.shape
    tall = rows > columns
    gram = w.T @ w if tall else w @ w.T
    identity = torch.eye(len(gram), device=w.device)
    if norms:
        return (gram - identity).square().sum() + max(rows - columns, 0)
    if tall:
        return gram.square().sum() - w.square().sum(dim=1).square().sum()
    return (gram * (1 - identity)).square().sum()


@hookimpl
def regularizers() -> list[type]:
    """Offer `Orthogonal`."""
    return [Orthogonal]
