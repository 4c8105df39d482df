"""From a results folder to tables: one for each data set, or any axes as rows and columns.

Nothing is averaged but training seeds, and two protocols never share a column.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ganbench.endings import EARLY
from ganbench.errors import ResultsError, did_you_mean
from ganbench.results import render
from ganbench.results.grid import Block, Content, lists, pivots
from ganbench.results.outcome import AXES, Outcome, by_row, gather, mean_fact
from ganbench.results.store import Store
from ganbench.results.summary import Column, Summary, columns, summarise

_COUNTED = (*EARLY, "failed", "interrupted", "running", "missing", "skipped", "unscored")
_FACTS = ("images_seen", "images_per_second", "d_updates", "g_updates", "seconds")


@dataclass(frozen=True)
class TableOptions:
    """What to show: ``metrics`` by full name or by its part before a slash (all if empty), and how to lay it out.

    ``rows`` and ``cols`` are axes out of `AXES`. An axis that neither names is averaged over if it is the seed, makes a
    table of its own for each value if it is the data set, and is added to the rows otherwise. ``sort`` is a metric, an
    axis or "label". ``all`` shows runs and protocols that the suite no longer names.
    """

    metrics: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    cols: tuple[str, ...] = ()
    sort: str | None = None
    all: bool = False
    level: float = 0.95


@dataclass(frozen=True)
class Table:
    """All grids of a results folder, and behind them the long form: a mapping for each row and metric."""

    suite: str
    level: float
    blocks: tuple[Block, ...]
    long: tuple[Mapping[str, Any], ...]

    def render(self, format: str) -> str:
        """Return the table as "markdown", "csv", "latex" or "json". Raises ResultsError for another format."""
        if format not in render.FORMATS:
            raise ResultsError(f"unknown format {format!r}{did_you_mean(format, render.FORMATS)}")
        return render.FORMATS[format](self)


def build(store: Store, options: TableOptions | None = None) -> Table:
    """Return the table of what is in ``store``.

    Raises:
        ResultsError: a file is damaged, or an option names a metric or an axis that is not there.
    """
    options = options or TableOptions()
    plan = store.plan()
    row_axes, col_axes = _axes(options)
    rows, outcomes = gather(store, plan, options.all)
    known = columns(plan, outcomes, store.protocols(), options.all)
    if not known or not rows:
        raise ResultsError(f"{store.folder} holds no results yet; 'ganbench run' makes them")
    wanted = _chosen(options.metrics, known)
    summaries = summarise(rows, outcomes, wanted, "seed" in (*row_axes, *col_axes), options.level)
    by_label = options.sort in (*AXES, "label")
    content = Content(
        suite=plan.suite,
        budget=", ".join(f"{amount:,} {unit.replace('_', ' ')}" for unit, amount in plan.budget.items()),
        rows=row_axes,
        cols=col_axes,
        sort=options.sort if by_label else None,
        sort_metrics=frozenset() if by_label or not options.sort else _sorted_by(options.sort, wanted),
        level=options.level,
        summaries=tuple(summaries),
        outcomes=tuple(outcomes),
    )
    blocks = pivots(content) if col_axes else lists(content)
    runs = by_row(outcomes)
    long = tuple(_long(summary, runs.get(summary.row, []), options.level) for summary in summaries)
    return Table(plan.suite, options.level, tuple(blocks), long)


def render_run_summary(store: Store) -> str:
    """Return the table that ``ganbench run`` prints at its end: all metrics of the suite, as Markdown."""
    return build(store).render("markdown")


def _chosen(names: Sequence[str], known: Sequence[Column], also: Sequence[str] = ()) -> list[Column]:
    """Return the columns of ``names``, in that order; each name in full or its part before a slash, @ or !."""
    if not names:
        return list(known)
    found: list[Column] = []
    for name in names:
        exact = [column for column in known if column.metric == name]
        matching = exact or [column for column in known if re.split("[/@!]", column.metric)[0] == name]
        if not matching:
            choices = {*(column.metric for column in known), *also}
            raise ResultsError(f"unknown metric {name!r}{did_you_mean(name, choices)}")
        found += [column for column in matching if column not in found]
    return found


def _sorted_by(name: str, wanted: Sequence[Column]) -> frozenset[str]:
    return frozenset(column.metric for column in _chosen((name,), wanted, ("label", *AXES)))


def _axes(options: TableOptions) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the axes of rows and columns after the rule for axes that neither names."""
    named = (*options.rows, *options.cols)
    for axis in named:
        if axis not in AXES:
            raise ResultsError(f"unknown axis {axis!r}{did_you_mean(axis, AXES)}")
        if named.count(axis) > 1:
            raise ResultsError(f"the axis {axis!r} is named twice; each makes rows or columns, and only once")
    rows = (*options.rows, *(axis for axis in ("architecture", "loss") if axis not in named))
    rows = rows or tuple(axis for axis in ("dataset",) if axis not in named)
    if not rows:
        raise ResultsError("no axis is left for the rows; take dataset, architecture or loss out of the columns")
    return rows, options.cols


def _long(summary: Summary, runs: Sequence[Outcome], level: float) -> dict[str, Any]:
    """Return one line of the long form; costs are means over the runs of the row that are done."""
    row, column = summary.row, summary.column
    meant = [run for run in runs if summary.seed in (None, run.seed)]
    return {
        "dataset": row.dataset,
        "architecture": row.architecture,
        "loss": row.loss,
        "kind": row.kind,
        "old": row.old,
        "seed": summary.seed,
        "metric": column.metric,
        "protocol": summary.protocol,
        "direction": column.direction,
        "scale": column.scale,
        "status": summary.status,
        "mean": summary.mean,
        "half_width": summary.half_width,
        "level": level,
        "sampling_error": summary.sampling_error,
        "n": len(summary.values),
        "planned": summary.planned,
        **{status: summary.counts.get(status, 0) for status in _COUNTED},
        "rank": summary.rank,
        "best": summary.best,
        "reason": summary.reason,
        "note": "; ".join(summary.said) or None,
        **{name: mean_fact(meant, name) for name in _FACTS},
    }
