"""The relativistic average game: is this sample more real than the others are on average?

Alexia Jolicoeur-Martineau, "The relativistic discriminator: a key element missing from standard GAN", 2018,
arXiv:1807.00734, section 4: RaSGAN, RaLSGAN and RaHingeGAN.

Differs: in nothing; the averages are over the batch, as in the paper's algorithm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Literal, get_args

from torch import Tensor
from torch.nn.functional import relu, softplus

from ganbench import Game, hookimpl

Kind = Literal["standard", "least_squares", "hinge"]
SHORTFALL: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(
    {
        "standard": lambda lead: softplus(-lead),
        "least_squares": lambda lead: (lead - 1).square(),
        "hinge": lambda lead: relu(1 - lead),
    }
)
"""What it costs that a logit leads the average of the other side by so much only."""


@dataclass(frozen=True)
class RaGan:
    """Each side is compared with the other's mean; the generator plays the discriminator's game with sides exchanged.

    ``kind`` is how a comparison is scored: log-sigmoid, regression to 1 and -1, or hinge.
    """

    name: ClassVar[str] = "ragan"
    paper: ClassVar[str] = "arXiv:1807.00734"
    formula: ClassVar[str] = (
        "D: E[f(D(x) - E D(G(z)))] + E[f(E D(x) - D(G(z)))]    G: x and G(z) exchanged    f(a) = log(1 + exp(-a))"
    )

    kind: Kind = "standard"

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"ragan needs kind in {', '.join(get_args(Kind))}, not {self.kind!r}")

    def discriminator(self, game: Game) -> Tensor:
        return self._ahead(game.real_logits, game.fake_logits)

    def generator(self, game: Game) -> Tensor:
        return self._ahead(game.fake_logits, game.real_logits)

    def _ahead(self, upper: Tensor, lower: Tensor) -> Tensor:
        """Return what it costs that ``upper`` does not lead ``lower``."""
        shortfall = SHORTFALL[self.kind]
        return shortfall(upper - lower.mean()).mean() + shortfall(upper.mean() - lower).mean()


@hookimpl
def losses() -> list[type]:
    """Offer `RaGan`."""
    return [RaGan]
