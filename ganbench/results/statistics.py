"""Intervals, tests and ranks over training seeds; scipy does the distributions.

The replicate is the training seed. A metric declares its scale, on which tests are made: "log" compares ratios, "logit"
odds ratios, "linear" differences. Where a value lies outside the domain of its scale, the whole comparison is linear.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

Scale = Literal["log", "linear", "logit"]
Direction = Literal["lower", "higher"]
Values = Sequence[float]


@dataclass(frozen=True)
class Detectable:
    """The smallest effect that a test of two cells with ``n`` seeds each finds with the asked power.

    ``effect`` is a "ratio" (log scale), an "odds ratio" (logit) or a "difference" (linear), as ``kind`` says.
    """

    kind: Literal["ratio", "odds ratio", "difference"]
    effect: float
    n: int


def mean_interval(values: Values, level: float = 0.95) -> tuple[float, float | None]:
    """Return the mean and the half-width of its Student t interval, which is None for fewer than two values.

    Raises:
        ValueError: there is no value, one is not finite, or ``level`` is outside (0, 1).
    """
    import numpy as np
    from scipy import stats

    if not 0 < level < 1:
        raise ValueError(f"a level of confidence lies between 0 and 1; {level} does not")
    if not values or not all(math.isfinite(value) for value in values):
        raise ValueError("an interval wants at least one value, and finite ones only")
    n = len(values)
    if n < 2:
        return float(values[0]), None
    quantile = stats.t.ppf((1 + level) / 2, n - 1)
    return float(np.mean(values)), float(quantile * np.std(values, ddof=1) / math.sqrt(n))


def common_scale(groups: Sequence[Values], scale: Scale) -> Scale:
    """Return ``scale`` if every value lies inside its domain, else "linear"."""
    values = [value for group in groups for value in group]
    if scale == "log" and any(value <= 0 for value in values):
        return "linear"
    if scale == "logit" and any(not 0 < value < 1 for value in values):
        return "linear"
    return scale


def on_scale(values: Values, scale: Scale) -> Array:
    """Return ``values`` as float64 on ``scale``; they must lie inside its domain."""
    import numpy as np

    x = np.asarray(values, dtype=np.float64)
    if scale == "log":
        return np.log(x)
    return np.log(x) - np.log1p(-x) if scale == "logit" else x


def welch(a: Values, b: Values, scale: Scale = "linear") -> float | None:
    """Return the two-sided p value of Welch's t test on ``scale``, or None where a side has fewer than two values.

    Two sides without any spread are told apart by their means alone: p is 1 or 0 (Welch, 1947).
    """
    if min(len(a), len(b)) < 2:
        return None
    return pairwise_welch([a, b], scale)[0, 1]


def pairwise_welch(groups: Sequence[Values], scale: Scale = "linear") -> dict[tuple[int, int], float]:
    """Return the p values of Welch's t test for each pair (i, j), i < j, of the groups that have two values or more.

    All pairs are compared on one scale, that of `common_scale`.
    """
    import numpy as np
    from scipy import stats

    scale = common_scale(groups, scale)
    usable = [index for index, group in enumerate(groups) if len(group) >= 2]
    pairs = list(combinations(range(len(usable)), 2))
    if not pairs:
        return {}
    scaled = [on_scale(groups[index], scale) for index in usable]
    n = np.array([len(x) for x in scaled], dtype=np.float64)
    mean = np.array([x.mean() for x in scaled])
    error = np.array([0.0 if np.ptp(x) == 0 else x.var(ddof=1) for x in scaled]) / n  # squared standard errors
    i, j = np.array(pairs).T
    total, gap = error[i] + error[j], np.abs(mean[i] - mean[j])
    spread = total > 0
    safe = np.where(spread, total, 1.0)
    # shares of the total rather than its square, which underflows for tiny spreads
    freedom = 1 / np.where(spread, (error[i] / safe) ** 2 / (n[i] - 1) + (error[j] / safe) ** 2 / (n[j] - 1), 1.0)
    p = np.where(spread, 2 * stats.t.sf(gap / np.sqrt(safe), freedom), np.where(gap > 0, 0.0, 1.0))
    return {(usable[a], usable[b]): float(value) for (a, b), value in zip(pairs, p, strict=True)}


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values adjusted for their number by Holm's step-down procedure (Holm, 1979), in the given order."""
    adjusted, running = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted


def best_set(
    groups: Sequence[Values], direction: Direction, scale: Scale, diverged: Sequence[int] = (), alpha: float = 0.05
) -> set[int]:
    """Return the groups that may be the best: the best mean and everything not significantly worse.

    Welch tests on ``scale``, Holm over all pairs. ``diverged`` counts the runs of each group that ended early, for
    that reason or another (`ganbench.endings`): a group with any is no candidate unless every group has some. Groups
    with fewer than two values cannot be tested and are no candidates either; with fewer than two candidates there is
    nothing to compare and the set is empty.
    """
    lost = list(diverged) or [0] * len(groups)
    everywhere = all(count > 0 for count in lost)
    candidates = [i for i, group in enumerate(groups) if len(group) >= 2 and (everywhere or not lost[i])]
    tests = pairwise_welch(groups, scale)
    if not candidates or not tests:
        return set()
    sign = 1 if direction == "lower" else -1
    cost = {i: sign * sum(groups[i]) / len(groups[i]) for i in candidates}
    best = min(candidates, key=cost.__getitem__)
    adjusted = dict(zip(tests, holm(list(tests.values())), strict=True))
    common = common_scale(groups, scale)
    level = {i: sign * float(on_scale(groups[i], common).mean()) for i in candidates}
    return {
        i for i in candidates if i == best or level[i] <= level[best] or adjusted[min(i, best), max(i, best)] > alpha
    }


def ranks(means: Sequence[float | None], diverged: Sequence[float], direction: Direction) -> list[int | None]:
    """Return the rank of each cell, 1 for the best; equal cells share the better rank (1, 1, 3).

    ``diverged`` is the share of a cell's runs that ended early, for that reason or another (`ganbench.endings`). Such
    a run is worse than any finite score, so a cell with any stands behind all cells without, first by that share, then
    by the mean of the rest. A cell with neither a mean nor such a run has no rank.
    """
    sign = 1 if direction == "lower" else -1
    keys = [
        (share, math.inf if mean is None else sign * mean) if mean is not None or share > 0 else None
        for mean, share in zip(means, diverged, strict=True)
    ]
    ordered = sorted(key for key in keys if key is not None)
    return [None if key is None else ordered.index(key) + 1 for key in keys]


def detectable_ratio(
    groups: Sequence[Values], scale: Scale, alpha: float = 0.05, power: float = 0.8
) -> Detectable | None:
    """Return the smallest effect that one two-sided t test of two such cells detects with ``power``.

    The spread is the pooled within-cell standard deviation on ``scale``, n the median number of values of a cell (the
    lower one of two); the power is that of the noncentral t with 2n - 2 degrees of freedom. None where no cell has two
    values or none has any spread.
    """
    import numpy as np
    from scipy import optimize, stats

    scale = common_scale(groups, scale)
    scaled = [on_scale(group, scale) for group in groups if len(group) >= 2]
    if not scaled:
        return None
    variance = sum(float(x.var(ddof=1)) * (len(x) - 1) for x in scaled) / sum(len(x) - 1 for x in scaled)
    if variance == 0 or all(np.ptp(x) == 0 for x in scaled):
        return None
    n = sorted(len(x) for x in scaled)[(len(scaled) - 1) // 2]
    freedom = 2 * n - 2
    critical = stats.t.ppf(1 - alpha / 2, freedom)

    def surplus(noncentrality: float) -> float:  # a significant result of the wrong sign is no detection
        return float(stats.nct.sf(critical, freedom, noncentrality)) - power

    noncentrality = optimize.brentq(surplus, 0.0, 10 * critical + 10)
    effect = float(noncentrality * math.sqrt(2 * variance / n))
    if scale == "linear":
        return Detectable("difference", effect, n)
    return Detectable("ratio" if scale == "log" else "odds ratio", math.exp(effect), n)
