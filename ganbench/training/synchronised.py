"""BatchNorm over all ranks of a world: the statistics are those of the whole batch, as in one process.

Ioffe and Szegedy 2015, arXiv:1502.03167, algorithm 1. It is written in plain operations around one sum over ranks whose
gradient is the same sum, so that it differentiates as often as one likes, on the CPU too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ganbench.training.world import World

_PLAIN = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def synchronise(networks: Iterable[nn.Module], world: World) -> None:
    """Let every BatchNorm of ``networks`` take its training statistics over all ranks; names and weights stay.

    Copies of a network are alone again: what averages or samples it need not be done by all ranks.

    Raises:
        ValueError: a layer derives from BatchNorm, so that what its statistics are is not known.
    """
    norms = [module for network in networks for module in network.modules() if isinstance(module, _BatchNorm)]
    for norm in norms:
        if type(norm) in _PLAIN:
            norm.__class__ = SynchronisedBatchNorm
            norm.world = world  # type: ignore[assignment]
        elif not isinstance(norm, SynchronisedBatchNorm):
            raise ValueError(
                f"{type(norm).__name__} is a BatchNorm of its own kind, which several processes cannot share"
            )


class SynchronisedBatchNorm(_BatchNorm):
    """Normalises by the mean and variance of all ranks' rows, of which each has as many."""

    world: World | None

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy takes over: all but the world."""
        return {**self.__dict__, "world": None}

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``x`` (N, C, ...)."""
        if not self.training or self.world is None:
            return super().forward(x)
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        axes = [0, *range(2, x.dim())]
        variance, mean = _whole(self.world, *torch.var_mean(wide, dim=axes, correction=0))
        self._track(mean, variance, self.world.size * x.numel() // x.shape[1])
        shape = (1, -1, *[1] * (x.dim() - 2))
        scale = torch.rsqrt(variance + self.eps)
        if self.weight is not None:
            scale = scale * self.weight
        shift = -mean * scale if self.bias is None else self.bias - mean * scale
        return torch.addcmul(shift.view(shape), wide, scale.view(shape)).to(x.dtype)

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor, n: int) -> None:
        """Move the running statistics, if any, as `nn.BatchNorm2d` does: towards the variance corrected for ``n``."""
        averages, count = (self.running_mean, self.running_var), self.num_batches_tracked
        if count is None:
            return
        count.add_(1)
        weight = 1 / count.float() if self.momentum is None else self.momentum
        for running, found in zip(averages, (mean, variance * (n / (n - 1))), strict=True):
            if running is not None:
                running.lerp_(found.to(running.dtype), weight)

    def _check_input_dim(self, x: Tensor) -> None:
        """Accept any number of dimensions: the layer that this one was did."""


def _whole(world: World, variance: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
    """Return variance and mean (C,) over all ranks from those of each: no large numbers are subtracted."""
    own = torch.zeros(world.size, 1, 1, dtype=mean.dtype, device=mean.device)
    own[world.rank] = 1
    variances, means = _Sum.apply(own * torch.stack([variance, mean]), world).unbind(1)  # (ranks, C) each
    mean = means.mean(dim=0)
    return variances.mean(dim=0) + (means - mean).square().mean(dim=0), mean


class _Sum(torch.autograd.Function):
    """The sum over ranks. What each rank does with it counts, so its gradient is the sum of all ranks' gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, world: World) -> Tensor:
        ctx.world = world
        total = x.clone()
        world.add([total])
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _Sum.apply(gradient, ctx.world), None
