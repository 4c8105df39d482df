"""Standard errors of the metrics of k-nearest-neighbour balls: the spread over generated sets, one reference."""

import pytest
import torch

from ganbench.scoring.context import Context, Given
from ganbench_zoo.metrics.coverage import Coverage
from ganbench_zoo.metrics.density import Density
from ganbench_zoo.metrics.precision import Precision
from ganbench_zoo.metrics.recall import Recall


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


@pytest.mark.parametrize("metric", [Recall(), Coverage()])
@pytest.mark.parametrize(
    ("width", "scale", "shift"), [(4, 1.0, 0.3), (4, 1.0, 1.0), (8, 1.0, 0.0), (32, 1.0, 0.2), (2, 0.5, 0.5)]
)
def test_the_standard_error_of_what_is_reached_is_the_spread_over_generated_sets(store, metric, width, scale, shift):
    rng = torch.Generator().manual_seed(3)
    real, found = store(torch.randn(400, width, generator=rng)), []
    for _ in range(60):
        generated = store(torch.randn(400, width, generator=rng) * scale + shift)
        found.append(metric.compute(generated, real, Context(0, generated, real, given=Given(errors=True))))
    spread = float(torch.tensor([measured.value for measured in found]).std())
    mean = float(torch.tensor([measured.error for measured in found]).mean())
    assert 0.7 < mean / spread < 1.5
    assert found[-1].value == metric.compute(generated, real, Context(0, generated, real))


def test_what_is_reached_without_each_group_by_computing_it_anew(store):
    rng = torch.Generator().manual_seed(4)
    real, generated = torch.randn(100, 3, generator=rng), torch.randn(100, 3, generator=rng) + 0.5
    a, b = store(generated), store(real)
    found = Context(0, a, b, given=Given(errors=True)).neighbours(3)
    groups = torch.arange(100) // 5
    apart, own = torch.cdist(generated.double(), real.double()), torch.cdist(generated.double(), generated.double())
    real_radii = torch.cdist(real.double(), real.double()).kthvalue(4, dim=1).values
    recall, coverage = [], []
    for group in range(20):
        kept = groups != group
        radii = own[kept][:, kept].kthvalue(4, dim=1).values
        recall.append(float((apart[kept] <= radii[:, None]).any(dim=0).double().mean()))
        coverage.append(float((apart[kept] <= real_radii).any(dim=0).double().mean()))
    assert found.recall_left_out.shares.tolist() == pytest.approx(recall, abs=1e-12)
    assert found.coverage_left_out.shares.tolist() == pytest.approx(coverage, abs=1e-12)
    holding = torch.stack([(apart[groups == group] <= real_radii).any(dim=0) for group in range(20)]).sum(dim=0)
    assert found.coverage_left_out.by_none == int((holding == 0).sum())
    assert found.coverage_left_out.by_one == int((holding == 1).sum())
    assert Context(0, a, b).neighbours(3).recall_left_out is None
