"""The standard error of metrics that count which real samples generated ones reach."""

from __future__ import annotations

import math

from ganbench.components import LeftOut


def error_of_reach(found: LeftOut) -> float | None:
    """Return the standard error of the share of real samples that are reached; None for a single group.

    The jackknife over groups, var = (G - 1) / G sum_g (share_g - mean)^2 (J. W. Tukey, "Bias and confidence in
    not-quite large samples", 1958), is up to twice too large where most are reached: each that is reached once counts,
    as if it could only be lost. Where a sample is reached by a Poisson number of groups of mean l, its variance is
    e^-l (1 - e^-l) and the jackknife gives l e^-l; by their ratio (1 - e^-l) / l the variance is corrected, l being the
    number of samples reached once over that of samples never reached, plus one (A. Chao, 1984). What is left of it is
    0.8 to 1.4 times the spread of many draws.
    """
    groups = len(found.shares)
    if groups < 2:
        return None
    spread = float((found.shares - found.shares.mean()).square().sum()) * (groups - 1) / groups
    once = found.by_one / (found.by_none + 1)
    return math.sqrt(spread * (-math.expm1(-once) / once if once else 1.0))
