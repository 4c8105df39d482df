"""Thrift: what is done when a round does not fit into the device's memory.

Nothing of it changes a result but by rounding: activations are computed again instead of being kept, then batches are
cut into parts. The run goes back to its last safe state and plays the rounds since then once more.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch

from ganbench.errors import CannotBeCut, MemoryExhausted
from ganbench.training.checkpoint import State, restore
from ganbench.training.engine import Engine
from ganbench.training.kernels import Kernels
from ganbench.training.parts import cannot_be_cut
from ganbench.training.recompute import layers_in_sequence
from ganbench.training.side import all_modules
from ganbench.training.ways import adopt

_CPU_SAYS = ("can't allocate memory", "not enough memory")


class Thrift:
    """Plays rounds of ``engine``, with less memory where they do not fit.

    ``note`` is told of each change once, and ``notes`` keeps it. Without ``allowed`` nothing is changed.
    """

    def __init__(self, engine: Engine, note: Callable[[str], None], allowed: bool = True) -> None:
        self.engine, self._note, self._allowed = engine, note, allowed
        self.notes: list[str] = []

    def play(self, share: float, safe: State, played: Sequence[float]) -> None:
        """Play a round at ``share`` of the budget; ``played`` are the shares of the rounds since ``safe``.

        Raises:
            MemoryExhausted: it does not fit, whatever is tried; the sentence says what was.
        """
        failure = _attempt(self.engine, [share])
        if failure is not None:
            self._save_memory(f"{self.engine.kernels.text}: {failure}", safe, [*played, share])

    def _save_memory(self, failure: str, safe: State, shares: Sequence[float]) -> None:
        engine, tried = self.engine, [failure]
        batch = f"{engine.setup.parts.recipe.batch_size}"
        for name, kernels in _choices(engine) if self._allowed else ():
            if reason := _unfit(engine, kernels):
                tried.append(f"{name}: n/a, {reason}")
                continue
            adopt(engine, kernels)
            _go_back(engine, safe)
            try:
                found = _attempt(engine, shares)
            except CannotBeCut as error:
                found = f"n/a, {error}"
            if found is None:
                self.notes.append(f"out of memory with {failure}; the run goes on with {kernels.text}")
                self._note(self.notes[-1])
                return
            tried.append(f"{name}: {found}")
        _go_back(engine, safe)
        raise MemoryExhausted(f"a batch of {batch} does not fit into the memory of {engine.device}; {'; '.join(tried)}")


def _choices(engine: Engine) -> Iterator[tuple[str, Kernels]]:
    """Yield ever more frugal kernels, each with the name of what is new in it."""
    kernels, recipe = replace(engine.kernels, compile=False, graphs=False), engine.setup.parts.recipe
    if not kernels.checkpoint:
        yield "checkpoint", replace(kernels, checkpoint=True)
        kernels = replace(kernels, checkpoint=engine.kernels.checkpoint)  # unless it was refused
    parts = 2 * kernels.parts
    while parts * recipe.pac <= recipe.batch_size:
        yield f"{parts} parts", replace(kernels, parts=parts)
        parts *= 2


def _unfit(engine: Engine, kernels: Kernels) -> str | None:
    """Say why ``engine`` cannot take ``kernels``, or return None."""
    if kernels.parts > 1:
        parts, recipe = engine.setup.parts, engine.setup.parts.recipe
        return cannot_be_cut(engine.players, parts.regularizers, kernels.parts, recipe.batch_size)
    if not any(map(layers_in_sequence, all_modules(engine.players.networks))):
        return "the networks have no layers in sequence"
    return None


def _attempt(engine: Engine, shares: Sequence[float]) -> str | None:
    """Play rounds at ``shares``; return what was said if memory ran out, and keep nothing of it alive."""
    try:
        for share in shares:
            engine.play_round(share)
    except RuntimeError as error:  # torch.OutOfMemoryError is one
        if not isinstance(error, torch.OutOfMemoryError) and not any(words in str(error) for words in _CPU_SAYS):
            raise
        return str(error).partition("\n")[0].partition(". ")[0].strip() or "out of memory"
    return None


def _go_back(engine: Engine, safe: State) -> None:
    """Bring ``engine`` to ``safe`` and free what a broken-off round holds."""
    for side in engine.sides.values():
        side.optimizer.zero_grad(set_to_none=True)
    gc.collect()
    if engine.device.type == "cuda":
        torch.cuda.empty_cache()
    restore(engine, safe)
