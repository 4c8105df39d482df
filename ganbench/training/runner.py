"""Who carries out the work of a move: here, at once. `ganbench.training.graphs` records it and plays it again."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Protocol

import torch
from torch import Tensor

from ganbench.training.game import Draws
from ganbench.training.side import Side


class Runner(Protocol):
    """Carries out pieces of work that touch nothing but tensors of the device that stay where they are."""

    def draws(self, side: Side, k: int, n: int) -> Draws:
        """Return what phase ``k`` of a side draws: ``n`` samples of each kind."""

    def number(self, name: str, value: float) -> float | Tensor:
        """Return ``value``, which changes from time to time, as work may read it."""

    def run(self, key: Hashable, work: Callable[[], None]) -> None:
        """Carry out ``work``; pieces of the same ``key`` do the same to the same tensors."""


class Eager:
    """Draws when it is asked, works at once. Images lie in memory as (N, H, W, C) with ``channels_last``."""

    def __init__(self, channels_last: bool) -> None:
        self._channels_last = channels_last

    def draws(self, side: Side, k: int, n: int) -> Draws:
        """Return callables that draw when they are called."""
        return Draws(lambda: self.real(side, k), lambda: side.latents.batch(k, n))

    def real(self, side: Side, k: int) -> tuple[Tensor, Tensor | None]:
        """Return batch ``k`` of a side's images, laid out, and its labels."""
        images, labels = side.images.batch(k)
        if self._channels_last and images.dim() == 4:
            images = images.contiguous(memory_format=torch.channels_last)
        return images, labels

    def number(self, name: str, value: float) -> float | Tensor:  # noqa: ARG002  the name is for those who record
        """Return the number."""
        return value

    def run(self, key: Hashable, work: Callable[[], None]) -> None:  # noqa: ARG002  the key is for those who record
        """Do the work."""
        work()
