"""Sanity ladders on one dataset: its training images, damaged more and more, scored against its reference.

A quarter of the training split stands for what a GAN would have been trained on (for metrics that compare with it, and
for the floors); the clean set, its damaged versions and what fills their gaps are taken from the rest, so no rung holds
a training image.

The noise of a score is the larger of two estimates: the standard error that the metric states for that rung, and the
spread of the metric over other clean sets (`clean_sets`). Only the second is known for every metric, only the first
follows the damage. Where a rung is made of copies of a few samples, neither knows it: there the last rung is drawn anew
some times (`noise_along`).
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from ganbench.catalog import Catalog
from ganbench.components import Metric, trait
from ganbench.errors import DatasetError, SuiteError, did_you_mean
from ganbench.execution.ladder_report import Climb, MetricReport, Report, Steps
from ganbench.execution.requirements import Splits, find_metric, load_splits, require_memory, usable_extractor
from ganbench.scoring.evaluate import Evaluator
from ganbench.scoring.ladder import LADDERS, Ladder, Stock
from ganbench.scoring.reference import ReferenceCache, content_hash
from ganbench.scoring.request import Score, ScoringSettings, Subject
from ganbench.scoring.sample import TensorSource, permutation
from ganbench.scoring.sampling_noise import DRAWS, CleanSets, clean_sets, noise_along, redrawn
from ganbench.scoring.verdict import Reading, judge
from ganbench.suite.expand import standard_metrics
from ganbench.suite.parameters import describe, instantiate
from ganbench.suite.plan import PlannedDataset
from ganbench.suite.terms import parse_term
from ganbench.training.stream import select
from ganbench.values import Images

SAMPLES = 2_500
"""Samples of a rung where nobody says how many and there are more."""
TRAINING = 0.25
"""Share of the training split that stands for training data."""

Scores = Mapping[str, Score]
"""The scores of one set by the metric's full name."""
Tell = Callable[[str, int, int], None]
"""Hears of progress: which set is being scored, how many are done, how many there are."""


@dataclass(frozen=True)
class Ask:
    """What to climb: terms as in a suite's lists; nothing named means the dataset's own, or all that have a meaning."""

    dataset: str
    extractor: str | None = None
    metrics: tuple[str, ...] = ()
    ladders: tuple[str, ...] = ()
    samples: int | None = None
    seed: int = 0
    forced: bool = False


def climb(ask: Ask, catalog: Catalog, data_root: Path, device: torch.device, tell: Tell = lambda *_: None) -> Report:
    """Climb the ladders and judge every metric.

    Raises:
        GanbenchError: a dataset, extractor, metric or ladder does not exist or cannot be used.
    """
    return _Climber(ask, catalog, data_root, device, tell).report()


@dataclass(frozen=True)
class _Climbed:
    """One ladder for all metrics; ``again`` holds the scores of the last rung drawn anew, where that is done."""

    steps: Steps
    scores: Sequence[Scores]
    again: Sequence[Scores]


class _Climber:
    """One climb in progress."""

    def __init__(self, ask: Ask, catalog: Catalog, data_root: Path, device: torch.device, tell: Tell) -> None:
        self.ask, self.catalog, self.tell = ask, catalog, tell
        self.chosen = [_ladder(name) for name in ask.ladders] or list(LADDERS.values())
        term = parse_term(ask.dataset)
        dataset = instantiate(catalog.find("dataset", term.name), term.parameters)
        chosen = parse_term(ask.extractor or dataset.extractor)
        extractor = instantiate(catalog.find("extractor", chosen.name), chosen.parameters)
        self.described = describe(catalog, "dataset", dataset)
        planned = PlannedDataset(ask.dataset, self.described, describe(catalog, "extractor", extractor))
        self.splits = load_splits(catalog, planned, data_root)
        self.stock, training = self._divide(self.splits)
        self.extractor = usable_extractor(catalog, planned.extractor, self.splits)
        self.metrics, self.left_out = self._metrics()
        settings = ScoringSettings(self.metrics, self.extractor, self.stock.n, ask.seed, ask.forced)
        self.evaluator = Evaluator(settings, self._subject(training), device, ReferenceCache())
        self.scored, self.total = 0, 0

    def _divide(self, splits: Splits) -> tuple[Stock, Images]:
        """Return what rungs are made of, and what stands for training data."""
        require_memory(splits.train, splits.spec, f"a ladder on {self.ask.dataset!r}")
        rows = permutation(len(splits.train), self.ask.seed)
        held = int(len(rows) * TRAINING)
        rest = len(rows) - held
        n = self.ask.samples or min(rest // 2, len(splits.test), SAMPLES)
        if not 2 <= n <= rest:
            raise DatasetError(
                f"dataset {self.ask.dataset!r}: a rung of {n} samples was asked for; three quarters of its training "
                f"split are {rest}, and a rung takes from 2 to that many"
            )
        return Stock(select(splits.train, rows[held:]), n, self.ask.seed), select(splits.train, rows[:held])

    def _metrics(self) -> tuple[tuple[tuple[str, Metric], ...], dict[str, str]]:
        """Return the metrics that were asked for, or all that have a meaning here, and what speaks against others."""
        if self.ask.metrics:
            return tuple((name, find_metric(self.catalog, name)) for name in self.ask.metrics), {}
        names = [*standard_metrics(self.catalog), *(entry.name for entry in self.catalog.of_kind("metric"))]
        found, left_out = [], {}
        for name in dict.fromkeys(names):
            metric = find_metric(self.catalog, name)
            reason = self._meaningless(metric)
            if reason:
                left_out[name] = reason
            else:
                found.append((name, metric))
        return tuple(found), left_out

    def _meaningless(self, metric: Metric) -> str | None:
        if "generator" in metric.needs:
            return "it needs a generator"
        if "truth" in metric.needs and self.splits.truth is None:
            return "it needs data whose modes are known"
        if "labels" in metric.needs and self.splits.train.labels is None:
            return "it needs labels"
        return None

    def _subject(self, training: Images) -> Subject:
        splits, test = self.splits, self.splits.test
        provenance = {
            "dataset": self.described["name"],
            "parameters": self.described["parameters"],
            "split": "test",
            "content": content_hash(test.pixels),
            "n": len(test),
            "flips": False,
        }
        return Subject(self.ask.dataset, splits.domain, splits.spec, training, test, provenance, splits.truth)

    # Scores

    def report(self) -> Report:
        """Score every set, and judge."""
        refused = {ladder.name: ladder.refusal(self.stock) for ladder in self.chosen}
        reasons = {name: reason for name, reason in refused.items() if reason}
        usable = [ladder for ladder in self.chosen if ladder.name not in reasons]
        if not usable:
            raise SuiteError(f"no ladder can be climbed on {self.ask.dataset!r}: {_listed(reasons)}")
        sets = clean_sets(self.stock)
        drawn = sum(map(len, sets.divisions))
        steps = sum(len(ladder.degrees(self.stock)) - 1 + DRAWS * ladder.few for ladder in usable)
        self.total = 1 + drawn + steps
        clean = self._score("clean", self.stock.clean)
        spreads = self._spreads(sets)
        climbs = {ladder.name: self._climb(ladder, clean) for ladder in usable}
        self.tell("done", self.total, self.total)
        metrics = list(self._judged(climbs, spreads))
        without = {metric.name: str(clean[metric.name].reason) for metric in metrics if not metric.measured}
        if len(without) == len(metrics):
            raise SuiteError(f"no metric has a value on {self.ask.dataset!r}: {_listed(without)}")
        return Report(
            dataset=self.ask.dataset,
            extractor=self.extractor.name,
            counts={
                "samples": self.stock.n,
                "stock": len(self.stock.images),
                "training": len(self.splits.train) - len(self.stock.images),
                "reference": len(self.splits.test),
                "clean_sets": drawn,
                "clean_set_samples": len(sets.divisions[0][0]),
            },
            seed=self.ask.seed,
            ladders={name: climbed.steps for name, climbed in climbs.items()},
            metrics=tuple(metric for metric in metrics if metric.measured),
            left_out=self.left_out | reasons | without,
        )

    def _climb(self, ladder: Ladder, clean: Scores) -> _Climbed:
        """Score the rungs of a ladder, rung 0 being the clean set."""
        rungs, scores = [], [clean]
        for rung in ladder.rungs(self.stock):
            scores.append(self._score(f"{ladder.name} {rung.level:g}", rung.images))
            rungs.append((rung.level, rung.copies, rung.effective))
        levels, copies, effective = zip((0.0, 0, float(self.stock.n)), *rungs, strict=True)
        steps = Steps(ladder.unit, levels, copies, effective)
        again = redrawn(self.stock) if ladder.few else ()
        return _Climbed(steps, scores, [self._score(f"{ladder.name} anew", ladder.rung(x, -1).images) for x in again])

    def _score(self, title: str, images: Images) -> Scores:
        self.tell(title, self.scored, self.total)
        self.scored += 1
        source = TensorSource(images.pixels, self._rule(), self.ask.seed, classes=images.labels)
        return {score.metric: score for score in self.evaluator.score(source)}

    def _rule(self) -> dict[str, Any]:
        return {"split": "train", "rows": "rungs of a ladder", "seed": self.ask.seed}

    def _spreads(self, sets: CleanSets) -> dict[str, float | None]:
        """Return the standard deviation of each metric over clean sets, by full name."""
        scores = [[self._score("clean set", self.stock.take(rows)) for rows in division] for division in sets.divisions]
        return {
            name: sets.spread([[found[name].value for found in division] for division in scores])
            for name in self.evaluator.names.values()
        }

    def _judged(self, climbs: Mapping[str, _Climbed], spreads: Mapping[str, float | None]) -> Iterator[MetricReport]:
        floors = self.evaluator.floors()
        protocols = self.evaluator.protocols(self._rule(), self.stock.n)
        metrics = dict(self.metrics)
        for requested, full in self.evaluator.names.items():
            metric, spread = metrics[requested], spreads[full]
            yield MetricReport(
                name=full,
                label=protocols[full]["label"],
                direction=metric.direction,
                scale=metric.scale,
                blind=trait(metric, "blind"),
                floor=floors[full],
                spread=spread,
                protocol=protocols[full],
                climbs={
                    name: _judge(climbed, full, spread or 0.0, metric.direction, name in trait(metric, "blind"))
                    for name, climbed in climbs.items()
                },
            )


def _judge(climbed: _Climbed, metric: str, spread: float, direction: Literal["lower", "higher"], blind: bool) -> Climb:
    """Return one metric along one ladder; ``spread`` is that of clean sets."""
    steps, scores = climbed.steps, [scores[metric] for scores in climbed.scores]
    anew = [value for scores in climbed.again if (value := scores[metric].value) is not None]
    last = statistics.stdev(anew) if len(anew) > 1 else None
    noises = noise_along([score.error for score in scores], steps.effective, spread, last)
    values = (score.value for score in scores)
    readings = [Reading(*given) for given in zip(steps.levels, values, noises, strict=True)]
    return Climb(steps.levels, tuple(scores), noises, judge(readings, direction, blind))


def _ladder(name: str) -> Ladder:
    if name not in LADDERS:
        raise SuiteError(f"unknown ladder {name!r}{did_you_mean(name, LADDERS)}")
    return LADDERS[name]


def _listed(reasons: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
