"""The textbook side of the speed comparisons: GANs as tutorials write and train them.

`sn_resnet`, `dcgan` and `mlp` give plain networks: an upsampling, then a 3x3 convolution; a 3x3 convolution, then a
pooling; a 1x1 shortcut where the image is large. They compute what the zoo's networks of the same names compute (for
`sn_resnet` and `dcgan` at 32 pixels), and their states have the same keys, so that `load_state_dict` carries weights
from one to the other; `tests/zoo/test_algebra.py` holds them together.

`Textbook` trains them as StudioGAN, mimicry and PyTorch's DCGAN tutorial do: eager, NCHW, float32, one pass over real
and one over fake images, the generator's fakes detached, nothing frozen, `torch.optim.Adam` with its defaults, an
average of the generator by a loop over its parameters, a `DataLoader` over normalised images. Nothing in it waits for
the device or computes what it does not use. It leaves the process as it is: allocator, threads and precision of matrix
products are the caller's.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.utils.data import DataLoader, TensorDataset

Networks = tuple[nn.Module, nn.Module]
"""A generator and a discriminator."""


class Discriminator(nn.Module):
    """A ``body`` to (N, width) and a ``last`` linear layer: images to logits (N,)."""

    def __init__(self, body: nn.Module, last: nn.Module) -> None:
        super().__init__()
        self.body, self.last = body, last

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.body(x)).squeeze(1)


# SN-ResNet at 32 pixels, arXiv:1802.05957, table 4


class UpBlock(nn.Module):
    """Residual block: BatchNorm, ReLU, upsampling, 3x3, BatchNorm, ReLU, 3x3; upsampling and 1x1 on the shortcut."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = F.interpolate(F.relu(self.norm1(x)), scale_factor=2)
        h = self.conv2(F.relu(self.norm2(self.conv1(h))))
        return h + self.shortcut(F.interpolate(x, scale_factor=2))


class DownBlock(nn.Module):
    """Residual block: ReLU, 3x3, ReLU, 3x3, perhaps average pooling; a 1x1 shortcut where it pools.

    In the ``first`` block no ReLU changes the image, and the shortcut pools before its 1x1.
    """

    def __init__(self, inputs: int, outputs: int, pool: bool, first: bool = False) -> None:
        super().__init__()
        self.pool, self.first = pool, first
        self.conv1 = spectral_norm(nn.Conv2d(inputs, outputs, 3, padding=1))
        self.conv2 = spectral_norm(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.shortcut = spectral_norm(nn.Conv2d(inputs, outputs, 1)) if pool else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(x if self.first else F.relu(x))
        h = self.conv2(F.relu(h))
        if not self.pool:
            return h + x
        if self.first:
            return F.avg_pool2d(h, 2) + self.shortcut(F.avg_pool2d(x, 2))
        return F.avg_pool2d(h, 2) + F.avg_pool2d(self.shortcut(x), 2)


class SumPool(nn.Module):
    """Global sum pooling: (N, C, H, W) to (N, C)."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.sum(x, dim=(2, 3))


def sn_resnet(channels: int = 3, g_width: int = 256, d_width: int = 128, latent_size: int = 128) -> Networks:
    """Return SN-ResNet's networks for 32x32 images."""
    generator = nn.Sequential(
        nn.Linear(latent_size, g_width * 4 * 4),
        nn.Unflatten(1, (g_width, 4, 4)),
        *(UpBlock(g_width, g_width) for _ in range(3)),
        nn.BatchNorm2d(g_width),
        nn.ReLU(),
        nn.Conv2d(g_width, channels, 3, padding=1),
        nn.Tanh(),
    )
    body = nn.Sequential(
        DownBlock(channels, d_width, pool=True, first=True),
        DownBlock(d_width, d_width, pool=True),
        DownBlock(d_width, d_width, pool=False),
        DownBlock(d_width, d_width, pool=False),
        nn.ReLU(),
        SumPool(),
    )
    return generator, Discriminator(body, spectral_norm(nn.Linear(d_width, 1)))


# DCGAN at 32 pixels, arXiv:1511.06434, and multilayer perceptrons, arXiv:1406.2661


def dcgan(channels: int = 3, width: int = 64, latent_size: int = 100) -> Networks:
    """Return DCGAN's networks for 32x32 images: 4x4 kernels of stride 2, BatchNorm in both players."""
    widths = [4 * width, 2 * width, width]
    up: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        up += [nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
    generator = nn.Sequential(
        nn.Linear(latent_size, widths[0] * 4 * 4, bias=False),
        nn.Unflatten(1, (widths[0], 4, 4)),
        nn.BatchNorm2d(widths[0]),
        nn.ReLU(),
        *up,
        nn.ConvTranspose2d(width, channels, 4, 2, 1),
        nn.Tanh(),
    )
    down: list[nn.Module] = [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2)]
    for inputs, outputs in pairwise(widths[::-1]):
        down += [nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2)]
    return generator, Discriminator(nn.Sequential(*down, nn.Flatten()), nn.Linear(widths[0] * 4 * 4, 1))


def mlp(shape: Sequence[int] = (3, 32, 32), width: int = 256, depth: int = 2, latent_size: int = 64) -> Networks:
    """Return multilayer perceptrons for images of ``shape`` (C, H, W)."""
    pixels = math.prod(shape)
    up: list[nn.Module] = []
    down: list[nn.Module] = [nn.Flatten()]
    for first, later in zip([latent_size, pixels], [up, down], strict=True):
        for inputs in [first] + [width] * (depth - 1):
            later += [nn.Linear(inputs, width), nn.ReLU() if later is up else nn.LeakyReLU(0.2)]
    generator = nn.Sequential(*up, nn.Linear(width, pixels), nn.Tanh(), nn.Unflatten(1, tuple(shape)))
    return generator, Discriminator(nn.Sequential(*down), nn.Linear(width, 1))


# The loop


@dataclass(frozen=True)
class Settings:
    """How `Textbook` trains: ``d_steps`` updates of D for one of G, Adam's ``lr`` and ``betas``, the EMA's ``decay``.

    ``indexed`` takes each batch out of the images by an index, which is cheaper than a `DataLoader`.
    """

    loss: Literal["hinge", "non_saturating"]
    d_steps: int = 1
    batch_size: int = 64
    latent_size: int = 128
    lr: float = 2e-4
    betas: tuple[float, float] = (0.0, 0.9)
    decay: float = 0.999
    indexed: bool = False


class Textbook:
    """A training in flight. ``images`` are (N, C, H, W), float32 in [-1, 1]; networks are trained where they lie."""

    def __init__(self, networks: Networks, images: Tensor, settings: Settings) -> None:
        self.generator, self.discriminator = (network.train() for network in networks)
        self.settings = settings
        self.device = next(self.generator.parameters()).device
        self.average = copy.deepcopy(self.generator)
        self.batches = indexed(images, settings.batch_size) if settings.indexed else loaded(images, settings.batch_size)
        self.g_optimizer = torch.optim.Adam(self.generator.parameters(), lr=settings.lr, betas=settings.betas)
        self.d_optimizer = torch.optim.Adam(self.discriminator.parameters(), lr=settings.lr, betas=settings.betas)

    def play_round(self) -> None:
        """Update D ``d_steps`` times, each time on new images, then G once, then the average of G."""
        for _ in range(self.settings.d_steps):
            self.d_step(next(self.batches).to(self.device))
        self.g_step()
        self.update_average()

    def d_step(self, real: Tensor) -> None:
        """Update D on ``real`` and as many fakes."""
        self.d_optimizer.zero_grad()
        fake = self.generator(self.latents()).detach()
        real_logits, fake_logits = self.discriminator(real), self.discriminator(fake)
        if self.settings.loss == "hinge":
            loss = F.relu(1 - real_logits).mean() + F.relu(1 + fake_logits).mean()
        else:
            loss = F.binary_cross_entropy_with_logits(real_logits, torch.ones_like(real_logits))
            loss = loss + F.binary_cross_entropy_with_logits(fake_logits, torch.zeros_like(fake_logits))
        loss.backward()
        self.d_optimizer.step()

    def g_step(self) -> None:
        """Update G."""
        self.g_optimizer.zero_grad()
        logits = self.discriminator(self.generator(self.latents()))
        if self.settings.loss == "hinge":
            loss = -logits.mean()
        else:
            loss = F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))
        loss.backward()
        self.g_optimizer.step()

    @torch.no_grad()
    def update_average(self) -> None:
        """Move the average towards G; copy its buffers."""
        for kept, live in zip(self.average.parameters(), self.generator.parameters(), strict=True):
            kept.mul_(self.settings.decay).add_(live, alpha=1 - self.settings.decay)
        for kept, live in zip(self.average.buffers(), self.generator.buffers(), strict=True):
            kept.copy_(live)

    def latents(self) -> Tensor:
        """Draw a batch of normal latents."""
        return torch.randn(self.settings.batch_size, self.settings.latent_size, device=self.device)


def loaded(images: Tensor, batch_size: int) -> Iterator[Tensor]:
    """Yield batches without end, in a new order every epoch, through a `DataLoader`."""
    loader = DataLoader(TensorDataset(images), batch_size, shuffle=True, drop_last=True)
    while True:
        for (batch,) in loader:
            yield batch


def indexed(images: Tensor, batch_size: int) -> Iterator[Tensor]:
    """Yield batches without end, drawn by an index."""
    while True:
        yield images[torch.randint(len(images), (batch_size,))]
