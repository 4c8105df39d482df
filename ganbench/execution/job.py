"""A job: all that a process must know to perform any run of a suite. Frozen and picklable, so it can go anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganbench.suite.plan import PlannedDataset
from ganbench.suite.schema import Scoring


@dataclass(frozen=True)
class Job:
    """Where results go, where plugins and data are, what to compute on, how to score."""

    results: Path
    plugins: tuple[Path, ...]
    data_root: Path
    device: str
    threads: int
    deterministic: bool
    datasets: tuple[PlannedDataset, ...]
    metrics: tuple[str, ...]
    scoring: Scoring
    kernels: tuple[tuple[str, Any], ...] = ()
    """Choices of `ganbench.training.kernels.Kernels` that were asked for, by name."""
    thrifty: bool = True
    """Whether a run whose batches do not fit into memory may go on with kernels that need less."""

    def dataset(self, label: str) -> PlannedDataset:
        """Return the dataset of this label."""
        return next(dataset for dataset in self.datasets if dataset.label == label)


@dataclass(frozen=True)
class Result:
    """What became of one run: its status as in run.json, the reason where it is not ``done``, what else to know."""

    run: str
    title: str
    status: str
    reason: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Progress:
    """A sign of life of one run: ``share`` of its budget in [0, 1], speed, latest losses and V by name."""

    run: str
    title: str
    share: float
    images_per_second: float
    values: Mapping[str, float | None]
