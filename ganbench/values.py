"""The frozen values that pass between components and the core: data specs, latents, samples, critiques, features.

Nothing here trains or reads a file; torch is imported only by the methods that are given tensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Player = Literal["discriminator", "generator"]
BatchCoupling = Literal["none", "normalisation", "statistic"]


def _check_shape(shape: Any, name: str, wanted: str, size: int) -> None:
    """Refuse what is no tuple of ``size`` positive integers. Raises ValueError."""
    if not isinstance(shape, tuple) or len(shape) != size or not all(isinstance(n, int) and n > 0 for n in shape):
        raise ValueError(f"{name} wants a shape {wanted} of positive integers, not {shape!r}")


@dataclass(frozen=True)
class ImageSpec:
    """Images of ``shape`` (C, H, W), stored as uint8 in [0, 255] and seen by networks as float32 in [-1, 1]."""

    shape: tuple[int, int, int]
    classes: int | None = None

    def __post_init__(self) -> None:
        _check_shape(self.shape, "ImageSpec", "(C, H, W)", 3)

    def packed(self, m: int) -> ImageSpec:
        """Return the spec of ``m`` samples judged as one: axis 0 multiplied by ``m`` (PacGAN, arXiv:1712.04086)."""
        return replace(self, shape=(self.shape[0] * m, *self.shape[1:]))

    def decode(self, stored: Tensor) -> Tensor:
        """Map uint8 (N, C, H, W) in [0, 255] to float32 in [-1, 1]."""
        return stored.float().div_(127.5).sub_(1.0)

    def encode(self, images: Tensor) -> Tensor:
        """Map floats to uint8: clamp to [-1, 1], scale to [0, 255], round half up."""
        return images.float().clamp(-1, 1).add(1).mul(127.5).add(0.5).floor().byte()


@dataclass(frozen=True)
class PointSpec:
    """Points of ``shape`` (d,), stored and seen by networks as float32."""

    shape: tuple[int]
    classes: int | None = None

    def __post_init__(self) -> None:
        _check_shape(self.shape, "PointSpec", "(d,)", 1)

    def packed(self, m: int) -> PointSpec:
        """Return the spec of ``m`` points judged as one: (m d,)."""
        return replace(self, shape=(self.shape[0] * m,))

    def decode(self, stored: Tensor) -> Tensor:
        """Return the points as float32 (N, d)."""
        return stored.float()

    def encode(self, points: Tensor) -> Tensor:
        """Return the points as float32 (N, d)."""
        return points.float()


DataSpec = ImageSpec | PointSpec


class Rows(Protocol):
    """Stored samples that are read when they are asked for, perhaps by several threads at once.

    ``fingerprint`` is a hash of the whole content. May also have ``whole``: all samples as one tensor, where they lie
    in memory or are mapped into it.
    """

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the content."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Return the stored samples at ``rows`` (int64 (n,)), in that order. Raises ValueError for one not readable."""


@dataclass(frozen=True)
class Images:
    """One split of a dataset: ``pixels`` as stored (uint8 (N, C, H, W), or float32 (N, d)), ``labels`` int64 (N,)."""

    pixels: Tensor
    labels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.pixels)


@dataclass(frozen=True)
class Stream:
    """One split of a dataset that is too large for memory: `Images` whose pixels are read when they are asked for."""

    pixels: Rows
    labels: Tensor | None = None

    def __len__(self) -> int:
        return len(self.pixels)


@dataclass(frozen=True)
class Latent:
    """What a generator draws from: ``noise``, one-hot ``categorical`` codes, ``continuous`` codes in [-1, 1].

    ``distribution`` is that of the noise: N(0, 1) or U(-1, 1).
    """

    noise: int
    categorical: tuple[int, ...] = ()
    continuous: int = 0
    distribution: Literal["normal", "uniform"] = "normal"

    @property
    def size(self) -> int:
        """Width of a latent vector."""
        return self.noise + sum(self.categorical) + self.continuous

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw float32 (n, size), laid out as noise, one-hot codes, continuous codes, on the generator's device."""
        import torch

        device = generator.device
        if self.distribution == "normal":
            parts = [torch.randn(n, self.noise, generator=generator, device=device)]
        else:
            parts = [torch.rand(n, self.noise, generator=generator, device=device) * 2 - 1]
        for classes in self.categorical:
            index = torch.randint(classes, (n,), generator=generator, device=device)
            parts.append(torch.nn.functional.one_hot(index, classes).float())
        if self.continuous:
            parts.append(torch.rand(n, self.continuous, generator=generator, device=device) * 2 - 1)
        return torch.cat(parts, dim=1)

    def codes(self, z: Tensor) -> tuple[Tensor, ...]:
        """Split the codes off ``z`` (N, size): an int64 (N,) a categorical code, then float (N, continuous) if any."""
        codes, start = [], self.noise
        for classes in self.categorical:
            codes.append(z[:, start : start + classes].argmax(dim=1))
            start += classes
        if self.continuous:
            codes.append(z[:, start:])
        return tuple(codes)


@dataclass(frozen=True)
class Sample:
    """What a generator may return beyond bare images: ``images`` (N, *shape) and the ``style`` that made them."""

    images: Tensor
    style: Tensor | None = None


@dataclass(frozen=True)
class Critique:
    """What a discriminator may return beyond bare logits; every tensor has one row a decision (N / pac)."""

    logits: Tensor
    features: tuple[Tensor, ...] = ()
    class_logits: Tensor | None = None
    codes: tuple[Tensor, ...] = ()
    embedding: Tensor | None = None
    reconstruction: Tensor | None = None


@dataclass(frozen=True)
class Companion:
    """A further network of an architecture (an encoder, a classifier), trained by the player that owns it."""

    module: nn.Module
    player: Player


@dataclass(frozen=True)
class Networks:
    """The networks of one run: a generator, perhaps a discriminator, and companions by name."""

    generator: nn.Module
    discriminator: nn.Module | None
    latent: Latent
    companions: Mapping[str, Companion] = field(default_factory=dict)
    batch_coupling: BatchCoupling = "none"


@dataclass(frozen=True)
class Cell:
    """One combination, as `compatible` sees it before anything is trained.

    ``generator`` and ``discriminator`` are architecture components (the same one unless a suite pairs two);
    ``discriminator`` is None where the loss or the architecture has none. ``schedule`` is a tuple of moves.
    """

    data: DataSpec
    generator: Any
    discriminator: Any | None
    latent: Latent
    batch_coupling: BatchCoupling
    companions: tuple[str, ...]
    loss: Any
    regularizers: tuple[Any, ...]
    constraints: tuple[Any, ...]
    augmentations: tuple[Any, ...]
    pac: int
    schedule: tuple[str, ...]
    batch_size: int
    offers: frozenset[str] = frozenset()
    """What the networks give beyond images and logits: "style" of a `Sample`, the further fields of a `Critique`."""


@dataclass(frozen=True)
class Features:
    """What an extractor gives for a batch: ``features`` float32 (N, d) and class ``logits`` float32 (N, K) or None."""

    features: Tensor
    logits: Tensor | None = None


@dataclass(frozen=True)
class FeatureStore:
    """What one pass of an extractor over a set left behind; metrics are pure functions of two of these.

    ``count`` rows were seen, ``nonfinite`` of them held NaN or infinity and entered nothing else. ``mean`` (d,) and
    ``covariance`` (d, d; ddof = 1, NaN for one row) are float64 over all finite rows. The other fields hold the first
    finite rows up to a cap, row by row the same samples, and are None where no metric needs them or there is nothing
    to hold: ``features`` (n, d) and ``logits`` (n, K), float32; ``labels``, the classes of the samples, int64 (n,);
    ``modes``, the ground-truth mode of each, int64 (n,), -1 for none; ``deviations``, the Mahalanobis distance to the
    nearest mode's mean, float64 (n,). ``features`` are also kept with moments of fewer rows than columns.
    """

    count: int
    nonfinite: int
    mean: Tensor | None = None
    covariance: Tensor | None = None
    features: Tensor | None = None
    logits: Tensor | None = None
    labels: Tensor | None = None
    modes: Tensor | None = None
    deviations: Tensor | None = None


@dataclass(frozen=True)
class Measured:
    """What a metric may return beyond a bare number.

    ``error`` is the standard error of ``value`` over the generated samples, the reference held fixed; ``note`` says
    in a few words what the value refers to ("class 8").
    """

    value: float
    error: float | None = None
    note: str | None = None
