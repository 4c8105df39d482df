"""Standard errors of the metrics of k-nearest-neighbour balls: the spread over generated sets, one reference."""

import pytest
import torch

from ganbench.scoring.context import Context, Given
from ganbench_zoo.metrics.density import Density
from ganbench_zoo.metrics.precision import Precision


@pytest.mark.parametrize("metric", [Precision(), Density()])
@pytest.mark.parametrize("shift", [0.3, 1.0])
def test_the_standard_error_is_the_spread_over_generated_sets(store, rng, metric, shift):
    real = store(torch.randn(300, 4, generator=rng))
    found = []
    for _ in range(60):
        generated = store(torch.randn(300, 4, generator=rng) + shift)
        found.append(metric.compute(generated, real, Context(0, generated, real, given=Given(errors=True))))
    spread = float(torch.tensor([measured.value for measured in found]).std())
    assert float(torch.tensor([measured.error for measured in found]).mean()) == pytest.approx(spread, rel=0.3)
    assert found[-1].value == metric.compute(generated, real, Context(0, generated, real))
