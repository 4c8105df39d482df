"""A hook that takes an argument which ganbench does not pass."""

from dataclasses import dataclass
from typing import ClassVar

from ganbench import hookimpl


@dataclass(frozen=True)
class Argued:
    """Never asked for."""

    name: ClassVar[str] = "argued"
    paper: ClassVar[str] = "arXiv:1406.2661"

    def generator(self, game):
        return -game.fake_logits.mean()


@hookimpl
def losses(config):
    return [Argued]
