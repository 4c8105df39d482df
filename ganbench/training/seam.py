"""Seams: where what was computed of parts of a batch is put together, and its gradient taken apart again.

Also what belongs to it: rows of tensors, critiques without a graph, places in torch's global streams.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from ganbench.errors import CannotBeCut
from ganbench.training.game import map_critique
from ganbench.values import Critique, Sample

P = TypeVar("P")
Stream = tuple[Tensor, ...]
"""A place in torch's global streams: the CPU's, and the device's where that is another one."""


class Seams(Generic[P]):
    """Leaves that stand for what was put together, each with how to read from a part what belongs there."""

    def __init__(self, upstream: Sequence[Tensor]) -> None:
        self._leaves: list[tuple[Tensor, Callable[[P], Tensor]]] = []
        self._upstream = list(upstream)
        self._params = list(upstream)
        self.pulling, self.asking = False, ""  # the component that is being evaluated

    def sew(self, value: Tensor, read: Callable[[P], Tensor]) -> Tensor:
        """Return ``value`` as a tensor that requires gradient; ``read`` finds a part's rows of it."""
        leaf = value.detach().requires_grad_(True)
        self._leaves.append((leaf, read))
        seam: Tensor = _Seam.apply(self, leaf, *self._upstream)
        if seam.requires_grad:
            self._upstream.append(seam)
        return seam

    def pull(self, value: Tensor) -> tuple[list[tuple[Callable[[P], Tensor], Tensor]], list[Tensor | None]]:
        """Return the gradient of ``value`` by each leaf, with how to read its rows, and by the parameters directly."""
        if not value.requires_grad:
            return [], [None] * len(self._params)
        self.pulling = True
        inputs = [*(leaf for leaf, _ in self._leaves), *self._params]
        found = torch.autograd.grad(value, inputs, allow_unused=True, retain_graph=True)
        self.pulling = False
        pulled = zip(self._leaves, found, strict=False)
        return [(read, grad) for (_, read), grad in pulled if grad is not None], list(found[len(self._leaves) :])

    def close(self) -> None:
        """Let go of every tensor: the graph of a seam holds the seams, which Python's collector does not see."""
        self._leaves, self._upstream, self._params = [], [], []


class _Seam(torch.autograd.Function):
    """The identity; a component that differentiates through it would find nothing there, so it is refused.

    What lies before the seam is passed along, so that autograd knows a way there and comes by.
    """

    @staticmethod
    def forward(ctx: Any, seams: Seams[Any], leaf: Tensor, *upstream: Tensor) -> Tensor:
        ctx.seams, ctx.upstream = seams, len(upstream)
        ctx.set_materialize_grads(False)  # what nothing depends on has no gradient, rather than one of zeros
        return leaf.view_as(leaf)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor | None) -> tuple[Tensor | None, ...]:
        if not ctx.seams.pulling:
            raise CannotBeCut(f"{ctx.seams.asking} differentiates what the networks compute of the whole batch")
        return (None, gradient, *[None] * ctx.upstream)


def rows(x: Tensor, place: int, count: int) -> Tensor:
    """Return part ``place`` of ``count`` equal parts of ``x`` (N, ...)."""
    n = len(x) // count
    return x[place * n : (place + 1) * n]


def tensors(critique: Critique) -> list[Tensor]:
    """Return the tensors of ``critique`` in the order of `map_critique`."""
    found: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    map_critique(keep, critique)
    return found


def severed(found: Any) -> Any:
    """Return tensors, samples, critiques, and containers of these, without their graph."""
    if isinstance(found, Tensor):
        return found.detach()
    if isinstance(found, Sample):
        return Sample(found.images.detach(), severed(found.style))
    if isinstance(found, Critique):
        return map_critique(Tensor.detach, found)
    if isinstance(found, tuple):
        return tuple(severed(one) for one in found)
    if isinstance(found, dict):
        return {key: severed(one) for key, one in found.items()}
    return found


def stream_of(device: torch.device) -> Stream:
    """Return where torch's global streams are."""
    return tuple(generator.get_state() for generator in _generators(device))


def set_stream(device: torch.device, stream: Stream) -> None:
    """Go on drawing from ``stream``."""
    for generator, state in zip(_generators(device), stream, strict=True):
        generator.set_state(state)


def _generators(device: torch.device) -> list[torch.Generator]:
    if device.type == "cuda":
        return [torch.default_generator, torch.cuda.default_generators[device.index or 0]]
    if device.type == "mps":
        return [torch.default_generator, torch.mps._get_default_mps_generator()]
    return [torch.default_generator]
