"""The ceiling of a device: how many FLOP/s its fastest 3x3 convolution reaches, forward and backward.

Networks of images spend their time in convolutions, so that this, not a matrix product, is what they can come up to.
Operations are those of the direct algorithm, as `torch.utils.flop_counter` counts them.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from ganbench.execution.timing import Spread, enough, timed
from ganbench.suite.recipe import Precision
from ganbench.training.precision import products

SIZES = ((64, 16), (64, 32), (128, 16), (128, 32), (256, 8), (256, 16))
"""Channels and pixels a side."""
SEARCH_SECONDS = 3.0
PASSES = 4


@dataclass(frozen=True)
class Convolution:
    """A 3x3 convolution with padding 1 of a batch of square images, with as many channels out as in."""

    batch_size: int
    channels: int
    pixels: int
    channels_last: bool

    @property
    def flop(self) -> int:
        """Operations of the forward pass, and of the gradients by the images and by the weights: as many each."""
        return 3 * 2 * 9 * self.channels**2 * self.pixels**2 * self.batch_size


class Ceiling:
    """The convolution that was fastest in a search of a few seconds; `repeat` times it again, beside other work."""

    def __init__(self, device: torch.device, precision: Precision, batch_size: int) -> None:
        self.device, self.precision = device, precision
        tried = [
            _Trial(Convolution(batch_size, channels, pixels, last), device, precision)
            for channels, pixels in SIZES
            for last in (False, True)
        ]
        with products(precision):
            self._best = _search(tried)
        self.convolution = self._best.convolution
        self.seconds = [self._best.seconds]

    def repeat(self) -> None:
        """Time the fastest convolution once more."""
        with products(self.precision):
            self.seconds.append(self._best.time())

    @property
    def flop_per_second(self) -> float:
        """The median of what was reached."""
        return self.convolution.flop / Spread.of(self.seconds).median

    def as_json(self) -> dict[str, Any]:
        """Return what was reached, and by which convolution."""
        spread = Spread.of(self.seconds)
        return {
            "precision": self.precision,
            "flop_per_second": self.flop_per_second,
            "quartiles": [self.convolution.flop / spread.high, self.convolution.flop / spread.low],
            "timings": len(self.seconds),
            **asdict(self.convolution),
        }


class _Trial:
    """One convolution, and the seconds that it took at best; its tensors are made when it is timed."""

    def __init__(self, convolution: Convolution, device: torch.device, precision: Precision) -> None:
        self.convolution, self.device = convolution, device
        self.dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        self.seconds = float("inf")

    def time(self) -> float:
        """Return the seconds of one application, after one to warm up."""
        images, weights, gradient = self._tensors()

        def apply() -> None:
            out = torch.nn.functional.conv2d(images, weights, padding=1)
            torch.autograd.grad(out, (images, weights), gradient)

        times = enough(timed(self.device, apply))
        seconds = timed(self.device, apply, times)
        self.seconds = min(self.seconds, seconds)
        return seconds

    def _tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return images and their gradient (N, C, H, W), weights (C, C, 3, 3)."""
        c, n = self.convolution, self.convolution.batch_size
        layout = torch.channels_last if c.channels_last else torch.contiguous_format
        rng = torch.Generator(self.device).manual_seed(0)

        def draw(*shape: int) -> Tensor:
            values = torch.randn(shape, generator=rng, device=self.device)
            return values.to(self.dtype).contiguous(memory_format=layout)

        images, gradient = draw(n, c.channels, c.pixels, c.pixels), draw(n, c.channels, c.pixels, c.pixels)
        return images.requires_grad_(), draw(c.channels, c.channels, 3, 3).requires_grad_(), gradient


def _search(tried: list[_Trial]) -> _Trial:
    """Time all in turn, the small ones first, as often as fits into the time; return the fastest."""
    start = time.perf_counter()
    for trial in sorted(tried, key=lambda trial: trial.convolution.flop) * PASSES:
        trial.time()
        if time.perf_counter() - start > SEARCH_SECONDS:
            break
    return max(tried, key=lambda trial: trial.convolution.flop / trial.seconds)
