"""Classes that are no frozen dataclass, beside one that is."""

from dataclasses import dataclass
from typing import ClassVar

from ganbench import hookimpl


@dataclass
class Thawed:
    name: ClassVar[str] = "thawed"
    paper: ClassVar[str] = "arXiv:1406.2661"

    def generator(self, game):
        return -game.fake_logits.mean()


class Plain:
    name = "plain"
    paper = "arXiv:1406.2661"

    def generator(self, game):
        return -game.fake_logits.mean()


@dataclass(frozen=True)
class Frozen:
    """Keeps its place beside two that are refused."""

    name: ClassVar[str] = "frozen"
    paper: ClassVar[str] = "arXiv:1406.2661"

    def generator(self, game):
        return -game.fake_logits.mean()


class Undecorated(Frozen):
    name = "undecorated"
    weight: float = 1.0


@hookimpl
def losses():
    return [Thawed, Frozen, Plain, Undecorated]
