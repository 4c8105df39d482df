"""VAE: a variational autoencoder on the budget of the GANs beside it.

Diederik P. Kingma, Max Welling, "Auto-Encoding Variational Bayes", 2013, arXiv:1312.6114, equation 10; the decoder's
variance as in Oleh Rybkin, Kostas Daniilidis, Sergey Levine, "Simple and Effective VAE Training with Calibrated
Decoders", 2020, arXiv:2006.13202, section 3.2: one for all coordinates, at its optimum for each batch.

Differs: images of 16 pixels or more, and of a multiple of 4, have the strided convolutions that Mario Lucic et al.,
2017, arXiv:1711.10337, give their VAE; all else has two hidden layers. Samples are the decoder's means, of points too.
The recipe is this file's alone: a suite's ``[recipe]``, made for GANs, does not reach it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

import ganbench
from ganbench import Companion, DataSpec, Game, ImageSpec, Latent
from ganbench.components import Combination
from ganbench_zoo.blocks import Unconditional

LEAST_ERROR = 1e-6
"""Mean squared error below which the variance is held: about that of rounding to 256 levels."""


@dataclass(frozen=True)
class Vae:
    """A Gaussian encoder and decoder: ``width`` channels at half the image size, ``hidden`` units, ``latent_size``.

    ``lr`` and ``batch_size`` are its own recipe: Adam with betas (0.9, 0.999), one update a batch.
    """

    name: ClassVar[str] = "vae"
    paper: ClassVar[str] = "arXiv:1312.6114"
    formula: ClassVar[str] = "KL(q(z|x) | N(0, I)) + d / 2 log(2 pi e MSE(x, decoder(z))), z ~ q(z|x)"

    latent_size: int = 64
    width: int = 64
    hidden: int = 1024
    lr: float = 1e-3
    batch_size: int = 64

    def __post_init__(self) -> None:
        for name in ("latent_size", "width", "hidden", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"vae needs {name} >= 1, not {getattr(self, name)}")
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise ValueError(f"vae needs a finite lr > 0, not {self.lr}")

    def combination(self, data: DataSpec) -> Combination:
        """Return networks that draw any ``data``, the bound, and the recipe."""
        recipe = {"batch_size": self.batch_size, "schedule": ("G",), "g_lr": self.lr, "g_betas": (0.9, 0.999)}
        return Combination(Autoencoder(self.latent_size, self.width, self.hidden), EvidenceBound(), recipe)


@dataclass(frozen=True)
class Autoencoder:
    """A decoder as generator, and an encoder that gives mean and logarithm of the variance, (N, 2 latent)."""

    name: ClassVar[str] = "autoencoder"
    paper: ClassVar[str] = Vae.paper

    latent_size: int = 64
    width: int = 64
    hidden: int = 1024

    def latent(self, data: DataSpec) -> Latent:
        return Latent(self.latent_size)

    def discriminator(self, data: DataSpec) -> None:
        return None

    def generator(self, data: DataSpec) -> nn.Module:
        if not _convolves(data):
            layers = [nn.Linear(self.latent_size, self.hidden), nn.ReLU(), nn.Linear(self.hidden, self.hidden)]
            layers += [nn.ReLU(), nn.Linear(self.hidden, math.prod(data.shape)), nn.Unflatten(1, data.shape)]
            return Unconditional(*layers, *([nn.Tanh()] if isinstance(data, ImageSpec) else []))
        channels, height, width = data.shape
        corner = (2 * self.width, height // 4, width // 4)
        return Unconditional(
            nn.Linear(self.latent_size, self.hidden),
            nn.BatchNorm1d(self.hidden),
            nn.ReLU(),
            nn.Linear(self.hidden, math.prod(corner)),
            nn.Unflatten(1, corner),
            nn.BatchNorm2d(2 * self.width),
            nn.ReLU(),
            nn.ConvTranspose2d(2 * self.width, self.width, 4, 2, 1),
            nn.BatchNorm2d(self.width),
            nn.ReLU(),
            nn.ConvTranspose2d(self.width, channels, 4, 2, 1),
            nn.Tanh(),
        )

    def companions(self, data: DataSpec) -> Mapping[str, Companion]:
        last = nn.Linear(self.hidden, 2 * self.latent_size)
        if not _convolves(data):
            layers = [nn.Flatten(), nn.Linear(math.prod(data.shape), self.hidden), nn.ReLU()]
            encoder = nn.Sequential(*layers, nn.Linear(self.hidden, self.hidden), nn.ReLU(), last)
        else:
            channels, height, width = data.shape
            encoder = nn.Sequential(
                nn.Conv2d(channels, self.width, 4, 2, 1),
                nn.LeakyReLU(0.2),
                nn.Conv2d(self.width, 2 * self.width, 4, 2, 1),
                nn.LeakyReLU(0.2),
                nn.Flatten(),
                nn.Linear(2 * self.width * (height // 4) * (width // 4), self.hidden),
                nn.LeakyReLU(0.2),
                last,
            )
        return {"encoder": Companion(encoder, "generator")}

    @classmethod
    def smallest(cls) -> tuple[Autoencoder, DataSpec]:
        return cls(latent_size=2, width=2, hidden=4), ImageSpec((1, 4, 4), classes=3)


@dataclass(frozen=True)
class EvidenceBound:
    """The negative evidence lower bound in nats a sample, at the best shared variance of the decoder."""

    name: ClassVar[str] = "evidence_bound"
    paper: ClassVar[str] = Vae.paper

    def generator(self, game: Game) -> Tensor:
        x = game.real
        mean, log_variance = game.companion("encoder")(x).chunk(2, dim=1)  # (N, latent) each
        z = mean + (log_variance / 2).exp() * game.normal(*mean.shape)
        error = (game.generate(z, game.real_labels).images - x).square().mean()
        divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1).mean() / 2
        surprise = x[0].numel() / 2 * (math.log(2 * math.pi * math.e) + error.clamp(min=LEAST_ERROR).log())
        game.log("mse", error)
        game.log("kl", divergence)
        return surprise + divergence


def _convolves(data: DataSpec) -> bool:
    return isinstance(data, ImageSpec) and all(size >= 16 and size % 4 == 0 for size in data.shape[1:])


@ganbench.hookimpl
def baselines() -> Sequence[type]:
    """Offer `Vae`."""
    return [Vae]
