"""The speed of one setup: how long its rounds and moves take, what they compute, how much memory they need.

A pace is a setup in flight. It is built and warmed up once, then asked again and again for one more repetition, in turn
with others (`ganbench.execution.race`), so that what disturbs the machine meanwhile disturbs all alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from ganbench.components import trait
from ganbench.execution.footprint import Footprint
from ganbench.execution.timing import Spread, enough, timed
from ganbench.suite.assemble import Assembly
from ganbench.training.engine import MOVES, Engine
from ganbench.training.kernels import Kernels
from ganbench.training.setup import Setup
from ganbench.values import Player


@dataclass(frozen=True)
class Speed:
    """What was measured of one setup. A round is the whole schedule, averaging of the generator included.

    ``moves`` holds each kind of move of the schedule. ``flop_per_round`` counts convolutions, matrix products and
    attention, forward and backward, as they are executed; see `count_flop`. Both are means over as many rounds as it
    takes for every regularizer to have had its turn. ``peak_memory_bytes`` is what the setup needs beyond the process
    itself, weights and optimizers included; None where the system does not tell.
    """

    round: Spread
    moves: dict[str, Spread]
    images_per_round: int
    flop_per_round: float
    peak_memory_bytes: int | None
    seconds_to_build: float
    seconds_of_first_round: float
    repetitions: int
    rounds_per_repetition: int
    kernels: Kernels
    fallbacks: Mapping[str, str]
    """Which of the kernels could not be used, and why."""

    @property
    def images_per_second(self) -> float:
        """Real images shown to the discriminator in a second."""
        return self.images_per_round / self.round.median

    @property
    def flop_per_second(self) -> float:
        """Operations in a second, of those that are counted."""
        return self.flop_per_round / self.round.median

    def as_json(self) -> dict[str, Any]:
        """Return everything by name, times in seconds."""
        return {
            "images_per_second": self.images_per_second,
            "flop_per_second": self.flop_per_second,
            **asdict(self),
        }


class Pace:
    """One setup in flight, warmed up.

    Raises:
        ValueError: the architecture cannot draw the data, or a component refuses.
    """

    def __init__(self, setup: Setup, device: torch.device, kernels: Kernels | None = None) -> None:
        self.setup, self.device, self.kernels = setup, device, kernels or Kernels()
        _load(device)
        turn, memory = rounds_of_a_turn(setup.parts), Footprint(device)
        engines: list[Engine] = []
        self._to_build = timed(device, lambda: engines.append(Engine(setup, device, self.kernels)))
        (self.engine,) = engines
        self._first_round = timed(device, self.play_round)
        seen = self.engine.counters.images_seen
        self._times = enough(timed(device, self.play_round, turn), turn)
        self._images = (self.engine.counters.images_seen - seen) // turn
        self._moves = {move: self._times_of(move) for move in self._kinds()}
        self._memory = memory.read()
        self._flop = self._count(turn) / turn
        self.rounds: list[float] = []
        self.moves: dict[str, list[float]] = {move: [] for move in self._moves}

    def play_round(self) -> None:
        """Play one round, as early in a run."""
        self.engine.play_round(0.0)

    def repeat(self) -> None:
        """Time one more batch of rounds, then one of each kind of move."""
        self.rounds.append(timed(self.device, self.play_round, self._times))
        for move, times in self._moves.items():
            self.moves[move].append(timed(self.device, partial(self.engine.play_move, move), times))

    def speed(self) -> Speed:
        """Return what the repetitions so far, at least one, have shown."""
        return Speed(
            round=Spread.of(self.rounds),
            moves={move: Spread.of(seconds) for move, seconds in self.moves.items()},
            images_per_round=self._images,
            flop_per_round=self._flop,
            peak_memory_bytes=self._memory,
            seconds_to_build=self._to_build,
            seconds_of_first_round=self._first_round,
            repetitions=len(self.rounds),
            rounds_per_repetition=self._times,
            kernels=self.engine.taken,
            fallbacks=self.engine.fallbacks,
        )

    def _kinds(self) -> list[str]:
        """Return the kinds of move in which somebody moves, in the order of the schedule."""
        parts = self.setup.parts
        return [
            move for move in dict.fromkeys(parts.recipe.schedule) if any(hasattr(parts.loss, p) for p in MOVES[move])
        ]

    def _times_of(self, move: str) -> int:
        """Return how many moves of a kind make a batch; play some to find out."""
        turn = _lcm(self.setup.parts, MOVES[move])
        return enough(timed(self.device, partial(self.engine.play_move, move), turn), turn)

    def _count(self, rounds: int) -> int:
        """Return the operations of so many rounds, by this engine or, if it does not play plainly, by another."""
        plain = replace(self.kernels, compile=False, graphs=False)
        engine = self.engine if plain == self.kernels else Engine(self.setup, self.device, plain)

        def play() -> None:
            for _ in range(rounds):
                engine.play_round(0.0)

        return count_flop(play)


def _load(device: torch.device) -> None:
    """Let torch load what it loads at the first step of all, so that it counts as no setup's memory."""
    layer = torch.nn.Linear(1, 1, device=device)
    layer(torch.ones(1, 1, device=device)).sum().backward()
    torch.optim.Adam(layer.parameters()).step()


def count_flop(act: Callable[[], object]) -> int:
    """Return how many floating-point operations ``act`` executes: a multiplication and an addition are two.

    Counted are convolutions (by the direct algorithm, padding included), matrix products and attention, forward and
    backward, wherever torch executes them; what is done to each element on its own is not.
    """
    with _Counting() as counting:
        act()
    total: int = counting.total
    return total


class _Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """Adds up what operations come to, by torch's formulas.

    Not `FlopCounterMode` itself: it follows modules too, and that does not go with a gradient of a gradient.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        corrected = {torch.ops.aten.convolution_backward: _backward}
        self.formulas = FlopCounterMode(display=False, custom_mapping=corrected).flop_registry
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = self.formulas.get(func.overloadpacket)
        if formula is not None:
            self.total += int(formula(*args, **(kwargs or {}), out_val=out))
        return out


def _backward(gradient: Sequence[int], images: Sequence[int], weights: Sequence[int], *others: Any, **_: Any) -> int:
    """Return the operations of a convolution's gradients, from shapes; torch's own count is wrong for groups.

    Each of the two costs what the forward pass does: every weight meets every place of the side that is strided over.
    """
    transposed, wanted = others[4], others[7]
    places = images[2:] if transposed else gradient[2:]
    once = 2 * images[0] * math.prod(places) * math.prod(weights)
    return once * sum(map(bool, wanted[:2]))


def rounds_of_a_turn(parts: Assembly) -> int:
    """Return after how many rounds every regularizer, lazy ones too, has been due equally often."""
    rounds = 1
    for regularizer in parts.regularizers:
        every = trait(regularizer, "every")
        for player in trait(regularizer, "phases"):
            updates = sum(player in MOVES[move] for move in parts.recipe.schedule)
            rounds = math.lcm(rounds, every // math.gcd(every, updates)) if updates else rounds
    return rounds


def _lcm(parts: Assembly, players: Sequence[Player]) -> int:
    """Return after how many moves of ``players`` their regularizers have been due equally often."""
    due = [one for one in parts.regularizers if set(players) & set(trait(one, "phases"))]
    return math.lcm(1, *(trait(one, "every") for one in due))
