"""Offers a loss under a name that its twin offers too, and one of its own."""

from dataclasses import dataclass
from typing import ClassVar

from ganbench import hookimpl


@dataclass(frozen=True)
class TwinB:
    """One of two."""

    name: ClassVar[str] = "twin"
    paper: ClassVar[str] = "arXiv:1406.2661"

    def generator(self, game):
        return -game.fake_logits.mean()


@dataclass(frozen=True)
class SingleB:
    """The only one of its name."""

    name: ClassVar[str] = "single_b"
    paper: ClassVar[str] = "arXiv:1406.2661"

    def generator(self, game):
        return -game.fake_logits.mean()


@hookimpl
def losses():
    return [TwinB, SingleB]
