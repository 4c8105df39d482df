"""A hook of the wrong name beside one of the right name, and one that a later ganbench may know."""

from dataclasses import dataclass
from typing import ClassVar

from ganbench import hookimpl


@dataclass(frozen=True)
class Spelt:
    """Offered by the hook that is spelt right."""

    name: ClassVar[str] = "spelt"
    paper: ClassVar[str] = "arXiv:1406.2661"

    def generator(self, game):
        return -game.fake_logits.mean()


@hookimpl
def loses():
    return [Spelt]


@hookimpl(optionalhook=True)
def schedulers():
    return []


@hookimpl(specname="losses")
def the_losses():
    return [Spelt]
