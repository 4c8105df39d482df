"""Kernels: how a run is computed. Whatever stands here changes at most the rounding of its results.

So it belongs to a run's environment, not to its identity; what changes the mathematics (precision, batch size) is part
of the recipe.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Kernels:
    """Choices of which each computes the same thing.

    ``channels_last``: images and the weights of convolutions lie in memory as (N, H, W, C). ``joint``: one pass of the
    discriminator over real and fake where that is exact. ``compile``: phases go through `torch.compile`. ``graphs``:
    moves are recorded once and replayed as CUDA graphs. ``checkpoint``: activations are computed again in the backward
    pass instead of being kept. ``parts``: into how many parts a batch is cut, one after another, when memory is short.
    """

    channels_last: bool = True
    joint: bool = True
    compile: bool = False
    graphs: bool = False
    checkpoint: bool = False
    parts: int = 1

    def as_json(self) -> dict[str, Any]:
        """Return the choices by name."""
        return asdict(self)

    @property
    def text(self) -> str:
        """The choices in a few words, as in ``channels_last, joint``; ``plain`` where none is taken."""
        taken = [name for name, value in asdict(self).items() if value is True]
        return ", ".join([*taken, *([f"{self.parts} parts"] if self.parts > 1 else [])]) or "plain"

    @classmethod
    def of(cls, choices: Mapping[str, Any]) -> Kernels:
        """Return what `as_json` returned; choices that it does not name are the defaults."""
        return cls(**choices)
