"""States of a run that its curves show: collapsed and saturated, when they begin and end, and when to stop for one.

All follows from the rows of the curves, so a run that is resumed goes on as if it had not been stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]

STATES: Mapping[str, tuple[str, float]] = {
    "collapsed": ("sample_spread", 0.1),  # the samples vary by less than a tenth of what the data do
    "saturated": ("g_signal", 0.01),  # the loss lets less than a hundredth through to the generator
}
"""Name -> the diagnostic that shows it, and the number below which it does."""

PATIENCE = 5  # readings in a row before a run is stopped for a state: a slow start is over by then, a dip too


def holds(state: str, row: Row) -> bool:
    """Whether ``row`` shows ``state``; a diagnostic that is null shows nothing."""
    diagnostic, below = STATES[state]
    value = row.get(diagnostic)
    return value is not None and value < below


def events(before: Row, row: Row) -> list[str]:
    """Return what began ("collapsed") and what ended ("no longer collapsed") between two rows."""
    found = []
    for state in STATES:
        was, now = holds(state, before), holds(state, row)
        if was != now:
            found.append(state if now else f"no longer {state}")
    return found


def onsets(rows: Sequence[Row]) -> dict[str, int]:
    """Return for each state that ever held the images seen when it first did."""
    first: dict[str, int] = {}
    for row in rows:
        for state in STATES:
            if holds(state, row):
                first.setdefault(state, row["images_seen"])
    return first


def lasting(rows: Sequence[Row], stop_on: Sequence[str]) -> str | None:
    """Return the state out of ``stop_on`` that the last `PATIENCE` rows all show, or None."""
    last = rows[-PATIENCE:]
    named = [state for state in STATES if state in stop_on]
    return next((s for s in named if len(last) == PATIENCE and all(holds(s, row) for row in last)), None)
