"""The network of "Are GANs Created Equal?": two convolutions and two linear layers a player, after InfoGAN.

Mario Lucic, Karol Kurach, Marcin Michalski, Sylvain Gelly, Olivier Bousquet, "Are GANs Created Equal? A Large-Scale
Study", 2018, arXiv:1711.10337, section 5; Xi Chen, Yan Duan, Rein Houthooft, John Schulman, Ilya Sutskever, Pieter
Abbeel, "InfoGAN: Interpretable Representation Learning by Information Maximizing Generative Adversarial Nets", 2016,
arXiv:1606.03657, appendix C.1.

Differs: the generator ends in tanh, not in a sigmoid, as images lie in [-1, 1]; it uses ReLU, as InfoGAN does, where
the study's code leaks; the leak of D is 0.2, as in that code, where InfoGAN's is 0.1; no layer before a BatchNorm has a
bias; D's BatchNorm can be replaced (``d_norm``); the autoencoder's decoder is the generator's network, which mirrors
the encoder layer by layer; the study searches for learning rates, so the recipe gives none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal, get_args

from torch import Tensor, nn

from ganbench import Cell, Critique, DataSpec, ImageSpec, Latent, hookimpl
from ganbench_zoo.blocks import (
    JUDGED,
    Judge,
    Norm,
    Unconditional,
    coupling,
    deconvolution,
    norm_layers,
    require_choice,
    require_drawable,
    require_positive,
    small,
    undrawable,
)

SIZES = (28, 32)
Kind = Literal["classifier", "autoencoder"]


class Autoencoder(nn.Module):
    """A discriminator that reconstructs: logits are the negative mean squared error, the code is the embedding."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Critique:
        code = self.encoder(x)  # (N, code_size)
        reconstruction = self.decoder(code)  # (N, C, H, W)
        errors = (x - reconstruction).square().flatten(1).mean(dim=1)
        return Critique(-errors, embedding=code, reconstruction=reconstruction)


@dataclass(frozen=True)
class InfoganNet:
    """Square images of 28 or 32 pixels: ``width`` and 2 ``width`` channels, 16 ``width`` linear units.

    ``d_norm`` normalises the discriminator's hidden layers but the first (spectral norm: the weights of all layers).
    ``d_kind`` "autoencoder" reconstructs what it sees from ``code_size`` numbers, for BEGAN and EBGAN. ``latent_size``
    uniform latents; ``d_outputs`` outputs of a classifier: their mean is its logit, all of them its embedding.
    """

    name: ClassVar[str] = "infogan_net"
    paper: ClassVar[str] = "arXiv:1711.10337"
    recipe: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {"batch_size": 64, "g_betas": (0.5, 0.999), "d_betas": (0.5, 0.999)}
    )

    width: int = 64
    d_norm: Norm = "batch"
    d_kind: Kind = "classifier"
    latent_size: int = 64
    d_outputs: int = 1
    code_size: int = 64

    def __post_init__(self) -> None:
        require_positive(self, "width", "latent_size", "d_outputs", "code_size")
        require_choice(self, "d_norm", get_args(Norm))
        require_choice(self, "d_kind", get_args(Kind))
        if self.d_kind == "autoencoder" and self.d_outputs != 1:
            raise ValueError(
                f"infogan_net's autoencoder has one output, its error, so d_outputs cannot be {self.d_outputs}"
            )

    @property
    def batch_coupling(self) -> Literal["none", "normalisation"]:
        """BatchNorm in the discriminator couples its decisions."""
        return coupling(self.d_norm)

    @property
    def offers(self) -> frozenset[str]:
        """A classifier gives its activations, an autoencoder what it reconstructs."""
        return JUDGED if self.d_kind == "classifier" else frozenset({"embedding", "reconstruction"})

    def compatible(self, cell: Cell) -> str | None:
        return undrawable(self.name, cell.data, SIZES)

    def latent(self, data: DataSpec) -> Latent:
        return Latent(self.latent_size, distribution="uniform")

    def generator(self, data: DataSpec) -> nn.Module:
        require_drawable(self.name, data, SIZES)
        return Unconditional(*self._decoder(self.latent_size, data, "batch"))

    def discriminator(self, data: DataSpec) -> nn.Module:
        require_drawable(self.name, data, SIZES)
        body = self._encoder(data)
        if self.d_kind == "classifier":
            return Judge(nn.Sequential(*body), self._weighted(nn.Linear(16 * self.width, self.d_outputs)))
        body.append(self._weighted(nn.Linear(16 * self.width, self.code_size)))
        return Autoencoder(nn.Sequential(*body), nn.Sequential(*self._decoder(self.code_size, data, self.d_norm)))

    @classmethod
    def smallest(cls) -> tuple[InfoganNet, DataSpec]:
        return cls(width=2, d_norm="none", latent_size=4, code_size=4), ImageSpec((1, 28, 28), classes=3)

    def _encoder(self, data: DataSpec) -> list[nn.Module]:
        """Return D's layers from images to 16 ``width`` activations."""
        channels, size, _ = data.shape
        width, bias = self.width, self.d_norm != "batch"
        return [
            self._weighted(nn.Conv2d(channels, width, 4, 2, 1)),
            nn.LeakyReLU(0.2),
            self._weighted(nn.Conv2d(width, 2 * width, 4, 2, 1, bias=bias)),
            *norm_layers(self.d_norm, 2 * width),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            self._weighted(nn.Linear(2 * width * (size // 4) ** 2, 16 * width, bias=bias)),
            *norm_layers(self.d_norm, 16 * width, flat=True),
            nn.LeakyReLU(0.2),
        ]

    def _decoder(self, inputs: int, data: DataSpec, norm: Norm) -> list[nn.Module]:
        """Return the layers from vectors to images, of the generator and of the autoencoder."""
        channels, size, _ = data.shape
        width, start, bias, spectral = self.width, size // 4, norm != "batch", norm == "spectral"
        return [
            small(nn.Linear(inputs, 16 * width, bias=bias), spectral),
            *norm_layers(norm, 16 * width, flat=True),
            nn.ReLU(),
            small(nn.Linear(16 * width, 2 * width * start**2, bias=bias), spectral),
            *norm_layers(norm, 2 * width * start**2, flat=True),
            nn.ReLU(),
            nn.Unflatten(1, (2 * width, start, start)),
            deconvolution(2 * width, width, 4, (start, 2 * start), bias, spectral),
            *norm_layers(norm, width),
            nn.ReLU(),
            deconvolution(width, channels, 4, (2 * start, size), True, spectral),
            nn.Tanh(),
        ]

    def _weighted(self, module: nn.Module) -> nn.Module:
        return small(module, self.d_norm == "spectral")


@hookimpl
def architectures() -> list[type]:
    """Offer `InfoganNet`."""
    return [InfoganNet]
