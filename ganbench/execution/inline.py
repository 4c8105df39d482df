"""Runs in this process, one after another: for a GPU, a single run, and tests."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from ganbench.execution.bench import Bench
from ganbench.execution.job import Progress, Result
from ganbench.suite.plan import Run


def run_inline(
    runs: Iterable[Run], bench: Bench, tell: Callable[[Progress], None], patient: bool = False
) -> Iterator[Result]:
    """Perform ``runs`` and yield what became of each; after Ctrl-C the run in hand is saved and no other begins."""
    with stop_on_interrupt(patient) as stop:
        for run in runs:
            if stop.is_set():
                return
            yield bench.perform(run, stop.is_set, tell)


@contextmanager
def stop_on_interrupt(patient: bool = False) -> Iterator[threading.Event]:
    """Turn the first Ctrl-C or SIGTERM into an event; the second interrupts at once. Only in the main thread.

    With ``patient`` it does not: torchrun passes one Ctrl-C on more than once, and kills what does not end.
    """
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return

    def handle(*_: object) -> None:
        if event.is_set() and not patient:
            raise KeyboardInterrupt
        event.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
