"""Our metrics against torch-fidelity's own, on the same features and through the same extractor.

torch-fidelity takes float32 features as given: its moments are computed here from doubles, as its numpy code then does.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from ganbench import Features, FeatureStore
from ganbench.scoring.context import Context
from ganbench.scoring.extract import Wanted, extract
from ganbench.scoring.sample import TensorSource, permutation
from ganbench_zoo.datasets.digits import Digits
from ganbench_zoo.extractors.digits_cnn import DigitsCnn
from ganbench_zoo.extractors.inception_v3 import InceptionV3
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
        from torch_fidelity import calculate_metrics, metrics, register_feature_extractor
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
        module=metrics,
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
    ours = ClassifierScore(splits=splits).compute(store, store, SimpleNamespace(errors=False))
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


@contextmanager
def known_to(fidelity: SimpleNamespace, layers: Callable[[Tensor], dict[str, Tensor]]) -> Iterator[str]:
    """Let torch-fidelity know an extractor with the layers "features" and "logits" by the name that is yielded."""

    class Theirs(fidelity.base):
        def __init__(self, name, features_list, **kwargs):
            super().__init__(name, features_list)

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
            found = layers(stored)
            return tuple(found[name] for name in self.features_list)  # in the order asked for, which varies

    fidelity.register(NAME, Theirs)
    try:
        yield NAME
    finally:
        del fidelity.registry[NAME]  # registering a name twice raises


class Stored(torch.utils.data.Dataset):
    def __init__(self, stored: Tensor) -> None:
        self.stored = stored

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, index: int) -> Tensor:
        return self.stored[index]


def images(n: int, seed: int, high: int) -> Tensor:
    return torch.randint(0, high, (n, 3, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def calculated(fidelity: SimpleNamespace, extractor: str, generated: Tensor, real: Tensor, **more) -> dict[str, float]:
    """Return all that torch-fidelity measures of ``generated``, in the order in which our sources give it."""
    return fidelity.calculate_metrics(
        input1=Stored(generated[permutation(len(generated), 0)]),
        input2=Stored(real[permutation(len(real), 0)]),
        feature_extractor=extractor,
        isc=True,
        fid=True,
        kid=True,
        prc=True,  # through VGG-16, a second network, unless an extractor is named
        samples_shuffle=False,
        cuda=False,  # on by default, and raises without a driver
        cache=False,  # its key is a name: changed data would return old numbers
        save_cpu_ram=True,
        verbose=False,
        **more,
    )


def stores(network, *sets: Tensor) -> list[FeatureStore]:
    """Return what one of our passes keeps of each set."""
    wanted = Wanted(frozenset({"moments", "features", "logits"}))
    return [extract(TensorSource(stored), network, wanted, len(stored), batch_size=50) for stored in sets]


def test_calculate_metrics_through_the_same_extractor(fidelity):
    n, layers = 300, Layers()
    generated, real = images(n, 1, 256), images(n, 2, 240)
    with known_to(fidelity, layers) as name:
        theirs = calculated(fidelity, name, generated, real, isc_splits=10, kid_subset_size=150)
    a, b = stores(OurNetwork(), generated, real)
    check_all(a, b, theirs, isc_splits=10, fid=1e-4)


def check_all(a: FeatureStore, b: FeatureStore, theirs: dict[str, float], isc_splits: int, fid: float) -> None:
    """Hold our metrics to what torch-fidelity measured, ``fid`` relative; subsets and float32 balls differ a little."""
    context, n = Context(0, a, b), a.count

    def ours(metric) -> float:
        return metric.compute(a, b, context)

    assert ours(FrechetDistance()) == pytest.approx(theirs["frechet_inception_distance"], rel=fid)
    assert ours(ClassifierScore(splits=isc_splits)) == pytest.approx(theirs["inception_score_mean"], rel=1e-6)
    error = theirs["kernel_inception_distance_std"] * (2 / 100) ** 0.5
    assert abs(ours(KernelDistance()) - theirs["kernel_inception_distance_mean"]) < 4 * error
    assert ours(Precision()) == pytest.approx(theirs["precision"], abs=1.5 / n)
    assert ours(Recall()) == pytest.approx(theirs["recall"], abs=1.5 / n)


def test_calculate_metrics_through_the_embedded_extractor(fidelity):
    """With 599 rows of 64 features torch-fidelity's eigenvalues are sound, and the numbers agree to six digits."""
    network = DigitsCnn().load(torch.device("cpu"))
    generated, real = (Digits().load(Path(), split).pixels for split in ("train", "test"))
    noise = torch.randint(0, 64, generated.shape, generator=torch.Generator().manual_seed(0))
    generated = (generated.long() + noise).clamp(max=255).byte()

    def layers(stored: Tensor) -> dict[str, Tensor]:
        found = network(stored)
        return {"features": found.features.double(), "logits": found.logits.double()}

    n = min(len(generated), len(real))
    with known_to(fidelity, layers) as name:
        theirs = calculated(
            fidelity, name, generated[:n], real[:n], isc_splits=1, kid_subset_size=n // 2, batch_size=50
        )
    a, b = stores(network, generated[:n], real[:n])
    assert a.features.shape[1] * 4 <= n
    assert theirs["frechet_inception_distance"] > 1
    check_all(a, b, theirs, isc_splits=1, fid=1e-6)


def test_layers_in_either_order_are_the_same_layers(fidelity):
    """Test 18: torch-fidelity hands layers back in the order asked for; its metrics and ours read them by name."""
    generated, real = images(60, 1, 256), images(60, 2, 200)
    with known_to(fidelity, Layers()) as name:
        extractors = [
            fidelity.registry[name](name, list(order)) for order in (("features", "logits"), ("logits", "features"))
        ]
        for extractor in extractors:
            found = extractor.convert_features_tuple_to_dict(extractor(generated))
            assert found["features"].shape == (60, WIDTH)
            assert torch.equal(found["logits"], OurNetwork()(generated).logits)
        usual = calculated(fidelity, name, generated, real, isc_splits=2, kid_subset_size=30)
        swapped = fidelity.calculate_metrics(
            input1=Stored(generated),
            feature_extractor=name,
            isc=True,
            feature_layer_isc="features",
            isc_splits=2,
            samples_shuffle=False,
            cuda=False,
            cache=False,
            save_cpu_ram=True,
            verbose=False,
        )
    assert usual["inception_score_mean"] != pytest.approx(swapped["inception_score_mean"], rel=1e-3)


@pytest.fixture(scope="module")
def through_inception(fidelity, inception_weights):
    """Return torch-fidelity's metrics and features, and our stores, of the same few images under the same weights."""
    generated, real = inception_images(16, 1, 256), inception_images(16, 2, 150)
    features = []

    def spy(number, extractor, **more):
        features.append(original(number, extractor, **more))
        return features[-1]

    original = fidelity.module.extract_featuresdict_from_input_id_cached
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fidelity.module, "extract_featuresdict_from_input_id_cached", spy)
        given = {"feature_extractor_weights_path": inception_weights, "isc_splits": 2, "kid_subset_size": 8}
        theirs = calculated(fidelity, "inception-v3-compat", generated, real, **given)
    network = InceptionV3(weights=inception_weights).load(torch.device("cpu"))
    return theirs, features, stores(network, generated, real)


def inception_images(n: int, seed: int, high: int) -> Tensor:
    return torch.randint(0, high, (n, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def nuclear(x: Tensor, y: Tensor) -> float:
    """Return the Frechet distance of few rows in float64: the trace term as singular values of X Y^T."""
    x, y = x.double(), y.double()
    centred, other = x - x.mean(0), y - y.mean(0)
    traces = centred.square().sum() / (len(x) - 1) + other.square().sum() / (len(y) - 1)
    cross = torch.linalg.svdvals(centred @ other.T).sum() / ((len(x) - 1) * (len(y) - 1)) ** 0.5
    return float((x.mean(0) - y.mean(0)).square().sum() + traces - 2 * cross)


def test_inception_end_to_end(through_inception):
    theirs, (generated, real), (a, b) = through_inception
    context = Context(0, a, b)
    assert a.count < a.features.shape[1]
    reference = nuclear(generated["2048"], real["2048"])
    assert FrechetDistance().compute(a, b, context) == pytest.approx(reference, rel=1e-4)
    assert theirs["frechet_inception_distance"] == pytest.approx(reference, rel=1e-2)  # eigenvalues of rounding
    score = ClassifierScore(splits=2).compute(a, b, context)
    assert score == pytest.approx(theirs["inception_score_mean"], rel=1e-4)
    assert Precision().compute(a, b, context) == pytest.approx(theirs["precision"], abs=1.5 / a.count)
    assert Recall().compute(a, b, context) == pytest.approx(theirs["recall"], abs=1.5 / a.count)


def test_kernel_distance_through_inception(through_inception, store):
    """Subsets are drawn by other generators: on the same subsets the features decide, and they agree to 1e-4."""
    theirs, features, (a, b) = through_inception
    x, y = (store(found["2048"], found["logits_unbiased"]) for found in features)
    ours = KernelDistance().compute(a, b, Context(0, a, b))
    assert ours == pytest.approx(KernelDistance().compute(x, y, Context(0, x, y)), rel=1e-4)
    error = theirs["kernel_inception_distance_std"] * (2 / 100) ** 0.5
    assert abs(ours - theirs["kernel_inception_distance_mean"]) < 4 * error
    assert ours > 10 * error
