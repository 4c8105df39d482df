"""The kernel distance: a value by hand, no bias, no clipping, the same value any way, and its standard error."""

from __future__ import annotations

import math

import pytest
import torch

from ganbench import FeatureStore, Measured
from ganbench.scoring.context import Context, Given
from ganbench_zoo.metrics import kd
from ganbench_zoo.metrics.kd import KernelDistance


def normal(n: int, d: int, seed: int) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def measured(metric: KernelDistance, x: torch.Tensor, y: torch.Tensor, seed: int = 0) -> Measured:
    a, b = (FeatureStore(len(rows), 0, features=rows.float()) for rows in (x, y))
    return metric.compute(a, b, Context(seed, a, b, given=Given(errors=True)))


def test_two_points_by_hand(measure):
    x, y = torch.tensor([[1.0, 1.0]]).expand(6, 2), torch.tensor([[2.0, 0.0]]).expand(8, 2)
    # k(x, x) = (2/2 + 1)^3 = 8, k(y, y) = (4/2 + 1)^3 = 27, k(x, y) = (2/2 + 1)^3 = 8
    assert measure(KernelDistance(), x, y) == pytest.approx(8 + 27 - 2 * 8, rel=1e-14)


WAYS = ("_all_sums", "_subset_sums")


@pytest.fixture(params=WAYS)
def way(request, monkeypatch) -> str:
    """Go to the sums in one of two ways, whatever the sizes."""
    for name in WAYS:
        monkeypatch.setattr(kd, name, getattr(kd, request.param))
    return request.param


def test_by_double_loop(measure, way):
    x, y = normal(8, 3, 1), normal(11, 3, 2) + 1

    def kernel(a, b):
        return (float(a @ b) / 3 + 1) ** 3

    pairs = [(i, j) for i in range(4) for j in range(4)]
    total = 0.0
    rng = torch.Generator().manual_seed(5)
    for _ in range(7):
        a = x[torch.randperm(8, generator=rng)[:4]].float().double()
        b = y[torch.randperm(11, generator=rng)[:4]].float().double()
        within = sum(kernel(a[i], a[j]) + kernel(b[i], b[j]) for i, j in pairs if i != j) / 12
        total += within - 2 * sum(kernel(a[i], b[j]) for i, j in pairs) / 16
    assert measure(KernelDistance(subsets=7), x, y, seed=5) == pytest.approx(total / 7, rel=1e-6)


@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0])
@pytest.mark.parametrize("offset", [0.0, 2.0])
def test_within_1e7_of_the_mean_absolute_kernel_of_float64(monkeypatch, way, scale, offset):
    monkeypatch.setattr(kd, "TILE", 64)  # several tiles, the last one smaller
    monkeypatch.setattr(kd, "SMALL_TILE", 32)
    x, y = ((scale * (normal(300, 40, seed) + offset)).float() for seed in (1, 2))
    rng = torch.Generator().manual_seed(0)
    values, kernels = [], []
    for _ in range(5):
        a, b = (side[torch.randperm(300, generator=rng)[:150]].double() for side in (x, y))
        xx, yy, xy = ((p @ q.T / 40 + 1) ** 3 for p, q in ((a, a), (b, b), (a, b)))
        within = sum((k.sum() - k.diagonal().sum()) / (150 * 149) for k in (xx, yy))
        values.append(float(within - 2 * xy.mean()))
        kernels.append(float(xy.abs().mean()))
    found = measured(KernelDistance(subsets=5), x, y).value
    assert abs(found - sum(values) / 5) < 1e-7 * sum(kernels) / 5


def test_lower_precision_elsewhere_leaves_the_value(measure):
    x, y = normal(300, 64, 1), normal(300, 64, 2)
    value = measure(KernelDistance(subsets=5), x, y)
    torch.set_float32_matmul_precision("medium")
    try:
        assert measure(KernelDistance(subsets=5), x, y) == value
    finally:
        torch.set_float32_matmul_precision("highest")
    assert torch.backends.mkldnn.enabled


def test_unbiased_and_never_clipped(measure):
    metric = KernelDistance(subsets=4)
    values = torch.tensor([measure(metric, normal(80, 8, 2 * i), normal(80, 8, 2 * i + 1)) for i in range(200)])
    assert abs(float(values.mean())) < 3 * float(values.std()) / math.sqrt(200)
    assert (values < 0).any()
    assert (values > 0).any()


@pytest.mark.parametrize(
    ("shift", "rows", "reference", "size"),
    [(0.3, 200, 200, 1000), (0.0, 200, 200, 1000), (0.0, 200, 2000, 50), (0.3, 400, 400, 50)],
)
def test_standard_error_equals_the_spread_of_many_draws(shift, rows, reference, size):
    metric, real = KernelDistance(subsets=50, subset_size=size), normal(reference, 8, 0)
    found = [measured(metric, normal(rows, 8, seed) + shift, real) for seed in range(1, 121)]
    spread = float(torch.tensor([one.value for one in found]).std())
    mean = sum(one.error for one in found) / len(found)
    assert mean / spread == pytest.approx(1.0, abs=0.25)


def test_both_ways_give_one_standard_error(monkeypatch):
    x, y, metric = normal(90, 5, 1), normal(70, 5, 2) + 0.2, KernelDistance(subsets=9, subset_size=30)
    errors = []
    for name in WAYS:
        with monkeypatch.context() as patched:
            for other in WAYS:
                patched.setattr(kd, other, getattr(kd, name))
            errors.append(measured(metric, x, y).error)
    assert errors[0] == pytest.approx(errors[1], rel=1e-5)
    assert errors[0] > 0


def test_grows_with_the_shift(measure):
    x = normal(200, 8, 1)
    values = [measure(KernelDistance(subsets=20), x, normal(200, 8, 2) + shift) for shift in (0.0, 0.3, 0.6, 1.2)]
    assert values == sorted(values)


def test_the_seed_and_nothing_else_decides(measure):
    x, y = normal(60, 4, 1), normal(60, 4, 2)
    first = measure(KernelDistance(), x, y, seed=1)
    torch.manual_seed(99)
    before = torch.get_rng_state()
    assert measure(KernelDistance(), x, y, seed=1) == first
    assert torch.equal(torch.get_rng_state(), before)
    assert measure(KernelDistance(), x, y, seed=2) != first


def test_subset_size_shrinks_to_half_of_the_smaller_side():
    assert KernelDistance().settings(2000)["subset_size"] == 1000
    assert KernelDistance().settings(599)["subset_size"] == 299
    assert KernelDistance(subset_size=50).settings(599)["subset_size"] == 50
    assert KernelDistance().settings()["subset_size"] == 1000


def test_too_few_samples_and_bad_parameters(measure):
    with pytest.raises(ValueError, match="at least 4 samples on each side, and there are 3"):
        measure(KernelDistance(), normal(3, 2, 1), normal(50, 2, 2))
    with pytest.raises(ValueError, match="subsets must be at least 1"):
        KernelDistance(subsets=0)
    with pytest.raises(ValueError, match="subset_size must be at least 2"):
        KernelDistance(subset_size=1)
