"""What a climb of the ladders found, as text for a terminal, JSON, CSV and Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ganbench.results.render import padded
from ganbench.results.text import ARROWS, markdown, significant
from ganbench.scoring.request import Score
from ganbench.scoring.verdict import BEYOND, MEANINGS, Verdict, sentence


@dataclass(frozen=True)
class Steps:
    """One ladder as it was climbed, rung 0 first: levels in ``unit``, copies and effective samples of each rung."""

    unit: str
    levels: tuple[float, ...]
    copies: tuple[int, ...]
    effective: tuple[float, ...]


@dataclass(frozen=True)
class Climb:
    """One metric along one ladder: levels, scores and their noise from the clean set on, and the verdict."""

    levels: tuple[float, ...]
    scores: tuple[Score, ...]
    noises: tuple[float, ...]
    verdict: Verdict

    @property
    def lost(self) -> list[float]:
        """Return the levels of the rungs without a value."""
        return [level for level, score in zip(self.levels, self.scores, strict=True) if score.value is None]


@dataclass(frozen=True)
class MetricReport:
    """One metric along all ladders; ``spread`` is that of clean sets, None where it could not be measured."""

    name: str
    label: str
    direction: Literal["lower", "higher"]
    scale: str
    blind: frozenset[str]
    floor: Mapping[str, Any] | None
    spread: float | None
    protocol: Mapping[str, Any]
    climbs: Mapping[str, Climb]

    @property
    def measured(self) -> bool:
        """Whether there is a value anywhere."""
        return any(len(climb.lost) < len(climb.levels) for climb in self.climbs.values())

    @property
    def trust(self) -> str:
        """One sentence on how far the metric can be trusted on this data."""
        verdicts = {name: climb.verdict for name, climb in self.climbs.items()}
        lost = {name: climb.lost[0] for name, climb in self.climbs.items() if climb.lost}
        return sentence(verdicts, lost)

    @property
    def heading(self) -> str:
        """Name, which way is better, and the floor where there is one above 0."""
        floor = f", floor {significant(self.floor['value'], 3)}" if self.floor and self.floor["value"] else ""
        return f"{self.label} {ARROWS[self.direction]} {self.direction} is better{floor}"


@dataclass(frozen=True)
class Report:
    """Everything that was found out; ``left_out`` gives the reason against a ladder or a metric by its name."""

    dataset: str
    extractor: str
    counts: Mapping[str, int]
    seed: int
    ladders: Mapping[str, Steps]
    metrics: tuple[MetricReport, ...]
    left_out: Mapping[str, str]

    @property
    def title(self) -> str:
        """What was climbed, in one line."""
        return (
            f"{self.dataset}, scored by {self.extractor}: rungs of {self.counts['samples']:,} samples against "
            f"{self.counts['reference']:,} reference samples"
        )


def as_json(report: Report) -> dict[str, Any]:
    """Return the whole report as JSON."""
    return {
        "dataset": report.dataset,
        "extractor": report.extractor,
        "counts": dict(report.counts),
        "seed": report.seed,
        "beyond": BEYOND,
        "ladders": {name: asdict(steps) for name, steps in report.ladders.items()},
        "left_out": dict(report.left_out),
        "metrics": {metric.name: _metric_json(metric) for metric in report.metrics},
    }


def _metric_json(metric: MetricReport) -> dict[str, Any]:
    climbs = {
        name: {
            "verdict": climb.verdict.word,
            "level": climb.verdict.level,
            "meant_to_move": name not in metric.blind,
            "rungs": [
                {
                    "value": score.value,
                    "error": score.error,
                    "noise": noise,
                    "status": score.status,
                    "reason": score.reason,
                    "note": score.note,
                }
                for score, noise in zip(climb.scores, climb.noises, strict=True)
            ],
        }
        for name, climb in metric.climbs.items()
    }
    return {
        "label": metric.label,
        "direction": metric.direction,
        "scale": metric.scale,
        "floor": None if metric.floor is None else dict(metric.floor),
        "clean_spread": metric.spread,
        "trust": metric.trust,
        "protocol": dict(metric.protocol),
        "ladders": climbs,
    }


def as_csv(report: Report) -> str:
    """Return one line a metric, ladder and rung; clean sets, which all ladders share, are repeated."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    names = ("metric", "ladder", "rung", "level", "value", "error", "noise", "status", "reason", "note", "verdict")
    writer.writerow(names)
    for metric in report.metrics:
        for name, climb in metric.climbs.items():
            for rung, (level, score, noise) in enumerate(zip(climb.levels, climb.scores, climb.noises, strict=True)):
                found = (score.value, score.error, noise, score.status, score.reason, score.note)
                writer.writerow([metric.name, name, rung, level, *found, climb.verdict])
    return file.getvalue()


def lines(report: Report) -> Iterator[str]:
    """Yield the report for a terminal: a block a metric, a line a ladder."""
    yield report.title
    yield ""
    yield "levels from the clean set on"
    for name, steps in report.ladders.items():
        yield f"  {name:<14}{_row(f'{level:g}' for level in steps.levels)}"
    for metric in report.metrics:
        yield ""
        yield metric.heading
        for name, climb in metric.climbs.items():
            yield f"  {name:<14}{_row(_number(score) for score in climb.scores)}  {climb.verdict}"
        yield f"  {metric.trust}"
    if report.left_out:
        yield ""
        yield "left out"
        widest = max(map(len, report.left_out))
        for name, reason in report.left_out.items():
            yield f"  {name:<{widest}}  {reason}"


def _row(cells: Iterator[str]) -> str:
    return "".join(f"{cell:>9}" for cell in cells)


def _number(score: Score) -> str:
    return "n/a" if score.value is None else significant(score.value, 3)


def as_markdown(report: Report) -> str:
    """Return the report as Markdown: verdicts, a sentence a metric, values, and how to read them."""
    return "\n".join(_markdown_lines(report)) + "\n"


def _markdown_lines(report: Report) -> Iterator[str]:
    yield f"**Sanity ladders: {markdown(report.title)}**"
    yield ""
    yield "![one panel a metric, one line a ladder](ladder.png)"
    yield ""
    yield from _table(
        ["metric", *report.ladders],
        [
            [f"{metric.label} {ARROWS[metric.direction]}", *(str(climb.verdict) for climb in metric.climbs.values())]
            for metric in report.metrics
        ],
    )
    yield ""
    for metric in report.metrics:
        yield f"- **{markdown(metric.label)}.** {markdown(metric.trust)}"
    for metric in report.metrics:
        yield ""
        yield f"**{markdown(metric.heading)}**"
        yield ""
        rungs = max(len(steps.levels) for steps in report.ladders.values())
        rows = [
            [name, *map(_number, climb.scores), *[""] * (rungs - len(climb.scores))]
            for name, climb in metric.climbs.items()
        ]
        yield from _table(["ladder", "clean", *(f"rung {i}" for i in range(1, rungs))], rows, numbers=True)
        yield from _reasons(metric)
    yield ""
    yield from _notes(report)


def _reasons(metric: MetricReport) -> Iterator[str]:
    """Yield a line for each reason why there is no value."""
    found: dict[str, list[str]] = {}
    for name, climb in metric.climbs.items():
        for level, score in zip(climb.levels, climb.scores, strict=True):
            if score.value is None:
                found.setdefault(str(score.reason), []).append(f"{name} {level:g}")
    if found:
        yield ""
    for reason, where in found.items():
        yield f"- n/a at {', '.join(where)}: {markdown(reason)}"


def _notes(report: Report) -> Iterator[str]:
    counts = report.counts
    yield "How to read this:"
    yield ""
    for name, steps in report.ladders.items():
        copies = [
            f"{copies:,} at {level:g}" for level, copies in zip(steps.levels, steps.copies, strict=True) if copies
        ]
        said = f"; copies among the {counts['samples']:,} samples: {', '.join(copies)}" if copies else ""
        yield f"- {name}: {', '.join(f'{level:g}' for level in steps.levels)} ({steps.unit}{said})"
    yield (
        f"- rungs come from {counts['stock']:,} training images, {counts['training']:,} others stand for the training "
        f"set, seed {report.seed}"
    )
    yield (
        f"- every comparison is beyond {BEYOND:g} standard errors of the difference of two independent sets; the noise "
        f"of a score is the larger of its own standard error and the spread over {counts['clean_sets']} clean sets of "
        f"{counts['clean_set_samples']:,} samples, more where a rung is made of copies of few"
    )
    words = {climb.verdict.word for metric in report.metrics for climb in metric.climbs.values()}
    for word, meaning in MEANINGS.items():
        if word in words:
            yield f"- {word}: {meaning}"
    for name, reason in report.left_out.items():
        yield f"- {name} is left out: {markdown(reason)}"


def _table(heads: list[str], rows: list[list[str]], numbers: bool = False) -> list[str]:
    """Return the lines of a Markdown table; ``numbers`` stand to the right."""
    header, *body = [[markdown(cell) for cell in row] for row in [heads, *rows]]
    return padded(header, body, [False, *[numbers] * (len(heads) - 1)])
