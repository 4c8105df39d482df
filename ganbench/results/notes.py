"""The sentences below a table: what its numbers were measured under, and how far they can be trusted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ganbench.endings import EARLY
from ganbench.results.outcome import Outcome
from ganbench.results.summary import Column, Summary, detectable, score
from ganbench.results.text import either, significant

FEW_SEEDS = 5
_ENVIRONMENT = ("device", "torch", "ganbench", "kernels", "processes")
_THEN = ", then "  # between what one run was computed with, session after session
_LISTED = 5
UNSCORED = "'ganbench run', or 'ganbench rescore' as before, scores it without training"


def notes(summaries: Sequence[Summary], outcomes: Sequence[Outcome], level: float) -> list[str]:
    """Return what a reader must know about these summaries and the runs behind them."""
    by_column: dict[Column, list[Summary]] = {}
    for summary in summaries:
        by_column.setdefault(summary.column, []).append(summary)
    columns = list(by_column)
    found = [
        *_legend(by_column, level),
        *_protocols(columns),
        *_floors(columns),
        *_sampling_errors(by_column),
        *_detectable(by_column),
        *_seeds(summaries),
        *_lost(outcomes),
        *_unmeasured(columns, outcomes),
        *_smaller(columns, outcomes),
        *_environments(outcomes),
        *_two_protocols(columns, outcomes),
        *_unequal(outcomes),
        *_marked(summaries),
    ]
    return [note for note in found if note]


def _legend(by_column: Mapping[Column, Sequence[Summary]], level: float) -> list[str]:
    summaries = [summary for rows in by_column.values() for summary in rows]
    said = []
    if any(summary.half_width is not None for summary in summaries):
        said.append(f"mean ± half-width of the {100 * level:g} % interval over training seeds (Student t)")
    partly = [summary for summary in summaries if summary.lost and summary.values]
    if partly:
        words = [status for status in EARLY if any(summary.counts.get(status) for summary in partly)]
        said.append(f"(mean): some runs {either(words)}, the mean is that of the others")
    if any(summary.best for summary in summaries):
        said.append("bold: the best, and all that are not significantly worse (Welch t, Holm over all pairs, 5 %)")
    elif any(summary.values for summary in summaries if summary.row.competes):
        said.append("nothing is bold: a test wants two cells with two values each")
    return ["; ".join(said)]


def _protocols(columns: Iterable[Column]) -> list[str]:
    """Say for each protocol what was compared with what, once for all the metrics that share it."""
    groups: dict[str, list[str]] = {}
    for column in columns:
        if column.id:
            groups.setdefault(_described(column), []).append(f"{column.metric} ({column.id[:8]})")
    return [f"protocol: {described}: {', '.join(dict.fromkeys(names))}" for described, names in groups.items()]


def _described(column: Column) -> str:
    protocol = column.protocol
    reference, generated, extractor = (_part(protocol, key) for key in ("reference", "generated", "extractor"))
    generated_n, reference_n = _number(generated), _number(reference)
    dataset = reference.get("dataset")
    name = dataset.get("name") if isinstance(dataset, Mapping) else dataset
    split = reference.get("split")
    where = ", ".join([str(name or column.dataset), *([f"{split} split"] if split else [])])
    network = extractor.get("name") or extractor.get("extractor") or "no extractor"
    return f"{network}; {generated_n} generated against {reference_n} reference samples ({where})"


def _part(protocol: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = protocol.get(key)
    return value if isinstance(value, Mapping) else {} if value is None else {"name": value}


def _number(part: Mapping[str, Any]) -> str:
    for key in ("samples", "n", "count"):
        if isinstance(part.get(key), int):
            return f"{part[key]:,}"
    return "an unrecorded number of"


def _floors(columns: Iterable[Column]) -> list[str]:
    said = []
    for column in columns:
        value = column.floor.get("value") if column.floor else None
        if column.floor and isinstance(value, int | float):
            mark = " (extrapolated)" if column.floor.get("extrapolated") else ""
            said.append(f"{column.name} {significant(value, 3)}{mark}")
    return [f"floor, real against real at this number of samples: {', '.join(dict.fromkeys(said))}"] if said else []


def _sampling_errors(by_column: Mapping[Column, Sequence[Summary]]) -> list[str]:
    """Say how far a single score may be off because its samples are finite, which the intervals do not show apart."""
    said = []
    for column, summaries in by_column.items():
        errors = [summary.sampling_error for summary in summaries if summary.row.competes]
        known = [error for error in errors if error is not None]
        if known:
            low, high = significant(min(known), 2), significant(max(known), 2)
            said.append(f"{column.name} {low if low == high else f'{low} to {high}'}")
    what = "standard error of one score over its generated samples, apart from the spread over seeds"
    return [f"{what}: {', '.join(dict.fromkeys(said))}"] if said else []


def _detectable(by_column: Mapping[Column, Sequence[Summary]]) -> list[str]:
    effects: dict[int, list[str]] = {}
    for column, summaries in by_column.items():
        found = detectable(summaries)
        if found:
            effects.setdefault(found.n, []).append(f"{column.name} {found.kind} {significant(found.effect, 3)}")
    return [
        f"smallest effect that one comparison of two cells with {n} values each detects with power 0.8 "
        f"(two-sided t, 5 %, before Holm): {', '.join(dict.fromkeys(said))}"
        for n, said in sorted(effects.items())
    ]


def _seeds(summaries: Sequence[Summary]) -> list[str]:
    planned = [summary.planned for summary in summaries if summary.row.competes and summary.planned]
    if not planned or any(summary.seed is not None for summary in summaries) or min(planned) >= FEW_SEEDS:
        return []
    fewest = min(planned)
    if fewest == 1:
        return ["1 seed a cell: no interval and no test; differences between seeds are not seen at all"]
    return [
        f"{fewest} seeds a cell: only large differences can be told from chance; research takes {FEW_SEEDS} or more"
    ]


def _lost(outcomes: Sequence[Outcome]) -> list[str]:
    """Name the runs that gave no score, by what became of them."""
    said = []
    for status, verb in (*zip(EARLY, EARLY), ("failed", "failed"), ("interrupted", "were interrupted")):
        lost = [outcome for outcome in outcomes if outcome.status == status]
        if lost:
            named = [_why(*group) for group in _alike(lost).items()]
            more = [f"and {len(named) - _LISTED} cells more"] if len(named) > _LISTED else []
            said.append(f"{len(lost)} of {len(outcomes)} runs {verb}: {'; '.join(named[:_LISTED] + more)}")
    return said


def _alike(outcomes: Iterable[Outcome]) -> dict[tuple[str, str], list[Outcome]]:
    """Return the runs of each row that ended for the same reason."""
    groups: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault((outcome.row.title, outcome.reason or ""), []).append(outcome)
    return groups


def _why(key: tuple[str, str], runs: Sequence[Outcome]) -> str:
    title, reason = key
    steps = [f"{step:,.0f}" for run in runs if (step := run.fact("step")) is not None]
    why = ", ".join(filter(None, (f"at step {', '.join(steps)}" if steps else "", reason)))
    seeds = ", ".join(str(run.seed) for run in runs)
    return f"{title} seed{'s' if len(runs) > 1 else ''} {seeds}" + (f" ({why})" if why else "")


def _unmeasured(columns: Sequence[Column], outcomes: Sequence[Outcome]) -> list[str]:
    """Say which metrics gave no value on runs that were done, and why."""
    why = Counter[str]()
    for column in columns:
        done = [outcome for outcome in outcomes if outcome.status == "done" and outcome.row.dataset == column.dataset]
        for outcome in done:
            status, value, reason = score(outcome, column)
            if value is None and status == "unscored":
                why[f"{column.name} has not been measured ({UNSCORED})"] += 1
            elif value is None:
                why[f"{column.name} {'is n/a' if status == 'skipped' else status}: {reason}"] += 1
    said = [f"{what}: {number} {'run' if number == 1 else 'runs'}" for what, number in why.items()]
    return [*said[:_LISTED], *([f"and {len(said) - _LISTED} more reasons"] if len(said) > _LISTED else [])]


def _smaller(columns: Sequence[Column], outcomes: Sequence[Outcome]) -> list[str]:
    """Say where a baseline was scored on another number of samples than the cells that it frames."""
    said: dict[str, list[str]] = {}
    for column in columns:
        for outcome in (outcome for outcome in outcomes if outcome.row.dataset == column.dataset):
            n = next((n for id, n in column.framing if (column.metric, id) in outcome.last), None)
            if n is not None:
                said.setdefault(f"{outcome.row.title} was scored on {n:,} samples", []).append(column.name)
    return [f"{what}: {', '.join(dict.fromkeys(names))}" for what, names in said.items()]


def _environments(outcomes: Sequence[Outcome]) -> list[str]:
    mixed = []
    for key in _ENVIRONMENT:
        seen = Counter(value for outcome in outcomes if (value := _value(outcome.environment, key)))
        if len(seen) > 1 or any(_THEN in value for value in seen):
            counted = (f"{value} ({number} run{'s' * (number > 1)})" for value, number in sorted(seen.items()))
            mixed.append(f"{key} {', '.join(counted)}")
    return [f"mixed environments, so speeds and last digits may differ for that reason: {'; '.join(mixed)}"] * bool(
        mixed
    )


def _value(environment: Mapping[str, Any], key: str) -> str:
    """Return in words what a run was computed with, session after session where they differ; "" where it is unknown."""
    sessions = [*environment.get("earlier", ()), environment]
    if key == "processes":  # named where there are several
        said = [str(session.get(key, 1)) for session in sessions if "kernels" in session]
    else:
        said = [_said(session[key]) for session in sessions if session.get(key)]
    return _THEN.join(dict.fromkeys(said))


def _said(value: Any) -> str:
    """Return a value of an environment in a few words; of kernels those that were taken."""
    if not isinstance(value, Mapping):
        return str(value)
    without = value.get("fallbacks", {})
    taken = [name for name, choice in value.items() if choice is True and name not in without]
    counted = [f"{choice} {name}" for name, choice in value.items() if type(choice) is int and choice > 1]
    return " + ".join([*taken, *counted]) or "plain"


def _two_protocols(columns: Sequence[Column], outcomes: Sequence[Outcome]) -> list[str]:
    """Say which metrics have several columns, and how runs that lack a value in one of them get it."""
    twins = [column for column in columns if column.is_twin and column.id]
    if not twins:
        return []
    unscored = any(
        score(outcome, column)[0] == "unscored"
        for column in twins
        for outcome in outcomes
        if outcome.row.dataset == column.dataset
    )
    names = ", ".join(dict.fromkeys(column.metric for column in twins))
    advice = "'ganbench run' with the same suite scores all its runs under the present one, without training them again"
    return [
        f"{names} was scored under more than one protocol, and these are not comparable"
        + (f": {advice}" if unscored else "; compare within a column")
    ]


def _unequal(outcomes: Sequence[Outcome]) -> list[str]:
    """Say so where some runs were scored at their end and others earlier (snapshots round to whole batches)."""
    shares = []
    for outcome in outcomes:
        total = outcome.fact("images_seen")
        if outcome.status == "done" and outcome.records and total:
            shares.append(max(record.images_seen for record in outcome.records) / total)
    if not shares or max(shares) - min(shares) <= 0.05:
        return []
    return [
        f"not all scores are of the end of training: the last snapshot scored lies between {100 * min(shares):.0f} % "
        f"and {100 * max(shares):.0f} % of a run; 'ganbench run' scores what is missing"
    ]


def _marked(summaries: Sequence[Summary]) -> list[str]:
    rows = list(dict.fromkeys(summary.row for summary in summaries))
    said = [
        f"{row.title}: run although it is declared incompatible: {row.allowed_incompatible}"
        for row in rows
        if row.allowed_incompatible
    ]
    if any(row.old for row in rows):
        said.append("old: runs that the suite no longer names, told apart by the hash of their configuration")
    return said
