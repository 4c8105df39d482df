"""``ganbench run --dry-run``: what would run, where every value is from, what it would cost."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from ganbench.endings import FINISHED

if TYPE_CHECKING:
    from ganbench.catalog import Catalog
    from ganbench.execution.forecast import History
    from ganbench.execution.session import Choices
    from ganbench.suite.plan import Plan, PlannedBaseline, PlannedCell

SHOWN_TRIALS = 5


def print_plan(plan: Plan, catalog: Catalog, choices: Choices, probe: bool, as_json: bool) -> None:
    """Print every cell of ``plan`` with runs, steps, time, origins; skipped ones with their reason."""
    from ganbench.execution.forecast import History

    history = History(choices.results)
    seconds = _probed(plan, catalog, choices) if probe else [_remembered(cell, history, choices) for cell in plan.cells]
    rows = [_describe(cell, history, time, catalog) for cell, time in zip(plan.cells, seconds, strict=True)]
    references = [_describe_baseline(row, history, choices) for row in plan.baselines]
    if as_json:
        click.echo(json.dumps({"suite": plan.suite.name, "cells": rows, "baselines": references}, indent=2))
        return
    click.echo(f"{plan.suite.name}: results in {choices.results}, on {choices.device}")
    for dataset in plan.datasets:
        metrics, samples = ", ".join(plan.metrics), plan.suite.scoring.samples
        extractor = _component(dataset.extractor)
        click.echo(f"{_component(dataset.component)}: {samples:,} samples scored by {extractor}: {metrics}")
    if references:
        click.echo(f"reference rows: {', '.join('{name} on {dataset}'.format(**row) for row in references)}")
    for rule in plan.suite.exclude:
        kept = f", unless {_where(rule.unless)}" if rule.unless else ""
        click.echo(f"excluded: {_where(rule.where)}{kept}{f' ({rule.reason})' if rule.reason else ''}")
    for _, group in itertools.groupby(rows, key=_combination):
        first, *others = group
        if first["trial"]:
            _print_trials([first, *others])
        else:
            _print_cell(first)
    for row in references:
        if row["recipe"]:
            click.echo(f"\n{row['dataset']}: {row['name']}\n  {_runs([row])}; {_time(row['seconds_a_run'])} a run")
            click.echo(f"  ids: {' '.join(run['id'] for run in row['runs'])}")
            click.echo(f"  components: {'; '.join(row['components'])}")
            _print_origins(row)
    _print_total([*rows, *references])


def _combination(row: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return what the trials of one combination have in common."""
    return row["dataset"], row["architecture"], row["trial"]["loss"] if row["trial"] else row["loss"]


def _where(where: Mapping[str, Any]) -> str:
    return "; ".join(f"{axis} {', '.join(labels)}" for axis, labels in where.items())


def _describe(cell: PlannedCell, history: Any, seconds: float | None, catalog: Catalog) -> dict[str, Any]:
    from ganbench.suite.assemble import assemble
    from ganbench.suite.plan import exact_spending

    row: dict[str, Any] = {**cell.labels, "skipped": cell.skipped, "allowed_incompatible": cell.allowed}
    row["trial"] = dict(vars(cell.trial)) if cell.trial else None
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


def _describe_baseline(row: PlannedBaseline, history: History, choices: Choices) -> dict[str, Any]:
    """Return what a reference row comes to; the recipe is empty where nothing is trained."""
    first = row.runs[0]
    parts = [first.config[key] for key in ("baseline", "g_optimizer") if key in first.config]
    return {
        "dataset": row.dataset,
        "name": row.name,
        "runs": [{"id": run.id, "seed": run.seed, "status": history.status(run)} for run in row.runs],
        "seconds_a_run": history.seconds(first, choices.device) if first.trains else 0.0,
        "components": [_component(part) for part in parts],
        "recipe": first.origins,
        "trial": None,
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
    click.echo(f"\n{name}\n  {_runs([row])}; {_steps(row['spending'])}; {_time(row['seconds_a_run'])} a run")
    click.echo(f"  ids: {' '.join(run['id'] for run in row['runs'])}")
    click.echo(f"  components: {'; '.join(row['components'])}")
    _print_remarks([row])
    _print_origins(row)


def _print_trials(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print what the trials of one combination share, and the drawn values of the first of them."""
    dataset, architecture, loss = _combination(rows[0])
    trials = "1 trial" if len(rows) == 1 else f"{len(rows)} trials"
    click.echo(f"\n{dataset}: {architecture} / {loss}, {trials}")
    reasons = [row["skipped"] for row in rows if row["skipped"]]
    for reason in dict.fromkeys(reasons):
        click.echo(f"  n/a in {reasons.count(reason)}: {reason}")
    planned = [row for row in rows if row["runs"]]
    if planned:
        times = [row["seconds_a_run"] for row in planned]
        time = None if None in times else sum(times) / len(times)
        steps = list(dict.fromkeys(_steps(row["spending"]) for row in planned))
        shown = " or ".join(steps) if len(steps) < 4 else f"steps differ, as in {steps[0]}"
        click.echo(f"  {_runs(planned)}; {shown}; {_time(time)} a run")
        click.echo(f"  components of {_number(planned[0])}: {'; '.join(planned[0]['components'])}")
        _print_remarks(planned)
        _print_origins(planned[0])
    for row in rows[:SHOWN_TRIALS]:
        values = ", ".join(f"{key} = {_value(value)}" for key, value in row["trial"]["values"].items())
        ids = "n/a" if row["skipped"] else " ".join(run["id"] for run in row["runs"])
        click.echo(f"  {_number(row)}: {values or 'nothing drawn'} ({ids})")
    if len(rows) > SHOWN_TRIALS:
        click.echo(f"  ... {len(rows) - SHOWN_TRIALS} more; --json shows all of them")


def _number(row: Mapping[str, Any]) -> str:
    return str(row["loss"]).removeprefix(f"{row['trial']['loss']}.")


def _runs(rows: Sequence[Mapping[str, Any]]) -> str:
    states = [run["status"] for row in rows for run in row["runs"]]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    return f"{len(states)} runs ({counts})"


def _print_remarks(rows: Sequence[Mapping[str, Any]]) -> None:
    for reason in dict.fromkeys(row["allowed_incompatible"] for row in rows if row["allowed_incompatible"]):
        click.echo(f"  incompatible, run all the same: {reason}")
    changed = dict.fromkeys(name for row in rows for name in row["changed_sources"])
    if changed:
        click.echo(f"  new because the source changed: {', '.join(changed)}")


def _print_origins(row: Mapping[str, Any]) -> None:
    """Print the recipe by origin; what a search drew stands with its trial."""
    by_origin: dict[str, list[str]] = {}
    drawn = row["trial"]["values"] if row["trial"] else {}
    fields = {key.removeprefix("recipe.").partition("[")[0] for key in drawn if key.startswith("recipe.")}
    for key, entry in row["recipe"].items():
        if key not in fields:
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
