"""One evaluation of one phase: from draws to a value, the gradient in the player's parameters, logs and new states.

A task says what is to be evaluated. `evaluate` is a pure function of its tensors, so that it can be compiled, recorded,
or evaluated in parts; `whole` is the plain way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ganbench.training.game import Draws, Game, Players, evaluate_phase
from ganbench.values import Player

States = tuple[tuple[int, Mapping[str, Tensor]], ...]
"""New tensors of stateful components, by their place in `Players.states`."""


@dataclass(frozen=True)
class Task:
    """One phase to be evaluated: whose, with which due regularizers, on which draws.

    ``clock`` is what `Game.step` and `Game.progress` read; ``region`` opens the context to evaluate in; ``params`` are
    those that get a gradient, ``both`` says that the other player's weights require one meanwhile.
    """

    player: Player
    players: Players
    due: tuple[Any, ...]
    draws: Draws
    clock: tuple[Tensor, Tensor]
    region: Callable[[], AbstractContextManager[object]]
    params: Sequence[nn.Parameter]
    both: bool = False

    def backward(self, value: Tensor) -> None:
        """Add the gradient of ``value`` to the player's parameters."""
        value.backward(inputs=self.params if self.both else None)  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class Evaluation:
    """What evaluating a phase gave: the value that is minimised (float32, 0-dim), logs by name, new states."""

    value: Tensor
    logs: Mapping[str, Tensor]
    states: States


def evaluate(task: Task) -> Evaluation:
    """Evaluate ``task``; its value carries the graph."""
    game = Game(task.player, task.players, task.draws, task.due, task.clock)
    with task.region():
        value = evaluate_phase(game)
        states = renewed(game)
    return Evaluation(value, game.logs, states)


def whole(task: Task) -> Evaluation:
    """Evaluate ``task`` at once and leave the gradient in its parameters."""
    found = evaluate(task)
    task.backward(found.value)
    return found


@torch.no_grad()
def renewed(game: Game) -> States:
    """Return the new tensors of those stateful components that took part in the phase."""
    players = game.players
    taking_part = (players.loss, *game.due, *players.augmentations)
    return tuple(
        (place, component.update(game, tensors))
        for place, (component, tensors) in enumerate(players.states)
        if hasattr(component, "update") and any(component is one for one in taking_part)
    )
