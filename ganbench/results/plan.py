"""What a suite names now: its cells, their seeds and the run that stands for each.

Labels belong to the plan, not to a run: two suites, or two versions of one, may call the same run by different names.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ganbench.errors import ResultsError


@dataclass(frozen=True)
class PlannedCell:
    """One combination: ``runs`` maps a training seed to a training id; a ``skipped`` cell has a reason and no runs.

    ``allowed_incompatible`` is the reason that was overruled where a suite runs an incompatible cell all the same.
    """

    dataset: str
    architecture: str
    loss: str
    runs: Mapping[int, str]
    skipped: str | None = None
    allowed_incompatible: str | None = None


@dataclass(frozen=True)
class PlannedBaseline:
    """A row outside the product of architectures and losses; ``runs`` maps a seed to an id."""

    dataset: str
    name: str
    runs: Mapping[int, str]


@dataclass(frozen=True)
class Plan:
    """What a suite names now.

    ``budget`` is ``{unit: amount}``, ``metrics`` are full names in the order of the columns. ``protocols`` holds the
    ids under which the suite scores now; where it is empty, every protocol that its runs were scored under counts.
    """

    suite: str
    budget: Mapping[str, float] = field(default_factory=dict)
    samples: int | None = None
    metrics: tuple[str, ...] = ()
    cells: tuple[PlannedCell, ...] = ()
    baselines: tuple[PlannedBaseline, ...] = ()
    protocols: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON can hold it, seeds as text."""
        return {
            "suite": self.suite,
            "budget": dict(self.budget),
            "samples": self.samples,
            "metrics": list(self.metrics),
            "protocols": list(self.protocols),
            "cells": [_row(cell) for cell in self.cells],
            "baselines": [_row(row) for row in self.baselines],
        }

    @classmethod
    def from_json(cls, data: Any) -> Plan:
        """Return the plan that ``data`` describes.

        Raises:
            ResultsError: a key is missing or of the wrong type, or two rows of one data set have the same labels.
        """
        try:
            plan = cls(
                suite=str(data["suite"]),
                budget=dict(data["budget"]),
                samples=data["samples"],
                metrics=tuple(str(name) for name in data["metrics"]),
                cells=tuple(_cell(row) for row in data["cells"]),
                baselines=tuple(
                    PlannedBaseline(str(row["dataset"]), str(row["name"]), _runs(row)) for row in data["baselines"]
                ),
                protocols=tuple(str(name) for name in data.get("protocols", ())),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            what = f"lacks {error}" if isinstance(error, KeyError) else f"is malformed ({error})"
            raise ResultsError(f"a plan {what}") from error
        plan._check_labels()
        return plan

    def _check_labels(self) -> None:
        rows = [(cell.dataset, cell.architecture, cell.loss) for cell in self.cells]
        rows += [(row.dataset, row.name, "") for row in self.baselines]
        twice = sorted(row for row, count in Counter(rows).items() if count > 1)
        if twice:
            raise ResultsError(f"a plan names {' / '.join(filter(None, twice[0]))} twice; labels must be unique")


def _row(row: PlannedCell | PlannedBaseline) -> dict[str, Any]:
    return {**vars(row), "runs": {str(seed): run for seed, run in row.runs.items()}}


def _cell(row: Mapping[str, Any]) -> PlannedCell:
    return PlannedCell(
        dataset=str(row["dataset"]),
        architecture=str(row["architecture"]),
        loss=str(row["loss"]),
        runs=_runs(row),
        skipped=row.get("skipped"),
        allowed_incompatible=row.get("allowed_incompatible"),
    )


def _runs(row: Mapping[str, Any]) -> dict[int, str]:
    runs = {int(seed): str(run) for seed, run in row["runs"].items()}
    bad = [run for run in runs.values() if not re.fullmatch(r"\w[\w.+-]*", run)]
    if bad:
        raise ValueError(f"{bad[0]!r} is no training id")
    return runs
