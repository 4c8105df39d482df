"""Frechet distances class by class: what a mixture hides, whose classes count, and which class is worst."""

import pytest
import torch

from ganbench import FeatureStore
from ganbench.scoring.context import Context, Given
from ganbench_zoo.metrics.class_fd import ClassDistance
from ganbench_zoo.metrics.class_fd_worst import WorstClassDistance
from ganbench_zoo.metrics.fd import FrechetDistance

CENTRES = torch.tensor([[0.0, 0.0], [8.0, 0.0], [0.0, 8.0]])


def classes(rng, per_class=200, shifts=(0.0, 0.0, 0.0)):
    """Return features of three classes, their labels and logits that see them right."""
    labels = torch.arange(3).repeat_interleave(per_class)
    shift = torch.tensor(shifts)[labels, None] * torch.tensor([1.0, 0.0])
    rows = CENTRES[labels] + shift + torch.randn(len(labels), 2, generator=rng)
    return FeatureStore(
        len(rows), 0, features=rows, logits=torch.nn.functional.one_hot(labels, 3).float(), labels=labels
    )


def score(metric, a, b, errors=False):
    return metric.compute(a, b, Context(0, a, b, given=Given(errors)))


def test_shifted_classes_by_hand(rng):
    real = classes(rng, 4000)
    generated = classes(rng, 4000, (0.0, 1.0, 3.0))
    assert score(ClassDistance(), generated, real).value == pytest.approx((0 + 1 + 9) / 3, rel=0.03)
    worst = score(WorstClassDistance(), generated, real)
    assert worst.value == pytest.approx(9, rel=0.05)
    assert worst.note == "class 2"


def test_a_mixture_hides_what_classes_show(rng):
    real, generated = classes(rng), classes(rng)
    swapped = FeatureStore(600, 0, features=generated.features, labels=(generated.labels + 1) % 3)
    moments = [FeatureStore(600, 0, s.features.double().mean(0), s.features.T.double().cov()) for s in (swapped, real)]
    assert float(score(FrechetDistance(), *moments)) < 0.2
    assert score(ClassDistance(classes="given"), swapped, real).value > 50


def test_predicted_classes_are_those_of_the_logits_on_both_sides(rng):
    real, generated = classes(rng), classes(rng)
    order = torch.tensor([2, 0, 1])
    relabelled = [
        FeatureStore(600, 0, features=s.features, logits=s.logits[:, order], labels=s.labels) for s in (generated, real)
    ]
    expected = score(ClassDistance(), generated, real).value
    assert score(ClassDistance(), *relabelled).value == pytest.approx(expected)


def test_errors_are_the_spread_over_generated_sets(rng):
    real = classes(rng)
    sets = [classes(rng, 200, (0.0, 1.0, 3.0)) for _ in range(40)]
    for metric in (ClassDistance(), WorstClassDistance()):
        scores = [score(metric, generated, real, errors=True) for generated in sets]
        spread = float(torch.tensor([found.value for found in scores]).std())
        assert float(torch.tensor([found.error for found in scores]).mean()) == pytest.approx(spread, rel=0.3)
        assert score(metric, sets[0], real).error is None


@pytest.mark.parametrize(
    ("change", "fields", "message"),
    [
        (lambda a, b: (a, keep(b, labels=None)), {}, "the reference has no labels"),
        (
            lambda a, b: (keep(a, labels=None), b),
            {"classes": "given"},
            "classes of the generated samples are not known",
        ),
        (lambda a, b: (keep(a, logits=None), b), {}, "names no classes"),
        (lambda a, b: (a, keep(b, logits=torch.zeros(600, 7))), {}, "knows 7 classes and the data have 3"),
        (lambda a, b: (keep(a, logits=torch.eye(3)[[0] * 600]), b), {}, "class 1 has 0 generated samples"),
    ],
)
def test_what_has_no_value_says_why(rng, change, fields, message):
    a, b = change(classes(rng), classes(rng))
    with pytest.raises(ValueError, match=message):
        score(ClassDistance(**fields), a, b)


def keep(store, **changes):
    return FeatureStore(**{**vars(store), **changes})


def test_what_is_needed_depends_on_whose_classes_count():
    assert ClassDistance().needs == {"features", "labels", "logits"}
    assert WorstClassDistance(classes="given").needs == {"features", "labels"}
    with pytest.raises(ValueError, match="classes is 'all'"):
        ClassDistance(classes="all")
