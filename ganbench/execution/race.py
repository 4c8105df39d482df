"""A race: the combinations of a suite, in one or more precisions, timed in turn on one device, and the ceiling beside.

What a suite means is settled as for a run (`ganbench.suite.expand`); nothing is trained to an end, nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ganbench.catalog import Catalog
from ganbench.errors import GanbenchError
from ganbench.execution.bench import Bench
from ganbench.execution.ceiling import Ceiling
from ganbench.execution.environment import describe_environment
from ganbench.execution.session import Choices
from ganbench.execution.speed import Pace, Speed
from ganbench.suite.expand import expand
from ganbench.suite.plan import PlannedCell
from ganbench.suite.recipe import Precision
from ganbench.suite.source import Request
from ganbench.training.kernels import Kernels
from ganbench.training.setup import Setup

Tell = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, how much there is."""


@dataclass(frozen=True)
class Ask:
    """What is to be timed, and where. Without ``precisions`` each combination has that of its recipe.

    ``kernels`` are those that are forced, by name; the others, and ``threads`` None, are what a run would take. A
    repetition is a round, or as many as last a moment.
    """

    request: Request
    device: torch.device
    data_root: Path
    plugins: tuple[Path, ...] = ()
    kernels: tuple[tuple[str, Any], ...] = ()
    precisions: tuple[str, ...] = ()
    threads: int | None = None
    repetitions: int = 5


@dataclass(frozen=True)
class Entrant:
    """A combination in one precision: what is to be timed, or the reason why that cannot be."""

    labels: Mapping[str, str]
    precision: str | None
    setup: Setup | None = None
    kernels: Kernels | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Row:
    """What became of an entrant; ``share`` is that of the measured ceiling in its precision."""

    entrant: Entrant
    speed: Speed | None = None
    share: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Outcome:
    """All rows in the order of the suite, the ceilings by precision, and where they were measured."""

    rows: tuple[Row, ...]
    ceilings: Mapping[str, Ceiling]
    environment: Mapping[str, Any]


def entrants(ask: Ask, catalog: Catalog) -> list[Entrant]:
    """Return every combination that is asked for, in every precision; sets threads and the like for this process.

    Raises:
        GanbenchError: the suite has no meaning, or a dataset cannot be read.
    """
    suite, overrides = ask.request.suite, ask.request.overrides
    asked: list[Mapping[str, Any]] = [{"precision": precision} for precision in ask.precisions] or [{}]
    plans = [expand(suite, catalog, ask.data_root, {**overrides, **more}) for more in asked]
    choices = Choices(Path(), ask.plugins, ask.data_root, ask.device, threads=ask.threads, kernels=ask.kernels)
    bench = Bench(choices.job(plans[0]), catalog)
    cells = zip(*(plan.cells for plan in plans), strict=True)
    return [
        _entrant(cell, more.get("precision"), bench) for group in cells for cell, more in zip(group, asked, strict=True)
    ]


def _entrant(cell: PlannedCell, asked: str | None, bench: Bench) -> Entrant:
    if not cell.runs:
        return Entrant(cell.labels, asked, reason=cell.skipped)
    setup = bench.setup(cell.runs[0])
    precision = setup.parts.recipe.precision
    if precision == "tf32" and bench.device.type != "cuda":
        return Entrant(cell.labels, precision, reason=f"TF32 products exist on CUDA only, not on {bench.device.type}")
    try:
        return Entrant(cell.labels, precision, setup, bench.kernels(cell.runs[0]))
    except Exception as error:  # where kernels have to be measured first, on CUDA, the combination is played
        return Entrant(cell.labels, precision, reason=_said(error))


def _said(error: Exception) -> str:
    plain = isinstance(error, GanbenchError | ValueError)
    return str(error) if plain else f"{type(error).__name__}: {error}"


def race(ask: Ask, catalog: Catalog, tell: Tell = lambda *_: None) -> Outcome:
    """Time every entrant that can be run, and the ceiling of its precision: one repetition each, again and again.

    An entrant that fails on the way, for want of memory say, drops out with its reason.

    Raises:
        GanbenchError: as `entrants` does.
    """
    found = entrants(ask, catalog)
    with torch.random.fork_rng(devices=[]):
        track = _Track(found, ask, tell)
        track.warm_up()
        track.run()
    rows = tuple(track.row(number) for number in range(len(found)))
    return Outcome(rows, track.ceilings, describe_environment(ask.device, deterministic=False))


class _Track:
    """A race in progress: paces and reasons by the number of the entrant, ceilings by precision."""

    def __init__(self, found: Sequence[Entrant], ask: Ask, tell: Tell) -> None:
        self.found, self.ask, self.tell = found, ask, tell
        self.paces: dict[int, Pace] = {}
        self.reasons = {number: one.reason for number, one in enumerate(found) if one.reason}
        self.ceilings: dict[str, Ceiling] = {}

    def warm_up(self) -> None:
        """Look for the ceilings, which loads the device's libraries; then set off every entrant that can be."""
        batches: dict[Precision, int] = {}
        for entrant in self.found:
            if entrant.setup is not None:
                recipe = entrant.setup.parts.recipe
                batches[recipe.precision] = max(recipe.batch_size, batches.get(recipe.precision, 0))
        for place, (precision, batch_size) in enumerate(batches.items()):
            self.tell("ceilings", place, len(batches))
            self.ceilings[precision] = Ceiling(self.ask.device, precision, batch_size)
        for number, entrant in enumerate(self.found):
            self.tell("warming up", number, len(self.found))
            if entrant.setup is not None:
                with self._dropping_out(number):
                    self.paces[number] = Pace(entrant.setup, self.ask.device, entrant.kernels)

    def run(self) -> None:
        """Time one repetition of each in turn, as often as is asked."""
        for repetition in range(self.ask.repetitions):
            self.tell("timings", repetition, self.ask.repetitions)
            for ceiling in self.ceilings.values():
                ceiling.repeat()
            for number, pace in list(self.paces.items()):
                with self._dropping_out(number):
                    pace.repeat()

    def row(self, number: int) -> Row:
        """Return what became of an entrant."""
        entrant = self.found[number]
        if number in self.reasons:
            return Row(entrant, reason=self.reasons[number])
        speed = self.paces[number].speed()
        return Row(entrant, speed, speed.flop_per_second / self.ceilings[str(entrant.precision)].flop_per_second)

    @contextmanager
    def _dropping_out(self, number: int) -> Iterator[None]:
        """Let what goes wrong with an entrant be its reason, and the end of it alone."""
        try:
            yield
        except Exception as error:  # a stranger's component, or no memory left
            self.reasons[number] = _said(error)
            self.paces.pop(number, None)
