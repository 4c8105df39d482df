"""Results folders made by hand, as `ganbench run` would leave them, without training anything."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ganbench.results.record import Record
from ganbench.results.store import Store


def protocol(metric: str, dataset: str = "digits", **changes: Any) -> dict[str, Any]:
    """Return an entry of protocols.json as scoring writes it."""
    stem = metric.partition("/")[0]
    higher = stem in ("cs", "precision", "recall", "density", "coverage")
    scale = "logit" if stem in ("precision", "recall") else "linear" if stem == "kd" else "log"
    extractor = metric.partition("/")[2] or "inception_v3"
    entry = {
        "metric": metric,
        "label": metric.upper(),
        "direction": "higher" if higher else "lower",
        "scale": scale,
        "dataset": dataset,
        "floor": None,
        "protocol": {
            "metric": {"name": stem, "version": 1},
            "extractor": {"name": extractor},
            "reference": {"dataset": dataset, "split": "test", "n": 599},
            "generated": {"n": 2000, "seed": 0},
        },
    }
    for key, value in changes.items():
        place = entry if key in entry else entry["protocol"]
        place[key] = {**place[key], **value} if isinstance(place.get(key), dict) else value
    return entry


@dataclass
class Folder:
    """A results folder under construction; every method returns at once what it wrote."""

    store: Store
    plan: dict[str, Any] = field(
        default_factory=lambda: {
            "suite": "demo",
            "budget": {"images": 50000},
            "samples": 2000,
            "metrics": [],
            "cells": [],
            "baselines": [],
        }
    )
    ids: dict[str, str] = field(default_factory=dict)

    def metric(self, name: str, id: str | None = None, dataset: str = "digits", **changes: Any) -> str:
        """Name a metric in the plan and its protocol in protocols.json; return the protocol's id."""
        id = id or hashlib.sha256(f"{name} {dataset}".encode()).hexdigest()[:16]
        if name not in self.plan["metrics"]:
            self.plan["metrics"].append(name)
        self.ids.setdefault(f"{dataset} {name}", id)
        self.store.add_protocols({id: protocol(name, dataset, **changes)})
        self._save()
        return id

    def cell(
        self,
        architecture: str,
        loss: str,
        scores: dict[str, list[Any]] | None = None,
        dataset: str = "digits",
        **more: Any,
    ) -> list[str]:
        """Plan a cell and write its runs. A score is a number, or a status of the whole run such as "diverged".

        ``more`` are keys of the plan's cell.
        """
        scores = scores or {}
        seeds = range(max((len(values) for values in scores.values()), default=0))
        runs = [f"{dataset}-{architecture}-{loss}-{seed}" for seed in seeds]
        row = {"dataset": dataset, "architecture": architecture, "loss": loss, "skipped": None, **more}
        self.plan["cells"].append({**row, "runs": {str(seed): run for seed, run in enumerate(runs)}})
        self._save()
        for seed, run in enumerate(runs):
            self.run(run, (dataset, architecture, loss), seed, {name: values[seed] for name, values in scores.items()})
        return runs

    def baseline(
        self, name: str, scores: dict[str, list[float]], dataset: str = "digits", ids: dict[str, str] | None = None
    ) -> None:
        """Plan a baseline and write its runs; ``ids`` gives the protocol of a metric where it is another one."""
        seeds = range(len(next(iter(scores.values()))))
        runs = {str(seed): f"{dataset}-{name}-{seed}" for seed in seeds}
        self.plan["baselines"].append({"dataset": dataset, "name": name, "runs": runs})
        self._save()
        for seed in seeds:
            values = {metric: numbers[seed] for metric, numbers in scores.items()}
            self.run(runs[str(seed)], (dataset, name, None), seed, values, ids=ids, images=0)

    def run(
        self,
        run: str,
        labels: tuple[str, str, str | None],
        seed: int,
        scores: dict[str, Any],
        ids: dict[str, str] | None = None,
        images: int = 50000,
    ) -> None:
        """Write the folder of one run; a score None is skipped as a record, a text is what became of the run."""
        dataset, architecture, loss = labels
        words = [value for value in scores.values() if isinstance(value, str)]
        status = words[0] if words else "done"
        if status == "missing":
            return
        folder = self.store.run_folder(run)
        facts = {"status": status, "reason": None, "images_seen": images, "step": None}
        if status == "diverged":
            facts |= {"reason": "the loss is not finite", "step": 120}
        if status in ("collapsed", "saturated"):
            facts |= {"reason": "5 readings of the curves in a row showed it", "step": 500}
        if status == "failed":
            facts |= {"reason": "ValueError: no such layer"}
        if images:
            facts |= {"images_per_second": 1000.0 + seed, "d_updates": 782, "g_updates": 782, "seconds": 50.0}
        folder.write_json("run.json", facts)
        labelled = {"dataset": dataset, "architecture": architecture, "loss": loss}
        folder.write_json("config.json", {"config": {"loss": loss, "seed": seed}, "labels": labelled, "seed": seed})
        folder.write_json("environment.json", {"device": "cpu", "torch": "2.15.0"})
        folder.write_records(
            Record(
                run=run,
                dataset=dataset,
                architecture=architecture,
                loss=loss,
                seed=seed,
                images_seen=images,
                metric=metric,
                value=value,
                status="done" if value is not None else "failed",
                reason=None if value is not None else "too few samples",
                protocol=(ids or {}).get(metric) or self.ids[f"{dataset} {metric}"],
            )
            for metric, value in scores.items()
            if not isinstance(value, str)
        )

    def _save(self) -> None:
        self.store.write_plan(self.plan)


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Folder]:
    """Return a function that makes an empty results folder to be filled by hand."""

    def make(name: str = "demo") -> Folder:
        return Folder(Store.create(tmp_path / "results" / name, name))

    return make


@pytest.fixture
def demo(make_folder: Callable[..., Folder]) -> Folder:
    """Return a folder with everything that a table must show: done, diverged, failed, missing, skipped, baselines."""
    folder = make_folder()
    folder.metric("fd/digits_cnn", floor={"value": 0.336, "extrapolated": True})
    folder.metric("precision/digits_cnn")
    fd, precision = "fd/digits_cnn", "precision/digits_cnn"
    folder.cell("mlp", "hinge", {fd: [3.1, 3.3, 3.2], precision: [0.71, 0.74, 0.69]})
    folder.cell("mlp", "minimax", {fd: [9.0, 7.5, 8.2], precision: [0.31, 0.4, 0.35]})
    folder.cell("mlp", "wasserstein", {fd: [4.0, "diverged", 4.4], precision: [0.6, "diverged", 0.62]})
    folder.cell("dcgan", "hinge", {fd: ["diverged"] * 3, precision: ["diverged"] * 3})
    folder.cell("dcgan", "minimax", {fd: ["failed", "missing", 5.0], precision: ["failed", "missing", 0.5]})
    folder.cell("dcgan", "wasserstein", skipped="the penalty wants a per-sample discriminator, this one normalises")
    folder.baseline("real", {fd: [0.3], precision: [0.97]})
    folder.baseline("noise", {fd: [105.2], precision: [0.0]})
    return folder
