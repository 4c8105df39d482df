"""The f-GAN: a game whose value at the best discriminator is an f-divergence of choice.

Sebastian Nowozin, Botond Cseke, Ryota Tomioka, "f-GAN: Training Generative Neural Samplers using Variational Divergence
Minimization", 2016, arXiv:1606.00709, equation 7 with the output activations and conjugates of table 2.

Differs: f*(g_f(v)) is computed from the logit v in closed form, and never by way of g_f(v), which would overflow or
cancel. By default the generator minimises the divergence itself, as in algorithm 1; ``non_saturating`` is the
alternative of section 3.2. ``jensen_shannon`` belongs to the f of the paper's tables, which gives twice the usual
divergence.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Literal, NamedTuple, get_args

import torch
from torch import Tensor
from torch.nn.functional import softplus

from ganbench import Game, hookimpl

Divergence = Literal["kl", "reverse_kl", "pearson", "squared_hellinger", "jensen_shannon"]


class Terms(NamedTuple):
    """The two functions of a logit v: ``output`` is g_f(v), ``conjugate`` is f*(g_f(v))."""

    output: Callable[[Tensor], Tensor]
    conjugate: Callable[[Tensor], Tensor]


TERMS: Mapping[str, Terms] = MappingProxyType(
    {
        "kl": Terms(lambda v: v, lambda v: torch.exp(v - 1)),
        "reverse_kl": Terms(lambda v: -torch.exp(-v), lambda v: v - 1),
        "pearson": Terms(lambda v: v, lambda v: v.square() / 4 + v),
        "squared_hellinger": Terms(lambda v: -torch.expm1(-v), torch.expm1),
        "jensen_shannon": Terms(lambda v: math.log(2) - softplus(-v), lambda v: softplus(v) - math.log(2)),
    }
)


@dataclass(frozen=True)
class FGan:
    """The variational bound on the f-divergence of real from generated samples.

    ``non_saturating`` lets the generator raise E[g_f(D(G(z)))] instead.
    """

    name: ClassVar[str] = "f_gan"
    paper: ClassVar[str] = "arXiv:1606.00709"
    formula: ClassVar[str] = "D: -E[g(D(x))] + E[f*(g(D(G(z))))]    G: -E[f*(g(D(G(z))))]    g: f's output activation"

    divergence: Divergence = "kl"
    non_saturating: bool = False

    def __post_init__(self) -> None:
        if self.divergence not in get_args(Divergence):
            raise ValueError(f"f_gan needs divergence in {', '.join(get_args(Divergence))}, not {self.divergence!r}")

    def discriminator(self, game: Game) -> Tensor:
        output, conjugate = TERMS[self.divergence]
        return conjugate(game.fake_logits).mean() - output(game.real_logits).mean()

    def generator(self, game: Game) -> Tensor:
        output, conjugate = TERMS[self.divergence]
        return -(output if self.non_saturating else conjugate)(game.fake_logits).mean()


@hookimpl
def losses() -> list[type]:
    """Offer `FGan`."""
    return [FGan]
