"""Layers of StyleGAN2: equalised learning rates, modulated convolutions, minibatch standard deviation.

Tero Karras, Samuli Laine, Miika Aittala, Janne Hellsten, Jaakko Lehtinen, Timo Aila, "Analyzing and Improving the Image
Quality of StyleGAN", 2019, arXiv:1912.04958, section 2.2 (equations 1 to 3) and appendix B. Equalised learning rates
and the minibatch standard deviation are those of Tero Karras, Timo Aila, Samuli Laine, Jaakko Lehtinen, "Progressive
Growing of GANs for Improved Quality, Stability, and Variation", 2017, arXiv:1710.10196, sections 3 and 4.1.

Differs: a modulated convolution scales its input by the style and its output by the demodulation, which is the same
function as a convolution with weights of each sample's own; a batch that the group does not divide is cut into the
largest smaller groups that do.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ganbench_zoo.resampling import Halving, Smoothing

EPSILON = 1e-8


def activated(x: Tensor) -> Tensor:
    """Apply a leaky ReLU of slope 0.2, times sqrt 2."""
    return F.leaky_relu(x, 0.2) * 2**0.5


class Activation(nn.Module):
    """`activated` as a layer."""

    def forward(self, x: Tensor) -> Tensor:
        return activated(x)


class UnitLength(nn.Module):
    """Scale each row of (N, d) to a mean square of 1."""

    def forward(self, z: Tensor) -> Tensor:
        return z * (z.square().mean(dim=1, keepdim=True) + EPSILON).rsqrt()


class EqualLinear(nn.Module):
    """A linear layer whose stored weight has variance 1 / rate^2 and is scaled by rate / sqrt(fan-in) when used.

    Under Adam, ``rate`` multiplies the learning rate of weight and bias. ``bias`` is the bias's first value.
    """

    def __init__(self, inputs: int, outputs: int, bias: float = 0.0, rate: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias / rate))
        self.gain, self.rate = rate / inputs**0.5, rate

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.gain, self.bias * self.rate)


class EqualConv2d(nn.Module):
    """A convolution with equalised learning rate that keeps the size, or halves it behind the low-pass filter."""

    def __init__(self, inputs: int, outputs: int, kernel: int, halve: bool = False, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.gain = 1 / (inputs * kernel * kernel) ** 0.5
        self.stride, self.padding, self.before = 1, kernel // 2, nn.Identity()
        if halve and kernel == 1:
            self.before = Halving()
        elif halve:
            self.stride, self.padding, self.before = 2, 0, Smoothing(padding=kernel // 2 + 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(self.before(x), self.weight * self.gain, self.bias, self.stride, self.padding)


class ModulatedConv2d(nn.Module):
    """A convolution whose weights each sample's style (N, style_size) scales by input channel.

    ``demodulate`` brings each output channel back to the variance of its input (equation 3); ``double`` doubles height
    and width by a transposed convolution and the low-pass filter. No bias.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, style_size: int, demodulate: bool = True, double: bool = False
    ) -> None:
        super().__init__()
        self.style = EqualLinear(style_size, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.gain = 1 / (inputs * kernel * kernel) ** 0.5
        self.padding, self.demodulate = kernel // 2, demodulate
        self.after = Smoothing(padding=1, gain=4.0) if double else None

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        scale, weight = self.style(style), self.weight * self.gain  # (N, inputs), (outputs, inputs, k, k)
        x = x * scale[:, :, None, None].to(x.dtype)
        if self.after is None:
            x = F.conv2d(x, weight, padding=self.padding)
        else:
            x = self.after(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2))  # 2 H + 1, then 2 H
        if not self.demodulate:
            return x
        variance = scale.square() @ weight.square().sum(dim=(2, 3)).T  # (N, outputs)
        return x * (variance + EPSILON).rsqrt()[:, :, None, None].to(x.dtype)


class StyledLayer(nn.Module):
    """Modulated 3x3 convolution, noise a pixel of learned strength, bias, leaky ReLU; ``size`` is the output's.

    In training the noise is drawn anew for each sample; otherwise it is one picture, drawn when the layer is built.
    """

    noise: Tensor

    def __init__(self, inputs: int, outputs: int, style_size: int, size: int, double: bool = False) -> None:
        super().__init__()
        self.convolution = ModulatedConv2d(inputs, outputs, 3, style_size, double=double)
        self.strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.register_buffer("noise", torch.randn(size, size))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        x = self.convolution(x, style)  # (N, outputs, size, size)
        noise = torch.randn_like(x[:, :1]) if self.training else self.noise
        noise = (noise * self.strength).to(x.dtype)  # under autocast, feature maps stay in its type
        return activated(x + noise + self.bias[:, None, None].to(x.dtype))


class ToPixels(nn.Module):
    """Modulated 1x1 convolution without demodulation, and a bias: feature maps to image channels."""

    def __init__(self, inputs: int, channels: int, style_size: int) -> None:
        super().__init__()
        self.convolution = ModulatedConv2d(inputs, channels, 1, style_size, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        return self.convolution(x, style) + self.bias[:, None, None]


class MinibatchDeviation(nn.Module):
    """Append one channel: the standard deviation over a group of samples, averaged over channels and pixels.

    A group has ``group`` samples, or the largest smaller number that divides the batch: (N, C, H, W) to
    (N, C + 1, H, W). Of N / g groups, sample i belongs to number i mod (N / g).
    """

    def __init__(self, group: int) -> None:
        super().__init__()
        self.group = group

    def forward(self, x: Tensor) -> Tensor:
        n, _, height, width = x.shape
        group = next(size for size in range(min(self.group, n), 0, -1) if n % size == 0)
        precise = x.to(torch.promote_types(x.dtype, torch.float32))  # EPSILON is 0 in half precision
        variance = precise.unflatten(0, (group, n // group)).var(dim=0, correction=0)  # (N / g, C, H, W)
        deviation = (variance + EPSILON).sqrt().mean(dim=(1, 2, 3)).to(x.dtype)  # (N / g,)
        return torch.cat([x, deviation.repeat(group)[:, None, None, None].expand(n, 1, height, width)], dim=1)
