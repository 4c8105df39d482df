"""Fields that suites reserve for themselves."""

from dataclasses import dataclass
from typing import ClassVar

from ganbench import hookimpl


@dataclass(frozen=True)
class Greedy:
    name: ClassVar[str] = "greedy"
    paper: ClassVar[str] = "arXiv:1406.2661"
    sweep: int = 3

    def generator(self, game):
        return -game.fake_logits.mean()


@hookimpl
def losses():
    return [Greedy]
