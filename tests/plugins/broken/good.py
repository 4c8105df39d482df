"""A plugin that works, among others that do not: it must be listed and usable whatever happens beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ganbench import hookimpl


@dataclass(frozen=True)
class Sturdy:
    """A loss that nothing around it can take away."""

    name: ClassVar[str] = "sturdy"
    paper: ClassVar[str] = "arXiv:1406.2661"

    def generator(self, game):
        return -game.fake_logits.mean()


@hookimpl
def losses():
    return [Sturdy]
