"""Extractors that were trained on this machine; no publication.

``ganbench extractor train`` leaves a card and weights in `ganbench.folders.extractors_folder` (the variable
GANBENCH_EXTRACTORS, else ``extractors/`` among the caches). Each card of the trainer `classifier` there is an extractor
of its own, for the data, size and channels that it was trained on. A card that cannot be used is offered too and says
why; the card of another trainer is that trainer's to offer.

Differs: from the Inception features of FID in everything; distances are named after the card, never fid.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch

import ganbench
from ganbench import DataSpec
from ganbench.components import NAME_PATTERN
from ganbench.folders import extractors_folder
from ganbench_zoo.classifier import ClassifierExtractor, ClassifierNetwork, Plan, read_card
from ganbench_zoo.trainers.classifier import ClassifierTrainer

REMEDY = "train it again with 'ganbench extractor train ... --force', or delete the card"


@dataclass(frozen=True)
class TrainedClassifier(ClassifierExtractor):
    """A classifier whose card can be read; a class of its own is made for each."""

    remedy: ClassVar[str] = REMEDY


@dataclass(frozen=True)
class Unreadable:
    """An extractor whose card cannot be used, for the reason that `available` gives."""

    name: ClassVar[str]
    paper: ClassVar[str] = "trained by ganbench; its card cannot be used"
    domains: ClassVar[frozenset[str] | None] = frozenset()
    reason: ClassVar[str]

    def accepts(self, data: DataSpec) -> str | None:
        return self.reason

    def available(self) -> str | None:
        return self.reason

    def load(self, device: torch.device) -> ClassifierNetwork:
        """Raise ValueError: there is nothing to load."""
        raise ValueError(self.reason)


@ganbench.hookimpl
def extractors() -> Sequence[type]:
    """Offer one class for each card in the folder of trained extractors."""
    folder = extractors_folder()
    try:
        names = sorted(path.stem for path in folder.glob("*.json") if re.fullmatch(NAME_PATTERN, path.stem))
    except OSError:
        return []
    return [component for name in names if (component := _component(name, folder)) is not None]


def _component(name: str, folder: Path) -> type | None:
    """Return the class of the card ``name``, or None for the card of another trainer."""
    try:
        card = read_card(name, folder, REMEDY)
    except ValueError as error:
        return _unreadable(name, str(error))
    trainer = card.get("trainer")
    if isinstance(trainer, Mapping) and trainer.get("name") != ClassifierTrainer.name:
        return None
    try:
        return _made(TrainedClassifier, name, *_content(name, card), folder=folder)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        return _unreadable(name, f"its card {folder / name}.json cannot be used ({what}); {REMEDY}")


def _unreadable(name: str, reason: str) -> type:
    return _made(Unreadable, name, "A trained classifier whose card cannot be used.", {"reason": reason})


def _content(name: str, card: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return docstring and class variables out of a card. Raises KeyError, TypeError or ValueError for a broken one."""
    data, accuracy = card["data"], float(card["test"]["accuracy"])
    dataset, domain, paper = (str(data[key]) for key in ("dataset", "domain", "paper"))
    if card["name"] != name:
        raise ValueError(f"it is the card of {card['name']!r}")
    plan = Plan.from_json(card["plan"])
    doc = f"Features of width {plan.width} of a classifier of {dataset}, right on {accuracy:.1%} of unseen images."
    values = {"paper": f"trained by ganbench on {paper}; see its card", "domains": frozenset({domain}), "plan": plan}
    return doc, values


def _made(base: type, name: str, doc: str, values: Mapping[str, Any], **more: Any) -> type:
    """Return a frozen dataclass over ``base`` with these class variables."""
    space = {"__doc__": doc, "__module__": __name__, "name": name, **values, **more}
    return dataclass(frozen=True)(type(f"{base.__name__}_{re.sub(r'[^a-z0-9]', '_', name)}", (base,), space))
