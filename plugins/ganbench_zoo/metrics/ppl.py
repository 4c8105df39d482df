"""Perceptual path length: how fast the features of images change along paths through the latent space.

"A Style-Based Generator Architecture for Generative Adversarial Networks", T. Karras, S. Laine, T. Aila, 2018,
arXiv:1812.04948, equation 2 and appendix C:

    ppl = E_{a, b, t} |f(G(path(a, b, t + eps))) - f(G(path(a, b, t)))|^2 / eps^2,  t uniform in [0, 1)

with eps = 1e-4; of the distances those beyond the 1st and the 99th percentile are left out. The path is spherical
(K. Shoemake, "Animating rotation with quaternion curves", 1985) where the noise is normal, straight where it is uniform
and in continuous codes; categorical codes and labels stay what they are along a path.

Differs: f are the features of the extractor that the score is named after (ppl/<extractor>), not LPIPS on VGG16, so
values compare only within one extractor; images are not cropped; 2,000 paths where the authors take 100,000 (the
standard error says what that costs); end points keep their lengths, along which the path interpolates too. The standard
error is that of a trimmed mean (J. W. Tukey and D. H. McLaughlin, 1963).

At eps = 1e-4 a feature changes by about 1e-4 of what it changes over a whole path, and float32 resolves 6e-8 of its own
size. So the constant part of the features must not be thousands of times what changes along a path; where rounding
would make up more than a hundredth of the value, there is none, and a larger ``epsilon`` helps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ganbench import FeatureStore, Latent, Measured, hookimpl
from ganbench.components import MetricContext, Synthesis
from ganbench.seeds import derive

CHUNK = 1024  # paths looked at together
ROUNDING = 2.0**-24  # of float32, relative
TOLERATED = 0.01  # share of the value that rounding may make up


@dataclass(frozen=True)
class PathLength:
    """Mean squared change of features over steps of ``epsilon`` along ``paths`` paths, per squared step.

    ``trim`` is the share of the paths left out on each side.
    """

    paths: int = 2000
    epsilon: float = 1e-4
    trim: float = 0.01

    name: ClassVar[str] = "ppl"
    paper: ClassVar[str] = "arXiv:1812.04948"
    direction: ClassVar[str] = "lower"
    scale: ClassVar[str] = "log"
    needs: ClassVar[frozenset[str]] = frozenset({"generator"})
    version: ClassVar[int] = 1
    formula: ClassVar[str] = "E |f(G(path(t + eps))) - f(G(path(t)))|^2 / eps^2"

    def __post_init__(self) -> None:
        if self.paths < 2:
            raise ValueError(f"paths is {self.paths!r}; a mean with a standard error needs at least 2")
        if not 0 < self.epsilon < 1:
            raise ValueError(f"epsilon is {self.epsilon!r}; it lies between 0 and 1")
        if not 0 <= self.trim < 0.5:
            raise ValueError(f"trim is {self.trim!r}; it is a share of at least 0 and less than 0.5")

    def compute(self, generated: FeatureStore, real: FeatureStore, context: MetricContext) -> Measured:
        """Return the path length.

        Raises:
            ValueError: features are not finite, or float32 cannot resolve such small steps.
        """
        synthesis, rng = context.synthesis, torch.Generator().manual_seed(derive(context.seed, "ppl"))
        squares, rounding = [], []
        for start in range(0, self.paths, CHUNK):
            before, after = self._steps(synthesis, min(CHUNK, self.paths - start), rng)
            squares.append((after.double() - before.double()).square().sum(dim=1))
            rounding.append(before.double().square().sum(dim=1))
        lengths = torch.cat(squares) / self.epsilon**2  # (paths,)
        value, error = _trimmed(lengths, self.trim)
        # each of two roundings is uniform within +-ROUNDING of a feature's size: variance ROUNDING^2 / 3
        noise = float(torch.cat(rounding).mean()) * 2 / 3 * (ROUNDING / self.epsilon) ** 2
        if 0 < value < noise / TOLERATED:
            raise ValueError(
                f"steps of {self.epsilon:g} change the features by little more than float32 resolves: rounding gives "
                f"{noise:.3g} of {value:.3g}; raise epsilon"
            )
        return Measured(value, error if context.errors else None)

    def _steps(self, synthesis: Synthesis, n: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return the features (n, d) at two neighbouring points of each of ``n`` paths."""
        latent = synthesis.latent
        a, b = (latent.draw(n, rng).double() for _ in range(2))
        labels = synthesis.labels(n, rng)
        t = torch.rand(n, 1, generator=rng, dtype=torch.float64)
        first, second = (synthesis.features(between(latent, a, b, at).float(), labels) for at in (t, t + self.epsilon))
        return first, second


def between(latent: Latent, a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Return the point at ``t`` (N, 1) of the path from ``a`` (t = 0) to ``b`` (t = 1), both (N, latent.size)."""
    start, stop = latent.noise, latent.size - latent.continuous
    curved = latent.distribution == "normal"
    noise = (slerp if curved else torch.lerp)(a[:, :start], b[:, :start], t)
    return torch.cat([noise, a[:, start:stop], torch.lerp(a[:, stop:], b[:, stop:], t)], dim=1)


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Return the point at ``t`` (N, 1) of the arc from ``a`` to ``b`` (N, d); a line where they share an axis."""
    cosine = torch.nn.functional.cosine_similarity(a, b, dim=1).clamp(-1, 1)[:, None]  # (N, 1)
    angle = cosine.acos()
    sine = angle.sin()
    straight = sine < 1e-6
    sine = torch.where(straight, 1.0, sine)
    arc = ((1 - t) * angle).sin() / sine * a + (t * angle).sin() / sine * b
    return torch.where(straight, torch.lerp(a, b, t), arc)


def _trimmed(values: Tensor, share: float) -> tuple[float, float]:
    """Return the mean without the ``share`` of lowest and of highest values (n,), and its standard error.

    The error is the standard deviation of the values with what was cut off pulled in to the rest, over the share kept
    and the root of n; with nothing cut off, that of a mean.
    """
    ordered, n = values.sort().values, len(values)
    cut = math.floor(share * (n - 1))
    kept = ordered[cut : n - cut]
    pulled = ordered.clamp(kept[0], kept[-1])
    return float(kept.mean()), float(pulled.std() / (1 - 2 * cut / n) / math.sqrt(n))


@hookimpl
def metrics() -> Sequence[type]:
    """Offer perceptual path length."""
    return [PathLength]
