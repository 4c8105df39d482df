"""What a classifier may learn from a data set, and what it may be judged on: checked, and kept apart by content."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganbench import Images, ImageSpec

OWN, SHARED = "extractor", "train"
FEWEST = 2
"""Images of each class without which there is nothing to learn."""


@dataclass(frozen=True)
class Material:
    """Labelled images to learn from (``seen``, of ``split``) and to be judged on (``unseen``, of ``judged_on``).

    ``left_out`` images of the latter occur in the former too, pixel by pixel, and were taken out. ``shared`` says how
    many of the former occur in the splits that GANs are trained on and compared with. ``notes`` are for people.
    """

    spec: ImageSpec
    classes: int
    split: str
    seen: Images
    judged_on: tuple[str, ...]
    unseen: Images
    left_out: int
    shared: dict[str, int]
    notes: tuple[str, ...]


def gather(dataset: Any, root: Path, judged_on: Sequence[str]) -> Material:
    """Load the split "extractor" of ``dataset``, or "train" where it has none, and what is to judge.

    Raises:
        ValueError: the samples are no labelled images of several classes, too few, or not readable.
    """
    try:
        return _gather(dataset, root, tuple(judged_on))
    except OSError as error:
        raise ValueError(f"dataset {dataset.name!r}: {error}") from error


def _gather(dataset: Any, root: Path, judged_on: tuple[str, ...]) -> Material:
    spec = dataset.spec(root)
    classes = _classes(dataset.name, spec)
    split, seen, why = _own_split(dataset, root)
    if split in judged_on or not judged_on:
        raise ValueError(f"judged_on is {list(judged_on)}; name splits other than {split!r}, which is learned from")
    _check_counts(f"split {split!r} of {dataset.name!r}", seen, classes)
    known = set(_hashes(seen.pixels))
    others = {name: dataset.load(root, name) for name in dict.fromkeys((*judged_on, SHARED, "test")) if name != split}
    strange = {name: torch.tensor([row not in known for row in _hashes(part.pixels)]) for name, part in others.items()}
    unseen = [_only(others[name], strange[name]) for name in judged_on]
    judged = Images(torch.cat([part.pixels for part in unseen]), torch.cat([_labels(part) for part in unseen]))
    if not len(judged):
        raise ValueError(f"{dataset.name!r} has no image in {' and '.join(judged_on)} that was not learned from")
    shared = {name: _shared(seen, others.get(name)) for name in (SHARED, "test")}
    return Material(
        spec=spec, classes=classes, split=split, seen=seen, judged_on=judged_on, unseen=judged,
        left_out=sum(int((~strange[name]).sum()) for name in judged_on), shared=shared,
        notes=tuple(_notes(split, len(seen), shared, why)),
    )  # fmt: skip


def _classes(name: str, spec: Any) -> int:
    if not isinstance(spec, ImageSpec):
        raise ValueError(f"a classifier learns from images, and {name!r} holds points of shape {spec.shape}")
    if spec.classes is None:
        raise ValueError(
            f"a classifier learns from labelled images, and {name!r} has no labels; sort them into classes"
        )
    if spec.classes < 2:
        raise ValueError(f"a classifier tells classes apart, and {name!r} has only one")
    return spec.classes


def _own_split(dataset: Any, root: Path) -> tuple[str, Images, str]:
    """Return the name and the content of the split to learn from, and why it is not "extractor", if it is not."""
    try:
        return OWN, dataset.load(root, OWN), ""
    except ValueError as error:
        return SHARED, dataset.load(root, SHARED), str(error)  # where that fails too, the set itself is broken


def _check_counts(where: str, images: Images, classes: int) -> None:
    labels = _labels(images)
    if len(labels) and (int(labels.min()) < 0 or int(labels.max()) >= classes):
        raise ValueError(f"{where} has labels from {int(labels.min())} to {int(labels.max())}, not 0 to {classes - 1}")
    counts = torch.bincount(labels, minlength=classes).tolist()
    few = next((kind for kind, count in enumerate(counts) if count < FEWEST), None)
    if few is not None:
        raise ValueError(f"{where} has {counts[few]} images of class {few}; at least {FEWEST} of each class are needed")


def _labels(images: Images) -> Tensor:
    if images.labels is None:
        raise ValueError("a classifier learns from labelled images, and a split of these has no labels")
    return images.labels


def _hashes(pixels: Tensor) -> list[bytes]:
    return [hashlib.sha256(row.contiguous().numpy()).digest() for row in pixels]


def _only(images: Images, kept: Tensor) -> Images:
    return Images(images.pixels[kept], _labels(images)[kept])


def _shared(seen: Images, other: Images | None) -> int:
    """Return how many of ``seen`` are in ``other`` too; all of them where it is the same split (None)."""
    if other is None:
        return len(seen)
    known = set(_hashes(other.pixels))
    return sum(row in known for row in _hashes(seen.pixels))


def _notes(split: str, count: int, shared: dict[str, int], why: str) -> list[str]:
    said = [f"there is no split {OWN!r} to learn from ({why}), so it was trained on {split!r}"] if why else []
    uses = {SHARED: "that GANs are trained on", "test": "that scores are compared with"}
    said += [
        f"{number:,} of the {count:,} images that it was trained on are among those {uses[name]}"
        for name, number in shared.items()
        if number
    ]
    return said
