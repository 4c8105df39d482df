"""The sliced Wasserstein distance: closed forms, invariances, and the spread that its standard error promises."""

import pytest
import torch

from ganbench import FeatureStore
from ganbench.scoring.context import Context, Given
from ganbench_zoo.metrics.sw import SlicedWasserstein


def score(x, y, errors=False, **fields):
    a, b = (FeatureStore(len(rows), 0, features=rows) for rows in (x, y))
    return SlicedWasserstein(**fields).compute(a, b, Context(0, a, b, given=Given(errors)))


def test_one_dimension_is_the_sorted_difference():
    x, y = torch.tensor([[3.0], [1.0], [2.0]]), torch.tensor([[0.0], [5.0], [2.0]])
    assert score(x, y).value == pytest.approx((1 + 0 + 4) / 3)


def test_a_shift_gives_its_squared_length_over_the_width(rng):
    x, shift = torch.randn(200, 6, generator=rng), torch.tensor([1.0, -2.0, 0, 0, 0.5, 0])
    assert score(x + shift, x, directions=12).value == pytest.approx(5.25 / 6, rel=1e-5)  # two whole bases
    assert score(x + shift, x, directions=500).value == pytest.approx(5.25 / 6, rel=0.02)


def test_equal_sets_in_any_order_are_at_zero(rng):
    x = torch.randn(100, 5, generator=rng)
    assert score(x, x[torch.randperm(100, generator=rng)]).value == 0.0


def test_symmetric_and_quadratic_in_scale(rng):
    x, y = torch.randn(80, 5, generator=rng), torch.randn(80, 5, generator=rng) * 2
    assert score(x, y).value == pytest.approx(score(y, x).value)
    assert score(3 * x, 3 * y).value == pytest.approx(9 * score(x, y).value, rel=1e-5)


def test_it_sees_what_moments_do_not(rng):
    gaussian = torch.randn(4000, 2, generator=rng)
    two_points = torch.randint(2, (4000, 2), generator=rng) * 2.0 - 1  # mean 0, variance 1
    assert score(two_points, gaussian).value > 20 * score(torch.randn(4000, 2, generator=rng), gaussian).value


@pytest.mark.parametrize("shift", [1.0, 0.3])
def test_the_standard_error_is_the_spread_over_generated_sets(rng, shift):
    real = torch.randn(400, 6, generator=rng)
    scores = [score(torch.randn(400, 6, generator=rng) + shift, real, errors=True, directions=64) for _ in range(60)]
    spread = torch.tensor([s.value for s in scores]).std()
    assert torch.tensor([s.error for s in scores]).mean() == pytest.approx(spread, rel=0.25)


def test_one_sample_has_no_value():
    with pytest.raises(ValueError, match="at least 2 samples on each side, and there are 1"):
        score(torch.zeros(1, 3), torch.zeros(5, 3))


def test_no_directions_are_refused():
    with pytest.raises(ValueError, match="directions must be at least 1, not 0"):
        SlicedWasserstein(directions=0)
