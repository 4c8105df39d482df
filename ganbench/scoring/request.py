"""What is to be scored, on what and by what; and whether that can be done here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from ganbench.components import Extractor, FeatureNetwork, Metric, Truth, trait
from ganbench.errors import ExtractorUnavailable, GanbenchError
from ganbench.scoring.extract import CAP
from ganbench.scoring.randomness import own_randomness
from ganbench.values import DataSpec, Features, Images, Stream

Status = Literal["done", "failed", "skipped"]


@dataclass(frozen=True)
class Score:
    """One measured value: ``metric`` is the full name, ``value`` is a number only where ``status`` is "done".

    ``error`` is its standard error over the generated samples, None where it is not known; ``note`` says what the
    value refers to, where a metric has something to say.
    """

    metric: str
    value: float | None
    status: Status
    reason: str | None
    protocol: str
    error: float | None = None
    note: str | None = None


@dataclass(frozen=True)
class ScoringSettings:
    """What to measure: ``metrics`` as (requested name, metric) pairs, on ``samples`` generated samples each.

    ``forced`` lets an extractor see data of a domain that it was not made for. ``errors`` asks for the standard error
    of each score, for which more may be kept. Neither that nor ``batch_size`` changes a score.
    """

    metrics: tuple[tuple[str, Metric], ...]
    extractor: Extractor
    samples: int
    seed: int = 0
    forced: bool = False
    cap: int = CAP
    batch_size: int = 128
    errors: bool = True


@dataclass(frozen=True)
class Subject:
    """The real data that scores refer to: the split that a GAN trains on and the split that it is compared with.

    ``dataset`` is the label in tables, ``provenance`` the dataset's name, parameters, split and content hash as JSON.
    ``train`` is None where nobody knows it, ``truth`` where the modes of the data are not known.
    """

    dataset: str
    domain: str
    data: DataSpec
    train: Images | Stream | None
    reference: Images | Stream
    provenance: Mapping[str, Any]
    truth: Truth | None = None


@dataclass(frozen=True)
class PlacedNetwork:
    """A `FeatureNetwork` that is given its batches on ``device``, so that sources need not know where it is."""

    network: FeatureNetwork
    device: torch.device

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What scores depend on, as the network says."""
        return self.network.provenance

    @property
    def canonical(self) -> bool:
        """Whether the network says that published names may be used."""
        return self.network.canonical

    def __call__(self, stored: Tensor) -> Features:
        """Map stored samples to features."""
        return self.network(stored.to(self.device))


def check_sizes(settings: ScoringSettings, subject: Subject) -> None:
    """Refuse what leaves nothing to score.

    Raises:
        GanbenchError: no sample is asked for, or the reference is empty.
    """
    if settings.samples < 1:
        raise GanbenchError(f"scoring asks for {settings.samples} samples; at least one is needed")
    if not len(subject.reference):
        raise GanbenchError(f"dataset {subject.dataset!r} has an empty reference split, so nothing can be scored")


def check_extractor(settings: ScoringSettings, subject: Subject) -> bool:
    """Return whether the extractor had to be forced onto this data.

    Raises:
        ExtractorUnavailable: it cannot be given samples of this shape, or refuses the domain.
    """
    extractor = settings.extractor
    reason = extractor.accepts(subject.data)
    if reason:
        raise ExtractorUnavailable(f"extractor {extractor.name!r} cannot be given {subject.dataset!r}: {reason}")
    domains = trait(extractor, "domains")
    if domains is None or subject.domain in domains:
        return False
    if not settings.forced:
        raise ExtractorUnavailable(
            f"extractor {extractor.name!r} was made for {', '.join(sorted(domains))} and {subject.dataset!r} is "
            f"{subject.domain}; choose another extractor, or force it "
            "(--force-extractor, or force = true under [scoring]) and its scores are named so"
        )
    return True


def load_network(extractor: Extractor, device: torch.device) -> PlacedNetwork:
    """Load ``extractor`` onto ``device``; global random state stays as it was, though layers draw initial weights.

    Raises:
        ExtractorUnavailable: its weights are missing, or of the wrong hash or shape.
    """
    try:
        with own_randomness(0, device):
            return PlacedNetwork(extractor.load(device), device)
    except ValueError as error:
        raise ExtractorUnavailable(f"extractor {extractor.name!r} cannot be loaded: {error}") from error
