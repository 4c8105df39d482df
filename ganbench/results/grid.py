"""Layouts: a line for each cell with all metrics, or one axis against another with a grid for each metric."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ganbench.endings import EARLY
from ganbench.results.notes import notes
from ganbench.results.outcome import AXES, Outcome, Row, by_row, mean_fact
from ganbench.results.summary import Column, Summary
from ganbench.results.text import ARROWS, count, either, significant, with_interval

_SHORT_REASON = 24


@dataclass(frozen=True)
class Entry:
    """One cell of a grid as text; ``numeric`` entries are flushed right."""

    text: str
    bold: bool = False
    numeric: bool = False


@dataclass(frozen=True)
class Block:
    """One grid with its title and the notes below it."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Entry, ...], ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Content:
    """What all layouts draw from. ``rows`` and ``cols`` are axes; ``sort`` is an axis or "label", if one was asked for.

    ``sort_metrics`` are the full names of the metric to sort by, if one was asked for; ``budget`` is a phrase.
    """

    suite: str
    budget: str
    rows: tuple[str, ...]
    cols: tuple[str, ...]
    sort: str | None
    sort_metrics: frozenset[str]
    level: float
    summaries: tuple[Summary, ...]
    outcomes: tuple[Outcome, ...]

    def title(self, what: str) -> str:
        """Return the title of a grid about ``what``."""
        return f"{self.suite}, {what}" + (f", {self.budget}" if self.budget else "")

    def below(self, summaries: Sequence[Summary], footnotes: Sequence[str]) -> tuple[str, ...]:
        """Return the notes of a grid of ``summaries``: the numbered ones first."""
        rows = {summary.row for summary in summaries}
        runs = [outcome for outcome in self.outcomes if outcome.row in rows]
        numbered = [f"note {number}: {reason}" for number, reason in enumerate(footnotes, start=1)]
        return (*numbered, *notes(summaries, runs, self.level))


def lists(content: Content) -> list[Block]:
    """Return the default layout: a column for each metric, and what the runs cost; a grid for each data set."""
    if "dataset" in content.rows:
        return [_list(content, content.summaries, "all data sets")]
    datasets = dict.fromkeys(summary.row.dataset for summary in content.summaries)
    return [
        _list(content, [summary for summary in content.summaries if summary.row.dataset == dataset], dataset)
        for dataset in datasets
    ]


def _list(content: Content, summaries: Sequence[Summary], what: str) -> Block:
    shown = list(dict.fromkeys(summary.column for summary in summaries))
    lines: dict[tuple[Row, int | None], dict[Column, Summary]] = {}
    for summary in summaries:
        lines.setdefault((summary.row, summary.seed), {})[summary.column] = summary
    lead = next((column for column in shown if column.metric in content.sort_metrics), shown[0])
    grouped = by_row(content.outcomes)
    shown_runs = [run for row, _ in lines for run in grouped.get(row, [])]
    early = [word for word in EARLY if word == "diverged" or any(run.status == word for run in shown_runs)]
    footnotes: list[str] = []
    body = []
    for (row, seed), cells in sorted(lines.items(), key=_order(content, lead)):
        runs = [run for run in grouped.get(row, []) if seed in (None, run.seed)]
        done = sum(run.status == "done" for run in runs)
        rank = cells[lead].rank if lead in cells else None
        labels = [Entry(label(next(iter(cells.values())), axis)) for axis in content.rows]
        values = [
            _entry(cells[column], done, footnotes) if column in cells else Entry("", numeric=True) for column in shown
        ]
        body.append(
            (*labels, Entry("" if rank is None else str(rank), numeric=True), *values, *_cost(runs, done, early))
        )
    extractor = _shared_extractor(shown)
    names = [_heading(column, shown).replace(f"/{extractor}" if extractor else "", "", 1) for column in shown]
    header = (*content.rows, "rank", *names, "runs", *early, "images/s", "updates D/G")
    ranked = f"rank by {lead.name}; a cell with {either(early)} runs stands behind all without"
    title = content.title(what) + (f", scored by {extractor}" if extractor else "")
    return Block(title, header, tuple(body), (*content.below(summaries, footnotes), ranked))


def _shared_extractor(shown: Sequence[Column]) -> str:
    """Return what all columns have behind the slash of their names: it stands in the title, and the table is narrower.

    Empty where they differ, or where a name has none.
    """
    found = {column.metric.partition("/")[2] for column in shown}
    return found.pop() if len(found) == 1 else ""


def _heading(column: Column, shown: Sequence[Column]) -> str:
    """Return the name of a column with its direction, and what tells it from another of its name."""
    name = f"{column.metric} {ARROWS[column.direction]}" if column.direction else column.metric
    twins = [other for other in shown if other.metric == column.metric and other != column]
    if any(twin.dataset == column.dataset for twin in twins):
        return f"{name} ({column.id[:8]})"
    return f"{name} ({column.dataset})" if twins else name


def _order(content: Content, lead: Column) -> Callable[[Any], Any]:
    """Return the sort key of a line: label, or rank in ``lead``; behind the cells the baselines, then old rows."""

    def key(item: tuple[Any, dict[Column, Summary]]) -> tuple[Any, ...]:
        summary = item[1].get(lead) or next(iter(item[1].values()))
        if not summary.row.competes:
            return (1 if not summary.row.old else 2, ())
        if content.sort:
            return (0, _natural(content, summary))
        return (0, (summary.rank is None, summary.rank or 0))

    return key


def _natural(content: Content, summary: Summary) -> tuple[Any, ...]:
    axes = AXES if content.sort == "label" else (content.sort or "", *AXES)
    return tuple((summary.seed or 0) if axis == "seed" else label(summary, axis) for axis in axes)


def _cost(runs: Sequence[Outcome], done: int, early: Sequence[str]) -> tuple[Entry, ...]:
    """Return what the runs of a row came to, those that ended ``early`` counted by status."""
    ended = [str(sum(run.status == status for run in runs)) for status in early]
    speed, *updates = (mean_fact(runs, name) for name in ("images_per_second", "d_updates", "g_updates"))
    moved = "/".join("" if value is None else count(value) for value in updates)
    said = (f"{done}/{len(runs)}", *ended, "" if speed is None else count(speed), moved.strip("/"))
    return tuple(Entry(part, numeric=True) for part in (said if runs else [""] * len(said)))


def pivots(content: Content) -> list[Block]:
    """Return a grid for each metric and protocol (and data set, unless that is an axis); baselines become a note."""
    across = "dataset" in (*content.rows, *content.cols)
    ids: dict[tuple[str, str], dict[str, None]] = {}
    for summary in content.summaries:
        ids.setdefault((summary.column.dataset, summary.column.metric), {})[summary.column.id] = None
    groups: dict[str, list[Summary]] = {}
    for summary in content.summaries:
        column = summary.column
        several = len(ids[column.dataset, column.metric]) > 1
        name = f"{column.metric} {ARROWS[column.direction]}" if column.direction else column.metric
        parts = (name, column.id[:8] if several else "", "" if across else column.dataset)
        groups.setdefault(", ".join(filter(None, parts)), []).append(summary)
    return [_pivot(content, group, what) for what, group in groups.items()]


def _pivot(content: Content, summaries: Sequence[Summary], what: str) -> Block:
    by_seed = "seed" in (*content.rows, *content.cols)
    cells = [summary for summary in summaries if summary.row.kind == "cell" and not (by_seed and summary.seed is None)]
    footnotes: list[str] = []
    grid: dict[tuple[str, ...], dict[tuple[str, ...], Entry]] = {}
    for summary in sorted(cells, key=_pivot_order(content)):
        line = grid.setdefault(_labels(summary, content.rows), {})
        line[_labels(summary, content.cols)] = _entry(summary, summary.planned, footnotes)
    across = list(dict.fromkeys(_labels(summary, content.cols) for summary in cells))
    body = [
        (*map(Entry, key), *(line.get(name, Entry("", numeric=True)) for name in across)) for key, line in grid.items()
    ]
    header = (*content.rows, *(" / ".join(name) for name in across))
    said = (*_framing(summaries), *_left_out(summaries, cells), *content.below(summaries, footnotes))
    return Block(content.title(what), header, tuple(body), said)


def _pivot_order(content: Content) -> Callable[[Summary], Any]:
    """Return the sort key of a pivot's lines: the best rank in the metric asked for, an axis, or the suite's order."""
    best: dict[tuple[str, ...], float] = {}
    for summary in content.summaries:
        if summary.column.metric in content.sort_metrics and summary.rank is not None:
            line = _labels(summary, content.rows)
            best[line] = min(summary.rank, best.get(line, math.inf))

    def key(summary: Summary) -> tuple[Any, ...]:
        if content.sort_metrics:
            return (best.get(_labels(summary, content.rows), math.inf),)
        return _natural(content, summary) if content.sort else ()

    return key


def _framing(summaries: Sequence[Summary]) -> list[str]:
    """Return the baselines' values as a sentence: a pivot has no place for a row that is neither axis."""
    said = []
    for summary in summaries:
        if summary.row.kind == "baseline" and summary.mean is not None:
            where = f" seed {summary.seed}" if summary.seed is not None else ""
            said.append(f"{summary.row.title}{where} ({summary.row.dataset}) {_number(summary)}")
    return [f"baselines: {', '.join(said)}"] if said else []


def _left_out(summaries: Sequence[Summary], shown: Sequence[Summary]) -> list[str]:
    skipped = [summary for summary in summaries if summary.row.skipped and summary not in shown]
    return [f"{summary.row.title}: n/a: {summary.row.skipped}" for summary in skipped]


def label(summary: Summary, axis: str) -> str:
    """Return what ``summary`` is called on ``axis``; an empty text where it stands for all seeds."""
    row = summary.row
    if axis == "seed":
        return "" if summary.seed is None else str(summary.seed)
    return {"dataset": row.dataset, "architecture": row.architecture, "loss": row.shown_loss}[axis]


def _labels(summary: Summary, axes: Sequence[str]) -> tuple[str, ...]:
    return tuple(label(summary, axis) for axis in axes)


def _entry(summary: Summary, expected: int, footnotes: list[str]) -> Entry:
    """Return a summary as text; a long reason goes to ``footnotes``, and a count other than ``expected`` is shown."""
    if summary.row.skipped:
        return Entry(f"n/a: {_short(summary.row.skipped, footnotes)}", numeric=True)
    if summary.mean is None:
        words = {"skipped": "n/a"}
        counts = [(words.get(status, status), number) for status, number in summary.counts.items()]
        told = counts[0][0] if len(counts) == 1 else ", ".join(f"{number} {word}" for word, number in counts)
        return Entry(told if counts else "missing", numeric=True)
    n = len(summary.values)
    number = f"({_number(summary).partition(' ')[0]})" if summary.lost else _number(summary)
    return Entry(number + (f" (n={n})" if n != expected else ""), bold=summary.best, numeric=True)


def _number(summary: Summary) -> str:
    if summary.mean is None:
        return ""
    return significant(summary.mean) if summary.half_width is None else with_interval(summary.mean, summary.half_width)


def _short(reason: str, footnotes: list[str]) -> str:
    if len(reason) <= _SHORT_REASON:
        return reason
    if reason not in footnotes:
        footnotes.append(reason)
    return f"note {footnotes.index(reason) + 1}"
