"""Scores of real digits through the bundled extractor: real data at its floor, ladders in the right direction."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from ganbench import Images
from ganbench.scoring.evaluate import Evaluator, ScoringSettings, Subject
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


def noisy(stored: Tensor, amount: float) -> Tensor:
    noise = torch.randn(stored.shape, generator=torch.Generator().manual_seed(1))
    return (stored.float() + amount * 255 * noise).clamp(0, 255).round().byte()


def test_real_against_real_is_the_floor(evaluator, train):
    real = scores(evaluator, train.pixels)
    floor = evaluator.floors()["fd/digits_cnn"]
    assert floor["extrapolated"] is False
    assert real["fd"] == pytest.approx(floor["value"], rel=1e-9)
    assert abs(real["kd"]) < 0.02
    assert real["density"] == pytest.approx(1.0, abs=0.15)
    assert real["coverage"] > 0.85
    assert real["cs"] > 8


def test_the_noise_ladder(evaluator, train):
    ladder = [scores(evaluator, noisy(train.pixels, amount)) for amount in (0.0, 0.1, 0.2, 0.4, 0.8)]
    for name in ("fd", "kd"):
        values = [step[name] for step in ladder]
        assert values == sorted(set(values)), name
    for name in ("precision", "density", "coverage"):
        assert ladder[0][name] > ladder[2][name] > ladder[-1][name], name


def test_the_ladder_of_dropped_modes(evaluator, train):
    ladder = []
    for kept in (10, 7, 4, 1):
        part = train.pixels[train.labels < kept]
        ladder.append(scores(evaluator, part[torch.arange(len(train)) % len(part)]))
    assert [step["fd"] for step in ladder] == sorted(step["fd"] for step in ladder)
    for name in ("cs", "recall", "coverage"):
        values = [step[name] for step in ladder]
        assert values == sorted(set(values), reverse=True), name
    assert ladder[-1]["precision"] > 0.8 * ladder[0]["precision"]
