"""Our metrics against torch-fidelity's own, on the same features and through the same extractor.

torch-fidelity takes float32 features as given: its moments are computed here from doubles, as its numpy code then does.
"""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from ganbench import Features
from ganbench.scoring.context import Context
from ganbench.scoring.extract import Wanted, extract
from ganbench.scoring.sample import TensorSource, permutation
from ganbench_zoo.metrics.cs import ClassifierScore
from ganbench_zoo.metrics.fd import FrechetDistance
from ganbench_zoo.metrics.kd import KernelDistance
from ganbench_zoo.metrics.precision import Precision
from ganbench_zoo.metrics.recall import Recall

NAME = "ganbench-contract-test"
WIDTH = 24


@pytest.fixture(scope="module")
def fidelity() -> SimpleNamespace:
    """Return the functions of torch-fidelity that the contract is about; they are not exported from its top."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # importing its vision stack may warn of what its dependencies deprecate
        from torch_fidelity import calculate_metrics, register_feature_extractor
        from torch_fidelity.feature_extractor_base import FeatureExtractorBase
        from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
        from torch_fidelity.metric_isc import isc_features_to_metric
        from torch_fidelity.metric_kid import kid_features_to_metric
        from torch_fidelity.metric_prc import prc_features_to_metric
        from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY
    return SimpleNamespace(
        calculate_metrics=calculate_metrics,
        register=register_feature_extractor,
        base=FeatureExtractorBase,
        statistics=fid_features_to_statistics,
        fid=fid_statistics_to_metric,
        isc=isc_features_to_metric,
        kid=kid_features_to_metric,
        prc=prc_features_to_metric,
        registry=FEATURE_EXTRACTORS_REGISTRY,
    )


def rows(n: int, d: int, seed: int, scale: float = 1.0, shift: float = 0.0) -> Tensor:
    return shift + scale * torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("n", "m", "d"), [(1024, 1024, 256), (500, 700, 16)])
def test_fid(fidelity, measure, n, m, d):
    x, y = rows(n, d, 1), rows(m, d, 2, 1.3, 0.2)
    theirs = fidelity.fid(fidelity.statistics(x.double()), fidelity.statistics(y.double()), verbose=False)
    assert measure(FrechetDistance(), x, y) == pytest.approx(theirs["frechet_inception_distance"], rel=1e-6)


@pytest.mark.parametrize("splits", [1, 10])
def test_isc(fidelity, splits):
    logits = rows(503, 10, 1, 3.0)
    store = SimpleNamespace(logits=logits)
    theirs = fidelity.isc(logits, splits=splits, shuffle=False)
    ours = ClassifierScore(splits=splits).compute(store, store, None)
    assert ours == pytest.approx(theirs["inception_score_mean"], rel=1e-12)


def test_kid_on_the_same_subset(fidelity, measure):
    # identical rows on each side: every subset is the same one, whoever draws it
    x, y = rows(1, 16, 1).expand(40, 16), rows(1, 16, 2).expand(40, 16)
    theirs = fidelity.kid(x, y, kid_subsets=3, kid_subset_size=20, verbose=False)
    assert measure(KernelDistance(subsets=3), x, y) == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-5)


def test_kid_within_the_spread_of_subsets(fidelity, measure):
    x, y = rows(400, 16, 1), rows(400, 16, 2, 1.0, 0.15)
    theirs = fidelity.kid(x, y, kid_subsets=200, kid_subset_size=100, verbose=False)
    ours = measure(KernelDistance(subsets=200, subset_size=100), x, y)
    error = theirs["kernel_inception_distance_std"] * (2 / 200) ** 0.5
    assert abs(ours - theirs["kernel_inception_distance_mean"]) < 4 * error
    assert ours > 10 * error


@pytest.mark.parametrize("d", [4, 64])
def test_prc(fidelity, measure, d):
    x, y = rows(600, d, 1), rows(600, d, 2, 1.2, 0.1)
    theirs = fidelity.prc(x, y, verbose=False, save_cpu_ram=True)
    assert 0.02 < theirs["precision"] < 1
    assert 0.02 < theirs["recall"] < 1
    # float32 distances may put single samples on the other side of a ball
    assert measure(Precision(), x, y) == pytest.approx(theirs["precision"], abs=1.5 / 600)
    assert measure(Recall(), x, y) == pytest.approx(theirs["recall"], abs=1.5 / 600)


class Layers(nn.Module):
    """The network of both sides: uint8 images (N, 3, 6, 6) to features and logits."""

    def __init__(self) -> None:
        super().__init__()
        weights = rows(108, WIDTH + 10, 9, 0.3)
        self.first, self.second = weights[:, :WIDTH], weights[:, WIDTH:]

    def forward(self, stored: Tensor) -> dict[str, Tensor]:
        x = stored.float().flatten(1) / 127.5 - 1
        return {"features": torch.tanh(x @ self.first), "logits": x @ self.second}


class OurNetwork(Layers):
    provenance = {"layer": "features"}
    canonical = False

    def forward(self, stored: Tensor) -> Features:
        return Features(**super().forward(stored))


@pytest.fixture
def registered(fidelity):
    """Register the same network with torch-fidelity for one test."""

    class Theirs(fidelity.base):
        def __init__(self, name, features_list, **kwargs):
            super().__init__(name, features_list)
            self.layers = Layers()

        @staticmethod
        def get_provided_features_list():
            return ("features", "logits")

        @staticmethod
        def get_default_feature_layer_for_metric(metric):
            return "logits" if metric == "isc" else "features"

        @staticmethod
        def can_be_compiled():
            return False

        def forward(self, stored):
            found = self.layers(stored)
            return tuple(found[name] for name in self.features_list)  # in the order asked for, which varies

    fidelity.register(NAME, Theirs)
    yield NAME
    del fidelity.registry[NAME]


class Stored(torch.utils.data.Dataset):
    def __init__(self, stored: Tensor) -> None:
        self.stored = stored

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, index: int) -> Tensor:
        return self.stored[index]


def images(n: int, seed: int, high: int) -> Tensor:
    return torch.randint(0, high, (n, 3, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def test_calculate_metrics_through_the_same_extractor(fidelity, registered):
    n = 300
    generated, real = images(n, 1, 256), images(n, 2, 240)
    theirs = fidelity.calculate_metrics(
        input1=Stored(generated[permutation(n, 0)]),
        input2=Stored(real),
        feature_extractor=registered,
        isc=True,
        fid=True,
        kid=True,
        prc=True,
        isc_splits=10,
        samples_shuffle=False,
        kid_subset_size=150,
        cuda=False,  # on by default, and raises without a driver
        cache=False,  # its key is a name: changed data would return old numbers
        save_cpu_ram=True,
        verbose=False,
    )
    needs = frozenset({"moments", "features", "logits"})
    a, b = (extract(TensorSource(stored), OurNetwork(), Wanted(needs), n) for stored in (generated, real))
    context = Context(0, a, b)

    def ours(metric) -> float:
        return metric.compute(a, b, context)

    assert ours(FrechetDistance()) == pytest.approx(theirs["frechet_inception_distance"], rel=1e-4)
    assert ours(ClassifierScore(splits=10)) == pytest.approx(theirs["inception_score_mean"], rel=1e-6)
    error = theirs["kernel_inception_distance_std"] * (2 / 100) ** 0.5
    assert abs(ours(KernelDistance()) - theirs["kernel_inception_distance_mean"]) < 4 * error
    assert ours(Precision()) == pytest.approx(theirs["precision"], abs=1.5 / n)
    assert ours(Recall()) == pytest.approx(theirs["recall"], abs=1.5 / n)
