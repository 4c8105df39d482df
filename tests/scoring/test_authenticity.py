"""Authenticity: copies of the training set are found, whatever their quality."""

import pytest
import torch

from ganbench import FeatureStore
from ganbench.scoring.context import Context, Given
from ganbench_zoo.metrics.authpct import Authenticity
from ganbench_zoo.nearest import nearest


def score(generated, train, errors=False):
    a, t = (FeatureStore(len(rows), 0, features=rows) for rows in (generated, train))
    return Authenticity().compute(a, a, Context(0, a, a, given=Given(errors, t)))


def test_by_hand():
    train = torch.tensor([[0.0], [1.0], [10.0]])  # their own neighbours lie 1, 1 and 9 away
    generated = torch.tensor([[0.0], [0.4], [2.5], [12.0], [30.0]])  # 0, 0.4, 1.5, 2 and 20 away
    assert score(generated, train).value == pytest.approx(2 / 5)


def test_copies_are_no_work_of_ones_own_and_fresh_samples_mostly_are(rng):
    train, fresh = torch.randn(500, 8, generator=rng), torch.randn(500, 8, generator=rng)
    assert score(train[:100], train).value == 0.0
    assert 0.3 < score(fresh, train).value < 0.8
    assert score(fresh + 50, train).value == 1.0


def test_duplicates_in_the_training_set_are_at_no_distance(rng):
    train = torch.randn(50, 4, generator=rng)
    assert score(train, torch.cat([train, train])).value == 0.0


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_nearest_is_that_of_all_differences(rng, offset, monkeypatch):
    monkeypatch.setattr("ganbench.scoring.distances.BLOCK_ELEMENTS", 700)
    monkeypatch.setattr("ganbench.scoring.distances.TILE", 32)
    rows, others = (torch.randn(n, 5, generator=rng, dtype=torch.float64) + offset for n in (90, 110))
    apart = (rows[:, None] - others[None]).square().sum(-1)
    distances, places = nearest(rows, others)
    assert torch.equal(places, apart.argmin(1))
    assert torch.allclose(distances, apart.amin(1), rtol=1e-9)
    itself = (rows[:, None] - rows[None]).square().sum(-1).fill_diagonal_(torch.inf)
    assert torch.allclose(nearest(rows)[0], itself.amin(1), rtol=1e-9)


def test_equal_rows_are_at_no_distance_where_products_tell_nothing_apart(rng):
    rows = 1e-6 * torch.randn(60, 5, generator=rng)
    rows[0] = 100.0
    copies = rows[torch.randperm(60, generator=rng)]
    distances, places = nearest(rows, copies)
    assert torch.equal(distances, torch.zeros(60, dtype=torch.float64))
    assert torch.equal(copies[places], rows)


def test_the_error_is_that_of_a_share():
    train = torch.tensor([[0.0], [1.0], [10.0]])
    found = score(torch.tensor([[0.0], [0.4], [2.5], [30.0]]), train, errors=True)
    assert found.error == pytest.approx((0.5 * 0.5 / 4) ** 0.5)


def test_one_training_sample_has_no_neighbour():
    with pytest.raises(ValueError, match="two training samples, and there are 3 and 1"):
        score(torch.zeros(3, 2), torch.zeros(1, 2))
