"""The loop: plays rounds until the budget is spent, and decides when to read, log, keep and stop.

Wall time never reaches what a run computes (unless the budget is in seconds): it is reported beside the curves.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from ganbench.endings import FINISHED
from ganbench.errors import ResultsError
from ganbench.files import read_json_lines, write_json_lines
from ganbench.training.checkpoint import (
    GENERATOR_FILE,
    State,
    averaged_generator,
    capture,
    load_state,
    restore,
    save_generator,
    save_state,
    snapshot_file,
)
from ganbench.training.diagnosis import read_probe
from ganbench.training.engine import Engine
from ganbench.training.kernels import Kernels
from ganbench.training.setup import Setup
from ganbench.training.states import PATIENCE, events, lasting, onsets
from ganbench.training.thrift import Thrift
from ganbench.training.together import Accord, join
from ganbench.training.world import Alone, World

CHECK_EVERY = 32  # rounds between two readings of the divergence flag
LOG_EVERY = 100  # rounds between two rows of the curves
SAVE_SECONDS = 60.0  # wall time between two saves of the state
TELL_SECONDS = 0.5  # wall time between two words to the onlooker


@dataclass(frozen=True)
class Progress:
    """What an onlooker is told now and then."""

    share: float
    images_seen: int
    images_per_second: float
    values: dict[str, float | None]


@dataclass(frozen=True)
class Outcome:
    """How training ended: ``done``, ``interrupted``, or early, as in `ganbench.endings`, at round ``step``, from 0."""

    status: str
    reason: str | None
    step: int | None
    facts: dict[str, Any]


@dataclass(frozen=True)
class Controls:
    """How others steer and watch the loop; the defaults never stop it and tell nobody.

    ``note`` is told in a sentence what else an onlooker should know. ``thrifty`` allows the loop to go on with less
    memory (`ganbench.training.thrift`) where a round does not fit.
    """

    stop: Callable[[], bool] = lambda: False
    progress: Callable[[Progress], None] = lambda _: None
    clock: Callable[[], float] = time.perf_counter
    note: Callable[[str], None] = lambda _: None
    thrifty: bool = True


@dataclass
class Journal:
    """The curves of a run and the wall time beside them, kept in memory and written whole."""

    folder: Path
    curves: list[dict[str, Any]] = field(default_factory=list)
    timings: list[dict[str, Any]] = field(default_factory=list)

    def load(self, rounds: int) -> float:
        """Read what an earlier session wrote up to ``rounds``; return the seconds that it had spent by then."""
        self.curves = [row for row in read_json_lines(self.folder / "curves.jsonl") if row["round"] <= rounds]
        self.timings = [row for row in read_json_lines(self.folder / "timings.jsonl") if row["round"] <= rounds]
        return float(self.timings[-1]["seconds"]) if self.timings else 0.0

    def write(self) -> None:
        """Write both files. Raises ResultsError where the folder cannot be written."""
        try:
            write_json_lines(self.folder / "curves.jsonl", self.curves)
            write_json_lines(self.folder / "timings.jsonl", self.timings)
        except OSError as error:
            raise ResultsError(f"cannot write the curves in {self.folder}: {error.strerror or error}") from error


class Training:
    """One run of one setup in one folder, from scratch or from its saved state.

    The ranks of a ``world`` play it together: rank 0 alone reads and writes files, reads the probe and decides.
    """

    def __init__(
        self,
        setup: Setup,
        folder: Path,
        device: torch.device,
        controls: Controls | None = None,
        kernels: Kernels | None = None,
        world: World | None = None,
    ) -> None:
        self.setup, self.folder, self.controls = setup, folder, controls or Controls()
        self.world = world or Alone()
        self.leads = self.world.rank == 0
        self.engine = Engine(setup, device, kernels)
        self.accord: Accord | None = None
        if world is not None:
            join(self.engine, world)
            often = setup.parts.budget.unit == "seconds"
            self.accord = Accord(world, self.controls.stop, self.controls.clock, often)
            self.controls = replace(self.controls, stop=self.accord.stop, clock=self.accord.clock)
        self.thrift = Thrift(self.engine, self.controls.note, self.controls.thrifty and world is None)
        self.probe = self.engine.probe()
        self.journal = Journal(folder)
        self.seconds_before = 0.0
        saved = self.world.share(load_state(folder) if self.leads else None)
        if saved is not None:
            restore(self.engine, saved)
            spent = self.journal.load(self.engine.counters.rounds) if self.leads else 0.0
            self.seconds_before = self.world.share(spent)
        self.started = self.saved_at = self.told_at = self.controls.clock()
        self.images_before = self.engine.counters.images_seen

    # Time and budget

    @property
    def seconds(self) -> float:
        """Wall time spent on training, over all sessions."""
        return self.seconds_before + self.controls.clock() - self.started

    def share(self) -> float:
        """Share of the budget that is spent, at most 1."""
        counters, budget = self.engine.counters, self.setup.parts.budget
        spent = {
            "images": counters.images_seen,
            "generator_updates": counters.generator,
            "seconds": self.seconds,
        }[budget.unit]
        return min(1.0, spent / budget.amount)

    # The run

    def run(self) -> Outcome:
        """Play until the budget is spent, something is not finite, the setup's ``stop_on`` or `Controls.stop` says so.

        Then save everything.
        """
        if self.leads:
            self.folder.mkdir(parents=True, exist_ok=True)
        with torch.random.fork_rng(devices=_cuda_index(self.engine.device)):
            return self._run()

    def _run(self) -> Outcome:
        engine = self.engine
        safe = capture(engine)
        played: list[float] = []  # the shares at which the rounds since `safe` were played
        waiting = self._waiting_snapshots()
        share = self.share()
        while share < 1.0:
            state = self._lasting()
            if state is not None:
                reason = f"{PATIENCE} readings of the curves in a row showed it"
                return self._end(state, reason, engine.counters.rounds)
            stopped = self.controls.stop()
            if not stopped:
                self.thrift.play(share, safe, played)
                played.append(share)
                if self.accord:
                    self.accord.after_round()
                share = self.share()
            due = [at for at in waiting if share >= at]
            if stopped or due or share >= 1.0 or self._is_time_to_look():
                bad = self.world.share(int(engine.first_bad))
                if bad >= 0:
                    return self._diverged(bad, safe, played)
                if stopped:
                    return self._end("interrupted", "stopped on request")
                safe, played = self._look(due), []
                waiting = [at for at in waiting if at not in due]
        return self._end("done", None)

    def _lasting(self) -> str | None:
        """Return the state that is reason to stop, if any; rank 0 keeps the curves, which grow at these rounds only."""
        if not self.setup.stop_on or self.engine.counters.rounds % LOG_EVERY:
            return None
        return self.world.share(lasting(self.journal.curves, self.setup.stop_on))

    def _is_time_to_look(self) -> bool:
        rounds, now = self.engine.counters.rounds, self.controls.clock()
        if now - self.told_at > TELL_SECONDS:
            self.told_at = now
            self._tell()
        return rounds % CHECK_EVERY == 0 or rounds % LOG_EVERY == 0 or now - self.saved_at > SAVE_SECONDS

    def _look(self, due: list[float]) -> State:
        """Do what needs a finite state: rows of the curves, snapshots, a save now and then; return that state."""
        engine, now = self.engine, self.controls.clock()
        if engine.counters.rounds % LOG_EVERY == 0:
            self._log()
        if due and self.leads:
            network = averaged_generator(engine)
            for at in due:
                details = {"images_seen": engine.counters.images_seen, "fraction": at}
                save_generator(self.folder / snapshot_file(at), network, details)
        state = capture(engine)
        if now - self.saved_at > SAVE_SECONDS:
            self._save(state)
            self.saved_at = now
        return state

    def _tell(self) -> None:
        if not self.leads:
            return
        last = self.journal.curves[-1] if self.journal.curves else {}
        seen = self.engine.counters.images_seen
        rate = (seen - self.images_before) / max(self.controls.clock() - self.started, 1e-9)
        values = {key: last.get(key) for key in ("d_loss", "g_loss", "v_raw", "v_calibrated")}
        self.controls.progress(Progress(self.share(), seen, rate, values))

    def _log(self) -> None:
        if not self.leads:
            return
        engine = self.engine
        at = {"round": engine.counters.rounds, "images_seen": engine.counters.images_seen}
        side = engine.sides.get("generator")
        clock = (side.updates if side else torch.zeros_like(engine.progress), engine.progress)
        row: dict[str, Any] = at | engine.meter.read() | read_probe(engine.players, self.probe, clock)
        curves = self.journal.curves
        news = events(curves[-1] if curves else {}, row)
        curves.append(row | ({"events": news} if news else {}))
        self.journal.timings.append(at | {"seconds": round(self.seconds, 3)})

    def _diverged(self, bad: int, safe: State, played: list[float]) -> Outcome:
        """Go back to the last state that was read to be finite and replay to just before round ``bad``.

        ``played`` holds the shares at which the rounds since ``safe`` were played. Where the device does not compute
        the same twice, the replay may itself stop being finite; then ``safe`` is kept.
        """
        engine = self.engine
        restore(engine, safe)
        for share in played[: bad - engine.counters.rounds]:
            engine.play_round(share)
        if int(engine.first_bad) >= 0:
            restore(engine, safe)
        return self._end("diverged", f"a loss, gradient or weight was not finite in round {bad}", bad)

    def _end(self, status: str, reason: str | None, step: int | None = None) -> Outcome:
        engine = self.engine
        if self.accord:
            self.accord.agree()
        if status == "done" and not engine.meter.is_empty():
            self._log()
        self._save(capture(engine))
        if status in FINISHED and self.leads:
            details = {"images_seen": engine.counters.images_seen, "status": status}
            save_generator(self.folder / GENERATOR_FILE, averaged_generator(engine), details)
        self._tell()
        return Outcome(status, reason, step, self._facts())

    def _save(self, state: State) -> None:
        if not self.leads:
            return
        at = {"round": self.engine.counters.rounds, "images_seen": self.engine.counters.images_seen}
        self.journal.timings.append(at | {"seconds": round(self.seconds, 3)})
        self.journal.write()
        save_state(self.folder, state)

    def _facts(self) -> dict[str, Any]:
        counters, networks = self.engine.counters, self.engine.players.networks
        seconds = self.seconds
        rate = counters.images_seen / max(seconds, 1e-9)
        spared = {"kernels": self.engine.kernels.as_json(), "notes": self.thrift.notes} if self.thrift.notes else {}
        return spared | {
            "images_seen": counters.images_seen,
            "rounds": counters.rounds,
            "d_updates": counters.discriminator,
            "g_updates": counters.generator,
            "gradient_evaluations": counters.gradient_evaluations,
            "seconds": round(seconds, 3),
            "images_per_second": round(rate, 2) if math.isfinite(rate) else None,
            "events": onsets(self.journal.curves),
            "parameters": {
                "generator": _size(networks.generator),
                "discriminator": _size(networks.discriminator) if networks.discriminator else 0,
            },
        }

    def _waiting_snapshots(self) -> list[float]:
        share = self.share()
        return [at for at in sorted(self.setup.snapshots) if at < 1.0 and at > share]


def _size(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def _cuda_index(device: torch.device) -> list[int]:
    return [device.index or 0] if device.type == "cuda" else []
