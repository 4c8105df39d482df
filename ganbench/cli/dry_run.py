"""``ganbench run --dry-run``: what would run, where every value is from, what it would cost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from ganbench.endings import FINISHED

if TYPE_CHECKING:
    from ganbench.catalog import Catalog
    from ganbench.execution.session import Choices
    from ganbench.suite.plan import Plan, PlannedCell


def print_plan(plan: Plan, catalog: Catalog, choices: Choices, probe: bool, as_json: bool) -> None:
    """Print every cell of ``plan`` with runs, steps, time, origins; skipped ones with their reason."""
    from ganbench.execution.forecast import History

    history = History(choices.results)
    seconds = _probed(plan, catalog, choices) if probe else [_remembered(cell, history, choices) for cell in plan.cells]
    rows = [_describe(cell, history, time, catalog) for cell, time in zip(plan.cells, seconds, strict=True)]
    if as_json:
        click.echo(json.dumps({"suite": plan.suite.name, "cells": rows}, indent=2))
        return
    click.echo(f"{plan.suite.name}: results in {choices.results}, on {choices.device}")
    for dataset in plan.datasets:
        metrics, samples = ", ".join(plan.metrics), plan.suite.scoring.samples
        extractor = _component(dataset.extractor)
        click.echo(f"{_component(dataset.component)}: {samples:,} samples scored by {extractor}: {metrics}")
    if plan.baselines:
        click.echo(f"reference rows: {', '.join(f'{row.name} on {row.dataset}' for row in plan.baselines)}")
    for row in rows:
        _print_cell(row)
    _print_total(rows)


def _describe(cell: PlannedCell, history: Any, seconds: float | None, catalog: Catalog) -> dict[str, Any]:
    from ganbench.suite.assemble import assemble
    from ganbench.suite.plan import exact_spending

    row: dict[str, Any] = {**cell.labels, "skipped": cell.skipped, "allowed_incompatible": cell.allowed}
    if not cell.runs:
        return row | {"runs": []}
    first = cell.runs[0]
    parts = assemble(first.config, catalog)
    spending = exact_spending(parts.recipe, parts.budget, hasattr(parts.loss, "discriminator"))
    return row | {
        "runs": [{"id": run.id, "seed": run.seed, "status": history.status(run)} for run in cell.runs],
        "spending": spending,
        "seconds_a_run": seconds,
        "components": _components(first.config),
        "recipe": first.origins,
        "changed_sources": history.changed_sources(first),
    }


def _components(config: Mapping[str, Any]) -> list[str]:
    """Return the components of a cell with all their parameters, as the short form writes them."""
    kinds = ("generator", "discriminator", "loss", "g_optimizer", "d_optimizer")
    one = dict.fromkeys(_component(config[kind]) for kind in kinds)
    added = [_component(part) for kind in ("regularizers", "constraints", "augmentations") for part in config[kind]]
    return [*one, *added]


def _component(described: Mapping[str, Any]) -> str:
    parameters = {**described.get("location", {}), **described["parameters"]}
    inside = ", ".join(f"{key}={_value(value)}" for key, value in parameters.items())
    return f"{described['name']}({inside})" if inside else str(described["name"])


def _remembered(cell: PlannedCell, history: Any, choices: Choices) -> float | None:
    if not cell.runs:
        return None
    seconds: float | None = history.seconds(cell.runs[0], choices.device)
    return seconds


def _probed(plan: Plan, catalog: Catalog, choices: Choices) -> list[float | None]:
    from ganbench.execution.bench import Bench
    from ganbench.execution.forecast import probe_seconds

    bench = Bench(choices.job(plan), catalog)
    return [probe_seconds(cell, bench) if cell.runs else None for cell in plan.cells]


def _print_cell(row: Mapping[str, Any]) -> None:
    name = f"{row['dataset']}: {row['architecture']} / {row['loss']}"
    if row["skipped"]:
        click.echo(f"\n{name}\n  n/a: {row['skipped']}")
        return
    states = [run["status"] for run in row["runs"]]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    click.echo(
        f"\n{name}\n  {len(states)} runs ({counts}); {_steps(row['spending'])}; {_time(row['seconds_a_run'])} a run"
    )
    click.echo(f"  ids: {' '.join(run['id'] for run in row['runs'])}")
    click.echo(f"  components: {'; '.join(row['components'])}")
    if row["allowed_incompatible"]:
        click.echo(f"  incompatible, run all the same: {row['allowed_incompatible']}")
    if row["changed_sources"]:
        click.echo(f"  new because the source changed: {', '.join(row['changed_sources'])}")
    by_origin: dict[str, list[str]] = {}
    for key, entry in row["recipe"].items():
        by_origin.setdefault(entry["from"], []).append(f"{key} = {_value(entry['value'])}")
    for origin, values in by_origin.items():
        click.echo(f"  {origin}: {', '.join(values)}")


def _print_total(rows: list[dict[str, Any]]) -> None:
    todo = [(row, run) for row in rows for run in row["runs"] if run["status"] not in FINISHED]
    known = [row["seconds_a_run"] for row, _ in todo]
    total = _time(sum(known)) if all(seconds is not None for seconds in known) else "time unknown (--probe measures it)"
    click.echo(f"\n{len(todo)} runs to do, {total} on one process" if todo else "\nnothing to do")


def _steps(spending: Mapping[str, int] | None) -> str:
    if spending is None:
        return "steps depend on the time"
    return f"{spending['d_updates']:,} D and {spending['g_updates']:,} G updates, {spending['images']:,} images"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "time unknown"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _value(value: Any) -> str:
    if isinstance(value, dict) and set(value) == {"name"}:
        return str(value["name"])
    return json.dumps(value)
