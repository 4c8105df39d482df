"""How wide the modes are filled, of data whose modes have a known width; no publication.

It stands beside hq (PacGAN, arXiv:1712.04086; VEEGAN, arXiv:1705.07761), which is highest for a model that puts every
sample on a mean. With r the Mahalanobis distance of a sample to its mode's mean in d dimensions, over samples of high
quality (r < c = 3):

    s_k = sqrt(mean_k r^2 / E[r^2 | r < c]),  E[r^2 | r < c] = d P(chi2_{d+2} < c^2) / P(chi2_d < c^2)
    mode_spread = min(R, 1/R),  R = mean of s_k over captured modes

so that the tails which hq cuts off do not make real samples look narrow. The note of a score says R.

Differs: deviations are from the true mean of a mode, so a model that puts every sample on one wrong point of it does
not reach 0. R itself has no better end (narrow and wide are both wrong), and tables rank: hence min(R, 1/R).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ganbench import FeatureStore, Measured, hookimpl
from ganbench.components import MetricContext
from ganbench_zoo.truth import RADIUS, check_radius, high_quality


@dataclass(frozen=True)
class ModeSpread:
    """Width of the captured modes against that of the data: 1 as wide, 0 points on the means or far too wide."""

    radius: float = RADIUS

    name: ClassVar[str] = "mode_spread"
    paper: ClassVar[str] = "arXiv:1712.04086"
    direction: ClassVar[str] = "higher"
    scale: ClassVar[str] = "linear"
    needs: ClassVar[frozenset[str]] = frozenset({"truth"})
    blind: ClassVar[frozenset[str]] = frozenset({"mode_dropping", "duplication"})
    version: ClassVar[int] = 1
    formula: ClassVar[str] = "min(R, 1/R), R = mean_k sqrt(mean_k r^2 / E[r^2 | r < 3])"

    def __post_init__(self) -> None:
        check_radius(self.radius)

    def compute(self, generated: FeatureStore, real: FeatureStore, context: MetricContext) -> Measured:
        """Return the ratio.

        Raises:
            ValueError: the modes have no width, or no sample is of high quality.
        """
        width, deviations, modes = context.truth.width, generated.deviations, generated.modes
        good = high_quality(generated, self.radius)
        if width is None or deviations is None:
            raise ValueError("the modes of these data are classes and have no width")
        if not good.any():
            raise ValueError("no sample is of high quality, so no mode has a width")
        squares = deviations[good].square() / _second_moment(width, self.radius)
        ratio, error = _mean_of_roots(squares, modes[good], context.truth.modes)
        note = f"R = {ratio:.3f}"
        if ratio > 1:
            ratio, error = 1 / ratio, error / ratio**2
        return Measured(ratio, error if context.errors and math.isfinite(error) else None, note)


def _mean_of_roots(squares: Tensor, modes: Tensor, count: int) -> tuple[float, float]:
    """Return the mean over captured modes of the root of the mean of ``squares`` (n,), and its standard error.

    The error is that of the delta method; the relative variance of the squares, which is the same for modes of any
    width, is taken over all modes with two samples or more, NaN where there are none.
    """
    n, first, second = (
        torch.zeros(count, dtype=torch.float64).index_add_(0, modes, part)
        for part in (torch.ones_like(squares), squares, squares.square())
    )  # (K,)
    captured = n > 0
    n, mean, second = n[captured], first[captured] / n[captured], second[captured]
    of_root = torch.zeros_like(mean)
    wide, several = mean > 0, (mean > 0) & (n > 1)
    if wide.any():
        around = (second[several] / mean[several].square() - n[several]).clamp(min=0)  # sum of (square / mean - 1)^2
        of_root[wide] = around.sum() / (n[several] - 1).sum() * mean[wide] / (4 * n[wide])
    return float(mean.sqrt().mean()), float(of_root.sum().sqrt() / len(n))


def _second_moment(width: int, radius: float) -> float:
    """Return E[r^2 | r < radius] for a standard normal vector of ``width`` dimensions."""
    half, width_half = torch.tensor(radius**2 / 2, dtype=torch.float64), torch.tensor(width / 2, dtype=torch.float64)
    inside = torch.special.gammainc(torch.stack([width_half + 1, width_half]), half)
    return float(width * inside[0] / inside[1]) if math.isfinite(radius) else float(width)


@hookimpl
def metrics() -> Sequence[type]:
    """Offer the width of the modes."""
    return [ModeSpread]
