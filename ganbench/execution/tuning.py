"""Tuning: which kernels are fastest for an architecture on this device, measured in seconds and kept.

Kernels change at most the rounding of results, and what was chosen stands in a run's environment. A candidate whose
losses are not those of the plain way is never chosen.
"""

from __future__ import annotations

import itertools
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import torch

from ganbench.errors import GanbenchError
from ganbench.execution.environment import device_name
from ganbench.execution.timing import enough, timed
from ganbench.files import write_json
from ganbench.folders import cache_folder
from ganbench.identity import digest
from ganbench.suite.plan import Run
from ganbench.training.engine import Engine
from ganbench.training.kernels import Kernels
from ganbench.training.setup import Setup
from ganbench.training.stream import place

REPETITIONS = 5  # timed pieces of each candidate, interleaved
CHECKED_ROUNDS, RECORDED_ROUNDS = 2, 6  # whose losses are compared with the plain way's; recording warms up for 3
WORTH = 1.02  # a candidate has to be so many times as fast as the default to be chosen
AGREE = {"float32": 1e-3, "tf32": 1e-2, "bf16": 5e-2}  # relative difference of mean losses and gradient norms
PLAIN = Kernels(channels_last=False, joint=False)
"""The plain way: eager, (N, C, H, W) in memory, real and fake judged one after the other."""


@dataclass(frozen=True)
class Timing:
    """What became of one candidate: median seconds a round, or the reason why it cannot be chosen."""

    kernels: Kernels
    seconds: float | None = None
    reason: str | None = None
    always_faster: bool = False
    """Whether each timing was faster than the default's beside it."""


@dataclass(frozen=True)
class Tuned:
    """The fastest kernels for one key, and all that was measured."""

    kernels: Kernels
    timings: tuple[Timing, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the answer and all that was measured; seconds a round, or the reason."""
        measured = [{**t.kernels.as_json(), "seconds": t.seconds, "reason": t.reason} for t in self.timings]
        return {"kernels": self.kernels.as_json(), "measured": measured}


def tuning_key(run: Run, shape: Sequence[int], device: torch.device, threads: int) -> dict[str, Any]:
    """Return what the fastest kernels of ``run`` may depend on: networks, batch, precision, device, versions."""
    named = {part: run.config.get(part) or run.config["baseline"] for part in ("generator", "discriminator")}
    recipe = run.config["recipe"]
    return {
        **named,
        "shape": list(shape),
        **{key: recipe[key] for key in ("batch_size", "schedule", "pac", "precision")},
        "device": device_name(device),
        "threads": threads if device.type == "cpu" else None,
        "torch": torch.__version__,
        "ganbench": version("ganbench"),
    }


def remembered(key: Mapping[str, Any]) -> Kernels | None:
    """Return what was measured to be fastest for ``key``, or None; a file that cannot be read is as none."""
    try:
        found = json.loads(_file(key).read_text(encoding="utf-8"))
        return Kernels.of(found["kernels"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remember(key: Mapping[str, Any], tuned: Tuned) -> Path:
    """Keep what was measured for ``key`` below the cache folder; return the file. Raises GanbenchError."""
    path = _file(key)
    try:
        write_json(path, {"key": dict(key), **tuned.as_json()})
    except OSError as error:
        raise GanbenchError(f"cannot keep what was measured in {path}: {error.strerror or error}") from error
    return path


def candidates(device: torch.device, compile: bool | None = None, base: Kernels | None = None) -> list[Kernels]:
    """Return the kernels to try on ``device``, the default first.

    Compilation takes tens of seconds and never paid for training on a CPU where it was measured: there it is tried only
    where ``compile`` says so; None tries it on CUDA alone.
    """
    first = base or Kernels()
    cuda = device.type == "cuda"
    layouts, joints = (True, False), (True, False)
    compiled = (False, True) if (cuda if compile is None else compile) else (False,)
    recorded = (False, True) if cuda else (False,)
    rest = [
        replace(first, channels_last=layout, joint=joint, compile=one, graphs=graphs)
        for one, graphs, layout, joint in itertools.product(compiled, recorded, layouts, joints)
    ]
    return [first, *(kernels for kernels in rest if kernels != first)]


def tune(
    setup: Setup,
    device: torch.device,
    tried: Sequence[Kernels],
    tell: Callable[[str, int, int], None] = lambda *_: None,
) -> Tuned:
    """Time ``tried``, the default first, on ``setup``, interleaved; return the fastest that computes the same.

    ``tell`` hears what is being done, how much is done, how much there is.

    Raises:
        torch.OutOfMemoryError: the plain way does not fit into the device's memory, so there is nothing to compare.
    """
    setup = replace(setup, train=place(setup.train, device))  # once, for all engines
    with torch.random.fork_rng(devices=[device.index or 0] if device.type == "cuda" else []):
        rounds = RECORDED_ROUNDS if any(kernels.graphs for kernels in tried) else CHECKED_ROUNDS
        plain = _losses(Engine(setup, device, PLAIN), rounds)
        found: dict[Kernels, Timing] = {}
        engines: dict[Kernels, Engine] = {}
        for number, kernels in enumerate(tried):
            tell("checking", number, len(tried))
            outcome = _prepared(setup, device, kernels, (plain, rounds))
            if isinstance(outcome, str):
                found[kernels] = Timing(kernels, reason=outcome)
            else:
                engines[kernels] = outcome
        pieces: dict[Kernels, list[float]] = {kernels: [] for kernels in engines}
        for repetition in range(REPETITIONS):
            for number, kernels in enumerate(list(pieces)):
                tell("timing", repetition * len(pieces) + number, REPETITIONS * len(pieces))
                try:
                    pieces[kernels].append(_seconds_a_round(engines[kernels]))
                except torch.OutOfMemoryError as error:
                    found[kernels] = Timing(kernels, reason=_said(error))
                    del pieces[kernels], engines[kernels]
    usual = pieces.get(tried[0], [])
    for kernels, seconds in pieces.items():
        always = bool(usual) and all(mine < other for mine, other in zip(seconds, usual, strict=True))
        found[kernels] = Timing(kernels, statistics.median(seconds), always_faster=always)
    timings = tuple(found[kernels] for kernels in tried)
    return Tuned(_best(timings), timings)


def _best(timings: Sequence[Timing]) -> Kernels:
    """Return the fastest kernels: the default's unless others are worth it, and are so in every timing."""
    default, *others = timings
    timed = [timing for timing in others if timing.seconds is not None]
    if default.seconds is not None:
        timed = [t for t in timed if t.always_faster and WORTH * cast(float, t.seconds) < default.seconds]
        timed = timed or [default]
    return min(timed, key=lambda timing: cast(float, timing.seconds)).kernels if timed else PLAIN


Losses = Mapping[str, float | None]


def _prepared(setup: Setup, device: torch.device, kernels: Kernels, wanted: tuple[Losses, int]) -> Engine | str:
    """Return an engine that has played its first rounds, or why these kernels cannot be chosen.

    ``wanted`` are the plain way's mean losses and gradient norms, and over how many rounds.
    """
    plain, rounds = wanted
    try:
        engine = Engine(setup, device, kernels)
        found = _losses(engine, rounds)
    except (RuntimeError, ValueError, GanbenchError) as error:
        return _said(error)
    if engine.fallbacks:
        return "; ".join(f"{what}: {reason}" for what, reason in engine.fallbacks.items())
    bound = AGREE[setup.parts.recipe.precision]
    for name, value in plain.items():
        other = found.get(name)
        if (value is None) != (other is None):
            return f"{name} is {other} where the plain way gives {value}"
        if value is not None and other is not None and abs(other - value) > bound * max(abs(value), 1e-2):
            return f"{name} is {other:.6g} where the plain way gives {value:.6g}"
    return engine


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no reason given'}"


def _losses(engine: Engine, rounds: int) -> dict[str, float | None]:
    for _ in range(rounds):
        engine.play_round(0.0)
    return {name: value for name, value in engine.meter.read().items() if "/" not in name}


def _seconds_a_round(engine: Engine) -> float:
    def play() -> None:
        engine.play_round(0.0)

    return timed(engine.device, play, enough(timed(engine.device, play)))


def _file(key: Mapping[str, Any]) -> Path:
    return cache_folder() / "kernels" / f"{digest(dict(key))[:32]}.json"
