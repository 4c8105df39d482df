"""Activation checkpointing of any network: what a layer computed is computed again in the backward pass.

Only what goes from one stretch of layers to the next is kept. Nothing is asked of the network: what stands in its
`torch.nn.Sequential` and `torch.nn.ModuleList` is cut into stretches that begin with a layer with weights. Names of
parameters stay, and so do results, bit for bit, with penalties on gradients too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

_NORMS = (_BatchNorm, nn.GroupNorm, nn.LayerNorm, nn.modules.instancenorm._InstanceNorm)


def recompute(network: nn.Module) -> int:
    """Let ``network`` keep no activations within stretches of its layers; return how many stretches there are.

    0 says that it has no layers in sequence, so that nothing was changed.
    """
    if isinstance(network, _Recomputed | _Stretched):
        return 0
    if isinstance(network, nn.Sequential):
        return _stretch(network)
    inside = isinstance(network, nn.ModuleList)
    return sum(_once(child) if inside else recompute(child) for child in network.children())


def layers_in_sequence(network: nn.Module) -> bool:
    """Whether there is anything in ``network`` that `recompute` can cut into stretches, or has."""
    return any(_is_sequence(module) for module in network.modules())


def _once(block: nn.Module) -> int:
    """Let a block that others call be recomputed as one, unless it is itself a list of blocks."""
    if isinstance(block, nn.Sequential | nn.ModuleList):
        return recompute(block)
    if not _has_weights(block):
        return 0
    block.__class__ = _derived(_Recomputed, type(block))
    return 1


def _stretch(sequence: nn.Sequential) -> int:
    """Let ``sequence`` run in stretches; sequences in it have stretches of their own."""
    inner = sum(recompute(child) for child in sequence.children() if _is_sequence(child))
    own = sum(any(map(_has_weights, stretch)) for stretch in _stretches(sequence) if not _is_sequence(stretch[0]))
    if own:
        sequence.__class__ = _derived(_Stretched, type(sequence))
    return inner + own


class _Stretched(nn.Sequential):
    """A sequence whose iteration gives stretches of layers, each recomputed as one, while a graph is recorded."""

    def __iter__(self) -> Iterator[Any]:
        if not torch.is_grad_enabled():
            return iter(self.children())
        return iter([_runner(stretch) for stretch in _stretches(self)])


class _Recomputed(nn.Module):
    """A block that is recomputed as one, while a graph is recorded."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _recomputed(super().__call__, [self])(*args, **kwargs)


def _stretches(sequence: nn.Sequential) -> list[list[nn.Module]]:
    """Cut the layers of ``sequence`` before every one with weights that is no normalisation, and around sequences."""
    stretches: list[list[nn.Module]] = []
    for layer in sequence.children():
        begins = _is_sequence(layer) or (_has_weights(layer) and not isinstance(layer, _NORMS))
        if begins or not stretches or _is_sequence(stretches[-1][-1]):
            stretches.append([])
        stretches[-1].append(layer)
    return stretches


def _runner(stretch: list[nn.Module]) -> Callable[[Tensor], Tensor]:
    if _is_sequence(stretch[0]) or not any(map(_has_weights, stretch)):
        return partial(_run, stretch)
    return _recomputed(partial(_run, stretch), stretch)


def _run(stretch: Iterable[nn.Module], x: Any) -> Any:
    for layer in stretch:
        x = layer(x)
    return x


def _recomputed(run: Callable[..., Any], modules: Iterable[nn.Module]) -> Callable[..., Any]:
    """Return ``run`` with its activations recomputed; running statistics of ``modules`` move in the first pass only."""
    norms = [m for top in modules for m in top.modules() if isinstance(m, _BatchNorm)]

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _StandingStill(norms)

    return partial(checkpoint, run, use_reentrant=False, preserve_rng_state=True, context_fn=contexts)


class _StandingStill(AbstractContextManager[None]):
    """Brings the running statistics of BatchNorm back to what they were; may be entered again and again."""

    def __init__(self, norms: Iterable[_BatchNorm]) -> None:
        self._buffers = [buffer for norm in norms for buffer in norm.buffers(recurse=False)]
        self._before: list[list[Tensor]] = []

    def __enter__(self) -> None:
        self._before.append([buffer.clone() for buffer in self._buffers])

    @torch.no_grad()
    def __exit__(self, *error: object) -> None:
        for buffer, value in zip(self._buffers, self._before.pop(), strict=True):
            buffer.copy_(value)


def _has_weights(module: nn.Module) -> bool:
    return next(module.parameters(), None) is not None


def _is_sequence(module: nn.Module) -> bool:
    return isinstance(module, nn.Sequential | nn.ModuleList) and _has_weights(module)


def _derived(behaviour: type[nn.Module], own: type[nn.Module]) -> Any:
    """Return ``own`` with ``behaviour`` before it; instances keep their parameters and their names."""
    return type(own.__name__, (behaviour, own), {"__module__": own.__module__, "__doc__": own.__doc__})
