"""The score of one set of samples against another: what was asked for made ready, measured, and kept with its protocol.

What the sets hold is hashed, and everything that is wrong with them is said, before there is a score.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from torch import Tensor

from ganbench.catalog import Catalog
from ganbench.components import Extractor, Metric, Truth
from ganbench.errors import DatasetError, ExtractorUnavailable, GanbenchError
from ganbench.execution.environment import describe_environment
from ganbench.execution.inputs import MOST, Input, Place, Tell, blamed, collected, silent, training_split
from ganbench.execution.naming import term_of
from ganbench.execution.requirements import find_metric, require_usable
from ganbench.execution.scores import Scores, Side
from ganbench.scoring.evaluate import Evaluator
from ganbench.scoring.reference import ReferenceCache
from ganbench.scoring.request import ScoringSettings, Subject
from ganbench.scoring.sample import GeneratorSource, SampleSource, TensorSource
from ganbench.suite.expand import standard_metrics
from ganbench.suite.parameters import instantiate
from ganbench.suite.terms import parse_term, split_terms
from ganbench.values import ImageSpec, Rows, Stream

GIVEN = {"samples": "a set as it was given", "rows": "first of a permutation from the seed"}
"""How a set came about that is no generator of ours: the same for all, so that they can share a column."""


@dataclass(frozen=True)
class Wanted:
    """What is to be measured.

    ``metrics`` come from `find_metrics`. ``extractor`` None is the reference's own, with ``weights`` from a file where
    one is given; ``samples`` None are all there are up to `ganbench.execution.inputs.MOST`. ``force`` uses the
    extractor on data that it was not made for, ``errors`` asks for standard errors.
    """

    metrics: tuple[tuple[str, Metric], ...]
    extractor: Extractor | None = None
    weights: Path | None = None
    samples: int | None = None
    force: bool = False
    errors: bool = True
    batch_size: int = 128


def find_extractor(catalog: Catalog, text: str, weights: Path | None = None) -> Extractor:
    """Return the extractor that ``text`` (a term) names, reading its weights from a file where one is given.

    Raises:
        GanbenchError: there is no such extractor or parameter, or it takes no weights.
    """
    term = parse_term(text)
    entry = catalog.find("extractor", term.name)
    chosen = dict(term.parameters)
    if weights is not None:
        if "weights" not in entry.component.__dataclass_fields__:  # type: ignore[attr-defined]  # all are dataclasses
            raise ExtractorUnavailable(f"extractor {term.name!r} has weights of its own and takes no others")
        if not weights.is_file():
            raise ExtractorUnavailable(f"the weights {weights} do not exist; give a file with those of {term.name}")
        chosen["weights"] = str(weights)
    found: Extractor = instantiate(entry, chosen)
    return found


def find_metrics(catalog: Catalog, texts: str | Sequence[str] | None) -> tuple[tuple[str, Metric], ...]:
    """Return the metrics that a text with commas, or several, name, each with its name; None are the standard ones.

    Raises:
        GanbenchError: there is no such metric or parameter, or none is named.
    """
    given = [texts] if isinstance(texts, str) else texts
    names = standard_metrics(catalog) if given is None else [name for text in given for name in split_terms(text)]
    found = tuple((name.strip(), find_metric(catalog, name)) for name in names if name.strip())
    if not found:
        raise GanbenchError("no metric is named; write them with commas, as in fd,precision,recall")
    return found


def default_extractor(catalog: Catalog, reference: Input, weights: Path | None = None) -> Extractor:
    """Return the extractor that the reference's dataset names.

    Raises:
        ExtractorUnavailable: it names none, or that one takes no weights from a file.
    """
    if reference.extractor is None:
        raise ExtractorUnavailable(f"{reference.name} names no extractor of its own; say one with --extractor")
    return find_extractor(catalog, reference.extractor, weights)


def subject_of(reference: Input, data_root: Path, needs: frozenset[str] = frozenset(), tell: Tell = silent) -> Subject:
    """Return the real data of ``reference``, with what metrics that need ``needs`` may ask for.

    The training split is given where a metric needs it, and else where it is cheap: it makes a better floor.

    Raises:
        DatasetError: the set has no end, cannot be read, or its training split is needed and cannot be read.
    """
    if reference.stored is None:
        raise DatasetError(f"{reference.name} has no end; some of it must be drawn first")
    content = {"content": reference.content, "n": len(reference.stored), "flips": False}
    train = training_split(reference, data_root, cheap="train_features" not in needs)
    return Subject(
        dataset=reference.name,
        domain=reference.domain,
        data=reference.data,
        train=train and Stream(Watched(train.pixels, "training split", tell), train.labels),
        reference=Stream(Watched(reference.stored, "reference", tell, content=reference.content), reference.labels),
        provenance={**reference.about, **content},
        truth=truth_of(reference, data_root),
    )


def score(generated: Input, reference: Input, wanted: Wanted, place: Place) -> Scores:
    """Return the scores of ``generated`` against ``reference``; what cannot be measured has a status and a reason.

    Raises:
        GanbenchError: a metric, the extractor or a set cannot be used; nothing has been scored then.
    """
    started = time.monotonic()
    extractor = wanted.extractor or default_extractor(place.catalog, reference, wanted.weights)
    _check_shapes(generated, reference)
    require_usable(place.catalog, extractor, reference.data, reference.domain)
    reference = collected(reference, wanted.samples or MOST, place.tell)
    settings = ScoringSettings(
        wanted.metrics, extractor, _count(generated, wanted), place.seed, wanted.force, batch_size=wanted.batch_size,
        errors=wanted.errors,
    )  # fmt: skip
    needs = frozenset[str]().union(*(metric.needs for _, metric in wanted.metrics))
    subject = subject_of(reference, place.data_root, needs, place.tell)
    content = generated.content
    evaluator = Evaluator(settings, subject, place.device, ReferenceCache())
    source = source_of(generated, place.seed, settings.samples, place.tell)
    protocols = evaluator.protocols(source.provenance, source.count)
    found, floors = evaluator.score(source), evaluator.floors()
    return Scores(
        scores=tuple(found),
        protocols={full: {**entry, "floor": floors[full]} for full, entry in protocols.items()},
        generated=Side(generated.name, settings.samples, generated.count, content, generated.about),
        reference=Side(reference.name, len(subject.reference), reference.count, reference.content, reference.about),
        environment={
            **describe_environment(place.device, deterministic=False),
            "batch_size": wanted.batch_size,
            "seconds": time.monotonic() - started,
        },
    )


def source_of(found: Input, seed: int, n: int, tell: Tell = silent) -> SampleSource:
    """Return ``found`` as what is scored: ``n`` samples drawn, or taken in an order that follows from ``seed``."""
    if found.generator is not None:
        generator = found.generator
        parts = {f.name: getattr(generator, f.name) for f in fields(generator)}
        return WatchedGenerator(**parts, tell=tell)
    if found.stored is None:
        raise DatasetError(f"{found.name} holds no samples")
    return TensorSource(Watched(found.stored, "generated", tell, n), GIVEN, seed, classes=found.labels)


def truth_of(found: Input, data_root: Path) -> Truth | None:
    """Return what is known of the modes of a dataset's data, or None."""
    if not hasattr(found.dataset, "truth"):
        return None
    with blamed(found.name):
        truth: Truth = found.dataset.truth(data_root)
    return truth


class Watched:
    """Rows that tell how many of them were read, as `ganbench.values.Rows`; one that cannot be read stops the score."""

    def __init__(self, rows: Rows, part: str, tell: Tell, total: int | None = None, content: str | None = None) -> None:
        self._rows, self._part, self._tell, self._content = rows, part, tell, content
        self._total, self._done = total or len(rows), 0

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Return stored samples. Raises DatasetError for one that cannot be read."""
        with blamed():
            found = self._rows[rows]
        self._done = self._done % self._total + len(rows)  # a second pass begins anew
        self._tell(self._part, min(self._done, self._total), self._total)
        return found

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the content, where it is not known already."""
        if self._content is None:
            with blamed():
                self._content = self._rows.fingerprint
        return self._content


@dataclass(frozen=True)
class WatchedGenerator(GeneratorSource):
    """A generator that tells how many samples it has given."""

    tell: Tell = silent

    def batches(self, n: int, batch_size: int) -> Iterator[Tensor]:
        """Yield the first ``n`` samples, stored, on the CPU. Raises as `GeneratorSource.batches`."""
        done = 0
        for batch in super().batches(n, batch_size):
            yield batch
            done += len(batch)
            self.tell("generated", done, n)


def _count(generated: Input, wanted: Wanted) -> int:
    """Return how many samples are scored."""
    if generated.count is None:
        return wanted.samples or MOST
    if wanted.samples is not None and wanted.samples > generated.count and not generated.drawn:
        raise DatasetError(
            f"{generated.name} holds {generated.count:,} samples, fewer than the {wanted.samples:,} asked for"
        )
    return min(wanted.samples or MOST, generated.count)


def _check_shapes(generated: Input, reference: Input) -> None:
    if type(generated.data) is type(reference.data) and generated.data.shape == reference.data.shape:
        return
    advice = "; ".join(
        f"{side.name} is read as {term_of(side.dataset, side.split)}, whose parameters may convert"
        for side in (generated, reference)
        if side.dataset is not None and side.split is not None and fields(side.dataset)
    )
    raise DatasetError(
        f"{generated.name} holds {_samples(generated)} and {reference.name} {_samples(reference)}; "
        f"samples of one shape can be compared{f' ({advice})' if advice else ''}"
    )


def _samples(found: Input) -> str:
    what = "images" if isinstance(found.data, ImageSpec) else "points"
    return f"{what} of {'x'.join(map(str, found.data.shape))}"
