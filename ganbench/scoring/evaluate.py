"""Scores of sample sets against one real reference, under one protocol a metric."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ganbench.components import Metric, trait
from ganbench.errors import GanbenchError
from ganbench.scoring.context import Context, Given
from ganbench.scoring.extract import Wanted, extract
from ganbench.scoring.measure import Outcome, first, lacking, measure
from ganbench.scoring.provenance import (
    Rows,
    check_requested,
    metric_label,
    metric_name,
    protocol_id,
    protocol_of,
    rows_of,
)
from ganbench.scoring.randomness import own_randomness
from ganbench.scoring.reference import ReferenceCache, content_hash
from ganbench.scoring.request import (
    Score,
    ScoringSettings,
    Subject,
    check_extractor,
    check_sizes,
    load_network,
)
from ganbench.scoring.sample import GeneratorSource, SampleSource, TensorSource
from ganbench.scoring.synthesis import GeneratorSynthesis
from ganbench.values import FeatureStore, Images, Stream

__all__ = ["Evaluator", "Score", "ScoringSettings", "Subject"]


class Evaluator:
    """Scores sample sets against the reference of one subject; its features are extracted once.

    Torch's global random state is the same before and after every call.

    Raises:
        ExtractorUnavailable: the extractor cannot be used on this machine, or was not made for this data.
        GanbenchError: a metric was asked for by a published name that the extractor cannot give, or twice.
    """

    def __init__(
        self, settings: ScoringSettings, subject: Subject, device: torch.device, cache: ReferenceCache | None = None
    ) -> None:
        check_sizes(settings, subject)
        self._settings, self._subject, self._device, self._cache = settings, subject, device, cache
        self._forced = check_extractor(settings, subject)
        self._network = load_network(settings.extractor, device)
        self._needs = frozenset[str]().union(*(metric.needs for _, metric in settings.metrics))
        more = (trait(metric, "error_needs") for _, metric in settings.metrics)
        self._generated_needs = self._needs.union(*more) if settings.errors else self._needs
        self._stores: dict[tuple[str, int, int], FeatureStore] = {}
        self._hashes: dict[str, str] = {}
        self._by_name = self._named()

    @property
    def names(self) -> dict[str, str]:
        """Full name of each requested metric, in the order asked for."""
        return {requested: full for full, (requested, _) in self._by_name.items()}

    @property
    def batch_size(self) -> int:
        """How many samples the extractor sees at once; it changes no score."""
        return self._settings.batch_size

    def protocols(self, generated: Mapping[str, Any], available: int | None = None) -> dict[str, dict[str, Any]]:
        """Return the protocol of every metric by its full name, ready for ``protocols.json``; draws no sample.

        ``generated`` is a source's `provenance`, ``available`` its `count`: a smaller set has another protocol.
        """
        n = self._samples(available)
        found = {}
        for full, (_, metric) in self._by_name.items():
            protocol = protocol_of(
                metric,
                self._extractor(),
                self._subject.provenance,
                generated,
                self._rows(metric, n),
                self._settings.seed,
            ) | self._training(metric)
            found[full] = {
                "id": protocol_id(protocol),
                "metric": full,
                "label": metric_label(metric, self._settings.extractor, self._network, self._forced, n),
                "direction": metric.direction,
                "scale": metric.scale,
                "dataset": self._subject.dataset,
                "protocol": protocol,
            }
        return found

    def score(self, source: SampleSource) -> list[Score]:
        """Score ``source`` in one pass: one `Score` a metric, in the order asked for.

        What cannot be measured has a status and a reason, never a number.
        """
        n = self._samples(source.count)
        ids = {full: entry["id"] for full, entry in self.protocols(source.provenance, source.count).items()}
        try:
            generated = self._extract(source, n, self._generated_needs)
        except ValueError as error:
            return [Score(full, None, "failed", str(error), ids[full]) for full in self._by_name]
        real = self._real("reference", 0, len(self._subject.reference))
        given = self._given(source)
        context = Context(self._settings.seed, generated, real, self._device, given)
        return [self._scored(full, metric, context, ids[full]) for full, (_, metric) in self._by_name.items()]

    def floors(self) -> dict[str, dict[str, Any] | None]:
        """Return by full name what sampling alone gives at this N: {"value", "extrapolated"}, or None where unknown.

        For a biased metric it is the value of real against real: training images against the reference where these
        differ, else the two halves of the reference. With fewer rows than the table's N the value is scaled by the
        ratio of (1/N_generated + 1/N_reference), to which the bias is proportional, and marked extrapolated.
        """
        return {full: self._floor(metric) for full, (_, metric) in self._by_name.items()}

    def _named(self) -> dict[str, tuple[str, Metric]]:
        settings = self._settings
        found: dict[str, tuple[str, Metric]] = {}
        for requested, metric in settings.metrics:
            check_requested(requested, metric, settings.extractor, self._network, self._forced)
            full = metric_name(metric, settings.extractor, self._network, self._forced, settings.samples)
            if full in found:
                raise GanbenchError(f"metrics {found[full][0]!r} and {requested!r} are both {full!r}; ask for one")
            found[full] = (requested, metric)
        return found

    def _extractor(self) -> dict[str, Any]:
        return {"name": self._settings.extractor.name, "forced": self._forced, **self._network.provenance}

    def _samples(self, available: int | None) -> int:
        return self._settings.samples if available is None else min(self._settings.samples, available)

    def _rows(self, metric: Metric, n: int) -> Rows:
        return rows_of(metric, n, len(self._subject.reference), self._settings.cap)

    def _training(self, metric: Metric) -> dict[str, Any]:
        """Return what the protocol of a metric that compares with the training split says about that split."""
        train = self._subject.train
        if "train_features" not in metric.needs or train is None:
            return {}
        return {"training": {"content": self._content("train"), "n": min(len(train), self._settings.cap)}}

    def _given(self, source: SampleSource | None) -> Given:
        """Return what metrics may ask for beyond two stores, as far as one of them does."""
        train, synthesis = self._subject.train, None
        smooth = trait(self._settings.extractor, "continuous")
        if "generator" in self._needs and isinstance(source, GeneratorSource) and smooth:
            synthesis = GeneratorSynthesis(source, self._network, self._settings.seed)
        wanted = "train_features" in self._needs and train is not None and len(train) > 0
        rows = min(len(train), self._settings.cap) if wanted and train is not None else 0
        return Given(
            errors=self._settings.errors and source is not None,
            train=self._real("train", 0, rows) if rows else None,
            truth=self._subject.truth,
            synthesis=synthesis,
        )

    def _extract(self, source: SampleSource, n: int, needs: frozenset[str]) -> FeatureStore:
        settings = self._settings
        wanted = Wanted(needs, settings.cap, self._subject.truth)
        with own_randomness(settings.seed, self._device):
            return extract(source, self._network, wanted, n, settings.batch_size)

    def _real(self, split: str, start: int, stop: int) -> FeatureStore:
        """Return the features of rows ``start`` to ``stop`` of a permuted real split: "train" or "reference"."""
        place = (split, start, stop)
        if place not in self._stores:
            images = self._split(split)
            source = TensorSource(images.pixels, seed=self._settings.seed, skip=start, classes=images.labels)

            def compute() -> FeatureStore:
                return self._extract(source, stop - start, self._needs)

            key = self._key(split, start, stop)
            name = f"{self._subject.dataset} {split}"
            self._stores[place] = self._cache.get(key, compute, name) if self._cache else compute()
        return self._stores[place]

    def _split(self, split: str) -> Images | Stream:
        found = self._subject.train if split == "train" else self._subject.reference
        if found is None:
            raise GanbenchError(f"the training split of {self._subject.dataset!r} is not known")
        return found

    def _key(self, split: str, start: int, stop: int) -> dict[str, Any]:
        """Return everything that the features of a part of a real split depend on, as JSON."""
        labels = self._split(split).labels
        return {
            "content": self._content(split),
            "labels": content_hash(labels) if labels is not None and "labels" in self._needs else None,
            "truth": self._subject.provenance if "truth" in self._needs else None,
            "rows": [start, stop],
            "seed": self._settings.seed,
            "extractor": self._extractor(),
            "kept": sorted(self._needs),
            "cap": self._settings.cap,
            "dtypes": ["float64", "float32"],
            "device": self._device.type,
        }

    def _content(self, split: str) -> str:
        if split not in self._hashes:
            self._hashes[split] = content_hash(self._split(split).pixels)
        return self._hashes[split]

    def _scored(self, full: str, metric: Metric, context: Context, protocol: str) -> Score:
        """Return the score of one metric on the two stores of ``context``."""
        reason = lacking(metric, context.generated, context.given, self._settings.extractor.name)
        if reason:
            return Score(full, None, "skipped", reason, protocol)
        measured, status, reason = self._measure(metric, context)
        if measured is None:
            return Score(full, None, status, reason, protocol)
        return Score(full, measured.value, status, None, protocol, measured.error, measured.note)

    def _measure(self, metric: Metric, context: Context) -> Outcome:
        generated, real = context.generated, context.real
        if trait(metric, "equal_n"):
            rows = self._rows(metric, generated.count).generated
            generated, real = first(generated, rows), first(real, rows)
        return measure(metric, generated, real, context)

    def _floor(self, metric: Metric) -> dict[str, Any] | None:
        kind = trait(metric, "floor")
        if kind == "zero":
            return {"value": 0.0, "extrapolated": False}
        rows = self._rows(metric, self._settings.samples)
        pair = self._disjoint(rows) if kind == "bias" else None
        if pair is None:
            return None
        a, b = pair
        given = self._given(None)
        if lacking(metric, a, given, self._settings.extractor.name):
            return None
        measured, _, _ = self._measure(metric, Context(self._settings.seed, a, b, self._device, given))
        if measured is None:
            return None
        exact = (a.count, b.count) == (rows.generated, rows.reference)
        ratio = 1.0 if exact else (1 / rows.generated + 1 / rows.reference) / (1 / a.count + 1 / b.count)
        return {"value": measured.value * ratio, "extrapolated": not exact}

    def _disjoint(self, rows: Rows) -> tuple[FeatureStore, FeatureStore] | None:
        """Return two disjoint real sets, as near to ``rows`` in size as the data allow; None if too few."""
        train, reference = self._subject.train, self._subject.reference
        if train is not None and len(train) and self._content("train") != self._content("reference"):
            n = min(rows.generated, len(train))
            return self._real("train", 0, n), self._real("reference", 0, len(reference))
        half = len(reference) // 2
        if half == 0:
            return None
        return self._real("reference", 0, half), self._real("reference", half, 2 * half)
