"""Progress on stderr: bars, and for the runs of a suite plain lines where stderr is no terminal."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from ganbench.execution.job import Progress, Result


PATIENCE = 2.0  # seconds without a bar


class Passes:
    """Bars of passes over sets of samples; a context manager. Quiet where all is done soon, or without a terminal."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._bars: RichProgress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Passes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def tell(self, part: str, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` samples of ``part`` have been looked at."""
        if self._bars is None:
            if time.monotonic() - self._started < PATIENCE or not sys.stderr.isatty():
                return
            self._bars = self._shown()
        if part not in self._tasks:
            self._tasks[part] = self._bars.add_task(part, total=total)
        self._bars.update(self._tasks[part], completed=done, total=total)

    @staticmethod
    def _shown() -> RichProgress:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=20), MofNCompleteColumn())
        bars = RichProgress(*columns, TimeRemainingColumn(compact=True), console=Console(stderr=True), transient=True)
        bars.start()
        return bars


class Bars:
    """The bars of one session; a context manager that takes them away at its end."""

    def __init__(self, runs: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        console = Console(stderr=True)
        self._live = console.is_terminal
        self._done, self._total = 0, runs
        common = (BarColumn(bar_width=20), TimeRemainingColumn(compact=True, elapsed_when_finished=True))
        self._bars = RichProgress(
            TextColumn("{task.description}", markup=False),
            *common,
            TextColumn("{task.fields[note]}", markup=False),
            console=console,
            disable=not self._live,
            transient=True,
        )
        self._suite = self._bars.add_task("suite", total=max(runs, 1), note=f"0/{runs} runs")
        self._runs: dict[str, TaskID] = {}
        self._shares: dict[str, float] = {}

    def __enter__(self) -> Bars:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def tell(self, progress: Progress) -> None:
        """Show how far one run has come."""
        if progress.run not in self._runs:
            self._runs[progress.run] = self._bars.add_task(progress.title, total=1.0, note="")
        self._bars.update(self._runs[progress.run], completed=progress.share, note=_note(progress))
        self._shares[progress.run] = progress.share
        self._advance()

    def finish(self, result: Result) -> None:
        """Take the bar of a run away; without a terminal, print a line."""
        self._done += 1
        self._shares.pop(result.run, None)
        task = self._runs.pop(result.run, None)
        if task is not None:
            self._bars.remove_task(task)
        self._advance()
        if not self._live:
            reason = f" ({result.reason})" if result.reason else ""
            click.echo(f"[{self._done}/{self._total}] {result.status}: {result.title}{reason}", err=True)

    def _advance(self) -> None:
        completed = self._done + sum(self._shares.values())
        self._bars.update(self._suite, completed=completed, note=f"{self._done}/{self._total} runs")


def _note(progress: Progress) -> str:
    parts = [f"{progress.images_per_second:,.0f} images/s"]
    names = {"d_loss": "D", "g_loss": "G", "v_calibrated": "V"}
    for key, name in names.items():
        value = progress.values.get(key)
        if value is not None:
            parts.append(f"{name} {value:.3f}")
    return "  ".join(parts)
