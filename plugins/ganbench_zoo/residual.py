"""Residual networks that several architectures share: SN-GAN's by image size, with places for further layers.

Takeru Miyato, Toshiki Kataoka, Masanori Koyama, Yuichi Yoshida, "Spectral Normalization for Generative Adversarial
Networks", 2018, arXiv:1802.05957, appendix B.4, tables 4 to 6; at 64 pixels as in the code of Takeru Miyato, Masanori
Koyama, "cGANs with Projection Discriminator", 2018, arXiv:1802.05637.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType

from torch import nn

from ganbench import DataSpec
from ganbench_zoo.blocks import BlockNorm, DiscriminatorBlock, GeneratorBlock, Judge, Unconditional, glorot


@dataclass(frozen=True)
class ResidualPlan:
    """Where the generator starts, and the widths of both players' layers.

    ``generator``: the linear layer's width, then that of each block, which doubles the size. ``pooled`` and ``plain``:
    the discriminator's blocks that halve the size, and those after them.
    """

    start: int
    generator: tuple[int, ...]
    pooled: tuple[int, ...]
    plain: tuple[int, ...]


_MULTIPLES = MappingProxyType(
    {
        32: ResidualPlan(4, (4, 4, 4, 4), (2, 2), (2, 2)),
        48: ResidualPlan(6, (8, 4, 2, 1), (1, 2, 4, 8), (16,)),
        64: ResidualPlan(4, (16, 8, 4, 2, 1), (1, 2, 4, 8, 16), ()),
        128: ResidualPlan(4, (16, 16, 8, 4, 2, 1), (1, 2, 4, 8, 16), (16,)),
    }
)
"""Image size: widths as multiples of 64."""

RESIDUAL_SIZES = tuple(_MULTIPLES)


def residual_plan(size: int, g_width: int = 256, d_width: int = 128) -> ResidualPlan:
    """Return the networks for images of ``size`` pixels, whose players have these widths at 32 pixels.

    At other sizes the narrowest layer has a quarter of ``g_width``, half of ``d_width``, and at least one channel.
    """
    plan = _MULTIPLES[size]

    def scaled(multiples: tuple[int, ...], width: int, unit: int) -> tuple[int, ...]:
        return tuple(max(1, multiple * width // unit) for multiple in multiples)

    pooled, plain = scaled(plan.pooled, d_width, 2), scaled(plan.plain, d_width, 2)
    return ResidualPlan(plan.start, scaled(plan.generator, g_width, 4), pooled, plain)


Insertion = Callable[[int, int], Sequence[nn.Module]]
"""(size, width) of what a block that changes the size gives, to the layers that follow it."""


def residual_generator(
    latent_size: int, channels: int, plan: ResidualPlan, spectral: bool = False, after: Insertion | None = None
) -> nn.Module:
    """Return a linear layer, a `GeneratorBlock` a doubling, BatchNorm, ReLU, a 3x3 convolution and tanh."""
    first, last = plan.generator[0], plan.generator[-1]
    layers: list[nn.Module] = [
        glorot(nn.Linear(latent_size, first * plan.start * plan.start), 1.0, spectral),
        nn.Unflatten(1, (first, plan.start, plan.start)),
    ]
    for place, (inputs, outputs) in enumerate(pairwise(plan.generator), start=1):
        layers.append(GeneratorBlock(inputs, outputs, spectral))
        layers += after(plan.start << place, outputs) if after else ()
    to_images = glorot(nn.Conv2d(last, channels, 3, padding=1), 1.0, spectral)
    return Unconditional(*layers, nn.BatchNorm2d(last), nn.ReLU(), to_images, nn.Tanh())


def residual_discriminator(
    data: DataSpec,
    plan: ResidualPlan,
    pool: nn.Module,
    norm: BlockNorm = "spectral",
    widen_last: bool = False,
    after: Insertion | None = None,
) -> nn.Module:
    """Return a `DiscriminatorBlock` a width, ReLU, the global ``pool`` and a linear layer.

    ``widen_last``: only the second convolution of a block widens, except in the first block.
    """
    inputs, size, _ = data.shape
    layers: list[nn.Module] = []
    for place, outputs in enumerate((*plan.pooled, *plan.plain)):
        halve, first = place < len(plan.pooled), place == 0
        size = size // 2 if halve else size
        hidden = inputs if widen_last and not first else outputs
        layers.append(DiscriminatorBlock(inputs, outputs, halve, first, norm, hidden))
        layers += after(size, outputs) if after and halve else ()
        inputs = outputs
    return Judge(nn.Sequential(*layers, nn.ReLU(), pool), glorot(nn.Linear(inputs, 1), 1.0, norm == "spectral"))
