"""One pass: the union of what is needed, rows up to a cap, rows that are not finite set aside."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from ganbench import Features
from ganbench.scoring.extract import Wanted, extract
from ganbench.scoring.sample import TensorSource

ALL = frozenset({"moments", "features", "logits"})
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def stored() -> torch.Tensor:
    return torch.randint(0, 256, (90, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@dataclass(frozen=True)
class Answering:
    """A network that answers with a given function of the first pixel."""

    answer: object
    provenance = {"layer": "none"}
    canonical = False

    def __call__(self, stored):
        return self.answer(stored[:, 0, 0, 0].float())


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_any_batch_size_gives_the_same_features(projections, stored, batch_size):
    network = projections.Projection().load(CPU)
    whole = extract(TensorSource(stored), network, Wanted(ALL), 90, batch_size=90)
    parts = extract(TensorSource(stored), network, Wanted(ALL), 90, batch_size=batch_size)
    for name in ("mean", "covariance", "features", "logits"):
        torch.testing.assert_close(getattr(parts, name), getattr(whole, name), rtol=1e-5, atol=1e-6)


def test_each_sample_goes_through_the_network_once(projections, stored):
    network = projections.Projection().load(CPU)
    extract(TensorSource(stored), network, Wanted(ALL), 50, batch_size=20)
    assert network.calls == [20, 20, 10]


@pytest.mark.parametrize("needs", [set(), {"moments"}, {"features"}, {"logits"}, {"moments", "logits"}])
def test_only_what_is_needed_is_kept(projections, stored, needs):
    store = extract(TensorSource(stored), projections.Projection().load(CPU), Wanted(frozenset(needs)), 90)
    assert (store.mean is not None) == (store.covariance is not None) == ("moments" in needs)
    assert (store.features is not None) == ("features" in needs)
    assert (store.logits is not None) == ("logits" in needs)
    assert (store.count, store.nonfinite) == (90, 0)


def test_a_cap_holds_rows_back_and_not_moments(projections, stored):
    network = projections.Projection().load(CPU)
    whole = extract(TensorSource(stored), network, Wanted(ALL), 90, batch_size=30)
    capped = extract(TensorSource(stored), network, Wanted(ALL, cap=40), 90, batch_size=30)
    assert capped.count == 90
    assert torch.equal(capped.covariance, whole.covariance)
    assert torch.equal(capped.features, whole.features[:40])
    assert torch.equal(capped.logits, whole.logits[:40])
    assert capped.features.dtype == torch.float32


def test_an_extractor_without_logits(projections, stored):
    store = extract(TensorSource(stored), projections.Projection(bare=True).load(CPU), Wanted(ALL), 20)
    assert store.logits is None
    assert len(store.features) == 20


def test_rows_that_are_not_finite_are_counted_and_enter_nothing(stored):
    limit = float(stored[:, 0, 0, 0].float().median())

    def answer(pixel):
        features = torch.stack([pixel, pixel * 2], dim=1)
        features[pixel > limit, 1] = torch.inf
        return Features(features, features[:, :1].clone())

    store = extract(TensorSource(stored), Answering(answer), Wanted(ALL), 90, batch_size=16)
    broken = int((stored[:, 0, 0, 0] > limit).sum())
    assert 0 < broken < 90
    assert (store.count, store.nonfinite) == (90, broken)
    assert len(store.features) == len(store.logits) == 90 - broken
    assert torch.isfinite(store.covariance).all()


def test_nothing_finite_leaves_no_moments(stored):
    store = extract(TensorSource(stored), Answering(lambda p: Features(p[:, None] * torch.nan)), Wanted(ALL), 9)
    assert (store.count, store.nonfinite, store.mean, store.covariance) == (9, 9, None, None)


def test_logits_that_are_not_finite_count_too(stored):
    def answer(pixel):
        return Features(pixel[:, None], torch.full((len(pixel), 2), torch.nan))

    assert extract(TensorSource(stored), Answering(answer), Wanted(ALL), 9).nonfinite == 9


def test_answers_without_meaning_are_refused(stored):
    with pytest.raises(ValueError, match=r"features of shape \(9,\) for 9 samples"):
        extract(TensorSource(stored), Answering(Features), Wanted(ALL), 9)
    with pytest.raises(ValueError, match=r"logits of shape \(8, 1\) for 9 samples"):
        extract(TensorSource(stored), Answering(lambda p: Features(p[:, None], p[1:, None])), Wanted(ALL), 9)


def test_a_source_with_too_few_samples_is_refused(projections, stored):
    with pytest.raises(ValueError, match="91 samples were asked for and the source gave 90"):
        extract(TensorSource(stored), projections.Projection().load(CPU), Wanted(ALL), 91)
