"""Components that lack what their kind must have."""

from dataclasses import dataclass
from typing import ClassVar

from ganbench import hookimpl


@dataclass(frozen=True)
class Half:
    name: ClassVar[str] = "half"
    paper: ClassVar[str] = "arXiv:1511.06434"

    def latent(self, data):
        return None


@dataclass(frozen=True)
class Idle:
    name: ClassVar[str] = "idle"
    paper: ClassVar[str] = "arXiv:1511.06434"


@dataclass(frozen=True)
class Whenever:
    name: ClassVar[str] = "whenever"
    paper: ClassVar[str] = "arXiv:1701.07875"
    after: ClassVar[str] = "lunch"

    def __call__(self, params, state):
        return None


@dataclass(frozen=True)
class Uncallable:
    name: ClassVar[str] = "uncallable"
    paper: ClassVar[str] = "arXiv:1701.07875"
    after: ClassVar[str] = "round"


@dataclass(frozen=True)
class Undirected:
    name: ClassVar[str] = "undirected"
    paper: ClassVar[str] = "arXiv:1706.08500"

    def compute(self, generated, real, context):
        return 0.0


@hookimpl
def architectures():
    return [Half]


@hookimpl
def losses():
    return [Idle]


@hookimpl
def constraints():
    return [Whenever, Uncallable]


@hookimpl
def metrics():
    return [Undirected]
