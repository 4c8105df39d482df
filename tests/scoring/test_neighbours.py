"""Precision, recall, density and coverage: by brute force, by direction, on equal sets and on duplicates."""

from __future__ import annotations

import pytest
import torch

from ganbench.scoring import distances, neighbours
from ganbench.scoring.context import Context
from ganbench_zoo.metrics.coverage import Coverage
from ganbench_zoo.metrics.density import Density
from ganbench_zoo.metrics.precision import Precision
from ganbench_zoo.metrics.recall import Recall


def normal(n: int, d: int, seed: int) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def brute_force(generated: torch.Tensor, real: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Count balls one pair at a time."""
    g, r = generated.double().tolist(), real.double().tolist()

    def squared(a, b):
        return sum((x - y) ** 2 for x, y in zip(a, b, strict=True))

    def radii(rows):
        return [sorted(squared(a, b) for j, b in enumerate(rows) if j != i)[k - 1] for i, a in enumerate(rows)]

    g_radii, r_radii = radii(g), radii(r)
    in_real = [sum(squared(a, b) <= radius for b, radius in zip(r, r_radii, strict=True)) for a in g]
    in_generated = [sum(squared(a, b) <= radius for b, radius in zip(g, g_radii, strict=True)) for a in r]
    covered = [any(squared(a, b) <= radius for a in g) for b, radius in zip(r, r_radii, strict=True)]
    return torch.tensor(in_real), torch.tensor(in_generated), torch.tensor(covered)


@pytest.mark.parametrize("k", [1, 3, 5, 11])
@pytest.mark.parametrize("block", [1, 7 * 40, 1 << 20])
def test_counts_equal_brute_force_for_any_block(store, monkeypatch, k, block):
    monkeypatch.setattr(distances, "BLOCK_ELEMENTS", block)
    monkeypatch.setattr(distances, "TILE", max(1, min(block, 1 << 20) >> 4))
    generated, real = normal(40, 3, 1) * 0.8 + 0.2, normal(40, 3, 2)
    counts = Context(0, store(generated), store(real)).neighbours(k)
    in_real, in_generated, covered = brute_force(generated, real, k)
    assert torch.equal(counts.generated_in_real, in_real)
    assert torch.equal(counts.real_in_generated, in_generated)
    assert torch.equal(counts.real_covered, covered)


def test_equal_distances_are_equal_on_a_lattice(store):
    rng = torch.Generator().manual_seed(1)
    generated, real = (torch.randint(0, 3, (80, 7), generator=rng) for _ in range(2))  # whole numbers: many exact ties
    for scale, offset in ((1.0, 0.0), (0.3, 11.0)):
        counts = Context(0, store(generated * scale + offset), store(real * scale + offset)).neighbours(3)
        in_real, in_generated, covered = brute_force(generated, real, 3)
        assert torch.equal(counts.generated_in_real, in_real)
        assert torch.equal(counts.real_in_generated, in_generated)
        assert torch.equal(counts.real_covered, covered)


def clusters(n: int, d: int, seed: int) -> torch.Tensor:
    """Draw rows around far centres, one cluster far tighter than float32 products resolve."""
    centres = 100 * normal(5, d, 7)
    spread = torch.tensor([1e-3, 0.1, 1.0, 1.0, 5.0])
    of = torch.arange(n) % 5
    return centres[of] + spread[of, None] * normal(n, d, seed)


SETS = {
    "wide": lambda: (normal(150, 512, 1) * 0.9, normal(150, 512, 2)),
    "offset": lambda: (normal(150, 16, 1) + 1e4, normal(150, 16, 2) + 1e4),
    "huge": lambda: (normal(100, 16, 1) * 1e25, normal(100, 16, 2) * 1e25),
    "tiny": lambda: (normal(100, 16, 1) * 1e-30, normal(100, 16, 2) * 1e-30),
    "outlier": lambda: (torch.cat([normal(99, 16, 1), torch.full((1, 16), 1e6)]), normal(100, 16, 2)),
    "duplicates": lambda: (normal(50, 16, 1).repeat(3, 1), torch.cat([normal(50, 16, 1), normal(100, 16, 2)])),
    "collapsed": lambda: (normal(1, 16, 1) + 1e-6 * normal(120, 16, 3), normal(120, 16, 2)),
    "one point": lambda: (torch.ones(60, 8), torch.ones(60, 8)),
    "clusters": lambda: (clusters(200, 24, 1), clusters(200, 24, 2)),
    "noise": lambda: (8 * normal(200, 24, 1), normal(200, 24, 2)),
}


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("products", [torch.float32, torch.float64])
@pytest.mark.parametrize("many", [1, 50, 10**9])  # pairs in doubt all as whole rows, as it is meant, all one by one
def test_counts_are_those_of_float64_distances(store, monkeypatch, name, products, many):
    monkeypatch.setattr(distances, "fast_dtype", lambda device: products)
    monkeypatch.setattr(distances, "TILE", 64)
    monkeypatch.setattr(neighbours, "MANY", many)
    generated, real = SETS[name]()
    a, b = generated.double(), real.double()
    apart, within_a, within_b = (differences(x, y) for x, y in ((a, b), (a, a), (b, b)))
    sizes_a, sizes_b = ((x - torch.cat([a, b]).mean(dim=0)).square().sum(dim=1) for x in (a, b))
    apart -= distances.TIE * (sizes_a[:, None] + sizes_b)  # closer than that is equal
    context = Context(0, store(generated), store(real))
    for k in (3, 10):
        counts = context.neighbours(k)
        in_real = apart <= within_b.kthvalue(k + 1, dim=1).values
        in_generated = apart <= within_a.kthvalue(k + 1, dim=1).values[:, None]
        assert torch.equal(counts.generated_in_real, in_real.sum(dim=1))
        assert torch.equal(counts.real_in_generated, in_generated.sum(dim=0))
        assert torch.equal(counts.real_covered, in_real.any(dim=0))


def differences(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return the squared distances (n, m) in float64, by differences."""
    return torch.stack([(row - b).square().sum(dim=1) for row in a])


def test_lower_precision_elsewhere_changes_no_count(store):
    generated, real = store(normal(200, 64, 1)), store(normal(200, 64, 2))
    counts = Context(0, generated, real).neighbours(3)
    torch.set_float32_matmul_precision("medium")
    try:
        again = Context(0, generated, real).neighbours(3)
    finally:
        torch.set_float32_matmul_precision("highest")
    assert torch.equal(again.generated_in_real, counts.generated_in_real)
    assert torch.equal(again.real_in_generated, counts.real_in_generated)


def test_computed_once_a_k(store):
    context = Context(0, store(normal(30, 3, 1)), store(normal(30, 3, 2)))
    assert context.neighbours(3) is context.neighbours(3)
    assert context.neighbours(3) is not context.neighbours(5)


def test_the_larger_side_is_cut_to_the_smaller(store):
    generated, real = normal(50, 3, 1), normal(30, 3, 2)
    cut = Context(0, store(generated), store(real)).neighbours(3)
    whole = Context(0, store(generated[:30]), store(real)).neighbours(3)
    assert torch.equal(cut.generated_in_real, whole.generated_in_real)
    assert torch.equal(cut.real_in_generated, whole.real_in_generated)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_equal_sets(measure, scale, offset):
    rows = normal(300, 16, 1) * scale + offset * scale
    assert measure(Precision(), rows, rows) == 1.0
    assert measure(Recall(), rows, rows) == 1.0
    assert measure(Coverage(), rows, rows) == 1.0
    # each closed ball holds its centre and k neighbours
    assert measure(Density(), rows, rows) == pytest.approx(6 / 5, rel=1e-12)


def test_equal_distributions(measure):
    x, y = normal(1000, 8, 1), normal(1000, 8, 2)
    assert measure(Density(), x, y) == pytest.approx(1.0, abs=0.08)
    assert measure(Coverage(), x, y) == pytest.approx(1 - 2**-5, abs=0.03)


def test_one_real_point_generated_again_and_again(measure):
    real = normal(200, 8, 1)
    distances = torch.cdist(real, real, compute_mode="donot_use_mm_for_euclid_dist")
    holding = int((distances[0] <= distances.kthvalue(6, dim=1).values).sum())  # balls around real rows with row 0
    same = real[:1].expand(200, 8)
    assert measure(Density(), same, real) == pytest.approx(holding / 5, rel=1e-12)
    assert measure(Coverage(), same, real) == pytest.approx(holding / 200, rel=1e-12)
    assert measure(Precision(), same, real) == 1.0
    assert measure(Recall(), same, real) == pytest.approx(1 / 200, rel=1e-12)  # balls of radius 0 around row 0


def test_a_dropped_mode_lowers_recall_and_not_precision(measure):
    centre = torch.zeros(8)
    centre[0] = 20.0
    real = torch.cat([normal(300, 8, 1), normal(300, 8, 2) + centre])
    one = normal(600, 8, 3)
    assert measure(Precision(), one, real) > 0.8
    assert measure(Recall(), one, real) < 0.6
    assert measure(Coverage(), one, real) < 0.6


def test_noise_lowers_precision_and_not_recall(measure):
    real = normal(500, 8, 1)
    noisy = normal(500, 8, 2) + 4 * normal(500, 8, 3)
    assert measure(Precision(), noisy, real) < 0.1
    assert measure(Recall(), noisy, real) > 0.9
    assert measure(Density(), noisy, real) < 0.1


def test_precision_and_recall_change_places_with_the_sets(measure):
    x, y = normal(200, 4, 1), normal(200, 4, 2) * 1.5
    assert measure(Precision(), x, y) == measure(Recall(), y, x)


@pytest.mark.parametrize("metric", [Precision, Recall, Density, Coverage])
def test_invariant_to_order_and_too_few_samples(measure, rng, metric):
    x, y = normal(60, 4, 1), normal(60, 4, 2)
    shuffled = x[torch.randperm(60, generator=rng)]
    assert measure(metric(), shuffled, y) == pytest.approx(measure(metric(), x, y), rel=1e-12)
    with pytest.raises(ValueError, match=r"5 neighbours need at least 6 samples on each side, and there are 5"):
        measure(metric(k=5), x[:5], y)
    with pytest.raises(ValueError, match="k must be at least 1"):
        metric(k=0)
