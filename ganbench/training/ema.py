"""The exponential moving average of the generator, and the re-estimation of its BatchNorm statistics."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

REESTIMATION_BATCHES = 16


class Ema:
    """Averages a network with a half-life counted in images (as in EDM, Karras 2022, arXiv:2206.00364, training loop).

    ``rampup`` bounds the half-life by that share of the images seen, so that early weights are forgotten quickly.
    Parameters are averaged; buffers are copied.
    """

    def __init__(self, network: nn.Module, halflife_images: float, rampup: float) -> None:
        self.network = copy.deepcopy(network).requires_grad_(False)
        self._live = network
        self._halflife, self._rampup = halflife_images, rampup

    def weight(self, images: int, images_seen: int) -> float:
        """Return how far the average moves, in [0, 1], ``images`` real images after its last move."""
        halflife = self._halflife
        if self._rampup:
            halflife = min(halflife, self._rampup * images_seen)
        return 1 - 0.5 ** (images / halflife) if halflife > 0 else 1.0

    @torch.no_grad()
    def move(self, weight: float | Tensor) -> None:
        """Move the average the share ``weight`` of the way to the live network.

        As a 0-dim tensor on the network's device, ``weight`` is read by the device alone, so that the move can be
        recorded and replayed with another; the result differs by rounding.
        """
        average, live = list(self.network.parameters()), list(self._live.parameters())
        if not isinstance(weight, Tensor):
            torch._foreach_lerp_(average, live, weight)  # type: ignore[arg-type]
        else:
            way = torch._foreach_sub(live, average)  # type: ignore[arg-type]
            torch._foreach_mul_(way, weight.to(way[0].dtype))
            torch._foreach_add_(average, way)  # type: ignore[arg-type]
        for kept, buffers in _by_type(self.network.buffers(), self._live.buffers()):
            torch._foreach_copy_(kept, buffers)


def _by_type(first: Iterable[Tensor], second: Iterable[Tensor]) -> list[tuple[list[Tensor], list[Tensor]]]:
    """Return both sequences cut into lists of one dtype each: those of several are copied one tensor at a time."""
    found: dict[torch.dtype, tuple[list[Tensor], list[Tensor]]] = {}
    for one, other in zip(first, second, strict=True):
        ones, others = found.setdefault(one.dtype, ([], []))
        ones.append(one)
        others.append(other)
    return list(found.values())


@torch.no_grad()
def reestimate_normalisation(network: nn.Module, run: Callable[[nn.Module, int], Tensor | object]) -> None:
    """Give every BatchNorm of ``network`` the plain average statistics of 16 batches; leave it in eval mode.

    ``run(network, i)`` passes batch ``i`` of a fixed latent stream. Averaged weights with the live network's statistics
    are a classic error: the statistics belong to other weights.
    """
    network.eval()
    norms = [m for m in network.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    if not norms:
        return
    momenta = [m.momentum for m in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative average
        norm.train()
    for i in range(REESTIMATION_BATCHES):
        run(network, i)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
