"""The classifier score at its ends, with zero probabilities, and its splits."""

from __future__ import annotations

import math

import pytest
import torch

from ganbench import FeatureStore
from ganbench.scoring.context import Context, Given
from ganbench_zoo.metrics.cs import ClassifierScore


def score(logits: torch.Tensor, **parameters: int) -> float:
    store = FeatureStore(len(logits), 0, logits=logits)
    return ClassifierScore(**parameters).compute(store, store, Context(0, store, store))


def test_uniform_predictions_give_exactly_one():
    assert score(torch.zeros(30, 10)) == 1.0
    assert score(torch.full((30, 7), 3.0)) == 1.0


@pytest.mark.parametrize("off", [-1e4, -200.0, -torch.inf])
def test_balanced_one_hot_predictions_give_the_number_of_classes(off):
    logits = torch.full((40, 10), off)
    logits[torch.arange(40), torch.arange(40) % 10] = 0.0
    assert score(logits) == pytest.approx(10, rel=1e-13)


def test_a_class_that_never_occurs_gives_no_nan():
    logits = torch.full((12, 4), -torch.inf)
    logits[torch.arange(12), torch.arange(12) % 2] = 0.0
    assert score(logits) == pytest.approx(2, rel=1e-13)


def test_by_hand():
    p = torch.tensor([[0.9, 0.1], [0.3, 0.7]])
    q = (0.6, 0.4)
    mean = sum(float(p[i, k]) * math.log(float(p[i, k]) / q[k]) for i in range(2) for k in range(2)) / 2
    assert score(p.log()) == pytest.approx(math.exp(mean), rel=1e-6)


def test_falls_as_modes_drop():
    logits = 8.0 * torch.eye(10).repeat(20, 1)
    values = [score(logits[torch.arange(200) % 10 < kept]) for kept in (10, 7, 4, 1)]
    assert values == sorted(values, reverse=True)


def test_splits_are_averaged():
    logits = torch.randn(21, 5, generator=torch.Generator().manual_seed(3)) * 3
    parts = [logits[:7], logits[7:14], logits[14:]]
    assert score(logits, splits=3) == pytest.approx(sum(score(part) for part in parts) / 3, rel=1e-12)


@pytest.mark.parametrize("splits", [1, 5])
def test_the_standard_error_is_the_spread_over_generated_sets(rng, splits):
    found = []
    for _ in range(80):
        logits = 2 * torch.randn(400, 6, generator=rng)
        store = FeatureStore(len(logits), 0, logits=logits)
        found.append(ClassifierScore(splits).compute(store, store, Context(0, store, store, given=Given(errors=True))))
    spread = float(torch.tensor([measured.value for measured in found]).std())
    assert float(torch.tensor([measured.error for measured in found]).mean()) == pytest.approx(spread, rel=0.25)
    assert found[-1].value == score(logits, splits=splits)


def test_too_few_samples_no_logits_and_bad_parameters():
    with pytest.raises(ValueError, match="10 splits need at least as many samples, and there are 4"):
        score(torch.zeros(4, 3), splits=10)
    with pytest.raises(ValueError, match="no class logits"):
        ClassifierScore().compute(FeatureStore(3, 0), FeatureStore(3, 0), None)
    with pytest.raises(ValueError, match="splits must be at least 1"):
        ClassifierScore(splits=0)
    with pytest.raises(ValueError, match="and there are 0"):
        score(torch.zeros(0, 3))
