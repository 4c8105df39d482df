"""What became of every planned run: rows of a table, and under each the runs that stand for its seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ganbench.identity import digest
from ganbench.results.plan import Plan
from ganbench.results.record import Record
from ganbench.results.store import RunFolder, Store

AXES = ("dataset", "architecture", "loss", "seed")


@dataclass(frozen=True)
class Row:
    """What a row stands for: a cell, or a baseline (whose name is in ``architecture``, with an empty ``loss``).

    ``old`` tells apart, by the start of their configuration's hash, the runs that the suite no longer names.
    """

    dataset: str
    architecture: str
    loss: str
    kind: Literal["cell", "baseline"] = "cell"
    old: str = ""
    skipped: str | None = None
    allowed_incompatible: str | None = None

    @property
    def competes(self) -> bool:
        """Whether the row is ranked and tested: a cell that the suite names now."""
        return self.kind == "cell" and not self.old

    @property
    def shown_loss(self) -> str:
        """The loss as a table shows it, with what a reader must know about the row."""
        marks = ["incompatible"] if self.allowed_incompatible else []
        marks += [f"old {self.old}"] if self.old else []
        return f"{self.loss} ({', '.join(marks)})" if marks else self.loss

    @property
    def title(self) -> str:
        """The row in one phrase, for notes."""
        return " / ".join(part for part in (self.architecture, self.shown_loss) if part)


@dataclass(frozen=True)
class Outcome:
    """One run of a row: its status as run.json has it, or "missing", and all that was measured on it."""

    row: Row
    run: str
    seed: int
    status: str
    reason: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    records: tuple[Record, ...] = ()

    def fact(self, name: str) -> float | None:
        """Return a number out of run.json, or None where it holds none of this name."""
        value = self.facts.get(name)
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None

    @property
    def last(self) -> dict[tuple[str, str], Record]:
        """The records at the last snapshot, by metric and protocol id."""
        images = max((record.images_seen for record in self.records), default=0)
        return {(record.metric, record.protocol): record for record in self.records if record.images_seen == images}


def gather(store: Store, plan: Plan, everything: bool = False) -> tuple[list[Row], list[Outcome]]:
    """Return the rows in the order of the plan, cells before baselines, and the outcome of each of their runs.

    With ``everything``, runs that the plan no longer names follow, a row for each of their configurations.

    Raises:
        ResultsError: a file in a run's folder is damaged.
    """
    named: list[tuple[Row, Mapping[int, str]]] = [
        (
            Row(
                dataset=cell.dataset,
                architecture=cell.architecture,
                loss=cell.loss,
                skipped=cell.skipped,
                allowed_incompatible=cell.allowed_incompatible,
            ),
            cell.runs,
        )
        for cell in plan.cells
    ]
    named += [(Row(row.dataset, row.name, "", "baseline"), row.runs) for row in plan.baselines]
    outcomes = [_outcome(row, seed, store.run_folder(run)) for row, runs in named for seed, run in sorted(runs.items())]
    rows = [row for row, _ in named]
    if everything:
        known = {run for _, runs in named for run in runs.values()}
        hidden = [_hidden(folder) for folder in store.run_folders() if folder.id not in known]
        outcomes += sorted(hidden, key=lambda outcome: (outcome.row.title, outcome.seed))
        rows += list(dict.fromkeys(outcome.row for outcome in outcomes[len(outcomes) - len(hidden) :]))
    return rows, outcomes


def mean_fact(runs: Iterable[Outcome], name: str) -> float | None:
    """Return the mean of a number of run.json over the runs that are done and have it."""
    values = [value for run in runs if run.status == "done" and (value := run.fact(name)) is not None]
    return sum(values) / len(values) if values else None


def by_row(outcomes: Iterable[Outcome]) -> dict[Row, list[Outcome]]:
    """Return the outcomes of each row that has any."""
    found: dict[Row, list[Outcome]] = {}
    for outcome in outcomes:
        found.setdefault(outcome.row, []).append(outcome)
    return found


def _outcome(row: Row, seed: int, folder: RunFolder) -> Outcome:
    facts = folder.status()
    if facts is None:
        return Outcome(row, folder.id, seed, "missing", "it has not been run")
    return Outcome(
        row=row,
        run=folder.id,
        seed=seed,
        status=facts["status"],
        reason=facts.get("reason"),
        facts=facts,
        environment=folder.environment() or {},
        records=tuple(folder.records()),
    )


def _hidden(folder: RunFolder) -> Outcome:
    """Return the outcome of a run that the plan does not name, labelled as its own configuration has it."""
    described = folder.config() or {}
    labels, configuration = (dict(described.get(key) or {}) for key in ("labels", "config"))
    configuration.pop("seed", None)
    loss, seed = labels.get("loss"), described.get("seed")
    row = Row(
        dataset=str(labels.get("dataset") or "unknown"),
        architecture=str(labels.get("architecture") or labels.get("baseline") or "unknown"),
        loss=str(loss or ""),
        kind="cell" if loss else "baseline",
        old=digest(configuration)[:6],
    )
    return _outcome(row, seed if isinstance(seed, int) else 0, folder)
