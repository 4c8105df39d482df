"""StyleGAN2: a mapping network, modulated convolutions, a skip generator and a residual discriminator.

Tero Karras, Samuli Laine, Miika Aittala, Janne Hellsten, Jaakko Lehtinen, Timo Aila, "Analyzing and Improving the Image
Quality of StyleGAN", 2019, arXiv:1912.04958, configuration F, appendix B; style mixing and the mapping network after
"A Style-Based Generator Architecture for Generative Adversarial Networks", 2018, arXiv:1812.04948. Parameters, filters
and gains as in the authors' PyTorch code. The paper trains with ``non_saturating``, ``r1`` and ``path_length``.

Differs: the generator ends in tanh, as images lie in [-1, 1] here; the authors leave them unbounded. Which images mix
two styles, and from which layer on, is drawn for each image, as the paper says, where the code draws once a batch.
Outside training the noise of each pixel is the same for all images. There is no truncation, and Adam's rates are not
rescaled for penalties that act every few updates. Networks are unconditional; ``d_outputs`` is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from ganbench import Cell, DataSpec, ImageSpec, Latent, Sample, hookimpl
from ganbench_zoo.blocks import JUDGED, Judge, undrawable
from ganbench_zoo.modulated import (
    Activation,
    EqualConv2d,
    EqualLinear,
    MinibatchDeviation,
    StyledLayer,
    ToPixels,
    UnitLength,
)
from ganbench_zoo.resampling import Doubling

SIZES = tuple(2**k for k in range(3, 11))
START = 4
"""Size of the generator's constant, and of the last feature map of the discriminator."""


@dataclass(frozen=True)
class Stylegan2:
    """Style-based networks for square images of 8 to 1,024 pixels (powers of two) and any number of channels.

    A stage of s pixels has ``channel_base`` / s channels, at most ``channel_max``. ``mapping_layers`` layers take
    ``latent_size`` normal latents to a style of ``style_size``; a share ``mixing`` of the training images has a second
    style from a random layer on. The discriminator compares the samples of a ``group``; without ``d_shortcuts`` it is a
    plain stack. The mean of ``d_outputs`` outputs is the logit.

    For CIFAR-10, arXiv:2006.06676 takes ``mapping_layers = 2, mixing = 0, group = 32, d_shortcuts = false``, batches of
    64, learning rates of 2.5e-3, a half-life of 500,000 images, ``r1`` of gamma 0.01, and no ``path_length``. A small
    network: ``channel_max = 64, latent_size = 64, style_size = 64, mapping_layers = 2``.
    """

    name: ClassVar[str] = "stylegan2"
    paper: ClassVar[str] = "arXiv:1912.04958"
    recipe: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {
            "batch_size": 32,
            "g_lr": 2e-3,
            "d_lr": 2e-3,
            "g_betas": (0.0, 0.99),
            "d_betas": (0.0, 0.99),
            "ema_halflife_images": 10_000,
        }
    )

    batch_coupling: ClassVar[Literal["statistic"]] = "statistic"
    offers: ClassVar[frozenset[str]] = JUDGED | {"style"}

    latent_size: int = 512
    style_size: int = 512
    mapping_layers: int = 8
    channel_base: int = 32768
    channel_max: int = 512
    mixing: float = 0.9
    group: int = 4
    d_shortcuts: bool = True
    d_outputs: int = 1

    def __post_init__(self) -> None:
        for field in ("latent_size", "style_size", "mapping_layers", "channel_base", "channel_max", "d_outputs"):
            if getattr(self, field) < 1:
                raise ValueError(f"stylegan2 needs {field} >= 1, not {getattr(self, field)}")
        if self.group < 2:
            raise ValueError(f"stylegan2 needs group >= 2, not {self.group}")
        if not 0 <= self.mixing <= 1:
            raise ValueError(f"stylegan2 needs mixing in [0, 1], not {self.mixing}")

    def compatible(self, cell: Cell) -> str | None:
        return undrawable(self.name, cell.data, SIZES)

    def latent(self, data: DataSpec) -> Latent:
        return Latent(self.latent_size)

    def generator(self, data: DataSpec) -> nn.Module:
        stages = self._stages(data)
        return Generator(self._mapping(), Synthesis(stages, data.shape[0], self.style_size), self.mixing)

    def discriminator(self, data: DataSpec) -> nn.Module:
        widths = [width for _, width in reversed(self._stages(data))]
        last = widths[-1]
        block = ResidualBlock if self.d_shortcuts else plain_block
        body = nn.Sequential(
            *(EqualConv2d(data.shape[0], widths[0], 1), Activation()),
            *(block(inputs, outputs) for inputs, outputs in pairwise(widths)),
            MinibatchDeviation(self.group),
            *(EqualConv2d(last + 1, last, 3), Activation(), nn.Flatten()),
            *(EqualLinear(last * START * START, last), Activation()),
        )
        return Judge(body, EqualLinear(last, self.d_outputs))

    @classmethod
    def smallest(cls) -> tuple[Stylegan2, DataSpec]:
        tiny = cls(latent_size=4, style_size=4, mapping_layers=2, channel_max=4)
        return tiny, ImageSpec((1, 8, 8), classes=3)

    def _mapping(self) -> nn.Module:
        layers: list[nn.Module] = [UnitLength()]
        for inputs in [self.latent_size] + [self.style_size] * (self.mapping_layers - 1):
            layers += [EqualLinear(inputs, self.style_size, rate=0.01), Activation()]
        return nn.Sequential(*layers)

    def _stages(self, data: DataSpec) -> list[tuple[int, int]]:
        """Return (size, channels) of each stage, from 4 pixels to the image's size."""
        if reason := undrawable(self.name, data, SIZES):
            raise ValueError(reason)
        sizes = [START << doubling for doubling in range((data.shape[1] // START).bit_length())]
        return [(size, max(1, min(self.channel_base // size, self.channel_max))) for size in sizes]


class Generator(nn.Module):
    """Mapping network, style mixing, synthesis network; gives a `Sample` whose style is (N, layers, style_size)."""

    def __init__(self, mapping: nn.Module, synthesis: Synthesis, mixing: float) -> None:
        super().__init__()
        self.mapping, self.synthesis, self.mixing = mapping, synthesis, mixing

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Sample:
        style = self.mapping(z)[:, None].expand(-1, self.synthesis.layers, -1)
        if self.training and self.mixing > 0:
            style = self.mixed(style, torch.randn_like(z))
        return Sample(torch.tanh(self.synthesis(style)), style)

    def mixed(self, style: Tensor, z: Tensor) -> Tensor:
        """Give a share ``mixing`` of the rows the style of ``z`` from a random layer (not the first) on."""
        n, layers, _ = style.shape
        first = torch.randint(1, layers, (n, 1), device=z.device)
        chosen = torch.rand(n, 1, device=z.device) < self.mixing
        other = chosen & (torch.arange(layers, device=z.device) >= first)  # (N, layers)
        return torch.where(other[:, :, None], self.mapping(z)[:, None], style)


class Synthesis(nn.Module):
    """Styles (N, layers, style_size) to images (N, channels, size, size): the sum of every stage's pixels, upsampled.

    Each convolution has its own row of the style; the pixels of a stage share theirs with the next stage's first.
    """

    def __init__(self, stages: list[tuple[int, int]], channels: int, style_size: int) -> None:
        super().__init__()
        size, width = stages[0]
        self.constant = nn.Parameter(torch.randn(width, size, size))
        self.first = StyledLayer(width, width, style_size, size)
        self.blocks = nn.ModuleList()
        for (_, inputs), (larger, outputs) in pairwise(stages):
            convolutions = (
                StyledLayer(inputs, outputs, style_size, larger, double=True),
                StyledLayer(outputs, outputs, style_size, larger),
            )
            self.blocks.append(nn.ModuleList(convolutions))
        self.pixels = nn.ModuleList(ToPixels(outputs, channels, style_size) for _, outputs in stages)
        self.doubling = Doubling()
        self.layers = 2 * len(stages)

    def forward(self, style: Tensor) -> Tensor:
        rows = style.unbind(dim=1)
        x = self.first(self.constant.expand(len(style), -1, -1, -1), rows[0])
        image = self.pixels[0](x, rows[1])
        for stage, (up, flat) in enumerate(self.blocks, start=1):
            x = flat(up(x, rows[2 * stage - 1]), rows[2 * stage])
            image = self.doubling(image) + self.pixels[stage](x, rows[2 * stage + 1])
        return image


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, the second halving, plus a halving 1x1 shortcut, over sqrt 2."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolutions = plain_block(inputs, outputs)
        self.shortcut = EqualConv2d(inputs, outputs, 1, halve=True, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return (self.convolutions(x) + self.shortcut(x)) / 2**0.5


def plain_block(inputs: int, outputs: int) -> nn.Sequential:
    """Return two 3x3 convolutions with leaky ReLUs, the second halving."""
    first, second = EqualConv2d(inputs, inputs, 3), EqualConv2d(inputs, outputs, 3, halve=True)
    return nn.Sequential(first, Activation(), second, Activation())


@hookimpl
def architectures() -> list[type]:
    """Offer `Stylegan2`."""
    return [Stylegan2]
