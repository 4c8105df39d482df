"""Sanity ladders: real samples, damaged a little more on every rung, so that one knows how a metric should move."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from ganbench.scoring.corruption import add_noise, blur, copied_rows, lower_contrast, mix_pairs
from ganbench.seeds import derive
from ganbench.values import Images

FEW = 0.05
"""Share of the samples that copies are made of."""


@dataclass(frozen=True)
class Stock:
    """Real samples in an order of their own: the first ``n`` are the clean set, the rest is there to fill gaps."""

    images: Images
    n: int
    seed: int

    @property
    def clean(self) -> Images:
        """The first ``n`` samples."""
        return self.take(torch.arange(self.n))

    @property
    def is_image(self) -> bool:
        """Whether the samples are images, not points."""
        return self.images.pixels.dtype == torch.uint8

    def take(self, rows: Tensor) -> Images:
        """Return the samples at ``rows``, int64 (m,)."""
        labels = self.images.labels
        return Images(self.images.pixels[rows], None if labels is None else labels[rows])

    def rng(self, name: str) -> torch.Generator:
        """Return the random numbers of the ladder ``name``, from their start."""
        return torch.Generator().manual_seed(derive(self.seed, "ladder", name))


@dataclass(frozen=True)
class Rung:
    """``n`` samples damaged to the degree ``level``; rung 0 is clean.

    ``copies`` says how many of them stand there already; ``effective`` is how many independent samples are worth as
    much: n^2 over the sum of the squared numbers of times that each stands there (L. Kish, "Survey Sampling", 1965).
    """

    number: int
    level: float
    images: Images
    copies: int = 0
    effective: float = 0.0


Damage = Callable[[Stock, float], tuple[Images, Tensor]]
"""Damages the clean set to a degree; also returns from which sample of the stock each one comes, int64 (n,)."""


@dataclass(frozen=True)
class Ladder:
    """One kind of damage: what its ``levels`` count (``unit``), for images and for points (none: not for points).

    ``classes`` says that it takes whole classes away, ``few`` that on its last rung a few random samples decide.
    """

    name: str
    unit: str
    levels: tuple[float, ...]
    point_levels: tuple[float, ...]
    damage: Damage
    classes: bool = False
    few: bool = False

    def refusal(self, stock: Stock) -> str | None:
        """Say why ``stock`` cannot be damaged so, or None."""
        if not stock.is_image and not self.point_levels:
            return "points have no pixels"
        if stock.n < 2:
            return "one sample is no set"
        if not self.classes:
            return None
        if stock.images.labels is None:
            return "the samples have no labels"
        return "all samples are of one class" if len(present(stock)) < 2 else None

    def degrees(self, stock: Stock) -> tuple[float, ...]:
        """Return the levels for ``stock``, ascending from 0."""
        levels = self.levels if stock.is_image else self.point_levels
        if not self.classes:
            return levels
        count = len(present(stock))
        return tuple(sorted({min(round(level * count), count - 1) / count for level in levels}))

    def rungs(self, stock: Stock) -> Iterator[Rung]:
        """Yield the damaged sets, from the least damage on; the clean set, rung 0, is not among them.

        Raises:
            ValueError: there is a `refusal`.
        """
        self._require(stock)
        for number in range(1, len(self.degrees(stock))):
            yield self.rung(stock, number)

    def rung(self, stock: Stock, number: int) -> Rung:
        """Return one damaged set; numbers may be counted from the end. Raises as `rungs` does."""
        self._require(stock)
        levels = self.degrees(stock)
        number %= len(levels)
        images, rows = self.damage(stock, levels[number])
        times = rows.bincount()
        copies = stock.n - int((times > 0).sum())
        return Rung(number, levels[number], images, copies, stock.n**2 / float(times.square().sum()))

    def _require(self, stock: Stock) -> None:
        reason = self.refusal(stock)
        if reason:
            raise ValueError(f"ladder {self.name!r} cannot be climbed: {reason}")


def present(stock: Stock) -> list[int]:
    """Return the classes that occur in ``stock``, ascending."""
    return [] if stock.images.labels is None else sorted(set(stock.images.labels.tolist()))


def _changing(name: str, change: Callable[[Tensor, float, torch.Generator], Tensor]) -> Damage:
    """Return the damage that changes pixels and leaves labels what they were."""

    def damage(stock: Stock, level: float) -> tuple[Images, Tensor]:
        clean = stock.clean
        return Images(change(clean.pixels, level, stock.rng(name)), clean.labels), torch.arange(stock.n)

    return damage


def _duplicate(stock: Stock, level: float) -> tuple[Images, Tensor]:
    rows = copied_rows(stock.n, level, FEW, stock.rng("duplication"))
    return stock.take(rows), rows


def _drop_modes(stock: Stock, level: float) -> tuple[Images, Tensor]:
    """Replace the samples of dropped classes by others of the kept ones: unused ones first, then copies."""
    labels = stock.images.labels
    if labels is None:
        raise ValueError("the samples have no labels")
    rng, classes = stock.rng("mode_dropping"), torch.tensor(present(stock))
    order = classes[torch.randperm(len(classes), generator=rng)]
    kept = torch.isin(labels, order[round(level * len(classes)) :])  # (all,)
    rows, spare = torch.arange(stock.n), kept.nonzero()[:, 0]
    gaps = (~kept[: stock.n]).nonzero()[:, 0]
    unused = spare[spare >= stock.n][: len(gaps)]
    copies = spare[torch.randint(len(spare), (len(gaps) - len(unused),), generator=rng)]
    rows[gaps] = torch.cat([unused, copies])
    return stock.take(rows), rows


_SHARES = (0.0, 0.2, 0.4, 0.6, 0.8, 0.95)

LADDERS: Mapping[str, Ladder] = MappingProxyType(
    {
        ladder.name: ladder
        for ladder in (
            Ladder(
                "noise",
                "standard deviation of normal noise, as a share of the pixels' range or the points' spread",
                (0.0, 0.05, 0.1, 0.2, 0.4, 0.8),
                (0.0, 0.01, 0.03, 0.1, 0.3, 1.0),
                _changing("noise", add_noise),
            ),
            Ladder(
                "blur",
                "standard deviation of a Gaussian blur, as a share of the shorter side",
                (0.0, 0.03, 0.06, 0.12, 0.2, 0.32),
                (),
                _changing("blur", lambda pixels, level, _: blur(pixels, level)),
            ),
            Ladder(
                "contrast",
                "share by which every pixel is drawn to the mean of its image",
                _SHARES,
                (),
                _changing("contrast", lambda pixels, level, _: lower_contrast(pixels, level)),
            ),
            Ladder(
                "mode_dropping",
                "share of the classes that are missing, their places taken by others",
                (0.0, 0.1, 0.3, 0.5, 0.7, 0.9),
                (0.0, 0.1, 0.3, 0.5, 0.7, 0.9),
                _drop_modes,
                classes=True,
            ),
            Ladder(
                "duplication",
                f"share of the samples that are copies of a few others ({FEW:.0%} of all)",
                _SHARES,
                _SHARES,
                _duplicate,
                few=True,
            ),
            Ladder(
                "mixing",
                "share of the samples that are the mean of two",
                (0.0, 0.1, 0.2, 0.4, 0.7, 1.0),
                (0.0, 0.1, 0.2, 0.4, 0.7, 1.0),
                _changing("mixing", mix_pairs),
            ),
        )
    }
)
"""The ladders by name; a metric's ``blind`` names those along which it is not meant to move."""
