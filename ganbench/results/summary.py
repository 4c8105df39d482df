"""From runs to cells: one summary for each row and column, with its interval, its rank and what is missing.

A column is a metric under one protocol; values under two protocols never meet in one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ganbench.endings import EARLY
from ganbench.errors import ResultsError
from ganbench.results.outcome import Outcome, Row, by_row
from ganbench.results.plan import Plan
from ganbench.results.record import Record
from ganbench.results.statistics import Detectable, Direction, Scale, best_set, detectable_ratio, mean_interval, ranks


@dataclass(frozen=True)
class Column:
    """A metric of one data set under one protocol.

    ``protocols`` holds the id that the cells were scored under first; behind it stand the ids of baselines, which
    differ in nothing but the samples that were generated. It is empty where nothing was scored yet. ``framing`` gives
    these ids with their numbers of samples. ``is_twin`` says that another column has the metric under another protocol.
    """

    dataset: str
    metric: str
    protocols: tuple[str, ...] = ()
    framing: tuple[tuple[str, int], ...] = ()
    direction: Direction | None = None
    scale: Scale = "linear"
    floor: Mapping[str, Any] | None = field(default=None, compare=False)
    protocol: Mapping[str, Any] = field(default_factory=dict, compare=False)
    is_twin: bool = field(default=False, compare=False)

    @property
    def name(self) -> str:
        """The metric, and the start of the protocol id where that is what tells the column from another."""
        return f"{self.metric} ({self.id[:8]})" if self.is_twin else self.metric

    @property
    def id(self) -> str:
        """The protocol id of the cells, or an empty text."""
        return self.protocols[0] if self.protocols else ""


@dataclass(frozen=True)
class Summary:
    """What a table says about one row in one column.

    ``values`` are those of the done runs; ``counts`` says how many of the ``planned`` runs gave none, by status, and
    ``reason`` is the first reason among these. ``protocol`` is the id that the values were recorded under, which for a
    baseline may be another one of the column's. ``seed`` is set where a row is a single run. ``sampling_error`` is the
    standard error of one value over its generated samples (the root of the mean square over the runs that have one),
    and ``said`` what the metric noted about its values; neither has to do with the interval over seeds.
    """

    row: Row
    column: Column
    seed: int | None
    planned: int
    values: tuple[float, ...]
    counts: Mapping[str, int]
    reason: str | None
    protocol: str
    mean: float | None = None
    half_width: float | None = None
    rank: int | None = None
    best: bool = False
    sampling_error: float | None = None
    said: tuple[str, ...] = ()

    @property
    def lost(self) -> int:
        """How many runs ended early, as in `ganbench.endings`."""
        return sum(self.counts.get(status, 0) for status in EARLY)

    @property
    def status(self) -> str:
        """ "done", "partial", or what became of most of the runs where none gave a value."""
        if self.row.skipped:
            return "skipped"
        if self.values:
            return "done" if len(self.values) == self.planned else "partial"
        return max(self.counts, key=self.counts.__getitem__, default="missing")


def columns(
    plan: Plan, outcomes: Sequence[Outcome], protocols: Mapping[str, Any], everything: bool = False
) -> list[Column]:
    """Return the columns of all data sets, in the order of the plan's metrics.

    Where the plan says under which protocols the suite scores now, others are left out unless ``everything``.

    Raises:
        ResultsError: a record names a protocol that protocols.json does not hold.
    """
    found = []
    elsewhere = {entry.get("metric") for entry in protocols.values() if isinstance(entry, Mapping)}
    datasets = [cell.dataset for cell in plan.cells] + [row.dataset for row in plan.baselines]
    datasets += [outcome.row.dataset for outcome in outcomes]
    for dataset in dict.fromkeys(datasets):
        here = [outcome for outcome in outcomes if outcome.row.dataset == dataset]
        cells, baselines = _scored(here, "cell"), _scored(here, "baseline")
        current = set(plan.protocols) if not everything else set()
        metrics = list(plan.metrics)
        if everything:
            metrics += sorted({metric for metric, _ in (*cells, *baselines)} - set(metrics))
        for metric in metrics:
            ids = [id for name, id in cells if name == metric and (not current or id in current)]
            framing = [id for name, id in baselines if name == metric and (not current or id in current)]
            ids = ids or _registered(plan, protocols, dataset, metric) or framing[:1]
            framing = [id for id in framing if id not in ids]  # what has a column of its own frames no other
            if ids:
                here_too = [_column(dataset, metric, id, framing, protocols) for id in ids]
                found += [replace(column, is_twin=len(ids) > 1) for column in here_too]
            elif metric not in elsewhere:
                found.append(Column(dataset, metric))
    return found


def _registered(plan: Plan, protocols: Mapping[str, Any], dataset: str, metric: str) -> list[str]:
    """Return the id under which the suite will score ``metric`` on ``dataset``, where no cell has been scored yet."""
    entries = {id: protocols[id] for id in plan.protocols or protocols if isinstance(protocols.get(id), Mapping)}
    return [id for id, e in entries.items() if (e.get("dataset"), e.get("metric")) == (dataset, metric)][:1]


def _scored(outcomes: Iterable[Outcome], kind: str) -> list[tuple[str, str]]:
    """Return the (metric, protocol id) pairs of the last snapshots, each once, in order of appearance."""
    return list(dict.fromkeys(key for outcome in outcomes if outcome.row.kind == kind for key in outcome.last))


def _column(dataset: str, metric: str, id: str, framing: Sequence[str], protocols: Mapping[str, Any]) -> Column:
    entry = _entry(id, protocols)
    others = [other for other in framing if _frames(_entry(other, protocols), entry)]
    return Column(
        dataset=dataset,
        metric=metric,
        protocols=(id, *others),
        framing=tuple(
            (other, generated) for other in others if (generated := _generated(other, protocols)) is not None
        ),
        direction=entry["direction"],
        scale=entry["scale"],
        floor=floor if isinstance(floor := entry.get("floor"), Mapping) else None,
        protocol=entry.get("protocol") or {},
    )


def _entry(id: str, protocols: Mapping[str, Any]) -> Mapping[str, Any]:
    entry = protocols.get(id)
    if not isinstance(entry, Mapping):
        raise ResultsError(f"a record names the protocol {id!r}, which protocols.json does not hold")
    if entry.get("direction") not in ("lower", "higher") or entry.get("scale") not in ("log", "linear", "logit"):
        raise ResultsError(f"protocols.json gives the protocol {id!r} no direction or no scale that a table knows")
    return entry


def _generated(id: str, protocols: Mapping[str, Any]) -> int | None:
    generated = (_entry(id, protocols).get("protocol") or {}).get("generated")
    number = generated.get("n") if isinstance(generated, Mapping) else None
    return number if isinstance(number, int) else None


def _frames(baseline: Mapping[str, Any], cell: Mapping[str, Any]) -> bool:
    """Say whether two protocols differ in nothing but the generated samples."""

    def rest(entry: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in (entry.get("protocol") or {}).items() if key != "generated"}

    return rest(baseline) == rest(cell) != {}


def summarise(
    rows: Sequence[Row], outcomes: Sequence[Outcome], wanted: Sequence[Column], by_seed: bool, level: float
) -> list[Summary]:
    """Return a summary for each row (with ``by_seed``: each run) and each column of its data set, ranked."""
    runs, found = by_row(outcomes), []
    for column in wanted:
        here = []
        for row in (row for row in rows if row.dataset == column.dataset):
            group = runs.get(row, [])
            parts = [[outcome] for outcome in group] if by_seed and group else [group]
            here += [_summary(row, column, part, by_seed, level) for part in parts]
        found += _ranked(here, column)
    return found


def _summary(row: Row, column: Column, group: Sequence[Outcome], by_seed: bool, level: float) -> Summary:
    values, counts, reasons = [], Counter[str](), []
    for outcome in group:
        status, value, reason = score(outcome, column)
        if value is None:
            counts[status] += 1
            reasons.append(reason)
        else:
            values.append(value)
    mean, half_width = mean_interval(values, level) if values else (None, None)
    records = [record for run in group if run.status == "done" and (record := _record(run, column))]
    errors = [record.error for record in records if record.error is not None]
    return Summary(
        row=row,
        column=column,
        seed=group[0].seed if by_seed and group else None,
        planned=len(group),
        values=tuple(values),
        counts=counts,
        reason=row.skipped or next(filter(None, reasons), None),
        protocol=next((found.protocol for run in group if (found := _record(run, column))), column.id),
        mean=mean,
        half_width=half_width,
        sampling_error=math.hypot(*errors) / math.sqrt(len(errors)) if errors else None,
        said=tuple(dict.fromkeys(record.note for record in records if record.note)),
    )


def score(outcome: Outcome, column: Column) -> tuple[str, float | None, str | None]:
    """Return what one run says in one column: status, value, reason."""
    if outcome.status != "done":
        return outcome.status, None, outcome.reason
    record = _record(outcome, column)
    if record is not None:
        return record.status, record.value, record.reason
    return "unscored", None, None


def _record(outcome: Outcome, column: Column) -> Record | None:
    """Return what was measured on ``outcome`` for ``column``: of a baseline under any of its protocols."""
    last = outcome.last
    ids = column.protocols if outcome.row.kind == "baseline" else column.protocols[:1]
    return next((last[key] for id in ids if (key := (column.metric, id)) in last), None)


def _ranked(summaries: Sequence[Summary], column: Column) -> list[Summary]:
    """Return the summaries of one column with the ranks of the suite's cells and the set of the best."""
    if column.direction is None:
        return list(summaries)
    cells = [index for index, summary in enumerate(summaries) if summary.row.competes]
    picked = [summaries[index] for index in cells]
    shares = [summary.lost / summary.planned if summary.planned else 0.0 for summary in picked]
    order = ranks([summary.mean for summary in picked], shares, column.direction)
    tested = [summary.values for summary in picked]
    best = best_set(tested, column.direction, column.scale, [summary.lost for summary in picked])
    ranked = list(summaries)
    for place, index in enumerate(cells):
        ranked[index] = replace(summaries[index], rank=order[place], best=place in best)
    return ranked


def detectable(summaries: Sequence[Summary]) -> Detectable | None:
    """Return the smallest effect that the cells of one column could show at their number of seeds."""
    cells = [summary.values for summary in summaries if summary.row.competes and len(summary.values) > 1]
    return detectable_ratio(cells, summaries[0].column.scale) if len(cells) > 1 else None
