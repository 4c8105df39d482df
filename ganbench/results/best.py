"""The best trials of a finished random search: what ``[search.best]`` of another suite asks for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from ganbench.errors import ResultsError, did_you_mean
from ganbench.results.disk import read_object
from ganbench.results.outcome import Outcome, Row, by_row, gather
from ganbench.results.store import Store
from ganbench.results.summary import Column, columns, score
from ganbench.suite.schema import Search
from ganbench.suite.search import Chosen, split_label

_UNFINISHED = frozenset({"missing", "running", "interrupted", "unscored"})


def best_trials(folder: Path, metric: str, top: int = 1) -> Chosen:
    """Return the ``top`` best trials of each combination of the search in ``folder``, by the mean over their seeds.

    Only trials whose every seed has a value are candidates; of equal ones the first. ``metric`` is a full name or its
    part before a slash, and says itself whether lower or higher is better.

    Raises:
        ResultsError: the folder holds no search, or one that is not finished, or no such metric.
    """
    if not folder.is_dir():
        raise ResultsError(f"search.best wants the results of a finished search, and there is no folder {folder}")
    store = Store.open(folder)
    search, plan = _search(store), store.plan()
    rows, outcomes = gather(store, plan)
    runs = by_row(outcomes)
    by_dataset = _columns(columns(plan, outcomes, store.protocols()), metric, folder)
    combinations: dict[tuple[str, str, str], dict[int, Row]] = {}
    for row in rows:
        loss, number = split_label(row.loss)
        if row.kind == "cell" and number is not None:
            combinations.setdefault((row.dataset, row.architecture, loss), {})[number] = row
    _finished(store, [row for trials in combinations.values() for row in trials.values()], runs, by_dataset)
    trials = {
        combination: _best(found, runs, by_dataset.get(combination[0]), top)
        for combination, found in combinations.items()
    }
    return Chosen(search, trials, store.suite)


def _search(store: Store) -> Search:
    path = store.folder / "suite.json"
    described = (read_object(path) or {}).get("suite")
    found = described.get("search") if isinstance(described, Mapping) else None
    if not found:
        raise ResultsError(f"{store.folder} holds no search: its suite has no [search]")
    try:
        search = Search.model_validate(found)
    except ValidationError as error:
        raise ResultsError(f"{path} is damaged: its search cannot be read") from error
    if search.best:
        raise ResultsError(
            f"{store.folder} drew nothing itself but took the best of {search.best.results}; name the search that drew"
        )
    return search


def _columns(known: Sequence[Column], metric: str, folder: Path) -> dict[str, Column]:
    """Return the column of ``metric`` on each dataset."""
    found: dict[str, Column] = {}
    exact = any(column.metric == metric for column in known)
    for column in known:
        if metric != (column.metric if exact else re.split("[/@!]", column.metric)[0]):
            continue
        if column.dataset in found:
            both = f"{found[column.dataset].name} and {column.name}"
            raise ResultsError(f"{metric!r} may be {both} in {folder}; write search.best.metric in full")
        found[column.dataset] = column
    if not found:
        raise ResultsError(
            f"{folder} has no metric {metric!r}{did_you_mean(metric, {column.metric for column in known})}"
        )
    return found


def _finished(
    store: Store, rows: Sequence[Row], runs: Mapping[Row, Sequence[Outcome]], by_dataset: Mapping[str, Column]
) -> None:
    """Refuse a search of which some run is still to be done, or to be scored."""
    states = [
        score(outcome, by_dataset[row.dataset])[0] if row.dataset in by_dataset else "unscored"
        for row in rows
        for outcome in runs.get(row, ())
    ]
    left = sum(state in _UNFINISHED for state in states)
    if left:
        raise ResultsError(
            f"the search in {store.folder} is not finished: {left} of its {len(states)} runs are still to be trained "
            f"or scored; 'ganbench run {store.suite}' goes on with it"
        )


def _best(
    trials: Mapping[int, Row], runs: Mapping[Row, Sequence[Outcome]], column: Column | None, top: int
) -> tuple[int, ...] | str:
    """Return the numbers of the best trials, or why there are none."""
    if column is None:
        return "no trial of the search was scored on this data set"
    means, lost = dict[int, float](), Counter[str]()
    for number, row in trials.items():
        scores = [score(outcome, column) for outcome in runs.get(row, ())]
        values = [value for _, value, _ in scores if value is not None]
        if values and len(values) == len(scores):
            means[number] = sum(values) / len(values)
        else:
            lost["n/a" if row.skipped else next((status for status, value, _ in scores if value is None), "n/a")] += 1
    if not means:
        counts = ", ".join(f"{count} {status}" for status, count in lost.items())
        return f"no trial of the search has {column.metric} for all its seeds ({counts})"
    sign = -1 if column.direction == "higher" else 1
    return tuple(sorted(means, key=lambda number: (sign * means[number], number))[:top])
