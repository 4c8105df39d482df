"""Names and protocols: published names for one network only; every choice that moves a number moves the id."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest

from ganbench import GanbenchError
from ganbench.errors import UnknownComponent
from ganbench.scoring.provenance import (
    Rows,
    check_requested,
    metric_label,
    metric_name,
    protocol_id,
    protocol_of,
    resolve_metric,
    rows_of,
)
from ganbench_zoo.inception import SHA256
from ganbench_zoo.metrics.coverage import Coverage
from ganbench_zoo.metrics.cs import ClassifierScore
from ganbench_zoo.metrics.density import Density
from ganbench_zoo.metrics.fd import FrechetDistance
from ganbench_zoo.metrics.kd import KernelDistance
from ganbench_zoo.metrics.precision import Precision
from ganbench_zoo.metrics.recall import Recall

CLASSES = [FrechetDistance, ClassifierScore, KernelDistance, Precision, Recall, Density, Coverage]


@dataclass(frozen=True)
class Network:
    """What naming sees of a loaded extractor."""

    provenance: dict[str, Any]
    canonical: bool


@dataclass(frozen=True)
class Some:
    """An extractor of some name."""

    name: str


INCEPTION = Some("inception_v3")
DIGITS = Some("digits_cnn")
CANONICAL = Network({"weights_sha256": SHA256}, True)
CUSTOM = Network({"weights_sha256": "0" * 64}, False)


@pytest.mark.parametrize(
    ("metric", "samples", "name", "label"),
    [
        (FrechetDistance(), 50_000, "fid", "FID"),
        (FrechetDistance(), 10_000, "fid@10k", "FID@10k"),
        (FrechetDistance(), 2_000, "fid@2000", "FID@2000"),
        (FrechetDistance(), 12_345, "fid@12345", "FID@12345"),
        (KernelDistance(), 50_000, "kid", "KID"),
        (ClassifierScore(splits=10), 50_000, "is", "IS"),
        (ClassifierScore(), 50_000, "cs/inception_v3", "CS (inception_v3)"),
        (KernelDistance(subset_size=10), 50_000, "kd/inception_v3", "KD (inception_v3)"),
        (Precision(), 50_000, "precision/inception_v3", "Precision (inception_v3)"),
    ],
)
def test_names_on_the_published_network(metric, samples, name, label):
    assert metric_name(metric, INCEPTION, CANONICAL, False, samples) == name
    assert metric_label(metric, INCEPTION, CANONICAL, False, samples) == label


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize(
    "network", [CUSTOM, replace(CUSTOM, canonical=True), replace(CANONICAL, canonical=False), Network({}, True)]
)
@pytest.mark.parametrize("extractor", [DIGITS, INCEPTION, Some("fid")])
def test_no_other_network_gets_a_published_name(cls, network, extractor):
    name = metric_name(cls(), extractor, network, False, 50_000)
    assert name == f"{cls.name}/{extractor.name}"


def test_forced_is_said_even_on_the_published_network():
    assert metric_name(FrechetDistance(), DIGITS, CUSTOM, True, 2000) == "fd/digits_cnn!forced"
    assert metric_label(FrechetDistance(), DIGITS, CUSTOM, True, 2000) == "FD (digits_cnn, forced)"
    assert metric_name(FrechetDistance(), INCEPTION, CANONICAL, True, 50_000) == "fd/inception_v3!forced"


def test_a_published_name_never_falls_back():
    check_requested("fid", FrechetDistance(), INCEPTION, CANONICAL, False)
    check_requested("fd", FrechetDistance(), DIGITS, CUSTOM, False)
    with pytest.raises(
        GanbenchError, match=r"'fid' .* 'digits_cnn' is not it; ask for 'fd', which gives 'fd/digits_cnn'"
    ):
        check_requested("fid", FrechetDistance(), DIGITS, CUSTOM, False)
    with pytest.raises(GanbenchError, match="fd/inception_v3!forced"):
        check_requested("fid", FrechetDistance(), INCEPTION, CANONICAL, True)
    with pytest.raises(GanbenchError, match="ask for 'cs'"):
        check_requested("is", ClassifierScore(splits=1), INCEPTION, CANONICAL, False)


def test_metrics_are_found_by_either_name():
    assert resolve_metric("fd", CLASSES) == (FrechetDistance, {})
    assert resolve_metric("fid", CLASSES) == (FrechetDistance, {})
    assert resolve_metric("is", CLASSES) == (ClassifierScore, {"splits": 10})
    assert resolve_metric("cs", CLASSES) == (ClassifierScore, {})
    for published in ("fid", "is", "kid"):
        cls, parameters = resolve_metric(published, CLASSES)
        check_requested(published, cls(**parameters), INCEPTION, CANONICAL, False)
    with pytest.raises(UnknownComponent, match="did you mean 'precision'"):
        resolve_metric("precison", CLASSES)


def test_two_claims_to_one_name_are_refused():
    @dataclass(frozen=True)
    class Impostor:
        name: ClassVar[str] = "fid"

    with pytest.raises(GanbenchError, match=r"claimed by FrechetDistance and .*Impostor"):
        resolve_metric("fid", [FrechetDistance, Impostor])
    assert resolve_metric("fd", [FrechetDistance, Impostor]) == (FrechetDistance, {})
    assert metric_name(Impostor(), DIGITS, CUSTOM, False, 50_000) == "fid/digits_cnn"


def test_rows_that_a_metric_sees():
    assert rows_of(FrechetDistance(), 2000, 599, 50) == Rows(2000, 599)
    assert rows_of(KernelDistance(), 2000, 599, 50_000) == Rows(2000, 599)
    assert rows_of(KernelDistance(), 2000, 599, 100) == Rows(100, 100)
    assert rows_of(Precision(), 2000, 599, 50_000) == Rows(599, 599)
    assert rows_of(Precision(), 400, 599, 50_000) == Rows(400, 400)


BASE = {
    "metric": KernelDistance(),
    "extractor": {"name": "digits_cnn", "weights_sha256": "1"},
    "reference": {"dataset": "digits", "split": "test", "content": "a"},
    "generated": {"seed": 0, "weights": "ema"},
    "rows": Rows(2000, 599),
    "seed": 0,
}


@pytest.mark.parametrize(
    "change",
    [
        {"metric": KernelDistance(subsets=99)},
        {"metric": FrechetDistance()},
        {"extractor": {"name": "digits_cnn", "weights_sha256": "2"}},
        {"reference": {"dataset": "digits", "split": "test", "content": "b"}},
        {"generated": {"seed": 0, "weights": "raw"}},
        {"rows": Rows(1999, 599)},
        {"rows": Rows(2000, 598)},
        {"seed": 1},
    ],
)
def test_any_change_gives_another_protocol(change):
    first = protocol_id(protocol_of(**BASE))
    assert first == protocol_id(protocol_of(**BASE))
    assert len(first) == 16
    assert protocol_id(protocol_of(**{**BASE, **change})) != first


def test_a_protocol_states_its_estimator():
    protocol = protocol_of(**BASE)
    assert protocol["estimator"]["subset_size"] == 299
    assert protocol["reference"]["n"] == 599
    assert protocol["generated"]["n"] == 2000
    assert protocol["metric"] == {"name": "kd", "version": 1}
    assert protocol_of(**{**BASE, "metric": Precision()})["estimator"] == {"k": 3}
    assert protocol_of(**{**BASE, "metric": FrechetDistance()})["estimator"]["ddof"] == 1
