"""One hook raises, one calls exit, the third works: only the third brings something."""

import sys
from dataclasses import dataclass
from typing import ClassVar

from ganbench import hookimpl


@dataclass(frozen=True)
class Unreached:
    """Never returned."""

    name: ClassVar[str] = "unreached"
    paper: ClassVar[str] = "arXiv:1406.2661"

    def generator(self, game):
        return -game.fake_logits.mean()


@dataclass(frozen=True)
class Kept:
    """A penalty whose neighbour's hook raises."""

    name: ClassVar[str] = "kept_penalty"
    paper: ClassVar[str] = "arXiv:1801.04406"

    def penalty(self, game):
        return game.real_logits.square().mean()


@hookimpl
def losses():
    raise RuntimeError("the licence server cannot be reached")
    return [Unreached]


@hookimpl
def metrics():
    sys.exit(3)


@hookimpl
def regularizers():
    return (Kept,)
