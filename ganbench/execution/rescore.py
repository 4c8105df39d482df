"""Stored generators scored anew: another extractor, other metrics, more samples, and nothing is trained.

What a results folder was scored under before stays; the new protocols stand beside the old ones, in columns of their
own. Architecture and data are built from the plugins of today: where their source is no longer that of the training,
the stored weights must fit all the same, and the change is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from ganbench.catalog import Catalog
from ganbench.errors import GanbenchError, ResultsError, SuiteError
from ganbench.execution.bench import Bench
from ganbench.execution.inline import stop_on_interrupt
from ganbench.execution.job import Job, Result
from ganbench.identity import canonical
from ganbench.results.disk import read_object
from ganbench.results.plan import Plan
from ganbench.results.store import RunFolder, Store
from ganbench.suite.expand import standard_metrics
from ganbench.suite.options import choose
from ganbench.suite.parameters import describe, plain_sentence, rebuild
from ganbench.suite.plan import PlannedDataset, Run
from ganbench.suite.recipe import ComponentChoice
from ganbench.suite.schema import Scoring
from ganbench.training.checkpoint import GENERATOR_FILE


@dataclass(frozen=True)
class Wish:
    """How to score, and where; what is None or empty is as the suite has it."""

    plugins: tuple[Path, ...]
    data_root: Path
    device: torch.device
    extractor: str | None = None
    metrics: tuple[str, ...] = ()
    samples: int | None = None
    seed: int | None = None
    force: bool = False


@dataclass(frozen=True)
class StoredRun(Run):
    """A run as its folder tells it, its components described as they are today; its id is that of the folder."""

    stored_id: str

    @property
    def id(self) -> str:
        """The name of the folder."""
        return self.stored_id


class Rescoring:
    """A results folder made ready to be scored anew.

    ``lacking`` holds what cannot be scored, as (title, reason); ``changed`` names what is no longer as it was when the
    runs were trained.

    Raises:
        GanbenchError: the folder, a dataset, the extractor or a metric cannot be used; nothing has been written then.
    """

    def __init__(self, results: Path, wish: Wish, catalog: Catalog) -> None:
        self.store, self._catalog, self._wish = Store.open(results), catalog, wish
        self.lacking: list[tuple[str, str]] = []
        self.changed: list[str] = []
        self._described: dict[bytes, dict[str, Any]] = {}
        self._plan = self.store.plan()
        runs = list(self._stored())
        if not runs:
            raise ResultsError(f"{results} holds no run that could be scored; 'ganbench run' makes them")
        scoring = self._scoring()
        self.bench = Bench(self._job(runs, scoring), catalog)
        for dataset in self.bench.job.datasets:
            self.bench.evaluator(dataset.label)  # refuses before anything is written
        self.runs = {run.id: run for run in runs}
        self.pending = [run for run in self.runs.values() if self.bench.missing(run)]

    def run(self) -> Iterator[Result]:
        """Write the protocols, score what is pending, and yield what became of each run; Ctrl-C ends it after one."""
        with self.store.lock(), stop_on_interrupt() as stop:
            self._register()
            for run in self.pending:
                if stop.is_set():
                    return
                yield self._scored(run)

    def absent_snapshots(self) -> list[float]:
        """Return the fractions of the budget at which the suite scores and some run kept no generator."""
        return self.bench.absent_snapshots(self.runs.values())

    def _scored(self, run: Run) -> Result:
        try:
            self.bench.score(run)
        except Exception as error:  # an architecture that has changed may raise anything
            reason = str(error) if isinstance(error, GanbenchError) else f"{type(error).__name__}: {error}"
            return Result(run.id, run.title, "failed", " ".join(reason.split()))
        return Result(run.id, run.title, "done")

    def _register(self) -> None:
        """Write the protocols with their floors, and let the plan name them behind those that it names."""
        one_of_each = {(run.labels["dataset"], not run.trains and run.id): run for run in self.runs.values()}
        protocols = [self.bench.register_protocols(run) for run in one_of_each.values()]
        names = [*self._plan.metrics, *(name for entries in protocols for name in entries)]
        ids = [*self._plan.protocols, *(entry["id"] for entries in protocols for entry in entries.values())]
        wider = replace(
            self._plan,
            metrics=tuple(dict.fromkeys(names)),
            protocols=tuple(dict.fromkeys(ids)) if self._plan.protocols else (),  # () stands for all that there are
        )
        if wider != self._plan:
            self.store.write_plan(wider)

    # What the folder holds

    def _stored(self) -> Iterator[StoredRun]:
        """Yield the planned runs that are done and kept a generator, each under its plan's labels."""
        for run, labels in _named(self._plan):
            folder = self.store.run_folder(run)
            config = (folder.config() or {}).get("config")
            reason = _unfit(folder, config)
            if reason or config is None:
                self.lacking.append((f"{_title(labels)} ({run})", reason or ""))
            else:
                yield StoredRun(self._today(config), labels, {}, run)

    def _today(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return ``config`` with the components that scoring takes described as they are now."""
        kinds = {"dataset": "dataset", "generator": "architecture", "baseline": "baseline"}
        return dict(config) | {key: self._now(kind, config[key]) for key, kind in kinds.items() if key in config}

    def _now(self, kind: str, described: Mapping[str, Any]) -> dict[str, Any]:
        known = canonical(described)
        if known not in self._described:
            component = rebuild(self._catalog, kind, described)
            found = dict(described) | describe(self._catalog, kind, component)
            if found["source"] != described["source"]:
                self.changed.append(f"the source of {kind} {component.name!r}")
            if described.get("fingerprint") not in (None, self._fingerprint(component)):
                self.changed.append(f"the content of dataset {component.name!r}")
            self._described[known] = found
        return self._described[known]

    def _fingerprint(self, dataset: Any) -> str | None:
        try:
            found: str = dataset.fingerprint(self._wish.data_root)
        except (AttributeError, ValueError, OSError):  # what is wrong with the data is said when they are loaded
            return None
        return found

    # How it is to be scored

    def _scoring(self) -> Scoring:
        """Return how the suite scores, changed as the wish has it."""
        path, wish = self.store.folder / "suite.json", self._wish
        resolved = read_object(path)
        if resolved is None:
            raise ResultsError(f"{self.store.folder} has no suite.json, which says how to score; run the suite again")
        try:
            stored = Scoring.model_validate(resolved["suite"]["scoring"])
        except (KeyError, TypeError, ValidationError) as error:
            raise ResultsError(f"{path} does not say how the suite scores") from error
        wanted = {"extractor": wish.extractor, "samples": wish.samples, "seed": wish.seed, "force": wish.force or None}
        given: dict[str, Any] = {key: value for key, value in wanted.items() if value is not None}
        if wish.metrics:
            given["metrics"] = wish.metrics
        try:
            return Scoring.model_validate(stored.model_dump(by_alias=True) | given)
        except ValidationError as error:
            raise SuiteError(plain_sentence(error, "scoring")) from error

    def _job(self, runs: list[StoredRun], scoring: Scoring) -> Job:
        datasets = {run.labels["dataset"]: run.config["dataset"] for run in runs}
        return Job(
            results=self.store.folder,
            plugins=self._wish.plugins,
            data_root=self._wish.data_root,
            device=str(self._wish.device),
            threads=torch.get_num_threads(),
            deterministic=False,
            datasets=tuple(self._dataset(label, described, scoring) for label, described in datasets.items()),
            metrics=standard_metrics(self._catalog) if scoring.metrics is None else scoring.metrics,
            scoring=scoring,
        )

    def _dataset(self, label: str, described: Mapping[str, Any], scoring: Scoring) -> PlannedDataset:
        """Return the data set with the extractor asked for, that of the suite, or its own."""
        dataset = rebuild(self._catalog, "dataset", described)
        choice = scoring.extractor or ComponentChoice(name=dataset.extractor)
        (extractor,) = choose(self._catalog, "extractor", (choice,))
        return PlannedDataset(label, described, describe(self._catalog, "extractor", extractor))


def _named(plan: Plan) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each run that the plan names with its labels: baselines first, then cell by cell."""
    for row in plan.baselines:
        for run in row.runs.values():
            yield run, {"dataset": row.dataset, "architecture": row.name, "loss": ""}
    for cell in plan.cells:
        for run in cell.runs.values():
            yield run, {"dataset": cell.dataset, "architecture": cell.architecture, "loss": cell.loss}


def _unfit(folder: RunFolder, config: Mapping[str, Any] | None) -> str | None:
    """Say why there is nothing to score in this folder, or None."""
    status = (folder.status() or {}).get("status", "not run yet")
    if status != "done":
        return f"it is {status}" if status == "not run yet" else f"it has {status}"
    if config is None:
        return "it has no config.json"
    if "recipe" in config and not (folder.path / GENERATOR_FILE).exists():
        return "it has kept no generator"
    return None


def _title(labels: Mapping[str, str]) -> str:
    return "/".join(filter(None, (labels["architecture"], labels["loss"]))) + f" on {labels['dataset']}"
