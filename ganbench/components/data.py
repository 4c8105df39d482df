"""What deals in real data: datasets with their truth, baselines, and trainers of extractors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from ganbench.components.base import Component
from ganbench.components.training import Architecture, Loss
from ganbench.values import DataSpec, Images

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Dataset(Component, Protocol):
    """Real data in named splits; "train" is what a GAN sees, "test" is the reference of its scores.

    ``extractor`` names the default extractor, ``domain`` the kind of data as extractors know it ("mnist"). May define
    ``fingerprint(root) -> str`` where the content is the user's own and belongs to a run's identity. A field that only
    says where the data lie has the metadata ``{"location": True}`` and does not.

    May also define ``truth(root) -> Truth`` where the modes of the data are known; ``stream(root, split) -> Stream``,
    the same samples as `load` gives, for sets too large for memory; and the class method ``opening(path) -> Dataset |
    None``: a dataset of what lies at this path, if it is something that it can read. The split "all" of that one holds
    everything there; its field ``value_range``, where it has one, is set to what the floats of images are said to lie
    in; the docstring of ``opening`` begins with "Open" and what it opens.
    """

    extractor: ClassVar[str]
    domain: ClassVar[str]

    def spec(self, root: Path) -> DataSpec:
        """Return the data spec without loading the pixels. Raises ValueError for a broken set."""

    def load(self, root: Path, split: str) -> Images:
        """Return one split, downloading under ``root`` where the set allows it.

        Raises:
            ValueError: the split does not exist, or the files are missing, truncated or of mixed sizes.
        """


class Truth(Protocol):
    """What is known of data whose modes are known."""

    @property
    def modes(self) -> int:
        """How many modes there are."""

    @property
    def width(self) -> int | None:
        """In how many dimensions a sample deviates from its mode's mean; None where a mode is no density (a class)."""

    def locate(self, stored: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the mode of each stored sample, int64 (N,), -1 for a sample of no mode, and its deviation.

        The deviation is the Mahalanobis distance to the nearest mode's mean, float64 (N,), or None without a width.
        """


Sampler = Callable[[int], "Tensor"]
"""n -> stored samples (up to n of them): uint8 (n, C, H, W) or float32 (n, d)."""


@dataclass(frozen=True)
class Combination:
    """What a baseline trains: one architecture with one loss; ``recipe`` over the core's is all the recipe it has."""

    architecture: Architecture
    loss: Loss
    recipe: Mapping[str, Any] = field(default_factory=dict)


class Baseline(Component, Protocol):
    """A reference row outside the product of architectures and losses: one of two methods.

    ``fit(data, images, rng) -> Sampler`` returns a sampler that was fitted to ``images``, a function from n to up to n
    stored samples (uint8 (n, C, H, W) or float32 (n, d)); it is cheap, and run once. ``images`` are a `Stream` where
    the split is too large for memory; ``images.pixels[rows]``, rows int64, reads of both.
    ``combination(data) -> Combination`` says what to train; it is run with every seed of the suite, on its budget, and
    kept, stopped and scored like any other run. Raises ValueError for data that it cannot draw.
    """


@dataclass(frozen=True)
class Lesson:
    """What a trainer is given for one training.

    ``dataset`` has its files under ``root``. What the trainer writes into ``folder`` is called after ``name``, which is
    to be the extractor's; ``command`` is what repeats the training, for the card. ``tell(share, words)`` is called now
    and then with the share of the work that is done, in [0, 1], and what there is to say of it.
    """

    name: str
    dataset: Dataset
    root: Path
    folder: Path
    device: torch.device
    seed: int
    command: str
    tell: Callable[[float, str], None]


class Trainer(Component, Protocol):
    """A way to make an extractor out of labelled data, for ``ganbench extractor train``.

    A plugin with a trainer also offers, as extractors, what it has left in `ganbench.folders.extractors_folder`; one
    that cannot be used says why in its ``available()``.
    """

    def train(self, lesson: Lesson) -> Mapping[str, Any]:
        """Train, judge on samples that were not seen, write ``<name>.json`` and the rest, and return that card.

        The card is JSON and has at least ``test: {images, accuracy}``; ``notes``, a list of sentences for who asked.

        Raises:
            ValueError: these data cannot be learned from; nothing was written.
            ArithmeticError: the training diverged; nothing was written.
        """
