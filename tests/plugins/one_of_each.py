"""A plugin that implements every hook, with one small component of each kind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch

from ganbench import Features, Images, Latent, PointSpec, hookimpl
from ganbench.files import write_json


@dataclass(frozen=True)
class Line:
    """One linear layer a player."""

    name: ClassVar[str] = "line"
    paper: ClassVar[str] = "tests"

    bias: bool = True

    def latent(self, data):
        return Latent(2)

    def generator(self, data):
        return torch.nn.Linear(2, data.shape[0], bias=self.bias)

    def discriminator(self, data):
        return torch.nn.Sequential(torch.nn.Linear(data.shape[0], 1), torch.nn.Flatten(0))

    @classmethod
    def smallest(cls):
        return cls(), PointSpec((2,))


@dataclass(frozen=True)
class Difference:
    """The difference of the means.

    What D minimises, with z = latents:

        E[D(G(z))] - E[D(x)] = loss
    """

    name: ClassVar[str] = "difference"
    paper: ClassVar[str] = "arXiv:1701.07875"

    def discriminator(self, game):
        return game.fake_logits.mean() - game.real_logits.mean()

    def generator(self, game):
        return -game.fake_logits.mean()


@dataclass(frozen=True)
class Drift:
    """A small penalty on the logits."""

    name: ClassVar[str] = "sway"
    paper: ClassVar[str] = "arXiv:1710.10196"
    formula: ClassVar[str] = "weight E[D(x)^2]"

    weight: float = 1e-3

    def penalty(self, game):
        return self.weight * game.real_logits.square().mean()


@dataclass(frozen=True)
class Clamp:
    """Keeps weights within a box."""

    name: ClassVar[str] = "clamp"
    paper: ClassVar[str] = "arXiv:1701.07875"
    after: ClassVar[str] = "discriminator"

    def __call__(self, params, state):
        for parameter in params:
            parameter.clamp_(-1, 1)


@dataclass(frozen=True)
class Jitter:
    """Adds noise of a given size."""

    name: ClassVar[str] = "jitter"
    paper: ClassVar[str] = "tests"

    size: float = 0.1

    def __call__(self, images, game):
        return images + self.size * game.normal(*images.shape)


@dataclass(frozen=True)
class Descent:
    """Plain gradient descent."""

    name: ClassVar[str] = "descent"
    paper: ClassVar[str] = "tests"

    lr: float = 0.1

    def build(self, params):
        return torch.optim.SGD(params, lr=self.lr)


@dataclass(frozen=True)
class Corners:
    """Points at two corners."""

    name: ClassVar[str] = "corners"
    paper: ClassVar[str] = "tests"
    extractor: ClassVar[str] = "raw"
    domain: ClassVar[str] = "corners"

    def spec(self, root):
        return PointSpec((2,))

    def load(self, root, split):
        return Images(torch.eye(2).repeat(8, 1))


@dataclass(frozen=True)
class RawNetwork:
    provenance: ClassVar[dict] = {"layer": "raw", "width": 2}
    canonical: ClassVar[bool] = False

    def __call__(self, stored):
        return Features(stored.float())


@dataclass(frozen=True)
class Raw:
    """The points themselves."""

    name: ClassVar[str] = "raw"
    paper: ClassVar[str] = "tests"

    def accepts(self, data):
        return None if isinstance(data, PointSpec) else "raw takes points"

    def available(self):
        return None

    def load(self, device):
        return RawNetwork()


@dataclass(frozen=True)
class Counting:
    """Counts the images of each class and learns nothing."""

    name: ClassVar[str] = "counting"
    paper: ClassVar[str] = "tests"

    patience: int = 1

    def train(self, lesson):
        labels = lesson.dataset.load(lesson.root, "train").labels
        if labels is None:
            raise ValueError("there is no label to count")
        lesson.tell(1.0, "counted")
        most = torch.bincount(labels).max().item()
        card = {"name": lesson.name, "test": {"images": len(labels), "accuracy": most / len(labels)}, "notes": []}
        write_json(lesson.folder / f"{lesson.name}.json", card)
        return card


@dataclass(frozen=True)
class Gap:
    """Distance of the means."""

    name: ClassVar[str] = "gap"
    paper: ClassVar[str] = "tests"
    direction: ClassVar[str] = "lower"
    scale: ClassVar[str] = "linear"
    needs: ClassVar[frozenset] = frozenset({"moments"})
    version: ClassVar[int] = 1
    formula: ClassVar[str] = "|m1 - m2|"

    def compute(self, generated, real, context):
        return float((generated.mean - real.mean).norm())


@dataclass(frozen=True)
class Nothing:
    """Zeros."""

    name: ClassVar[str] = "nothing"
    paper: ClassVar[str] = "tests"

    def fit(self, data, images, rng):
        return lambda n: torch.zeros(n, *data.shape)


@hookimpl
def architectures():
    return [Line]


@hookimpl
def losses():
    return [Difference]


@hookimpl
def regularizers():
    return [Drift]


@hookimpl
def constraints():
    return [Clamp]


@hookimpl
def augmentations():
    return [Jitter]


@hookimpl
def optimizers():
    return [Descent]


@hookimpl
def datasets():
    return [Corners]


@hookimpl
def extractors():
    return [Raw]


@hookimpl
def trainers():
    return [Counting]


@hookimpl
def metrics():
    return [Gap]


@hookimpl
def baselines():
    return [Nothing]


@hookimpl
def suites():
    return [Path(__file__).with_name("one_of_each.toml")]
