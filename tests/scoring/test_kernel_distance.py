"""The kernel distance: a value by hand, no bias, no clipping."""

from __future__ import annotations

import math

import pytest
import torch

from ganbench_zoo.metrics.kd import KernelDistance


def normal(n: int, d: int, seed: int) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_two_points_by_hand(measure):
    x, y = torch.tensor([[1.0, 1.0]]).expand(6, 2), torch.tensor([[2.0, 0.0]]).expand(8, 2)
    # k(x, x) = (2/2 + 1)^3 = 8, k(y, y) = (4/2 + 1)^3 = 27, k(x, y) = (2/2 + 1)^3 = 8
    assert measure(KernelDistance(), x, y) == pytest.approx(8 + 27 - 2 * 8, rel=1e-14)


def test_all_rows_in_one_subset_by_double_loop(measure):
    x, y = normal(8, 3, 1), normal(8, 3, 2) + 1

    def kernel(a, b):
        return (float(a @ b) / 3 + 1) ** 3

    pairs = [(i, j) for i in range(4) for j in range(4)]
    total = 0.0
    rng = torch.Generator().manual_seed(5)
    for _ in range(7):
        a = x[torch.randperm(8, generator=rng)[:4]].float().double()
        b = y[torch.randperm(8, generator=rng)[:4]].float().double()
        within = sum(kernel(a[i], a[j]) + kernel(b[i], b[j]) for i, j in pairs if i != j) / 12
        total += within - 2 * sum(kernel(a[i], b[j]) for i, j in pairs) / 16
    assert measure(KernelDistance(subsets=7), x, y, seed=5) == pytest.approx(total / 7, rel=1e-12)


def test_unbiased_and_never_clipped(measure):
    metric = KernelDistance(subsets=4)
    values = torch.tensor([measure(metric, normal(80, 8, 2 * i), normal(80, 8, 2 * i + 1)) for i in range(200)])
    assert abs(float(values.mean())) < 3 * float(values.std()) / math.sqrt(200)
    assert (values < 0).any()
    assert (values > 0).any()


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
