"""Scores of real digits through the bundled extractor: real data at its floor, ladders in the right direction."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from ganbench import Images
from ganbench.scoring.evaluate import Evaluator, ScoringSettings, Subject
from ganbench.scoring.ladder import LADDERS, Stock
from ganbench.scoring.sample import TensorSource, generated_rule
from ganbench_zoo.datasets.digits import Digits
from ganbench_zoo.extractors.digits_cnn import DigitsCnn
from ganbench_zoo.metrics.coverage import Coverage
from ganbench_zoo.metrics.cs import ClassifierScore
from ganbench_zoo.metrics.density import Density
from ganbench_zoo.metrics.fd import FrechetDistance
from ganbench_zoo.metrics.kd import KernelDistance
from ganbench_zoo.metrics.precision import Precision
from ganbench_zoo.metrics.recall import Recall

CPU = torch.device("cpu")
METRICS = (FrechetDistance(), ClassifierScore(), KernelDistance(), Precision(), Recall(), Density(), Coverage())


@pytest.fixture(scope="module")
def train() -> Images:
    return Digits().load(Path(), "train")


@pytest.fixture(scope="module")
def evaluator(train) -> Evaluator:
    dataset = Digits()
    settings = ScoringSettings(tuple((metric.name, metric) for metric in METRICS), DigitsCnn(), len(train))
    reference = dataset.load(Path(), "test")
    return Evaluator(settings, Subject("digits", "digits", dataset.spec(Path()), train, reference, {}), CPU)


def scores(evaluator: Evaluator, stored: Tensor) -> dict[str, float]:
    found = evaluator.score(TensorSource(stored, generated_rule(0)))
    assert {score.status for score in found} == {"done"}
    return {score.metric.partition("/")[0]: score.value for score in found}


@pytest.fixture(scope="module")
def climbed(evaluator, train) -> dict[str, dict[str, list[float]]]:
    """Return by ladder and metric the values along the rungs, of the whole training split, the clean set first."""
    stock = Stock(train, len(train), 0)
    clean = scores(evaluator, train.pixels)
    found = {}
    for name, ladder in LADDERS.items():
        steps = [clean, *(scores(evaluator, rung.images.pixels) for rung in ladder.rungs(stock))]
        found[name] = {metric: [step[metric] for step in steps] for metric in clean}
    return found


def test_real_against_real_is_the_floor(evaluator, train):
    real = scores(evaluator, train.pixels)
    floor = evaluator.floors()["fd/digits_cnn"]
    assert floor["extrapolated"] is False
    assert real["fd"] == pytest.approx(floor["value"], rel=1e-9)
    assert abs(real["kd"]) < 0.02
    assert real["density"] == pytest.approx(1.0, abs=0.15)
    assert real["coverage"] > 0.85
    assert real["cs"] > 8


def test_fd_rises_strictly_along_every_ladder(climbed):
    for name, found in climbed.items():
        assert found["fd"] == sorted(set(found["fd"])), name


def test_kd_rises_along_every_ladder_once_damage_is_more_than_its_noise(climbed):
    for name, found in climbed.items():
        assert found["kd"][1:] == sorted(set(found["kd"][1:])), name
        assert abs(found["kd"][0]) < 0.02 < found["kd"][-1], name


def test_the_classifier_score_falls_as_modes_are_dropped(climbed):
    values = climbed["mode_dropping"]["cs"]
    assert values == sorted(set(values), reverse=True)
    assert values[0] > 8
    assert values[-1] < 1.1  # one class is left


def test_noise_costs_precision_before_it_costs_recall(climbed):
    """At noise so loud that the digits drown (0.4 and more), no sample lies near a real one and recall falls too."""
    precision, recall = climbed["noise"]["precision"], climbed["noise"]["recall"]
    assert precision[3] < precision[0] - 0.1
    assert recall[3] > recall[0] - 0.06
    assert precision[-1] < 0.2


def test_dropped_modes_cost_recall_and_not_precision(climbed):
    precision, recall = climbed["mode_dropping"]["precision"], climbed["mode_dropping"]["recall"]
    assert recall == sorted(set(recall), reverse=True)
    assert recall[-1] < 0.05
    assert min(precision) > precision[0] - 0.1


def test_density_and_coverage_fall_where_precision_and_recall_do(climbed):
    for name in ("density", "coverage"):
        values = climbed["noise"][name]
        assert values[2] > values[3] > values[4] > values[5], name
    values = climbed["mode_dropping"]["coverage"]
    assert values == sorted(set(values), reverse=True)


def test_copies_cost_coverage_and_recall(climbed):
    for name in ("coverage", "recall"):
        values = climbed["duplication"][name]
        assert values == sorted(values, reverse=True), name
        assert values[-1] < 0.5 * values[0], name
