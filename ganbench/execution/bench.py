"""A bench: one process's live side of a job. It performs runs one after another and keeps what they share.

Performing a run means: train it unless it is trained, score what is not scored, draw its sheet. Each part leaves files
in the run's folder, so each can be stopped and repeated.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganbench.catalog import Catalog
from ganbench.endings import FINISHED
from ganbench.errors import GanbenchError, RankLost
from ganbench.execution.environment import PeakMemory, configure, describe_environment
from ganbench.execution.job import Job, Progress, Result
from ganbench.execution.requirements import Splits, draw_baseline, find_metric, load_splits, usable_extractor
from ganbench.execution.torchrun import Call, in_step
from ganbench.execution.tuning import candidates, remember, remembered, tune, tuning_key
from ganbench.results.record import Record
from ganbench.results.store import RunFolder, Store
from ganbench.scoring.evaluate import Evaluator
from ganbench.scoring.randomness import own_randomness
from ganbench.scoring.reference import ReferenceCache, content_hash
from ganbench.scoring.request import ScoringSettings, Subject
from ganbench.scoring.sample import GeneratorSource, SampleSource, TensorSource, generated_rule
from ganbench.scoring.sheet import write_sheet
from ganbench.seeds import derive
from ganbench.suite.assemble import architecture_of, assemble, component
from ganbench.suite.plan import Run
from ganbench.training.checkpoint import GENERATOR_FILE, STATE_FILE, load_generator, read_details, snapshot_file
from ganbench.training.kernels import Kernels
from ganbench.training.loop import Controls, Training
from ganbench.training.loop import Progress as TrainingProgress
from ganbench.training.setup import Setup
from ganbench.training.world import World
from ganbench.values import ImageSpec

SHEET_SAMPLES = 64


class Bench:
    """Performs runs of one job in this process."""

    def __init__(self, job: Job, catalog: Catalog, world: World | None = None) -> None:
        self.job, self.catalog, self.device, self.world = job, catalog, torch.device(job.device), world
        configure(self.device, job.threads, job.deterministic)
        self.store = Store(job.results)
        self._splits: dict[str, Splits] = {}
        self._evaluators: dict[str, Evaluator] = {}
        self._baselines: dict[str, Tensor] = {}

    # What runs of one dataset share

    def splits(self, label: str) -> Splits:
        """Return the dataset of this label, loaded once.

        Raises:
            DatasetError: it is missing, truncated, or of mixed sizes.
        """
        if label not in self._splits:
            self._splits[label] = load_splits(self.catalog, self.job.dataset(label), self.job.data_root)
        return self._splits[label]

    def evaluator(self, label: str) -> Evaluator:
        """Return what scores runs on the dataset of this label.

        Raises:
            ExtractorUnavailable: its extractor cannot be used here; the sentence lists those that can.
        """
        if label not in self._evaluators:
            splits, planned, scoring = self.splits(label), self.job.dataset(label), self.job.scoring
            settings = ScoringSettings(
                metrics=tuple((name, find_metric(self.catalog, name)) for name in self.job.metrics),
                extractor=usable_extractor(self.catalog, planned.extractor, splits),
                samples=scoring.samples,
                seed=scoring.seed,
                forced=scoring.force,
            )
            provenance = {
                "dataset": planned.component["name"],
                "parameters": planned.component["parameters"],
                "split": "test",
                "content": content_hash(splits.test.pixels),
                "n": len(splits.test),
                "flips": False,
            }
            subject = Subject(label, splits.domain, splits.spec, splits.scored, splits.test, provenance, splits.truth)
            self._evaluators[label] = Evaluator(settings, subject, self.device, ReferenceCache())
        return self._evaluators[label]

    # One run

    def perform(
        self, run: Run, stop: Callable[[], bool] = lambda: False, tell: Callable[[Progress], None] = lambda _: None
    ) -> Result:
        """Train ``run`` unless it is trained, score what is not scored, draw its sheet; a failure is recorded.

        Raises:
            ResultsError: the results folder cannot be written, so nothing could be recorded.
            RankLost: another process of torchrun is gone.
        """
        folder = self.store.run_folder(run.id)
        try:
            return self._perform(run, folder, stop, tell)
        except Exception as error:
            status = dict(folder.status() or {})
            reason = f"{type(error).__name__}: {error}" if not isinstance(error, GanbenchError) else str(error)
            folder.write_text("error.txt", traceback.format_exc())
            folder.write_json("run.json", status | {"status": "failed", "reason": reason})
            if isinstance(error, RankLost):
                raise
            return Result(run.id, run.title, "failed", reason)

    def _perform(
        self, run: Run, folder: RunFolder, stop: Callable[[], bool], tell: Callable[[Progress], None]
    ) -> Result:
        for left_over in folder.path.glob(".*.tmp"):  # of a process that was killed while it wrote
            left_over.unlink(missing_ok=True)
        status = folder.status() or {}
        if status.get("status") not in FINISHED:
            described = {"config": run.config, "origins": run.origins, "labels": run.labels, "seed": run.seed}
            folder.write_json("config.json", described)
            kernels = self.kernels(run) if run.trains else None
            earlier = _computed_before(folder)
            self._write_environment(folder, kernels.as_json() if kernels else None, earlier)
            status = self._train(run, folder, kernels, (stop, tell)) if kernels else {"status": "done", "reason": None}
            folder.write_json("run.json", {**status, "ended": datetime.now(UTC).isoformat(timespec="seconds")})
        if status["status"] == "done":
            self.score(run)
        if status["status"] in FINISHED and not (folder.path / "sheet.png").exists():
            self._draw_sheet(run, folder)
        (folder.path / "error.txt").unlink(missing_ok=True)
        fallbacks = (folder.environment() or {}).get("kernels", {}).get("fallbacks", {})
        told = (*status.get("notes", ()), *(f"without {what}: {why}" for what, why in fallbacks.items()))
        return Result(run.id, run.title, status["status"], status.get("reason"), told)

    def _write_environment(
        self, folder: RunFolder, kernels: Mapping[str, Any] | None, earlier: Iterable[Mapping[str, Any]]
    ) -> None:
        """Write what the run is computed with, and other environments in which sessions before this one computed it."""
        environment = describe_environment(self.device, self.job.deterministic)
        together = {"processes": self.world.size} if kernels and self.world is not None else {}
        now = environment | together | ({"kernels": dict(kernels)} if kernels else {})
        others = [one for one in earlier if one != now]
        folder.write_json("environment.json", now | ({"earlier": others} if others else {}))

    def _train(
        self,
        run: Run,
        folder: RunFolder,
        kernels: Kernels,
        onlookers: tuple[Callable[[], bool], Callable[[Progress], None]],
    ) -> dict[str, Any]:
        stop, tell = onlookers
        device, earlier = str(self.device), (folder.environment() or {}).get("earlier", [])
        notes = (folder.status() or {}).get("notes", []) if _is_begun(folder) else []
        folder.write_json(
            "run.json", {**(folder.status() or {}), "status": "running", "reason": None, "device": device}
        )
        memory = PeakMemory(self.device)

        def report(p: TrainingProgress) -> None:
            tell(Progress(run.id, run.title, p.share, p.images_per_second, p.values))

        if self.world is not None:
            self.world.share(Call(self.job, run, kernels))
        with in_step(self.world):
            controls = Controls(stop, report, thrifty=self.job.thrifty)
            training = Training(self.setup(run), folder.path, self.device, controls, kernels, self.world)
            outcome = training.run()
        self._write_environment(folder, training.engine.used(), earlier)
        notes = list(dict.fromkeys([*notes, *outcome.facts.get("notes", [])]))
        return {
            "status": outcome.status,
            "reason": outcome.reason,
            "step": outcome.step,
            "device": device,
            "peak_memory_bytes": memory.read(),
            **outcome.facts,
            **({"notes": notes} if notes else {}),
        }

    def setup(self, run: Run) -> Setup:
        """Return what training ``run`` takes, with its components and data live."""
        splits = self.splits(run.labels["dataset"])
        parts = assemble(run.config, self.catalog, splits.spec)
        described = {key: run.config.get(key) or run.config["baseline"] for key in ("generator", "discriminator")}
        names = {"dataset": _key(run.config["dataset"]), **{key: _key(one) for key, one in described.items()}}
        at, stop_on = self.job.scoring.at, tuple(run.config.get("stop_on", ()))
        return Setup(parts, splits.spec, splits.train, splits.test, run.seed, names, at, stop_on)

    def tuning_key(self, run: Run) -> dict[str, Any]:
        """Return what the fastest kernels of ``run`` may depend on, here."""
        return tuning_key(run, self.splits(run.labels["dataset"]).spec.shape, self.device, self.job.threads)

    def kernels(self, run: Run) -> Kernels:
        """Return the kernels for ``run``: what was asked for, else what was measured to be fastest, else the default.

        On CUDA, where recording alone decides between much and little, nothing measured means that it is measured now.
        """
        forced, key = dict(self.job.kernels), self.tuning_key(run)
        found = remembered(key)
        if found is None and self.device.type == "cuda" and not self.job.deterministic and not forced:
            found = self._tuned(run, key)
        return replace(found or Kernels(), **forced)

    def _tuned(self, run: Run, key: Mapping[str, Any]) -> Kernels | None:
        """Measure what is fastest for ``run`` and keep it where that is possible; None where it does not fit."""
        try:
            tuned = tune(self.setup(run), self.device, candidates(self.device, compile=False))
        except torch.OutOfMemoryError:
            return None  # the run itself says so, and goes on with less memory if it may
        with suppress(GanbenchError):  # a cache that cannot be written must not fail a run
            remember(key, tuned)
        return tuned.kernels

    # Scores and sheets

    def missing(self, run: Run) -> list[int]:
        """Return the images seen at each stored generator that lacks a score under today's protocols.

        Only for runs that are done; one that ended early (`ganbench.endings`) is not scored.
        """
        folder = self.store.run_folder(run.id)
        if (folder.status() or {}).get("status") != "done":
            return []
        have = {(record.images_seen, record.protocol) for record in folder.records()}
        wanted = {entry["id"] for entry in self.protocols(run).values()}
        return [seen for seen in self._stored(folder) if any((seen, id) not in have for id in wanted)]

    def is_pending(self, run: Run) -> bool:
        """Whether there is anything to do for ``run``: it is not trained, or not wholly scored."""
        status = (self.store.run_folder(run.id).status() or {}).get("status")
        return status not in FINISHED or bool(self.missing(run))

    def protocols(self, run: Run) -> dict[str, dict[str, Any]]:
        """Return the protocols under which ``run`` is scored, by the metric's full name."""
        count = None if run.trains else min(self.job.scoring.samples, len(self._baseline(run)))
        return self.evaluator(run.labels["dataset"]).protocols(generated_rule(self.job.scoring.seed), count)

    def register_protocols(self, run: Run) -> dict[str, dict[str, Any]]:
        """Write the protocols of ``run`` with their floors beside the results, where they are new; return them."""
        protocols, known = self.protocols(run), self.store.protocols()
        new = {entry["id"]: entry for entry in protocols.values() if entry["id"] not in known}
        if new:
            floors = self.evaluator(run.labels["dataset"]).floors()
            self.store.add_protocols({id: {**entry, "floor": floors.get(entry["metric"])} for id, entry in new.items()})
        return protocols

    def _stored(self, folder: RunFolder) -> dict[int, Path]:
        """Return by images seen the generators that the suite wants scored, the last one last; a baseline has none."""
        last = int((folder.status() or {}).get("images_seen", 0))
        found = {}
        for at in sorted(self.job.scoring.at):
            path = folder.path / snapshot_file(at)
            if at < 1 and path.exists():
                found[int(read_details(path)["images_seen"])] = path
        return found | {last: folder.path / GENERATOR_FILE}

    def absent_snapshots(self, runs: Iterable[Run]) -> list[float]:
        """Return the fractions of ``scoring.at`` at which some finished run kept no generator to score."""
        found = set()
        for run in runs:
            folder = self.store.run_folder(run.id)
            if run.trains and (folder.status() or {}).get("status") == "done":
                wanted = [at for at in self.job.scoring.at if at < 1]
                found |= {at for at in wanted if not (folder.path / snapshot_file(at)).exists()}
        return sorted(found)

    def score(self, run: Run) -> None:
        """Score what is stored of ``run``, once it is done, and not scored under today's protocols.

        Raises:
            GanbenchError: the stored weights cannot be read or do not fit, or records cannot be written.
        """
        missing, folder = self.missing(run), self.store.run_folder(run.id)
        if not missing:
            return
        evaluator = self.evaluator(run.labels["dataset"])
        self.register_protocols(run)
        stored = self._stored(folder)
        for seen in missing:
            source, started = self._source(run, stored[seen]), time.monotonic()
            fresh = [
                Record(
                    run=run.id, dataset=run.labels["dataset"], architecture=run.labels["architecture"],
                    loss=run.labels["loss"] or None, seed=run.seed, images_seen=seen, metric=score.metric,
                    value=score.value, status=score.status, reason=score.reason, protocol=score.protocol,
                    error=score.error, note=score.note,
                )
                for score in evaluator.score(source)
            ]  # fmt: skip
            replaced = {(record.images_seen, record.protocol) for record in fresh}
            kept = [r for r in folder.records() if (r.images_seen, r.protocol) not in replaced]
            folder.write_records([*kept, *fresh])
            folder.add_scoring(
                {
                    "images_seen": seen,
                    "protocols": [record.protocol for record in fresh],
                    "environment": describe_environment(self.device, self.job.deterministic),
                    "batch_size": evaluator.batch_size,
                    "seconds": time.monotonic() - started,
                }
            )

    def _source(self, run: Run, path: Path) -> SampleSource:
        seed = self.job.scoring.seed
        if not run.trains:
            return TensorSource(self._baseline(run), generated_rule(seed), seed)
        splits = self.splits(run.labels["dataset"])
        architecture = architecture_of(run.config, self.catalog, splits.spec, component)
        with own_randomness(0, self.device):  # layers draw initial weights
            network = architecture.generator(splits.spec)
        load_generator(path, network, self.device)
        latent = architecture.latent(splits.spec)
        return GeneratorSource(
            network, latent, splits.spec, splits.train.labels, seed, self.device, generated_rule(seed)
        )

    def _baseline(self, run: Run) -> Tensor:
        """Return the samples of a baseline, stored; fitted once in this process."""
        if run.id not in self._baselines:
            splits = self.splits(run.labels["dataset"])
            baseline = component(self.catalog, "baseline", run.config["baseline"])
            rng = torch.Generator().manual_seed(derive(run.seed, "baseline", _key(run.config["baseline"])))
            self._baselines[run.id] = draw_baseline(baseline, splits, rng, self.job.scoring.samples)
        return self._baselines[run.id]

    def _draw_sheet(self, run: Run, folder: RunFolder) -> None:
        splits = self.splits(run.labels["dataset"])
        if not isinstance(splits.spec, ImageSpec):
            return
        source = self._source(run, folder.path / GENERATOR_FILE)
        try:
            stored = torch.cat(list(source.batches(SHEET_SAMPLES, SHEET_SAMPLES)))
        except ValueError:  # a diverged generator may give nothing finite to show
            return
        write_sheet(folder.path / "sheet.png", stored)


def _key(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return what random streams may depend on: the component's name and parameters, not its source."""
    return {"name": described["name"], "parameters": described["parameters"]}


def _is_begun(folder: RunFolder) -> bool:
    """Whether training will go on from a saved state."""
    return (folder.path / STATE_FILE).exists()


def _computed_before(folder: RunFolder) -> list[dict[str, Any]]:
    """Return the environments in which sessions before this one computed what training will go on from."""
    last = dict(folder.environment() or {}) if _is_begun(folder) else {}
    earlier: list[dict[str, Any]] = last.pop("earlier", [])
    return [*(one for one in earlier if one != last), last] if last else []
