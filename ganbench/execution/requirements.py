"""What a job asks for by name, found and made ready, or refused in a sentence before anything trains."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from ganbench.catalog import Catalog
from ganbench.components import Baseline, Extractor, Metric, Truth, trait
from ganbench.errors import DatasetError, ExtractorUnavailable, SuiteError
from ganbench.memory import available_bytes
from ganbench.scoring.provenance import resolve_metric
from ganbench.suite.assemble import component
from ganbench.suite.parameters import instantiate
from ganbench.suite.plan import PlannedDataset
from ganbench.suite.terms import parse_term
from ganbench.values import DataSpec, Images, ImageSpec, Stream

HELD = 0.25
"""Share of the available memory that a split which can be streamed may take: a larger one is streamed."""


@dataclass(frozen=True)
class Splits:
    """A loaded dataset: what GANs see, what they are compared with, and its modes where it knows them.

    ``streamed`` is the training split of a dataset that can be streamed, whether or not ``train`` is held in memory.
    """

    spec: DataSpec
    domain: str
    train: Images | Stream
    test: Images | Stream
    truth: Truth | None = None
    streamed: Stream | None = None

    @property
    def scored(self) -> Images | Stream:
        """The training split as scores read it: its hash must not tell how much memory a machine has."""
        return self.train if self.streamed is None else self.streamed


def load_splits(catalog: Catalog, planned: PlannedDataset, data_root: Path) -> Splits:
    """Return the splits of a dataset that GANs see and are compared with.

    Where the dataset can be streamed, its training split is if it would take more than `HELD` of the memory that is
    available; its test split is read as it is needed, unless the dataset itself holds it.

    Raises:
        DatasetError: it is missing, truncated, or of mixed sizes.
    """
    dataset = component(catalog, "dataset", planned.component)
    try:
        spec = dataset.spec(data_root)
        truth = dataset.truth(data_root) if hasattr(dataset, "truth") else None
        if not hasattr(dataset, "stream"):
            train, test = (dataset.load(data_root, split) for split in ("train", "test"))
            return Splits(spec, dataset.domain, train, test, truth)
        available = available_bytes()
        streamed, test = (dataset.stream(data_root, split) for split in ("train", "test"))
        large = available is not None and _nbytes(streamed, spec) > HELD * available
        train = streamed if large else _held(streamed) or dataset.load(data_root, "train")
    except (ValueError, OSError) as error:
        raise DatasetError(f"dataset {planned.label!r}: {error}") from error
    except Exception as error:  # a stranger's dataset
        raise DatasetError(f"dataset {planned.label!r} raised {type(error).__name__}: {error}") from error
    return Splits(spec, dataset.domain, train, test, truth, streamed)


def draw_baseline(baseline: Baseline, splits: Splits, rng: torch.Generator, n: int) -> Tensor:
    """Return up to ``n`` stored samples of a baseline that is fitted to the training split.

    Raises:
        DatasetError: it wants that split in memory, which has no room for it.
    """
    try:
        drawn: Tensor = cast(Any, baseline).fit(splits.spec, splits.train, rng)(n)
    except (TypeError, AttributeError) as error:
        if isinstance(splits.train, Images):
            raise
        raise DatasetError(
            f"the training split takes more than {HELD:.0%} of the memory that is available, so it is streamed, and "
            f"baseline {baseline.name!r} cannot be fitted to a stream ({error})"
        ) from error
    return drawn


def require_memory(images: Images | Stream, spec: DataSpec, what: str) -> None:
    """Refuse a streamed split that is to be held whole and would take more than half of the available memory.

    Raises:
        DatasetError: so it is; the sentence begins with ``what``.
    """
    needed, available = _nbytes(images, spec), available_bytes()
    if isinstance(images, Stream) and available is not None and needed > available / 2:
        raise DatasetError(
            f"{what} wants the whole training split in memory: {needed / 2**30:.1f} GiB, more than half of the "
            f"{available / 2**30:.1f} GiB that are available"
        )


def _nbytes(images: Images | Stream, spec: DataSpec) -> int:
    return len(images) * math.prod(spec.shape) * (1 if isinstance(spec, ImageSpec) else 4)


def _held(streamed: Stream) -> Images | None:
    """Return a stream whose samples lie in memory, or are mapped into it, as images; None for any other."""
    whole = getattr(streamed.pixels, "whole", None)
    return None if whole is None else Images(whole, streamed.labels)


def find_metric(catalog: Catalog, text: str) -> Metric:
    """Return the metric that ``text`` asks for: by its own name, perhaps with parameters, or by its published one.

    Raises:
        UnknownComponent: there is none of that name.
        SuiteError: its parameters are wrong.
    """
    term = parse_term(text)
    metric, implied = resolve_metric(term.name, [entry.component for entry in catalog.of_kind("metric")])
    found: Metric = instantiate(catalog.find("metric", metric.name), implied | term.parameters)
    return found


def find_component(catalog: Catalog, kind: str, text: str) -> Any:
    """Return the component of ``kind`` that ``text`` asks for: its name, perhaps with parameters.

    Raises:
        UnknownComponent: there is none of that name.
        SuiteError: the text is no single component, or its parameters are wrong.
    """
    term = parse_term(text)
    if term.extras:
        raise SuiteError(f"cannot read {text!r} as one {kind}; nothing can be added with + here")
    return instantiate(catalog.find(kind, term.name), term.parameters)


def usable_extractor(catalog: Catalog, described: Mapping[str, Any], splits: Splits) -> Extractor:
    """Return the extractor that ``described`` describes, once it says that it can be used here.

    Raises:
        ExtractorUnavailable: it cannot; the sentence lists those that can be used on this data.
    """
    extractor: Extractor = component(catalog, "extractor", described)
    require_usable(catalog, extractor, splits.spec, splits.domain)
    return extractor


def require_usable(catalog: Catalog, extractor: Extractor, data: DataSpec, domain: str) -> None:
    """Refuse an extractor that cannot be used here now.

    Raises:
        ExtractorUnavailable: it says why; the sentence lists those that can be used on such data.
    """
    reason = extractor.available()
    if reason is None:
        return
    usable = []
    for entry in catalog.of_kind("extractor"):
        other = instantiate(entry, {})
        domains = trait(other, "domains")
        if other.available() is None and other.accepts(data) is None:
            usable.append(
                entry.name if domains is None or domain in domains else f"{entry.name} (with --force-extractor)"
            )
    advice = f"usable here: {', '.join(usable)}" if usable else "no other extractor is usable on this data here"
    raise ExtractorUnavailable(f"extractor {extractor.name!r} cannot be used: {reason}; {advice}")
