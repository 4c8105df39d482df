"""A session: one `ganbench run` from a plan to results on disk. Checks everything before anything trains."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ganbench.catalog import Catalog
from ganbench.errors import SuiteError
from ganbench.execution.bench import Bench
from ganbench.execution.inline import run_inline
from ganbench.execution.job import Job, Progress, Result
from ganbench.execution.pool import run_pool
from ganbench.execution.torchrun import refuse_uneven
from ganbench.execution.tuning import remembered
from ganbench.results.store import Store
from ganbench.suite.plan import Plan, Run
from ganbench.suite.source import Request
from ganbench.training.world import World


@dataclass(frozen=True)
class Choices:
    """Where and how a session computes; ``workers`` and ``threads`` None take what suits the device.

    ``kernels`` are choices of `ganbench.training.kernels.Kernels` that were asked for, by name; ``world`` is that of
    torchrun, whose rank 0 the session is then.
    """

    results: Path
    plugins: tuple[Path, ...]
    data_root: Path
    device: torch.device
    workers: int | None = None
    threads: int | None = None
    deterministic: bool = False
    kernels: tuple[tuple[str, Any], ...] = ()
    thrifty: bool = True
    world: World | None = None

    def job(self, plan: Plan) -> Job:
        """Return the job of performing ``plan`` so; one thread on the CPU unless told otherwise."""
        return Job(
            results=self.results,
            plugins=self.plugins,
            data_root=self.data_root,
            device=str(self.device),
            threads=self.threads or (1 if self.device.type == "cpu" else max(1, torch.get_num_threads())),
            deterministic=self.deterministic,
            datasets=plan.datasets,
            metrics=plan.metrics,
            scoring=plan.suite.scoring,
            kernels=self.kernels,
            thrifty=self.thrifty,
        )


class Session:
    """A plan made ready to run in one results folder.

    Raises:
        GanbenchError: a dataset, extractor, metric or folder cannot be used; nothing has been trained then.
    """

    def __init__(self, plan: Plan, request: Request, catalog: Catalog, choices: Choices) -> None:
        if not any(cell.runs for cell in plan.cells):
            reasons = dict.fromkeys(f"{_name(cell.labels)}: {cell.skipped}" for cell in plan.cells)
            raise SuiteError(f"no combination of the suite can run: {'; '.join(reasons)}")
        if choices.world is not None:
            refuse_uneven(plan.runs(), choices.world.size, f"torchrun started {choices.world.size} processes")
        elif parts := dict(choices.kernels).get("parts"):
            refuse_uneven(plan.runs(), parts, f"--parts {parts} was asked for")
        self.plan, self.choices = plan, choices
        self.job = choices.job(plan)
        self.bench = Bench(self.job, catalog, choices.world)
        for dataset in plan.datasets:
            self.bench.evaluator(dataset.label)  # refuses before anything is written
        self.store = Store.create(choices.results, plan.suite.name)
        with self.store.lock():
            self._write(request)
            runs = {run.id: run for run in plan.runs()}
            self.pending = [run for run in runs.values() if self.bench.is_pending(run)]

    def _write(self, request: Request) -> None:
        """Write the suite, the protocols with their floors, and what the suite names now."""
        one_of_each = {run.labels["dataset"]: run for cell in self.plan.cells for run in cell.runs}
        rows = [*one_of_each.values(), *(row.runs[0] for row in self.plan.baselines)]
        protocols = [self.bench.register_protocols(run) for run in rows]
        names = list(dict.fromkeys(name for entries in protocols for name in entries))
        ids = list(dict.fromkeys(entry["id"] for entries in protocols for entry in entries.values()))
        resolved = {"suite": self.plan.suite.model_dump(mode="json", by_alias=True), "overrides": request.overrides}
        self.store.write_suite(resolved, request.text)
        self.store.write_plan(plan_json(self.plan, names, ids))

    def tuned(self) -> dict[str, int]:
        """Return in words the kernels that were measured to be fastest for what is pending, and for how many runs."""
        known = [remembered(self.bench.tuning_key(run)) for run in self.pending if run.trains]
        return dict(Counter(kernels.text for kernels in known if kernels is not None))

    @property
    def workers(self) -> int:
        """How many runs at once: one a core on the CPU, elsewhere and under torchrun one unless more are asked for."""
        if self.choices.world is not None:
            return 1
        if self.choices.device.type == "cpu":
            cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
            usual = cores // self.job.threads
        else:
            usual = 1
        return max(1, min(self.choices.workers or usual, len(self.pending)))

    def run(self, tell: Callable[[Progress], None]) -> Iterator[Result]:
        """Perform what is pending and yield what became of each run."""
        with self.store.lock():
            if self.workers > 1 and self.choices.device.type == "cuda":
                for run in self.pending:  # before several processes would measure the same, disturbed by each other
                    if run.trains:
                        self.bench.kernels(run)
            if self.workers > 1:
                yield from run_pool(self.pending, self.job, self.workers, tell)
            else:
                yield from run_inline(self.pending, self.bench, tell, patient=self.choices.world is not None)

    def absent_snapshots(self) -> list[float]:
        """Return the fractions of ``scoring.at`` at which some finished run kept no generator to score."""
        return self.bench.absent_snapshots(self.plan.runs())


def plan_json(plan: Plan, metrics: list[str], protocols: list[str]) -> dict[str, Any]:
    """Return what `ganbench.results.plan` keeps of ``plan``: labels, seeds, training ids, reasons."""

    def ids(runs: tuple[Run, ...]) -> dict[str, str]:
        return {str(run.seed): run.id for run in runs}

    return {
        "suite": plan.suite.name,
        "budget": plan.suite.budget.model_dump(exclude_none=True),
        "samples": plan.suite.scoring.samples,
        "metrics": metrics,
        "protocols": protocols,
        "cells": [
            {**cell.labels, "runs": ids(cell.runs), "skipped": cell.skipped, "allowed_incompatible": cell.allowed}
            for cell in plan.cells
        ],
        "baselines": [{"dataset": row.dataset, "name": row.name, "runs": ids(row.runs)} for row in plan.baselines],
    }


def _name(labels: Any) -> str:
    return f"{labels['architecture']}/{labels['loss']} on {labels['dataset']}"
