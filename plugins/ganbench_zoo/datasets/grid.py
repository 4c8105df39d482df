"""A square grid of Gaussians in the plane.

"PacGAN: The power of two samples in generative adversarial networks", Z. Lin, A. Khetan, G. Fanti, S. Oh, 2017,
arXiv:1712.04086, the 2D-grid of its synthetic experiments; "VEEGAN: Reducing Mode Collapse in GANs using Implicit
Variational Learning", A. Srivastava, L. Valkov, C. Russell, M. U. Gutmann, C. Sutton, 2017, arXiv:1705.07761:

    p(x) = 1/25 sum_{i,j} N(x; (i, j), 0.05^2 I),  i, j in {-4, -2, 0, 2, 4}

Its truth: a point belongs to the nearest mean, and is of high quality within three standard deviations of it (metrics
modes, hq, mode_kl, mode_spread). In the plane that is a share of 1 - e^-4.5 = 0.98889 of real points.

Differs: finite, fixed splits, drawn once, where the authors draw anew; labels are the modes, so that ladders can drop
modes and conditional GANs can be given them (unconditional ones never see them).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import ganbench
from ganbench import Images, PointSpec
from ganbench_zoo import mixture


@dataclass(frozen=True)
class Grid:
    """``side`` squared Gaussians of deviation ``sigma``, ``spacing`` apart; ``train`` and ``test`` points."""

    name: ClassVar[str] = "grid"
    paper: ClassVar[str] = "arXiv:1712.04086"
    extractor: ClassVar[str] = "raw"
    domain: ClassVar[str] = "grid"

    side: int = 5
    spacing: float = 2.0
    sigma: float = 0.05
    train: int = 20_000
    test: int = 10_000

    def __post_init__(self) -> None:
        lengths = {"spacing": self.spacing, "sigma": self.sigma}
        mixture.check(self.name, lengths, {"side": self.side, "train": self.train, "test": self.test})

    def spec(self, root: Path) -> PointSpec:
        """Return points of two coordinates, one class a mode."""
        return PointSpec((2,), classes=self.side**2)

    def load(self, root: Path, split: str) -> Images:
        """Return one split: float32 (N, 2), int64 modes. Raises ValueError for another split than train or test."""
        return mixture.load(self.truth(root), self.name, split, (self.train, self.test))

    def truth(self, root: Path) -> mixture.Mixture:
        """Return where the modes are."""
        return mixture.grid(self.side, self.spacing, self.sigma)


@ganbench.hookimpl
def datasets() -> Sequence[type]:
    """Offer `Grid`."""
    return [Grid]
