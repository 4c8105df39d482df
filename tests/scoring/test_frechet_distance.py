"""The Frechet distance against closed forms, at any rank, and under what must not change it."""

from __future__ import annotations

import math

import pytest
import torch

from ganbench import FeatureStore
from ganbench.scoring.context import Context
from ganbench_zoo.metrics.fd import FrechetDistance

FD = FrechetDistance()


def of_moments(m1, s1, m2, s2) -> float:
    stores = [
        FeatureStore(1000, 0, torch.tensor(m, dtype=torch.float64), torch.tensor(s, dtype=torch.float64))
        for m, s in ((m1, s1), (m2, s2))
    ]
    return FD.compute(*stores, Context(0, *stores))


def normal(n: int, d: int, seed: int, scale: float = 1.0) -> torch.Tensor:
    return scale * torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rotation(d: int, seed: int) -> torch.Tensor:
    return torch.linalg.qr(normal(d, d, seed)).Q


def test_diagonal_covariances():
    # |(3, 4)|^2 + (1 - 2)^2 + (3 - 1)^2
    value = of_moments([0.0, 0.0], [[1.0, 0.0], [0.0, 9.0]], [3.0, 4.0], [[4.0, 0.0], [0.0, 1.0]])
    assert value == pytest.approx(25 + 1 + 4, rel=1e-13)


def test_covariances_that_do_not_commute():
    s1, s2 = [[2.0, 1.0], [1.0, 3.0]], [[4.0, -1.0], [-1.0, 1.0]]
    # for 2x2: tr (S1 S2)^1/2 = sqrt(tr(S1 S2) + 2 sqrt(det S1 det S2)); tr(S1 S2) = 7 + 2, dets 5 and 3
    expected = 5 + 5 - 2 * math.sqrt(9 + 2 * math.sqrt(15))
    assert of_moments([0.0, 0.0], s1, [0.0, 0.0], s2) == pytest.approx(expected, rel=1e-13)


def test_a_point_against_a_gaussian():
    zero = [[0.0, 0.0], [0.0, 0.0]]
    assert of_moments([1.0, 0.0], zero, [0.0, 0.0], [[2.0, 0.0], [0.0, 3.0]]) == pytest.approx(6.0, rel=1e-14)
    assert of_moments([1.0, 0.0], zero, [0.0, 0.0], zero) == 1.0


@pytest.mark.parametrize(("n", "d"), [(500, 16), (50, 256), (2, 8)])
@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_a_set_against_itself_is_zero_at_any_rank(measure, store, n, d, scale):
    rows = normal(n, d, 1, scale)
    value = measure(FD, rows, rows)
    assert 0 <= value < 1e-8 * float(store(rows).covariance.trace())


@pytest.mark.parametrize(("n", "d"), [(400, 16), (50, 256)])
def test_symmetric(measure, n, d):
    x, y = normal(n, d, 1), normal(n, d, 2) * 1.5 + 0.3
    assert measure(FD, x, y) == pytest.approx(measure(FD, y, x), rel=1e-10)


def test_fewer_rows_than_dimensions_against_the_singular_values_of_the_rows(measure):
    x, y = normal(40, 128, 1), normal(60, 128, 2) * 2 + 0.1
    xc, yc = x - x.mean(0), y - y.mean(0)
    cross = torch.linalg.svdvals(xc @ yc.T / math.sqrt(39 * 59)).sum()
    expected = (x.mean(0) - y.mean(0)).square().sum() + xc.square().sum() / 39 + yc.square().sum() / 59 - 2 * cross
    assert measure(FD, x, y) == pytest.approx(float(expected), rel=1e-9)


def test_dead_features_change_nothing(measure):
    x, y = normal(100, 8, 1), normal(90, 8, 2)
    dead = torch.nn.functional.pad
    assert measure(FD, dead(x, (3, 5)), dead(y, (3, 5))) == pytest.approx(measure(FD, x, y), rel=1e-10)


def test_invariant_to_order_and_to_a_common_rotation(measure, rng):
    x, y = normal(300, 12, 1), normal(200, 12, 2) * 0.7 + 1
    value = measure(FD, x, y)
    turn = rotation(12, 3)
    assert measure(FD, x[torch.randperm(300, generator=rng)], y) == pytest.approx(value, rel=1e-12)
    assert measure(FD, x @ turn, y @ turn) == pytest.approx(value, rel=1e-10)


def test_scales_with_the_square(measure):
    x, y = normal(300, 12, 1), normal(200, 12, 2) + 1
    assert measure(FD, 7 * x, 7 * y) == pytest.approx(49 * measure(FD, x, y), rel=1e-10)


@pytest.mark.parametrize(("d", "n", "draws", "published"), [(16, 500, 60, 0.336), (64, 2000, 12, 1.104)])
def test_bias_of_equal_gaussians(measure, d, n, draws, published):
    expected = 2 * d / n + d * (d + 1) / (2 * n)
    assert expected == pytest.approx(published, abs=1e-3)
    values = torch.tensor([measure(FD, normal(n, d, 2 * i), normal(n, d, 2 * i + 1)) for i in range(draws)])
    error = float(values.std() / math.sqrt(draws))
    assert abs(float(values.mean()) - expected) < 4 * error + 0.02 * expected  # the formula is of leading order in 1/n


def test_one_sample_and_broken_moments_give_a_reason(measure, store):
    x = normal(10, 3, 1)
    with pytest.raises(ValueError, match="at least 2 samples, and there are 1 generated"):
        measure(FD, x[:1], x)
    with pytest.raises(ValueError, match="1 reference"):
        measure(FD, x, x[:1])
    a, nothing = store(x), FeatureStore(10, 10)
    with pytest.raises(ValueError, match="no moments of the generated"):
        FD.compute(nothing, a, Context(0, nothing, a))
    x[3, 1] = torch.inf
    with pytest.raises(ValueError, match="not finite"):
        measure(FD, x, normal(10, 3, 2))
