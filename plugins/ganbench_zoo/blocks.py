"""Building blocks that several architectures share.

The residual blocks follow Takeru Miyato, Toshiki Kataoka, Masanori Koyama, Yuichi Yoshida, "Spectral Normalization for
Generative Adversarial Networks", 2018, arXiv:1802.05957, appendix B.4, and Ishaan Gulrajani et al., "Improved
Training of Wasserstein GANs", 2017, arXiv:1704.00028, whose networks those are.

Differs: a 1x1 shortcut runs where the image is small (before nearest upsampling, after average pooling), a 3x3
convolution followed by 2x2 average pooling runs as one 4x4 convolution of stride 2, and nearest upsampling followed by
a 3x3 convolution as one transposed 4x4 convolution of stride 2; all are the same functions.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ganbench import Critique, DataSpec, ImageSpec


def undrawable(name: str, data: DataSpec, sizes: Collection[int]) -> str | None:
    """Say why an architecture for square images of one of ``sizes`` cannot draw ``data``, or return None."""
    drawn = f"{name} draws square images of {', '.join(map(str, sizes))} pixels"
    if not isinstance(data, ImageSpec):
        return f"{drawn}, not points of {data.shape[0]} coordinates"
    _, height, width = data.shape
    if height != width or height not in sizes:
        return f"{drawn}, not {height}x{width}"
    return None


def require_drawable(name: str, data: DataSpec, sizes: Collection[int]) -> tuple[int, int]:
    """Return the channels and the size of what an architecture for ``sizes`` is to draw. Raises ValueError."""
    if reason := undrawable(name, data, sizes):
        raise ValueError(reason)
    return data.shape[0], data.shape[1]


def require_positive(component: Any, *fields: str) -> None:
    """Refuse any of these fields of an architecture that is under 1. Raises ValueError."""
    for field in fields:
        if getattr(component, field) < 1:
            raise ValueError(f"{component.name} needs {field} >= 1, not {getattr(component, field)}")


def require_choice(component: Any, field: str, choices: Sequence[str]) -> None:
    """Refuse a field of an architecture that is none of ``choices``. Raises ValueError."""
    if getattr(component, field) not in choices:
        raise ValueError(f"{component.name} needs {field} in {', '.join(choices)}, not {getattr(component, field)!r}")


class Unconditional(nn.Sequential):
    """Layers in sequence that accept labels, as every network does, and ignore them."""

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        return super().forward(x)


JUDGED = frozenset({"features", "embedding"})
"""What a `Judge` gives beyond logits."""


class Judge(nn.Module):
    """A discriminator: a ``body`` that ends in (N, width), and a ``last`` linear layer to one or more outputs.

    Gives the body's activations as features, the outputs (N, k) as embedding, and their mean as logits. Labels are
    ignored.
    """

    def __init__(self, body: nn.Module, last: nn.Module) -> None:
        super().__init__()
        self.body, self.last = body, last

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Critique:
        activations = self.body(x)  # (N, width)
        outputs = self.last(activations)  # (N, k)
        return Critique(outputs.mean(dim=1), (activations,), embedding=outputs)


Norm = Literal["batch", "spectral", "layer", "none"]
"""How a discriminator's layers are normalised: what they give, or (spectral) their weights."""


def coupling(d_norm: str) -> Literal["none", "normalisation"]:
    """Return the ``batch_coupling`` of a discriminator whose layers are normalised in this way."""
    return "normalisation" if d_norm == "batch" else "none"


def norm_layers(norm: Norm, channels: int, flat: bool = False) -> list[nn.Module]:
    """Return the layer that normalises ``channels`` channels, of vectors if ``flat``, or none.

    ``layer`` normalises over (C, H, W) with a gain and a bias a channel.
    """
    if norm == "batch":
        return [nn.BatchNorm1d(channels) if flat else nn.BatchNorm2d(channels)]
    return [nn.GroupNorm(1, channels)] if norm == "layer" else []


def small(module: nn.Module, spectral: bool = False) -> nn.Module:
    """Draw the weight from N(0, 0.02^2), set the bias to 0, and perhaps normalise spectrally."""
    nn.init.normal_(module.weight, 0.0, 0.02)
    if module.bias is not None:
        nn.init.zeros_(module.bias)
    return spectral_norm(module) if spectral else module


def deconvolution(
    inputs: int, outputs: int, kernel: int, sizes: tuple[int, int], bias: bool = False, spectral: bool = False
) -> nn.Module:
    """Return a transposed convolution of stride 2 from images of the first of ``sizes`` to those of the second."""
    small_size, large_size = sizes
    padding = (kernel - 1) // 2
    extra = large_size - (2 * (small_size - 1) - 2 * padding + kernel)
    return small(nn.ConvTranspose2d(inputs, outputs, kernel, 2, padding, extra, bias=bias), spectral)


def deconvolutions(latent_size: int, widths: Sequence[int], sizes: Sequence[int], kernel: int) -> list[nn.Module]:
    """Return a generator's hidden layers: a linear layer, then a doubling at a time, each with BatchNorm and ReLU.

    ``widths`` and ``sizes`` go from the linear layer's output to the last hidden layer's.
    """
    first, start = widths[0], sizes[0]
    layers: list[nn.Module] = [
        small(nn.Linear(latent_size, first * start * start, bias=False)),
        nn.Unflatten(1, (first, start, start)),
        nn.BatchNorm2d(first),
        nn.ReLU(),
    ]
    for (inputs, outputs), pair in zip(pairwise(widths), pairwise(sizes), strict=True):
        layers += [deconvolution(inputs, outputs, kernel, pair), nn.BatchNorm2d(outputs), nn.ReLU()]
    return layers


def convolutions(
    widths: Sequence[int], kernel: int, norm: Norm, leak: float = 0.2, first: bool = False
) -> list[nn.Module]:
    """Return a discriminator's convolutions of stride 2, each but the first normalised, with LeakyReLU.

    ``widths`` go from the images' channels to the last layer's. ``first`` normalises the first layer too.
    """
    layers: list[nn.Module] = []
    for place, (inputs, outputs) in enumerate(pairwise(widths)):
        normed = place > 0 or first
        bias = norm != "batch" or not normed
        layers.append(small(nn.Conv2d(inputs, outputs, kernel, 2, (kernel - 1) // 2, bias=bias), norm == "spectral"))
        layers += norm_layers(norm, outputs) if normed else []
        layers.append(nn.LeakyReLU(leak))
    return layers


class SumPool(nn.Module):
    """Global sum pooling: (N, C, H, W) to (N, C)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sum(dim=(2, 3))


class MeanPool(nn.Module):
    """Global average pooling: (N, C, H, W) to (N, C)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3))


class PooledConv2d(nn.Conv2d):
    """A 3x3 convolution with padding 1 and the 2x2 average pooling after it, as one 4x4 convolution of stride 2.

    Its weight keeps the shape (out, in, 3, 3), so that initialisation and spectral norm see what the paper describes.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        spread = F.pad(self.weight, (1, 1, 1, 1))  # (out, in, 5, 5)
        return F.conv2d(x, F.avg_pool2d(spread, 2, stride=1), self.bias, stride=2, padding=1)  # kernel (out, in, 4, 4)


class UpsampledConv2d(nn.Conv2d):
    """Nearest upsampling by 2 and the 3x3 convolution with padding 1 after it, as one transposed convolution.

    (N, in, H, W) to (N, out, 2 H, 2 W): pixels of the enlarged image that are copies of one share a product, 16 of them
    for 4 pixels in place of 36. Its weight keeps the shape (out, in, 3, 3), so that initialisation and spectral norm
    see what the paper describes.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        spread = F.pad(self.weight.flip(2, 3), (1, 1, 1, 1))  # (out, in, 5, 5)
        sums = F.avg_pool2d(spread, 2, stride=1, divisor_override=1)  # (out, in, 4, 4)
        return F.conv_transpose2d(x, sums.transpose(0, 1), self.bias, stride=2, padding=1)


def glorot(module: nn.Conv2d | nn.Linear, gain: float = 1.0, spectral: bool = False) -> nn.Module:
    """Draw the weight from Glorot's uniform distribution, set the bias to 0, and perhaps normalise spectrally."""
    nn.init.xavier_uniform_(module.weight, gain)
    if module.bias is not None:
        nn.init.zeros_(module.bias)
    return spectral_norm(module) if spectral else module


class GeneratorBlock(nn.Module):
    """Residual block that doubles height and width: BN, ReLU, upsampling, 3x3, BN, ReLU, 3x3; 1x1 on the shortcut."""

    def __init__(self, inputs: int, outputs: int, spectral: bool = False) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = glorot(UpsampledConv2d(inputs, outputs), 2**0.5, spectral)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.conv2 = glorot(nn.Conv2d(outputs, outputs, 3, padding=1), 2**0.5, spectral)
        self.shortcut = glorot(nn.Conv2d(inputs, outputs, 1), 1.0, spectral)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.relu(self.norm1(x)))  # (N, outputs, 2 H, 2 W)
        h = self.conv2(F.relu(self.norm2(h)))
        return h + F.interpolate(self.shortcut(x), scale_factor=2, mode="nearest")


BlockNorm = Literal["spectral", "layer", "none"]
"""How a `DiscriminatorBlock` is normalised: its weights (spectral), what goes into its ReLUs (layer), or not."""


class DiscriminatorBlock(nn.Module):
    """Residual block: ReLU, 3x3, ReLU, 3x3, perhaps average pooling; a 1x1 shortcut where it pools or widens.

    ``first`` leaves out the ReLU on the input, which there is an image. ``hidden`` channels lie between the two
    convolutions, by default ``outputs``. ``norm`` "layer" normalises before each ReLU, except in the first block.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        pool: bool = False,
        first: bool = False,
        norm: BlockNorm = "spectral",
        hidden: int | None = None,
    ) -> None:
        super().__init__()
        self.pool, self.first, between = pool, first, hidden or outputs
        layer, spectral = norm == "layer" and not first, norm == "spectral"
        self.norm1 = nn.GroupNorm(1, inputs) if layer else nn.Identity()
        self.conv1 = glorot(nn.Conv2d(inputs, between, 3, padding=1), 2**0.5, spectral)
        self.norm2 = nn.GroupNorm(1, between) if layer else nn.Identity()
        second = PooledConv2d(between, outputs) if pool else nn.Conv2d(between, outputs, 3, padding=1)
        self.conv2 = glorot(second, 2**0.5, spectral)
        learned = pool or inputs != outputs
        self.shortcut = glorot(nn.Conv2d(inputs, outputs, 1), 1.0, spectral) if learned else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(x if self.first else F.relu(self.norm1(x)))
        return self.conv2(F.relu(self.norm2(h))) + self.shortcut(F.avg_pool2d(x, 2) if self.pool else x)
