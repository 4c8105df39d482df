"""What a suite will cost, and why a run is new: for ``--dry-run``. Trains nothing but the few rounds of a probe."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ganbench.errors import ResultsError
from ganbench.execution.bench import Bench
from ganbench.execution.environment import device_name
from ganbench.results.store import Store
from ganbench.suite.assemble import assemble
from ganbench.suite.plan import PlannedCell, Run, exact_spending
from ganbench.training.engine import Engine

PROBED_ROUNDS = 5


class History:
    """The runs that a results folder already holds; an absent folder holds none."""

    def __init__(self, folder: Path) -> None:
        try:
            store = Store.open(folder)
        except ResultsError:
            self._runs: dict[str, dict[str, Any]] = {}
            return
        self._runs = {
            folder.id: {
                "config": (folder.config() or {}).get("config", {}),
                "status": folder.status() or {},
                "environment": folder.environment() or {},
            }
            for folder in store.run_folders()
        }

    def status(self, run: Run) -> str:
        """Return the status of ``run`` in the folder, or "new"."""
        return str(self._runs.get(run.id, {}).get("status", {}).get("status", "new"))

    def seconds(self, run: Run, device: torch.device) -> float | None:
        """Return the median seconds of finished runs of the same cell on the same device, or None."""
        wanted, here = _without(run.config, "seed"), device_name(device)
        found = [
            past["status"]["seconds"]
            for past in self._runs.values()
            if past["status"].get("status") == "done"
            and past["status"].get("seconds")
            and past["environment"].get("device_name") == here
            and _without(past["config"], "seed") == wanted
        ]
        return statistics.median(found) if found else None

    def changed_sources(self, run: Run) -> list[str]:
        """Name the components of ``run`` whose source differs from an otherwise equal run that is there."""
        if run.id in self._runs:
            return []
        sourceless = _sourceless(run.config)
        for past in self._runs.values():
            if _sourceless(past["config"]) == sourceless:
                return _differing(past["config"], run.config)
        return []


def probe_seconds(cell: PlannedCell, bench: Bench) -> float | None:
    """Return the seconds that one run of ``cell`` would take, from five timed rounds after one to warm up."""
    run = cell.runs[0]
    parts = assemble(run.config, bench.catalog)
    spending = exact_spending(parts.recipe, parts.budget, hasattr(parts.loss, "discriminator"))
    if spending is None:
        return parts.budget.seconds
    with torch.random.fork_rng(devices=[]):
        engine = Engine(bench.setup(run), bench.device)
        engine.play_round(0.0)
        int(engine.first_bad)  # waits for the device
        start = time.perf_counter()
        for _ in range(PROBED_ROUNDS):
            engine.play_round(0.0)
        int(engine.first_bad)
    return (time.perf_counter() - start) / PROBED_ROUNDS * spending["rounds"]


def _without(config: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name != key}


def _sourceless(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _sourceless(part) for key, part in value.items() if key not in {"source", "location"}}
    return [_sourceless(part) for part in value] if isinstance(value, list | tuple) else value


def _differing(past: Any, now: Any) -> list[str]:
    """Name the components that stand in both configurations with another source."""
    if isinstance(now, Mapping) and "source" in now:
        return [now["name"]] if past["source"] != now["source"] else []
    if isinstance(now, Mapping):
        parts = [(past[key], value) for key, value in now.items()]
    else:
        parts = list(zip(past, now, strict=True)) if isinstance(now, list | tuple) else []
    return list(dict.fromkeys(name for before, after in parts for name in _differing(before, after)))
