"""Made-up data: a dataset of random samples of any shape, for measuring speed, which does not depend on content.

It is no plugin and stands in no list: `with_made_up` puts it into a copy of a catalog, for one measurement.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

import torch

from ganbench.catalog import Catalog, Entry
from ganbench.errors import SuiteError
from ganbench.values import DataSpec, Images, ImageSpec, PointSpec

SAMPLES = 1024
BYTES = 1 << 26  # of a split; large images are fewer


@dataclass(frozen=True)
class MadeUp:
    """Random samples: images of ``shape`` (C, H, W), or points of ``shape`` (d,); the same ones each time."""

    shape: tuple[int, ...] = (3, 32, 32)
    classes: int | None = None

    name: ClassVar[str] = "made_up"
    paper: ClassVar[str] = "none"
    extractor: ClassVar[str] = "unscored"
    domain: ClassVar[str] = "made_up"

    def __post_init__(self) -> None:
        self.spec(Path())  # refuses what is no shape

    def spec(self, root: Path) -> DataSpec:  # noqa: ARG002  as datasets have it
        """Return the spec of such data."""
        if len(self.shape) == 1:
            return PointSpec((self.shape[0],), self.classes)
        channels, height, width = self.shape
        return ImageSpec((channels, height, width), self.classes)

    def load(self, root: Path, split: str) -> Images:
        """Return one split: samples uint8 (N, C, H, W) or float32 (N, d), and labels where there are classes."""
        count = max(16, min(SAMPLES, BYTES // math.prod(self.shape)))
        rng = torch.Generator().manual_seed(("train", "test").index(split))
        if isinstance(self.spec(root), PointSpec):
            samples = torch.randn((count, *self.shape), generator=rng)
        else:
            samples = torch.randint(0, 256, (count, *self.shape), dtype=torch.uint8, generator=rng)
        labels = None if self.classes is None else torch.randint(self.classes, (count,), generator=rng)
        return Images(samples, labels)


@dataclass(frozen=True)
class Unscored:
    """Stands where a dataset names its extractor; made-up data are never scored."""

    name: ClassVar[str] = "unscored"
    paper: ClassVar[str] = "none"


def with_made_up(catalog: Catalog) -> Catalog:
    """Return ``catalog`` with `MadeUp` as the dataset of its name."""
    added: Mapping[tuple[str, str], Entry] = {
        (kind, component.name): Entry(kind, component.name, component, "ganbench")
        for kind, component in (("dataset", MadeUp), ("extractor", Unscored))
    }
    return replace(catalog, entries=MappingProxyType({**catalog.entries, **added}))


def parse_shape(text: str) -> tuple[int, ...]:
    """Return the shape that ``text`` writes: "3x32x32" for images (C, H, W), "2" for points.

    Raises:
        SuiteError: it is neither.
    """
    parts = text.lower().split("x")
    if len(parts) not in (1, 3) or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise SuiteError(
            f"cannot read the shape {text!r}; write 3x32x32 for images (channels x height x width), 2 for points"
        )
    return tuple(int(part) for part in parts)


def term(shape: tuple[int, ...], classes: int | None = None) -> str:
    """Return the term that names such data in a suite, labelled by its shape."""
    label = "x".join(str(size) for size in shape)
    labelled = "" if classes is None else f", classes={classes}"
    return f'{MadeUp.name}(shape={list(shape)}{labelled}, label="{label}")'
