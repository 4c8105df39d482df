"""Places: where the tensors lie that outlive a piece of a move, so that recordings find them there.

Graphs read and write fixed addresses. What is changed in place stays where it is; what a piece makes anew (gradients
for a later piece, ``state["last"] = direction`` of an optimizer) is copied back to where it lay first.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ganbench.training.side import Side
from ganbench.values import Player

Left = Mapping[Player, tuple[bool, ...] | None]
"""Of each side that a piece gave gradients: which of them it left for another piece, or None where it stepped them."""


class WandersError(Exception):
    """A tensor that outlives a piece cannot be kept where it lies."""


_Name = tuple[Hashable, ...]


@dataclass(frozen=True)
class Look:
    """What the host saw before a piece: each side's count of writes to ``updates``, gradients, optimizers' numbers."""

    versions: dict[Player, int]
    gradients: dict[Player, list[Tensor | None]]
    host: dict[_Name, Any]


class Places:
    """Where the tensors lie that outlive a piece: gradients for another piece, optimizers' states, buffers."""

    def __init__(self, sides: Mapping[Player, Side], modules: Sequence[nn.Module]) -> None:
        self._sides = sides
        self._buffers = [module._buffers for top in modules for module in top.modules()]
        self._tensors: dict[_Name, Tensor] = {}
        self._gradients: dict[nn.Parameter, Tensor] = {}
        self._handed: dict[Player, tuple[bool, ...]] = {}
        self._states: list[tuple[Any, int]] = []

    def are_current(self) -> bool:
        """Whether no optimizer got another state from outside since the last piece was carried out."""
        states = (side.optimizer.state for side in self._sides.values())
        return not self._states or all(
            state is known and len(state) == size for state, (known, size) in zip(states, self._states, strict=True)
        )

    def look(self) -> Look:
        """Note what `settle` and `check_host` compare with."""
        return Look(
            {player: side.updates._version for player, side in self._sides.items()},
            {player: [p.grad for p in side.params] for player, side in self._sides.items()},
            self._host(),
        )

    @property
    def handed(self) -> tuple[tuple[Player, tuple[bool, ...]], ...]:
        """Which gradients wait for a piece that steps them: one that finds others is another piece."""
        return tuple(self._handed.items())

    def note(self, left: Left) -> None:
        """Take up what a piece left."""
        for player, present in left.items():
            if present is None:
                self._handed.pop(player, None)
            else:
                self._handed[player] = present

    def bind_gradients(self) -> None:
        """Let the host see the gradients that recordings left."""
        for player, present in self._handed.items():
            for p, there in zip(self._sides[player].params, present, strict=True):
                p.grad = self._gradients[p] if there else None

    @torch.no_grad()
    def settle(self, before: Look) -> Left:
        """Bring every tensor that a piece put elsewhere back to its place; return what it left.

        Raises:
            WandersError: it has another shape than there.
        """
        left: dict[Player, tuple[bool, ...] | None] = {}
        for player, side in self._sides.items():
            if side.updates._version != before.versions[player]:
                left[player] = None
            elif any(p.grad is not known for p, known in zip(side.params, before.gradients[player], strict=True)):
                left[player] = self._hand_over(side.params)
        self._settle_slots()
        self._states = [(side.optimizer.state, len(side.optimizer.state)) for side in self._sides.values()]
        return left

    def _settle_slots(self) -> None:
        moved = []
        for name, container, key in self._slots():
            value = container[key]
            if isinstance(value, Tensor):
                place = self._tensors.setdefault(name, value)
                if place is not value:
                    _fit(place, value)
                    moved.append((container, key, place, value))
        places = {id(place) for _, _, place, _ in moved}
        values = [value.clone() if id(value) in places else value for *_, value in moved]  # two may have changed places
        for (container, key, place, _), value in zip(moved, values, strict=True):
            container[key] = place.copy_(value)

    def _hand_over(self, params: Sequence[nn.Parameter]) -> tuple[bool, ...]:
        for p in params:
            if p.grad is not None:
                place = self._gradients.setdefault(p, p.grad)
                p.grad = place if place is p.grad else place.copy_(p.grad)
        return tuple(p.grad is not None for p in params)

    def check_host(self, before: Look) -> None:
        """Raise RuntimeError if an optimizer changed what the host keeps: a recording would not repeat that."""
        for name, value in self._host().items():
            if name not in before.host or not _same(value, before.host[name]):
                raise RuntimeError(f"its optimizer changes {name[-1]!r} on the host")

    def hold(self) -> Callable[[], None]:
        """Return what brings buffers and the host's part of the optimizers back to how they are now.

        Gradients are left: the piece that failed makes them anew.
        """
        optimizers = [side.optimizer for side in self._sides.values()]
        containers: list[dict[Any, Any]] = [self._tensors, self._gradients, *self._buffers]
        for optimizer in optimizers:
            containers += [vars(optimizer), optimizer.state, *optimizer.state.values(), *optimizer.param_groups]
        places = [(container, dict(container)) for container in containers]

        def bring_back() -> None:
            for container, content in places:
                container.clear()
                container.update(content)

        return bring_back

    def _slots(self) -> Iterator[tuple[_Name, Any, Any]]:
        for player, side in self._sides.items():
            yield from _walk((player,), vars(side.optimizer))
        for place, buffers in enumerate(self._buffers):
            yield from _walk((place,), buffers)

    def _host(self) -> dict[_Name, Any]:
        return {name: box[key] for name, box, key in self._slots() if not isinstance(box[key], Tensor)}


def _walk(name: _Name, container: Any) -> Iterator[tuple[_Name, Any, Any]]:
    """Yield what lies in nested dicts and lists, but no weights: a name that stays, what it lies in, its key there."""
    for key, value in list(container.items() if isinstance(container, dict) else enumerate(container)):
        path = (*name, id(key) if isinstance(key, Tensor) else key)
        if isinstance(value, dict | list):
            yield from _walk(path, value)
        elif not isinstance(value, nn.Parameter):
            yield path, container, key


def _fit(place: Tensor, value: Tensor) -> None:
    if (place.shape, place.dtype, place.device) != (value.shape, value.dtype, value.device):
        raise WandersError("a tensor that an optimizer keeps changes its shape or type")


def _same(one: Any, other: Any) -> bool:
    if one is other:
        return True
    with suppress(Exception):
        return bool(one == other)
    return False
