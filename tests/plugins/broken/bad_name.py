"""Names that no component may have."""

from dataclasses import dataclass
from typing import ClassVar

from ganbench import hookimpl


@dataclass(frozen=True)
class Shouting:
    """Upper case."""

    name: ClassVar[str] = "Loud Name"
    paper: ClassVar[str] = "arXiv:1406.2661"

    def generator(self, game):
        return -game.fake_logits.mean()


@dataclass(frozen=True)
class Nameless:
    paper: ClassVar[str] = "arXiv:1406.2661"

    def generator(self, game):
        return -game.fake_logits.mean()


@dataclass(frozen=True)
class Paperless:
    name: ClassVar[str] = "paperless"

    def generator(self, game):
        return -game.fake_logits.mean()


@hookimpl
def losses():
    return [Shouting, Nameless, Paperless]
