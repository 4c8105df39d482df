"""One run on several processes: each evaluates its rows of every batch, and all of them step alike.

`join` prepares an engine for that; `Accord` lets the loops of all ranks go by one clock and stop at one round.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from ganbench.seeds import mix
from ganbench.training.engine import Engine
from ganbench.training.kernels import Kernels
from ganbench.training.phase import Evaluation, Task
from ganbench.training.ranks import across_ranks
from ganbench.training.runner import Eager
from ganbench.training.seam import set_stream, stream_of
from ganbench.training.side import all_modules
from ganbench.training.synchronised import synchronise
from ganbench.training.world import World

ACCORD_SECONDS = 0.5  # wall time between two words of rank 0
ACCORD_ROUNDS = 32  # at most so many rounds between them
_UNUSED = ("compile", "graphs", "parts")  # kernels that phases across ranks do without


def join(engine: Engine, world: World) -> None:
    """Let ``engine`` play its run with those of the other ranks of ``world``; call it before the first round.

    Raises:
        ValueError: the run cannot be played so, or the ranks' networks do not start from the same weights.
    """
    networks = all_modules(engine.players.networks)
    synchronise(networks, world)
    start = _fingerprint(networks)
    if world.any(start != world.share(start)):
        raise ValueError("the networks start from other weights on each process: what they draw is not seeded by torch")
    engine.runner = Eager(engine.kernels.channels_last)
    engine.differentiate = Together(engine, world)


class Together:
    """Evaluates phases across ranks.

    What components draw is drawn for the whole batch, as in one process. Networks that draw noise get a stream for each
    rank, so that what they draw is as random as ever, and not the draw of one process. ``fallbacks`` says so, and names
    the kernels that were chosen and are not used.
    """

    def __init__(self, engine: Engine, world: World) -> None:
        self._world, self._engine, self._passes = world, engine, 0
        self._common = self._own = stream_of(engine.device)
        plain, reason = Kernels(), f"{world.size} processes play this run: phases are evaluated as they come"
        names = [name for name in _UNUSED if getattr(engine.kernels, name) != getattr(plain, name)]
        self.fallbacks = dict.fromkeys(names, reason)
        for network in all_modules(engine.players.networks):
            network.register_forward_pre_hook(self._before)
            network.register_forward_hook(self._after)

    def __call__(self, task: Task) -> Evaluation:
        """Evaluate ``task`` and leave the whole batch's gradient in its parameters."""
        self._passes = 0
        return across_ranks(task, self._world)

    def _before(self, *_: Any) -> None:
        """Let a network draw from a stream of this rank and this pass."""
        device = self._engine.device
        self._common = stream_of(device)
        self._passes += 1
        self._engine.seed(mix(torch.default_generator.initial_seed(), self._world.rank, self._passes))
        self._own = stream_of(device)

    def _after(self, *_: Any) -> None:
        """Let components draw on from the stream that all ranks share."""
        device = self._engine.device
        if "noise" not in self.fallbacks and not all(map(torch.equal, self._own, stream_of(device))):
            self.fallbacks["noise"] = "the networks draw noise: another draw on each process than on one alone"
        set_stream(device, self._common)


class Accord:
    """What the ranks go by: whether to stop, and what time it is. Rank 0 says so twice a second, between two rounds.

    ``often`` asks for its word after every round, for a budget in seconds.
    """

    def __init__(self, world: World, stop: Callable[[], bool], clock: Callable[[], float], often: bool = False) -> None:
        self._world, self._own_stop, self._own_clock, self._often = world, stop, clock, often
        self._stop, self._now, self._rounds, self._left = False, clock(), 0, 1
        self.agree()

    def stop(self) -> bool:
        """Whether rank 0 was asked to stop."""
        return self._stop

    def clock(self) -> float:
        """Return rank 0's clock at its last word."""
        return self._now

    def after_round(self) -> None:
        """Count a round, and hear rank 0 where it is time to."""
        self._rounds += 1
        self._left -= 1
        if self._left == 0:
            self.agree()

    def agree(self) -> None:
        """Hear rank 0."""
        now = self._own_clock()
        pace = (now - self._now) / max(self._rounds, 1)
        ahead = (
            1 if self._often or not self._rounds else min(ACCORD_ROUNDS, max(1, int(ACCORD_SECONDS / max(pace, 1e-9))))
        )
        self._stop, self._now, self._left = self._world.share((self._own_stop(), now, ahead))
        self._rounds = 0


def _fingerprint(networks: Iterable[nn.Module]) -> int:
    """Return a checksum of all weights and buffers."""
    found = 0
    for network in networks:
        for tensor in network.state_dict().values():
            found = zlib.crc32(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy(), found)
    return found
