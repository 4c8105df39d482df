"""The Frechet distance against closed forms, at any rank, and under what must not change it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from ganbench import FeatureStore, Measured
from ganbench.scoring.context import Context, Given
from ganbench_zoo import frechet
from ganbench_zoo.metrics.fd import FrechetDistance

FD = FrechetDistance()


def of_moments(m1, s1, m2, s2) -> float:
    stores = [
        FeatureStore(1000, 0, torch.tensor(m, dtype=torch.float64), torch.tensor(s, dtype=torch.float64))
        for m, s in ((m1, s1), (m2, s2))
    ]
    return FD.compute(*stores, Context(0, *stores))


def normal(n: int, d: int, seed: int, scale: float = 1.0) -> torch.Tensor:
    """Draw rows (n, d) that float32 holds, as float64."""
    return (scale * torch.randn(n, d, generator=torch.Generator().manual_seed(seed))).double()


@pytest.fixture
def measured(store) -> Callable[..., Measured]:
    """Return a function that computes a metric with its standard error on generated and real rows."""

    def compute(metric: object, generated: torch.Tensor, real: torch.Tensor, seed: int = 0) -> Measured:
        a, b = store(generated), store(real)
        return metric.compute(a, b, Context(seed, a, b, given=Given(errors=True)))

    return compute


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
    x, y = normal(40, 128, 1), normal(60, 128, 2) * 2 + 0.125
    y = y.float().double()
    xc, yc = x - x.mean(0), y - y.mean(0)
    cross = torch.linalg.svdvals(xc @ yc.T / math.sqrt(39 * 59)).sum()
    expected = (x.mean(0) - y.mean(0)).square().sum() + xc.square().sum() / 39 + yc.square().sum() / 59 - 2 * cross
    assert measure(FD, x, y) == pytest.approx(float(expected), rel=1e-12)


def nuclear_norm(x: torch.Tensor, y: torch.Tensor) -> float:
    """Return the distance of two stores by eigenvectors and singular values alone, all in float64."""
    factors = []
    for store in (x, y):
        variances, axes = torch.linalg.eigh(store.covariance)
        factors.append(axes * torch.where(variances > 1e-13 * variances[-1], variances, 0.0).sqrt())
    cross = torch.linalg.svdvals(factors[0].T @ factors[1]).sum()
    apart = (x.mean - y.mean).square().sum() + x.covariance.trace() + y.covariance.trace()
    return float(apart - 2 * cross)


@pytest.mark.parametrize("kept", ["rows", "moments"])
@pytest.mark.parametrize("sizes", [(400, 500), (50, 400), (400, 50), (50, 40), (97, 96), (2, 400)])
@pytest.mark.parametrize("decades", [0, 6])
def test_any_rank_against_singular_values_of_factors(store, kept, sizes, decades):
    spread = torch.logspace(0, -decades / 2, 96, dtype=torch.float64)
    turn = rotation(96, 3)
    x, y = (((normal(n, 96, n) * spread) @ turn * scale).float() for n, scale in zip(sizes, (1.0, 1.1), strict=True))
    a, b = store(x), store(y + 0.05)
    if kept == "moments":
        a, b = replace(a, features=None), replace(b, features=None)
    for one, other in ((a, b), (b, a)):
        assert FD.compute(one, other, Context(0, one, other)) == pytest.approx(nuclear_norm(one, other), rel=1e-6)


def test_both_ways_to_the_trace_agree(measure, monkeypatch):
    sets = [(normal(n, 32, n), normal(m, 32, m) * 1.2) for n, m in ((200, 300), (20, 300), (20, 25))]
    fast = [measure(FD, x, y) for x, y in sets]
    monkeypatch.setattr(frechet, "DOUBT", 0.0)
    assert fast == [pytest.approx(measure(FD, x, y), rel=1e-11) for x, y in sets]


def test_dead_features_change_nothing(measure):
    x, y = normal(100, 8, 1), normal(90, 8, 2)
    dead = torch.nn.functional.pad
    assert measure(FD, dead(x, (3, 5)), dead(y, (3, 5))) == pytest.approx(measure(FD, x, y), rel=1e-10)


@pytest.mark.parametrize("n", [200, 20])
def test_constant_features_far_from_zero_change_nothing(measure, n):
    x, y = normal(n, 24, 1), normal(n + 20, 24, 2) * 1.1
    value = measure(FD, x, y)
    wider = [torch.cat([rows, torch.full((len(rows), 3), 1e3)], dim=1) for rows in (x, y)]
    assert measure(FD, *wider) == pytest.approx(value, rel=1e-9)
    assert measure(FD, *reversed(wider)) == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize("scale", [1e-150, 1e-12, 1e12])
def test_never_nan_for_sets_without_spread(measure, scale):
    one, other = torch.full((30, 5), 1.0, dtype=torch.float64), torch.zeros(30, 5, dtype=torch.float64)
    assert measure(FD, one * scale, other) == pytest.approx(5 * scale**2, rel=1e-6, abs=1e-300)
    assert measure(FD, one * scale, one * scale) == 0.0


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


@pytest.mark.parametrize(("n", "d", "step"), [(60, 6, 1e-6), (6, 20, 1e-4)])
def test_the_influence_is_the_derivative_of_the_distance(n, d, step):
    rows = normal(n, d, 1)
    a, b = frechet.fit_rows(rows), frechet.fit_rows(normal(300, d, 2) * 1.3 + 0.2)
    centred = rows - a.mean
    spread = centred.T @ centred / (n - 1)
    start = frechet.distance(frechet.Fit(n, a.mean, spread), b)
    moved = [frechet.Fit(n, a.mean + step * x, spread + step * torch.outer(x, x)) for x in centred]
    slopes = torch.tensor([(frechet.distance(fit, b) - start) / step for fit in moved], dtype=torch.float64)
    found = frechet.influence(a, b, rows)
    torch.testing.assert_close(found, slopes - slopes.mean(), rtol=0, atol=3e-3 * float(found.abs().max()))


@pytest.mark.parametrize(("d", "n"), [(8, 800), (16, 1600), (32, 1600)])
def test_standard_error_equals_the_spread_of_many_draws(measured, d, n):
    real = normal(20000, d, 0)
    found = [measured(FD, normal(n, d, seed) * 1.25 + 0.2, real) for seed in range(1, 161)]
    values = torch.tensor([one.value for one in found])
    errors = torch.tensor([one.error for one in found])
    assert float(errors.mean() / values.std()) == pytest.approx(1.0, abs=0.2)  # 160 draws know the spread to 6 %


def test_standard_error_of_all_samples_from_those_that_were_kept(store):
    x, real = normal(3000, 8, 1) * 1.2, store(normal(900, 8, 2))
    whole = store(x)
    part = replace(whole, features=whole.features[:1500])
    values = [FD.compute(one, real, Context(0, one, real, given=Given(errors=True))) for one in (whole, part)]
    assert values[1].value == values[0].value
    assert values[1].error == pytest.approx(values[0].error, rel=0.1)
    assert (
        FD.compute(replace(whole, features=None), real, Context(0, whole, real, given=Given(errors=True)))
        == values[0].value
    )


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


def test_the_decompositions_keep_to_the_threads_of_torch(monkeypatch):
    seen = []

    def watched(matrix, **options):
        seen.extend(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
        return eigvalsh(matrix, **options)

    eigvalsh = frechet.linalg.eigvalsh
    monkeypatch.setattr(frechet.linalg, "eigvalsh", watched)
    a, b = frechet.fit_rows(normal(40, 3, 1)), frechet.fit_rows(normal(40, 3, 2))
    with threadpool_limits(limits=2, user_api="blas"):
        frechet.distance(a, b)
    assert set(seen) == {torch.get_num_threads()}
