"""fd_inf: against exact population moments its mean is the truth, and its error says how far it is off."""

import pytest
import torch

from ganbench import FeatureStore
from ganbench.scoring.context import Context, Given
from ganbench_zoo.metrics.fd import FrechetDistance
from ganbench_zoo.metrics.fd_inf import FrechetDistanceInfinity


def population(width):
    return FeatureStore(10**9, 0, torch.zeros(width).double(), torch.eye(width).double())


def scores(store, n, width, shift, draws):
    found = []
    for seed in range(draws):
        rows = torch.randn(n, width, generator=torch.Generator().manual_seed(seed))
        rows[:, 0] += shift
        a, b = store(rows), population(width)
        context = Context(0, a, b, given=Given(True))
        found.append([metric.compute(a, b, context) for metric in (FrechetDistanceInfinity(), FrechetDistance())])
    return found


@pytest.mark.parametrize(("n", "width", "shift"), [(500, 8, 0.0), (500, 8, 1.0), (2000, 16, 0.5)])
def test_free_of_bias_within_its_own_error(store, n, width, shift):
    found = scores(store, n, width, shift, 40)
    values = torch.tensor([inf.value for inf, _ in found])
    errors = torch.tensor([inf.error for inf, _ in found])
    z = (values - shift**2) / errors
    assert z.abs().max() < 3
    assert 0.25 < z.square().mean() < 1.6
    assert abs(values.mean() - shift**2) < 3 * values.std() / 40**0.5
    bias = torch.tensor([fd.value for _, fd in found]).mean() - shift**2
    assert bias > 3 * abs(values.mean() - shift**2)


def test_the_reference_keeps_its_bias(store, rng):
    rows, real = torch.randn(4000, 8, generator=rng), store(torch.randn(200, 8, generator=rng))
    a = store(rows)
    value = FrechetDistanceInfinity().compute(a, real, Context(0, a, real)).value
    assert value > 0.5 * (8 + 8 * 9 / 4) / 200  # d/M + d(d+1)/(4M): the bias of one sampled side


def test_too_few_samples_for_a_line(store, rng):
    rows = store(torch.randn(127, 8, generator=rng))
    with pytest.raises(ValueError, match="at least 16 samples for each of the 8 features, and there are 127"):
        FrechetDistanceInfinity().compute(rows, rows, Context(0, rows, rows))


def test_the_same_draw_each_time(store, rng):
    a, b = store(torch.randn(400, 4, generator=rng)), population(4)
    first, second = (FrechetDistanceInfinity().compute(a, b, Context(3, a, b, given=Given(True))) for _ in range(2))
    assert first == second
