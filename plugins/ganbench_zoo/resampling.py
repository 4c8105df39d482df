"""Doubling and halving of feature maps with the binomial low-pass filter [1, 3, 3, 1].

Tero Karras, Samuli Laine, Miika Aittala, Janne Hellsten, Jaakko Lehtinen, Timo Aila, "Analyzing and Improving the Image
Quality of StyleGAN", 2019, arXiv:1912.04958, appendix B; the filter is Richard Zhang's, "Making Convolutional Networks
Shift-Invariant Again", 2019, arXiv:1904.11486, section 3.2. Away from the border, doubling is bilinear interpolation.

Differs: in nothing. Beyond the border everything is zero, as in the authors' code.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def strided(convolve: Callable[..., Tensor], x: Tensor, kernels: Tensor) -> Tensor:
    """Convolve every channel of ``x`` with its own kernel (4x4, stride 2), on the CPU in float32 at least.

    In half precision PyTorch's CPU kernels of that are slow: halving in its backward pass, doubling in its forward.
    """
    if x.device.type != "cpu":
        return convolve(x, kernels, stride=2, padding=1, groups=x.shape[1])
    given = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
    precise = torch.promote_types(x.dtype, torch.float32)
    with torch.autocast("cpu", enabled=False):
        return convolve(x.to(precise), kernels.to(precise), stride=2, padding=1, groups=x.shape[1]).to(given)


class Lowpass(nn.Module):
    """What the resamplers share: the 4x4 filter, of sum 1, as a buffer that no checkpoint needs."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        self.register_buffer("kernel", torch.outer(taps, taps)[None, None], persistent=False)  # (1, 1, 4, 4)

    def kernels(self, x: Tensor) -> Tensor:
        """Return the filter once a channel of ``x``: (C, 1, 4, 4)."""
        return self.kernel.expand(x.shape[1], 1, 4, 4)


class Doubling(Lowpass):
    """(N, C, H, W) to (N, C, 2 H, 2 W): zeros between the pixels, then the filter, times four."""

    def forward(self, x: Tensor) -> Tensor:
        return strided(F.conv_transpose2d, x, 4 * self.kernels(x))


class Halving(Lowpass):
    """(N, C, H, W) to (N, C, H / 2, W / 2): the filter, then every second pixel."""

    def forward(self, x: Tensor) -> Tensor:
        return strided(F.conv2d, x, self.kernels(x))


class Smoothing(Lowpass):
    """(N, C, H, W) to (N, C, H + 2 padding - 3, W + 2 padding - 3): the filter alone, times ``gain``."""

    def __init__(self, padding: int, gain: float = 1.0) -> None:
        super().__init__()
        self.padding, self.gain = padding, gain

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.gain * self.kernels(x), padding=self.padding, groups=x.shape[1])
