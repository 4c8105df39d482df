"""R3GAN: grouped residual blocks without normalisation, the same in both players.

Yiwen Huang, Aaron Gokaslan, Volodymyr Kuleshov, James Tompkin, "The GAN is dead; long live the GAN! A Modern GAN
Baseline", 2024, arXiv:2501.05441, the last configuration of its roadmap (E); sizes of the stages and settings as in the
CIFAR-10 preset of the authors' code, which trains with the loss ``rpgan`` and the penalties ``r1`` and ``r2``.

Differs: the generator ends in tanh, as images lie in [-1, 1] here; the authors leave them unbounded. Over the first 20
million images the authors move along half a cosine: the learning rate falls from 2e-4 to 5e-5 and the weight gamma of
both penalties from 0.05 to 0.005, Adam's beta2 rises from 0.9 to 0.99, the average's half-life from 0 to 5 million
images, and augmentation sets in. The recipe holds learning rate and beta2 where they start, and the ramp-up of the
average is the core's. Networks are unconditional, in one precision; 8 and 16 pixels are fewer stages, 28 starts from
7x7; ``d_outputs`` is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganbench import Cell, DataSpec, ImageSpec, Latent, hookimpl
from ganbench_zoo.blocks import JUDGED, Judge, Unconditional, undrawable
from ganbench_zoo.resampling import Doubling, Halving

START = MappingProxyType({8: 4, 16: 4, 28: 7, 32: 4, 64: 4, 128: 4, 256: 4})
"""Image size: the size of the first stage of the generator, the last of the discriminator."""
FULL = 32
"""The largest size of a stage of full width; each doubling beyond halves the channels and the groups."""
SLOPE = 0.2
GAIN = (2 / (1 + SLOPE**2)) ** 0.5
"""Gain that keeps the variance through a leaky ReLU."""


@dataclass(frozen=True)
class R3gan:
    """Residual networks for square images of 8 to 256 pixels; the defaults are the CIFAR-10 preset.

    Each stage has ``blocks`` residual blocks of ``width`` channels, which widen inside by ``expansion`` and convolve
    there in ``cardinality`` groups; beyond 32 pixels each doubling halves width and cardinality, as in the authors'
    presets for 64 and 256 pixels. With the defaults, 3 channels and 32 pixels, 20,732,160 and 20,683,776 parameters.
    Smaller networks keep the ratio of width to cardinality, 8 to 1: a width of 192 and a cardinality of 24, or 64 and 8
    with one block a stage. ``latent_size`` normal latents; the mean of ``d_outputs`` outputs is the logit.
    """

    name: ClassVar[str] = "r3gan"
    paper: ClassVar[str] = "arXiv:2501.05441"
    recipe: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {
            "batch_size": 512,
            "g_lr": 2e-4,
            "d_lr": 2e-4,
            "g_betas": (0.0, 0.9),
            "d_betas": (0.0, 0.9),
            "ema_halflife_images": 5_000_000,
        }
    )

    offers: ClassVar[frozenset[str]] = JUDGED

    width: int = 768
    cardinality: int = 96
    blocks: int = 2
    expansion: int = 2
    latent_size: int = 64
    d_outputs: int = 1

    def __post_init__(self) -> None:
        for field in ("width", "cardinality", "blocks", "expansion", "latent_size", "d_outputs"):
            if getattr(self, field) < 1:
                raise ValueError(f"r3gan needs {field} >= 1, not {getattr(self, field)}")
        if self.width * self.expansion % self.cardinality:
            raise ValueError(
                f"r3gan needs a cardinality that divides width x expansion = {self.width * self.expansion}, "
                f"not {self.cardinality}"
            )

    def compatible(self, cell: Cell) -> str | None:
        return self._refusal(cell.data)

    def latent(self, data: DataSpec) -> Latent:
        return Latent(self.latent_size)

    def generator(self, data: DataSpec) -> nn.Module:
        channels, start, stages = self._plan(data)
        layers: list[nn.Module] = [GenerativeBasis(self.latent_size, stages[0][0], start), *self._stage(stages, 0)]
        for index, ((inputs, _), (outputs, _)) in enumerate(pairwise(stages)):
            layers += [*_widen(inputs, outputs), Doubling(), *self._stage(stages, index + 1)]
        return Unconditional(*layers, scaled(nn.Conv2d(stages[-1][0], channels, 1, bias=False)), nn.Tanh())

    def discriminator(self, data: DataSpec) -> nn.Module:
        channels, start, stages = self._plan(data)
        stages = stages[::-1]
        layers: list[nn.Module] = [scaled(nn.Conv2d(channels, stages[0][0], 1, bias=False)), *self._stage(stages, 0)]
        for index, ((inputs, _), (outputs, _)) in enumerate(pairwise(stages)):
            layers += [Halving(), *_widen(inputs, outputs), *self._stage(stages, index + 1)]
        inner = stages[-1][0]
        basis = scaled(nn.Conv2d(inner, inner, start, groups=inner, bias=False))  # one start x start weight a channel
        last = scaled(nn.Linear(inner, self.d_outputs, bias=False))
        return Judge(nn.Sequential(*layers, basis, nn.Flatten()), last)

    @classmethod
    def smallest(cls) -> tuple[R3gan, DataSpec]:
        return cls(width=8, cardinality=2, blocks=1, latent_size=4), ImageSpec((1, 8, 8), classes=3)

    def _refusal(self, data: DataSpec) -> str | None:
        if reason := undrawable(self.name, data, START):
            return reason
        shrink = max(1, data.shape[1] // FULL)
        if self.width % shrink or self.cardinality % shrink:
            return (
                f"r3gan divides width {self.width} and cardinality {self.cardinality} by {shrink} at {data.shape[1]} "
                f"pixels, which leaves a remainder"
            )
        return None

    def _plan(self, data: DataSpec) -> tuple[int, int, list[tuple[int, int]]]:
        """Return the image's channels, the smallest size, and (width, groups) of each stage from there on."""
        if reason := self._refusal(data):
            raise ValueError(reason)
        channels, size, _ = data.shape
        start = START[size]
        sizes = [start << doubling for doubling in range((size // start).bit_length())]
        shrinks = [max(1, stage // FULL) for stage in sizes]
        return channels, start, [(self.width // shrink, self.cardinality // shrink) for shrink in shrinks]

    def _stage(self, stages: list[tuple[int, int]], index: int) -> list[nn.Module]:
        """Return the residual blocks of stage ``index``."""
        width, groups = stages[index]
        depth = self.blocks * len(stages)
        return [ResidualBlock(width, groups, self.expansion, depth) for _ in range(self.blocks)]


class GenerativeBasis(nn.Module):
    """Latents to the first feature map: a learned picture (start x start) a channel, times a linear map of z."""

    def __init__(self, latent_size: int, width: int, start: int) -> None:
        super().__init__()
        self.basis = nn.Parameter(torch.randn(width, start, start))
        self.linear = scaled(nn.Linear(latent_size, width, bias=False))

    def forward(self, z: Tensor) -> Tensor:
        return self.linear(z)[:, :, None, None] * self.basis  # (N, width, start, start)


class ResidualBlock(nn.Module):
    """Inverted bottleneck: 1x1 to ``expansion`` times the width, grouped 3x3, 1x1 back, leaky ReLUs between.

    Fix-up initialisation (arXiv:1901.09321) for ``depth`` blocks in all: the last convolution starts from zero, the two
    before it are scaled by depth^(-1/4).
    """

    def __init__(self, width: int, groups: int, expansion: int, depth: int) -> None:
        super().__init__()
        inner, gain = width * expansion, GAIN * depth**-0.25
        self.widen = scaled(nn.Conv2d(width, inner, 1), gain)
        self.grouped = scaled(nn.Conv2d(inner, inner, 3, padding=1, groups=groups), gain)
        self.narrow = scaled(nn.Conv2d(inner, width, 1, bias=False), 0.0)

    def forward(self, x: Tensor) -> Tensor:
        h = F.leaky_relu(self.widen(x), SLOPE)
        h = F.leaky_relu(self.grouped(h), SLOPE)
        return x + self.narrow(h)


def scaled(module: nn.Conv2d | nn.Linear, gain: float = 1.0) -> nn.Module:
    """Draw the weight from N(0, gain^2 / fan-in) and set the bias to 0."""
    fan_in = module.weight[0].numel()
    nn.init.normal_(module.weight, 0.0, gain / fan_in**0.5)
    if module.bias is not None:
        nn.init.zeros_(module.bias)
    return module


def _widen(inputs: int, outputs: int) -> list[nn.Module]:
    """Return the 1x1 convolution between stages of different width."""
    return [] if inputs == outputs else [scaled(nn.Conv2d(inputs, outputs, 1, bias=False))]


@hookimpl
def architectures() -> list[type]:
    """Offer `R3gan`."""
    return [R3gan]
