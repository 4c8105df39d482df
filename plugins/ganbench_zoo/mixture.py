"""Mixtures of equally likely round Gaussians: points drawn from one, and the truth about points of any origin."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ganbench import Images
from ganbench_zoo.splits import require

SPLITS = ("train", "test")
_BLOCK = 1 << 22  # distances held at once (32 MB)


@dataclass(frozen=True)
class Mixture:
    """Equally likely Gaussians with the ``means`` (K of d coordinates) and one standard deviation ``sigma``.

    Satisfies `ganbench.components.Truth`: every finite point belongs to the mode of the nearest mean, however far.
    """

    means: tuple[tuple[float, ...], ...]
    sigma: float

    @property
    def modes(self) -> int:
        """How many Gaussians there are."""
        return len(self.means)

    @property
    def width(self) -> int:
        """How many coordinates a point has."""
        return len(self.means[0])

    def draw(self, n: int, rng: torch.Generator) -> Images:
        """Draw ``n`` independent points, float32 (n, d), and the mode of each, int64 (n,)."""
        modes = torch.randint(self.modes, (n,), generator=rng)
        noise = torch.randn(n, self.width, generator=rng, dtype=torch.float64)
        return Images((self._centres()[modes] + self.sigma * noise).float(), modes)

    def locate(self, stored: Tensor) -> tuple[Tensor, Tensor]:
        """Return the nearest mode of each point (N, d), int64 (N,), and its Mahalanobis distance, float64 (N,).

        A point that is not finite is of mode -1, infinitely far away.
        """
        points, centres = stored.detach().cpu().double(), self._centres()
        size = max(1, _BLOCK // self.modes)
        parts = [self._nearest(points[i : i + size], centres) for i in range(0, max(len(points), 1), size)]
        return torch.cat([modes for modes, _ in parts]), torch.cat([deviations for _, deviations in parts])

    def _nearest(self, points: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
        distances = torch.cdist(points, centres, compute_mode="donot_use_mm_for_euclid_dist")  # (n, K)
        nearest, modes = distances.min(dim=1)
        finite = points.isfinite().all(dim=1)
        return torch.where(finite, modes, -1), torch.where(finite, nearest / self.sigma, math.inf)

    def _centres(self) -> Tensor:
        return torch.tensor(self.means, dtype=torch.float64)


def ring(modes: int, radius: float, sigma: float) -> Mixture:
    """Return ``modes`` Gaussians at equal angles on a circle around the origin, the first one at angle 0."""
    angles = [2 * math.pi * mode / modes for mode in range(modes)]
    return Mixture(tuple((radius * math.cos(angle), radius * math.sin(angle)) for angle in angles), sigma)


def grid(side: int, spacing: float, sigma: float) -> Mixture:
    """Return ``side`` squared Gaussians on a square lattice around the origin, row by row."""
    axis = [spacing * (i - (side - 1) / 2) for i in range(side)]
    return Mixture(tuple((x, y) for y in axis for x in axis), sigma)


def load(mixture: Mixture, name: str, split: str, sizes: tuple[int, int]) -> Images:
    """Return a split of ``sizes`` (train, test): drawn with a seed that follows from ``name`` and ``split`` alone.

    Raises:
        ValueError: the split is neither "train" nor "test".
    """
    require(split, SPLITS, name)
    seed = int.from_bytes(hashlib.sha256(f"{name}:{split}".encode()).digest()[:8], "big") >> 1
    return mixture.draw(sizes[SPLITS.index(split)], torch.Generator().manual_seed(seed))


def check(name: str, positive: dict[str, float], whole: dict[str, int]) -> None:
    """Raise ValueError for a length that is not positive and finite, or a number that is below 1."""
    for field, length in positive.items():
        if not (length > 0 and math.isfinite(length)):
            raise ValueError(f"{name}: {field} is {length!r}; it must be positive and finite")
    for field, number in whole.items():
        if number < 1:
            raise ValueError(f"{name}: {field} is {number!r}; it must be at least 1")
