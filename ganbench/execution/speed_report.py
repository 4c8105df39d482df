"""What a race has shown, for people as a Markdown table and for programs as JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ganbench.execution.race import Outcome, Row
from ganbench.execution.timing import Spread
from ganbench.results import text
from ganbench.results.render import padded

AXES = ("dataset", "architecture", "loss")


def as_json(outcome: Outcome, command: dict[str, Any]) -> dict[str, Any]:
    """Return rows, ceilings and environment as JSON; ``command`` is what was asked for."""
    return {
        "command": command,
        "environment": dict(outcome.environment),
        "ceilings": {precision: ceiling.as_json() for precision, ceiling in outcome.ceilings.items()},
        "rows": [_row_json(row) for row in outcome.rows],
    }


def as_markdown(outcome: Outcome) -> str:
    """Return a table with a row for every combination, and what there is to say of it below."""
    shown = [axis for axis in AXES if axis != "dataset" or len({row.entrant.labels[axis] for row in outcome.rows}) > 1]
    moves = list(dict.fromkeys(move for row in outcome.rows if row.speed for move in row.speed.moves))
    numbers = ["images/s", *(f"{move} ms" for move in moves), "GFLOP a round", "GFLOP/s", "of ceiling"]
    header = [*shown, "precision", "batch", *numbers, "memory MB", "first round s"]
    body = [[text.markdown(cell) for cell in _cells(row, shown, moves)] for row in outcome.rows]
    right = [index > len(shown) for index in range(len(header))]
    return (
        "\n".join([*padded(header, body, right), "", *(f"- {text.markdown(note)}" for note in _notes(outcome))]) + "\n"
    )


def _row_json(row: Row) -> dict[str, Any]:
    entrant, setup = row.entrant, row.entrant.setup
    recipe = setup.parts.recipe if setup else None
    return {
        **entrant.labels,
        "precision": entrant.precision,
        "status": "n/a" if row.reason else "done",
        "reason": row.reason,
        "shape": list(setup.data.shape) if setup else None,
        "batch_size": recipe.batch_size if recipe else None,
        "schedule": list(recipe.schedule) if recipe else None,
        "share_of_ceiling": row.share,
        **(row.speed.as_json() if row.speed else {}),
    }


def _cells(row: Row, axes: list[str], moves: list[str]) -> list[str]:
    """Return the cells of one row; a missing number is empty, the first of a row without any is n/a."""
    setup, speed = row.entrant.setup, row.speed
    batch = str(setup.parts.recipe.batch_size) if setup else ""
    names = [*(row.entrant.labels[axis] for axis in axes), row.entrant.precision or "", batch]
    if speed is None:
        return [*names, "n/a", *([""] * (len(moves) + 5))]
    memory = speed.peak_memory_bytes
    return [
        *names,
        text.count(speed.images_per_second),
        *(_milliseconds(speed.moves[move]) if move in speed.moves else "" for move in moves),
        text.significant(speed.flop_per_round / 1e9, 3),
        text.significant(speed.flop_per_second / 1e9, 3),
        f"{row.share:.0%}" if row.share is not None else "",
        f"{memory / 1e6:.0f}" if memory is not None else "",
        text.significant(speed.seconds_of_first_round, 2),
    ]


def _milliseconds(spread: Spread) -> str:
    """Return the median, and in parentheses what the middle half of the timings spans, if there are several."""
    width = spread.high - spread.low
    return text.significant(1e3 * spread.median, 3) + (f" ({text.significant(1e3 * width, 2)})" if width else "")


def _notes(outcome: Outcome) -> list[str]:
    environment = outcome.environment
    threads = "1 thread" if environment["threads"] == 1 else f"{environment['threads']} threads"
    notes = [f"{environment['device_name']}, {threads}, torch {environment['torch']}"]
    setups = [row.entrant.setup for row in outcome.rows if row.entrant.setup]
    notes += dict.fromkeys(f"data {'x'.join(map(str, setup.data.shape))}" for setup in setups)
    notes += _by_value("a round is", outcome, _schedule)
    notes += _by_value("kernels:", outcome, _kernels)
    notes += _by_value("fell back:", outcome, _fallbacks)
    notes += [_ceiling(precision, outcome) for precision in outcome.ceilings]
    timings = [row.speed.repetitions for row in outcome.rows if row.speed]
    if timings:
        many = f"medians of {max(timings)} timings in turn; in parentheses what their middle half spans"
        notes.append(many if max(timings) > 1 else "of one timing each; --rounds takes more")
        notes.append("FLOP are those of convolutions, matrix products and attention, forward and backward, as executed")
        notes.append("memory is what a combination needs at its peak beyond the process itself")
    return [*notes, *(f"n/a: {_title(row, outcome)}: {row.reason}" for row in outcome.rows if row.reason)]


def _by_value(what: str, outcome: Outcome, value: Callable[[Row], str]) -> list[str]:
    """Return a note for each value that timed rows have, naming whose it is where they differ; "" is not mentioned."""
    values: dict[str, list[str]] = {}
    for row in outcome.rows:
        if row.speed:
            values.setdefault(value(row), []).append(_title(row, outcome))
    return [
        f"{what} {found}" + (f" for {'; '.join(titles)}" if len(values) > 1 else "")
        for found, titles in values.items()
        if found
    ]


def _fallbacks(row: Row) -> str:
    fallbacks = row.speed.fallbacks if row.speed else {}
    return "; ".join(f"{what}: {why}" for what, why in fallbacks.items())


def _schedule(row: Row) -> str:
    return ", ".join(row.entrant.setup.parts.recipe.schedule) if row.entrant.setup else ""


def _kernels(row: Row) -> str:
    return row.speed.kernels.text if row.speed else ""


def _ceiling(precision: str, outcome: Outcome) -> str:
    ceiling = outcome.ceilings[precision]
    c = ceiling.convolution
    layout = "channels last" if c.channels_last else "channels first"
    return (
        f"ceiling in {precision}: {text.significant(ceiling.flop_per_second / 1e9, 3)} GFLOP/s by a 3x3 convolution of "
        f"{c.channels} channels, {c.pixels}x{c.pixels} pixels, {c.batch_size} images, {layout}"
    )


def _title(row: Row, outcome: Outcome) -> str:
    """Return the combination's name, with dataset and precision where the race had several."""
    labels, entrants = row.entrant.labels, [one.entrant for one in outcome.rows]
    name = f"{labels['architecture']} / {labels['loss']}"
    if len({one.labels["dataset"] for one in entrants}) > 1:
        name += f" on {labels['dataset']}"
    if row.entrant.precision and len({one.precision for one in entrants if one.precision}) > 1:
        name += f" in {row.entrant.precision}"
    return name
