"""Checks what makes extractors out of labelled data."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch

from ganbench.components import Lesson
from ganbench.identity import canonical
from ganbench.testing.description import label_of
from ganbench.testing.fault import ComponentFault, blaming, require
from ganbench.testing.rehearsal import Scene
from ganbench.values import DataSpec, Images, ImageSpec

_EACH = 24  # images a class and split


def check_trainer(trainer: Any, scene: Scene) -> None:  # noqa: ARG001  all checks take a scene
    """Check that a trainer leaves its card, tells of its progress, writes nowhere else, and refuses unlabelled data."""
    label = f"trainer {label_of(trainer)}"
    with tempfile.TemporaryDirectory() as parent:
        folder, shares = Path(parent) / "extractors", list[float]()
        with blaming(label):
            card = trainer.train(_lesson(_Marks(), folder, lambda share, _: shares.append(share)))
            canonical(dict(card))
        test = card.get("test")
        said = isinstance(test, dict) and isinstance(test.get("images"), int) and 0 <= test.get("accuracy", -1) <= 1
        require(said, f"{label}: the card's test is {test!r}; wants images and an accuracy in [0, 1]")
        require((folder / "checked.json").is_file(), f"{label} was to write checked.json, and there is none")
        strange = sorted(p.name for p in Path(parent).rglob("*") if p.is_file() and not p.name.startswith("checked."))
        require(not strange, f"{label} of the extractor 'checked' wrote {', '.join(strange)}")
        fine = shares == sorted(shares) and all(0 <= share <= 1 for share in shares)
        require(bool(shares) and fine, f"{label} told the shares {shares}; wants them to rise within [0, 1]")
        try:
            trainer.train(_lesson(_Marks(labelled=False), folder, lambda *_: None))
        except ValueError:
            return
    raise ComponentFault(f"{label} took a data set without labels; raise ValueError")


def _lesson(dataset: Any, folder: Path, tell: Any) -> Lesson:
    return Lesson("checked", dataset, folder, folder, torch.device("cpu"), 0, "check_component", tell)


@dataclass(frozen=True)
class _Marks:
    """8x8 images of two classes, dark and bright in the middle, perhaps without their labels."""

    labelled: bool = True

    name: ClassVar[str] = "marks"
    paper: ClassVar[str] = "none"
    extractor: ClassVar[str] = "checked"
    domain: ClassVar[str] = "marks"

    def spec(self, root: Path) -> DataSpec:  # noqa: ARG002  made up, not read
        """Return one channel of 8x8."""
        return ImageSpec((1, 8, 8), classes=2 if self.labelled else None)

    def load(self, root: Path, split: str) -> Images:  # noqa: ARG002  made up, not read
        """Return "train" or "test"."""
        if split not in ("train", "test"):
            raise ValueError(f"marks has no split {split!r}")
        rng, labels = torch.Generator().manual_seed(len(split)), torch.arange(2 * _EACH) % 2
        pixels = torch.randint(60, (2 * _EACH, 1, 8, 8), generator=rng)
        pixels[labels == 1, :, 2:6, 2:6] += 150
        return Images(pixels.byte(), labels if self.labelled else None)
