"""What a metric may ask for beyond moments, features and logits, and what becomes of it where that is not there."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import ClassVar

import pytest
import torch
from torch import nn

from ganbench import Images, ImageSpec, Latent, Measured
from ganbench.scoring.evaluate import Evaluator, ScoringSettings, Subject
from ganbench.scoring.reference import ReferenceCache
from ganbench.scoring.sample import GeneratorSource, TensorSource, generated_rule

CPU = torch.device("cpu")
DATA = ImageSpec((1, 4, 4), classes=3)
RULE = generated_rule(0)


@dataclass(frozen=True)
class Asking:
    """Returns what ``ask`` makes of its three arguments."""

    ask: Callable | None = None

    name: ClassVar[str] = "asking"
    paper: ClassVar[str] = "none"
    direction: ClassVar[str] = "lower"
    scale: ClassVar[str] = "linear"
    version: ClassVar[int] = 1
    formula: ClassVar[str] = ""

    def settings(self, rows=None):
        return {}

    def compute(self, generated, real, context):
        return self.ask(generated, real, context)


def metric(ask, needs=("features",), **traits):
    return type("Asking", (Asking,), {"needs": frozenset(needs), **traits})(ask)


class Brightness:
    """Two modes: dark and bright images; those between are of none."""

    modes, width = 2, 1

    def locate(self, stored):
        level = stored.double().mean(dim=(1, 2, 3)) / 255
        modes = torch.where(level < 0.4, 0, torch.where(level > 0.6, 1, -1))
        return modes, (level - 0.5).abs()


def images(n, seed):
    rng = torch.Generator().manual_seed(seed)
    pixels = torch.randint(256, (n, 1, 4, 4), generator=rng).byte()
    return Images(pixels, torch.randint(3, (n,), generator=rng))


@pytest.fixture
def subject():
    return Subject("toy", "toy", DATA, images(60, 1), images(50, 2), {"name": "toy"}, Brightness())


def evaluator(projections, subject, *metrics, cache=None, **changes):
    pairs = tuple((f"m{i}", metric) for i, metric in enumerate(metrics))
    extractor = changes.pop("extractor", projections.Projection())
    settings = ScoringSettings(metrics=pairs, extractor=extractor, samples=40, **changes)
    return Evaluator(settings, subject, CPU, cache)


def source(n=45, seed=3):
    given = images(n, seed)
    return TensorSource(given.pixels, RULE, classes=given.labels), given


class Bright(nn.Module):
    """Brightness is the latent's first coordinate."""

    def forward(self, z, labels=None):
        return z[:, :1, None, None].expand(-1, 1, 4, 4)


def generator():
    return GeneratorSource(Bright().eval(), Latent(2), DATA, torch.arange(3), 0, CPU, RULE)


def test_labels_and_modes_stand_beside_their_features(projections, subject):
    seen = []
    ask = metric(lambda a, b, c: seen.append((a, b)) or 0.0, ("features", "labels", "truth"))
    taken, given = source()
    evaluator(projections, subject, ask, batch_size=7, errors=False).score(taken)
    (generated, real), network = seen[0], projections.Projection().load(CPU)
    for store, everything, n in ((generated, given, 40), (real, subject.reference, 50)):
        assert len(store.features) == len(store.labels) == len(store.modes) == len(store.deviations) == n
        features = network(everything.pixels).features
        nearest = torch.cdist(store.features, features).argmin(dim=1)
        assert torch.equal(store.labels, everything.labels[nearest])
        modes, deviations = Brightness().locate(everything.pixels)
        assert torch.equal(store.modes, modes[nearest])
        assert torch.equal(store.deviations, deviations[nearest])


def test_labels_and_modes_come_back_from_the_cache(projections, subject, tmp_path):
    def ask(generated, real, context):
        return float((real.labels * 10 + real.modes).double().mean() + real.deviations.sum())

    values = []
    for _ in range(2):
        found = evaluator(projections, subject, metric(ask, ("labels", "truth")), cache=ReferenceCache(tmp_path))
        values.append(found.score(source()[0])[0].value)
    assert values[0] == values[1]
    assert len(list(tmp_path.rglob("*.safetensors"))) == 1
    relabelled = replace(subject, reference=Images(subject.reference.pixels, (subject.reference.labels + 1) % 3))
    other = evaluator(projections, relabelled, metric(ask, ("labels", "truth")), cache=ReferenceCache(tmp_path))
    assert other.score(source()[0])[0].value != values[0]


def test_the_training_split_is_there_when_asked_for_and_in_the_protocol(projections, subject):
    def ask(generated, real, context):
        return float(len(context.train.features))

    asking, not_asking = metric(ask, ("train_features", "features")), metric(lambda a, b, c: 0.0)
    scorer = evaluator(projections, subject, asking)
    (score,) = scorer.score(source()[0])
    assert score.value == 60
    (entry,) = scorer.protocols(RULE).values()
    assert entry["protocol"]["training"]["n"] == 60
    other = replace(subject, train=images(60, 9))
    (changed,) = evaluator(projections, other, asking).protocols(RULE).values()
    assert changed["id"] != entry["id"]
    plain = [evaluator(projections, s, not_asking).protocols(RULE) for s in (subject, other)]
    assert [entry["id"] for p in plain for entry in p.values()] == [next(iter(plain[0].values()))["id"]] * 2


def test_a_path_through_the_latent_space_is_smooth(projections, subject):
    def ask(generated, real, context):
        made = context.synthesis
        assert made.latent == Latent(2)
        labels = made.labels(5, torch.Generator().manual_seed(0))
        assert labels.shape == (5,)
        z = torch.zeros(100, 2)
        near = z + torch.tensor([1e-4, 0.0])
        step = (made.features(near, None) - made.features(z, None)).square().sum(1)
        assert step.std() == 0
        return float(step[0] / 1e-8)

    asking = metric(ask, ("generator",))
    smooth = type("Smooth", (projections.Projection,), {"continuous": True})()
    (score,) = evaluator(projections, subject, asking, extractor=smooth).score(generator())
    network = smooth.load(CPU)
    x = torch.zeros(1, requires_grad=True)
    flat = torch.tanh(network.features(x.mul(127.5).add(127.5).expand(1, 16)))
    slopes = [torch.autograd.grad(flat[0, i], x, retain_graph=True)[0] for i in range(8)]
    assert score.value == pytest.approx(float(torch.stack(slopes).square().sum()), rel=2e-2)


@pytest.mark.parametrize(
    ("needs", "make", "reason"),
    [
        (("truth",), lambda s: (replace(s, truth=None), source()[0]), "asking needs data whose modes are known"),
        (("train_features",), lambda s: (replace(s, train=None), source()[0]), "needs the training split, and none"),
        (("generator",), lambda s: (s, source()[0]), "needs a generator, and an extractor that takes its images"),
        (("generator",), lambda s: (s, generator()), "needs a generator, and an extractor that takes its images"),
    ],
)
def test_what_is_not_there_is_skipped_with_a_reason(projections, subject, needs, make, reason):
    data, samples = make(subject)
    asking, other = metric(lambda a, b, c: 1.0, needs), metric(lambda a, b, c: 2.0, name="other")
    skipped, done = evaluator(projections, data, asking, other).score(samples)
    assert (skipped.value, skipped.status) == (None, "skipped")
    assert reason in skipped.reason
    assert done.value == 2.0


def test_errors_and_notes_are_part_of_a_score(projections, subject):
    asking = metric(lambda a, b, c: Measured(1.0, 0.25 if c.errors else None, "class 2"))
    (with_error,) = evaluator(projections, subject, asking).score(source()[0])
    (without,) = evaluator(projections, subject, asking, errors=False).score(source()[0])
    assert (with_error.value, with_error.error, with_error.note) == (1.0, 0.25, "class 2")
    assert (without.value, without.error, without.note) == (1.0, None, "class 2")
    odd = metric(lambda a, b, c: Measured(1.0, math.nan))
    assert evaluator(projections, subject, odd).score(source()[0])[0].error is None


def test_what_only_errors_need_is_kept_of_the_generated_side_alone(projections, subject):
    def ask(generated, real, context):
        return float(generated.features is not None) + 2 * float(real.features is not None)

    wide = projections.Projection(width=8)
    for errors, expected in ((True, 1.0), (False, 0.0)):
        asking = metric(ask, ("moments",), error_needs=frozenset({"features"}))
        scorer = evaluator(projections, subject, asking, errors=errors, extractor=wide)
        assert scorer.score(source()[0])[0].value == expected


def test_rows_are_kept_with_moments_where_they_are_fewer_than_columns(projections, subject):
    seen = []
    asking = metric(lambda a, b, c: seen.append((a, b)) or 0.0, ("moments",))
    wide = projections.Projection(width=45)
    evaluator(projections, subject, asking, extractor=wide, errors=False).score(source()[0])
    generated, real = seen[0]
    assert len(generated.features) == 40  # 40 < 45
    assert real.features is None  # 50 > 45
    capped = evaluator(projections, subject, asking, extractor=wide, errors=False, cap=39)
    capped.score(source()[0])
    assert seen[1][0].features is None


def test_a_metric_of_equal_sides_sees_equally_many_of_everything(projections, subject):
    def ask(generated, real, context):
        assert len(real.labels) == len(real.modes) == len(real.features) == len(generated.features) == 40
        return 1.0

    asking = metric(ask, ("features", "labels", "truth"), equal_n=True)
    assert evaluator(projections, subject, asking).score(source()[0])[0].value == 1.0


def test_asking_for_what_was_not_declared_fails_with_a_reason(projections, subject):
    for attribute, reason in (("train", "no training split"), ("synthesis", "no generator")):
        asking = metric(lambda a, b, c, attribute=attribute: getattr(c, attribute))
        (score,) = evaluator(projections, subject, asking).score(source()[0])
        assert score.status == "failed"
        assert reason in score.reason


def test_the_floor_is_measured_without_errors(projections, subject):
    seen = []
    asking = metric(lambda a, b, c: seen.append(c.errors) or 1.0, floor="bias")
    assert SimpleNamespace(**evaluator(projections, subject, asking).floors()["asking/projection"]).value == 1.0
    assert seen == [False]
