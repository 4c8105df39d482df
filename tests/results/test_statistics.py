"""Intervals, tests and ranks against scipy, worked examples and simulations with known truth."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ganbench.results.statistics import (
    best_set,
    common_scale,
    detectable_ratio,
    holm,
    mean_interval,
    on_scale,
    pairwise_welch,
    ranks,
    welch,
)

FINITE = st.floats(-1e6, 1e6)
SPREAD = st.lists(st.integers(-1000, 1000), min_size=2, max_size=12)


@given(SPREAD.filter(lambda x: len(set(x)) > 1), st.floats(0.5, 0.99))
def test_intervals_are_scipys(values, level):
    mean, half_width = mean_interval(values, level)
    low, high = stats.t.interval(level, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
    assert (mean - half_width, mean + half_width) == pytest.approx((low, high), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(("n", "factor"), [(3, 2.484), (5, 1.242)])
def test_half_widths_of_three_and_five_seeds(n, factor):
    values = list(range(n))
    assert mean_interval(values)[1] == pytest.approx(factor * np.std(values, ddof=1), rel=1e-3)


def test_one_value_has_no_interval():
    assert mean_interval([2.5]) == (2.5, None)


def test_equal_values_have_an_interval_of_no_width():
    assert mean_interval([2.0, 2.0, 2.0]) == (2.0, 0.0)


@pytest.mark.parametrize(
    ("values", "level"), [([], 0.95), ([1.0, math.nan], 0.95), ([1.0, 2.0], 1.0), ([1.0, 2.0], 0.0)]
)
def test_what_an_interval_refuses(values, level):
    with pytest.raises(ValueError, match=r"interval|level"):
        mean_interval(values, level)


@pytest.mark.parametrize("draw", ["normal", "lognormal"])
def test_intervals_cover_the_truth(draw):
    rng = np.random.default_rng(5)
    sample = rng.normal(3.0, 1.0, (2000, 5)) if draw == "normal" else np.exp(rng.normal(1.0, 0.2, (2000, 5)))
    truth = 3.0 if draw == "normal" else math.exp(1.0 + 0.2**2 / 2)
    intervals = [mean_interval(values.tolist()) for values in sample]
    covered = np.mean([abs(mean - truth) <= half_width for mean, half_width in intervals])
    assert 0.93 <= covered <= 0.97


@given(SPREAD.filter(lambda x: len(set(x)) > 1), SPREAD.filter(lambda x: len(set(x)) > 1))
def test_welch_is_scipys(a, b):
    expected = stats.ttest_ind(a, b, equal_var=False).pvalue
    assert welch(a, b) == pytest.approx(expected, rel=1e-7, abs=1e-300)


def test_welch_on_the_scale_of_the_metric():
    a, b = [1.0, 1.3, 0.9], [2.0, 2.9, 2.2]
    assert welch(a, b, "log") == pytest.approx(stats.ttest_ind(np.log(a), np.log(b), equal_var=False).pvalue)
    a, b = [0.3, 0.4, 0.35], [0.8, 0.85, 0.9]
    expected = stats.ttest_ind(np.log(a) - np.log1p(-np.array(a)), np.log(b) - np.log1p(-np.array(b)), equal_var=False)
    assert welch(a, b, "logit") == pytest.approx(expected.pvalue)


def test_welch_is_linear_outside_the_domain_of_the_scale():
    a, b = [0.0, 1.3, 0.9], [2.0, 2.9, 2.2]
    assert welch(a, b, "log") == pytest.approx(welch(a, b, "linear"))
    a, b = [0.3, 0.4, 1.0], [0.8, 0.85, 0.9]
    assert welch(a, b, "logit") == pytest.approx(welch(a, b, "linear"))
    assert common_scale([[0.1, 0.9]], "logit") == "logit"
    assert common_scale([[1.0], [-0.1]], "log") == "linear"


def test_welch_without_spread_or_without_values():
    assert welch([1.0, 1.0], [1.0, 1.0]) == 1.0
    assert welch([1.0, 1.0], [2.0, 2.0]) == 0.0
    assert welch([1.0, 1.0], [1e-160, 3e-160]) < 1e-6
    assert welch([1.0], [2.0, 3.0]) is None
    assert pairwise_welch([[1.0], [2.0, 3.0], []]) == {}


def test_on_scale_by_hand():
    assert on_scale([math.e], "log") == pytest.approx([1.0])
    assert on_scale([0.5, 0.75], "logit") == pytest.approx([0.0, math.log(3)])
    assert on_scale([0.5], "linear") == pytest.approx([0.5])


def test_holm_on_a_worked_example():
    """Sorted p 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1 is 0.02, 0.03, 0.06, 0.04; the last must not fall: 0.06."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_lies_between_the_raw_and_the_bonferroni_values(p):
    adjusted = holm(p)
    for raw, value in zip(p, adjusted, strict=True):
        assert raw <= value <= min(1.0, len(p) * raw)
    assert [p[i] for i in sorted(range(len(p)), key=lambda i: (adjusted[i], p[i]))] == sorted(p)


def test_ranks_with_ties_and_divergence():
    assert ranks([2.0, 1.0, 2.0, 3.0], [0] * 4, "lower") == [2, 1, 2, 4]
    assert ranks([2.0, 1.0, 2.0, 3.0], [0] * 4, "higher") == [2, 4, 2, 1]
    assert ranks([0.1, 5.0, None, None, 0.2], [0.5, 0, 1.0, 1.0, 0.25], "lower") == [3, 1, 4, 4, 2]
    assert ranks([None, 1.0], [0, 0], "lower") == [None, 1]


@given(st.lists(st.tuples(st.none() | FINITE, st.sampled_from([0.0, 1 / 3, 1.0])), max_size=8))
def test_a_cell_with_diverged_runs_never_stands_before_one_without(cells):
    order = ranks([mean for mean, _ in cells], [share for _, share in cells], "lower")
    for (mean, share), rank in zip(cells, order, strict=True):
        assert (rank is None) == (mean is None and share == 0)
        for (_, other), behind in zip(cells, order, strict=True):
            if rank is not None and behind is not None and share < other:
                assert rank < behind


def test_the_best_set_by_hand():
    clear = [[1.0, 1.1, 0.9, 1.0], [1.05, 0.95, 1.15, 1.0], [9.0, 9.1, 8.9, 9.2]]
    assert best_set(clear, "lower", "log") == {0, 1}
    assert best_set(clear, "higher", "log") == {2}
    assert best_set([[1.0], [2.0]], "lower", "log") == set()
    assert best_set([[1.0, 1.1], [2.0]], "lower", "log") == set()
    assert best_set([], "lower", "log") == set()


def test_a_cell_with_diverged_runs_is_bold_only_if_every_cell_has_some():
    groups = [[1.0, 1.1, 0.9], [5.0, 5.1, 4.9], [5.2, 5.0, 5.1]]
    assert best_set(groups, "lower", "log", diverged=[1, 0, 0]) == {1, 2}
    assert best_set(groups, "lower", "log", diverged=[1, 1, 2]) == {0}


@pytest.mark.parametrize("draw", ["normal", "lognormal"])
@pytest.mark.parametrize("gap", [0.0, 0.15])
def test_the_truly_best_is_bold_in_nineteen_of_twenty_tables(draw, gap):
    rng = np.random.default_rng(11)
    cells, seeds = 6, 5
    missed = 0
    for _ in range(2000):
        centre = gap * np.arange(cells)
        noise = rng.normal(0, 0.2, (cells, seeds)) + centre[:, None]
        sample = noise + 5 if draw == "normal" else np.exp(noise)
        chosen = best_set(sample.tolist(), "lower", "linear" if draw == "normal" else "log")
        missed += 0 not in chosen
    assert missed <= 0.05 * 2000


def test_clear_losers_are_not_bold():
    rng = np.random.default_rng(2)
    sample = np.exp(rng.normal(0, 0.1, (6, 10)) + 0.5 * np.arange(6)[:, None])
    assert best_set(sample.tolist(), "lower", "log") == {0}


def standardised(n):
    """Return n values with mean 0 and standard deviation 1."""
    values = np.arange(n) - (n - 1) / 2
    return (values / values.std(ddof=1)).tolist()


@pytest.mark.parametrize(("n", "effect"), [(3, 3.071), (5, 2.024), (10, 1.325), (64, 0.499)])
def test_the_detectable_difference_is_that_of_power_tables(n, effect):
    """Cohen's d for power 0.8 in a two-sided t test at 5 %: 64 a side detect 0.5 (Cohen, 1988, table 2.4.1)."""
    found = detectable_ratio([standardised(n)] * 3, "linear")
    assert found.kind == "difference"
    assert found.n == n
    assert found.effect == pytest.approx(effect, abs=1e-3)


@pytest.mark.parametrize(("scale", "kind"), [("log", "ratio"), ("logit", "odds ratio")])
def test_the_detectable_ratio_is_the_difference_on_the_scale(scale, kind):
    inverse = np.exp if scale == "log" else lambda x: 1 / (1 + np.exp(-x))
    groups = [inverse(0.1 * np.array(standardised(5)) + shift).tolist() for shift in (0.0, 1.0)]
    found = detectable_ratio(groups, scale)
    assert found.kind == kind
    assert found.effect == pytest.approx(math.exp(0.1 * 2.0244), rel=1e-4)


def test_the_detectable_effect_is_detected_with_the_power_that_it_says():
    rng = np.random.default_rng(3)
    effect = detectable_ratio([standardised(5)], "linear").effect
    a, b = rng.normal(0, 1, (4000, 5)), rng.normal(effect, 1, (4000, 5))
    found = np.mean(stats.ttest_ind(a, b, axis=1).pvalue < 0.05)
    assert found == pytest.approx(0.8, abs=0.025)  # four standard errors of 4,000 draws


def test_nothing_is_detectable_without_spread_or_values():
    assert detectable_ratio([[1.0], [2.0]], "log") is None
    assert detectable_ratio([[1.0, 1.0], [0.1, 0.1, 0.1]], "linear") is None
    assert detectable_ratio([], "linear") is None
