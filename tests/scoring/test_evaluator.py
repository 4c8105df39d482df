"""The evaluator: one pass a set, ids before any sample, reasons instead of numbers, floors, no trace."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from typing import ClassVar

import pytest
import torch
from torch import nn

from ganbench import ExtractorUnavailable, GanbenchError, Images, ImageSpec, Latent, PointSpec
from ganbench.scoring.evaluate import Evaluator, ScoringSettings, Subject
from ganbench.scoring.reference import ReferenceCache
from ganbench.scoring.sample import GeneratorSource, TensorSource, generated_rule
from ganbench_zoo.inception import SHA256
from ganbench_zoo.metrics.coverage import Coverage
from ganbench_zoo.metrics.cs import ClassifierScore
from ganbench_zoo.metrics.density import Density
from ganbench_zoo.metrics.fd import FrechetDistance
from ganbench_zoo.metrics.kd import KernelDistance
from ganbench_zoo.metrics.precision import Precision
from ganbench_zoo.metrics.recall import Recall

CPU = torch.device("cpu")
DATA = ImageSpec((1, 4, 4))
ALL = tuple(
    (metric.name, metric)
    for metric in (
        FrechetDistance(),
        ClassifierScore(),
        KernelDistance(subsets=5),
        Precision(),
        Recall(),
        Density(),
        Coverage(),
    )
)
RULE = generated_rule(0)


def pixels(n: int, seed: int, noise: float = 0.0) -> torch.Tensor:
    """Draw n images: two blobs of brightness and their noise, uint8."""
    rng = torch.Generator().manual_seed(seed)
    mode = torch.randint(2, (n, 1, 1, 1), generator=rng).float() * 0.8 - 0.4
    return DATA.encode(mode + (0.25 + noise) * torch.randn(n, 1, 4, 4, generator=rng))


@pytest.fixture(scope="module")
def subject() -> Subject:
    return Subject("toy", "toy", DATA, Images(pixels(400, 1)), Images(pixels(300, 2)), {"name": "toy", "split": "test"})


def settings(projections, **changes) -> ScoringSettings:
    return ScoringSettings(**{"metrics": ALL, "extractor": projections.Projection(), "samples": 350, **changes})


def of(scores) -> dict:
    return {score.metric: score for score in scores}


def test_all_metrics_on_a_good_set(projections, subject):
    evaluator = Evaluator(settings(projections), subject, CPU)
    scores = evaluator.score(TensorSource(pixels(350, 3), RULE))
    names = [f"{name}/projection" for name, _ in ALL]
    assert [score.metric for score in scores] == names
    assert list(evaluator.names.items()) == [(name, f"{name}/projection") for name, _ in ALL]
    assert {score.status for score in scores} == {"done"}
    values = {score.metric: score.value for score in scores}
    assert values["fd/projection"] < 3 * evaluator.floors()["fd/projection"]["value"]
    assert abs(values["kd/projection"]) < 0.01
    assert values["precision/projection"] > 0.7
    assert values["recall/projection"] > 0.7


def test_noise_moves_the_scores_the_right_way(projections, subject):
    evaluator = Evaluator(settings(projections), subject, CPU)
    ladder = [of(evaluator.score(TensorSource(pixels(350, 3, noise), RULE))) for noise in (0.0, 0.3, 0.6, 1.2)]
    distances = [scores["fd/projection"].value for scores in ladder]
    assert distances == sorted(set(distances))
    assert ladder[0]["density/projection"].value > ladder[-1]["density/projection"].value


def test_scores_equal_the_metrics_on_the_same_rows(projections, subject, store, measure):
    evaluator = Evaluator(settings(projections, samples=500), subject, CPU)
    generated = pixels(600, 3)
    scores = of(evaluator.score(TensorSource(generated, RULE)))
    network = projections.Projection().load(CPU)
    a = torch.cat(list(TensorSource(generated).batches(500, 500)))
    b = torch.cat(list(TensorSource(subject.reference.pixels).batches(300, 300)))
    a, b = network(a).features, network(b).features
    assert scores["fd/projection"].value == pytest.approx(measure(FrechetDistance(), a, b), rel=1e-6)
    assert scores["kd/projection"].value == pytest.approx(measure(KernelDistance(subsets=5), a, b), rel=1e-5)
    assert scores["recall/projection"].value == measure(Recall(), a[:300], b)


def test_one_pass_a_set_and_one_for_the_reference(projections, subject, monkeypatch):
    network = projections.Projection().load(CPU)
    monkeypatch.setattr(projections.Projection, "load", lambda self, device: network)
    evaluator = Evaluator(settings(projections), subject, CPU)
    for seed in (3, 4):
        evaluator.score(TensorSource(pixels(350, seed), RULE))
    assert sum(network.calls) == 2 * 350 + 300
    evaluator.floors()
    evaluator.floors()
    assert sum(network.calls) == 2 * 350 + 300 + 350


def test_ids_are_known_before_anything_is_drawn(projections, subject, monkeypatch):
    network = projections.Projection().load(CPU)
    monkeypatch.setattr(projections.Projection, "load", lambda self, device: network)
    evaluator = Evaluator(settings(projections), subject, CPU)
    protocols = evaluator.protocols(RULE)
    assert network.calls == []
    scores = evaluator.score(TensorSource(pixels(350, 3), RULE))
    assert {score.metric: score.protocol for score in scores} == {name: p["id"] for name, p in protocols.items()}
    entry = json.loads(json.dumps(protocols["fd/projection"]))
    assert (entry["label"], entry["direction"], entry["scale"]) == ("FD (projection)", "lower", "log")
    assert (entry["metric"], entry["dataset"]) == ("fd/projection", "toy")
    assert entry["protocol"]["reference"]["split"] == "test"
    assert len({p["id"] for p in protocols.values()}) == 7


def test_batch_size_and_device_stay_out_of_the_id(projections, subject):
    first = Evaluator(settings(projections), subject, CPU).protocols(RULE)
    assert Evaluator(settings(projections, batch_size=7), subject, CPU).protocols(RULE) == first


def test_a_smaller_set_has_a_protocol_of_its_own(projections, subject):
    evaluator = Evaluator(settings(projections), subject, CPU)
    full, small = evaluator.protocols(RULE), evaluator.protocols(RULE, 200)
    assert all(full[name]["id"] != small[name]["id"] for name in full)
    scores = evaluator.score(TensorSource(pixels(200, 3), RULE))
    assert {score.metric: score.protocol for score in scores} == {name: p["id"] for name, p in small.items()}
    assert small["fd/projection"]["protocol"]["generated"]["n"] == 200


def test_random_state_is_untouched(projections, subject):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    evaluator = Evaluator(settings(projections), subject, CPU)
    evaluator.score(TensorSource(pixels(350, 3), RULE))
    evaluator.floors()
    evaluator.protocols(RULE)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_generator_is_scored_the_same_twice(projections, subject):
    torch.manual_seed(1)
    generator = Drawing(3, 16).eval()
    scores = []
    for batch_size in (128, 33):
        evaluator = Evaluator(settings(projections, batch_size=batch_size), subject, CPU)
        source = GeneratorSource(generator, Latent(3), DATA, None, 0, CPU, RULE)
        scores.append([score.value for score in evaluator.score(source)])
        torch.manual_seed(5)
    assert scores[0] == pytest.approx(scores[1], rel=1e-5)


def test_one_sample_gives_reasons_and_no_numbers(projections, subject):
    scores = of(Evaluator(settings(projections), subject, CPU).score(TensorSource(pixels(1, 3), RULE)))
    assert scores.pop("cs/projection").value == 1.0
    assert {(score.value, score.status) for score in scores.values()} == {(None, "failed")}
    assert "at least 2 samples, and there are 1 generated" in scores["fd/projection"].reason
    assert "at least 4 samples" in scores["recall/projection"].reason


class Drawing(nn.Linear):
    def forward(self, z, labels=None):
        return torch.tanh(super().forward(z)).view(-1, 1, 4, 4)


class Silent(nn.Module):
    def forward(self, z, labels=None):
        return torch.full((len(z), 1, 4, 4), torch.nan)


def test_nan_from_the_generator_fails_every_metric(projections, subject):
    source = GeneratorSource(Silent().eval(), Latent(3), DATA, None, 0, CPU, RULE)
    scores = Evaluator(settings(projections), subject, CPU).score(source)
    assert {(score.value, score.status) for score in scores} == {(None, "failed")}
    assert all("NaN or infinity" in score.reason for score in scores)


def test_features_that_are_not_finite_fail_every_metric(projections):
    points = torch.randn(80, 16, generator=torch.Generator().manual_seed(1))
    subject = Subject("toy", "toy", PointSpec((16,)), Images(points[:40]), Images(points[40:]), {})
    broken = points.clone()
    broken[3, 2] = torch.nan
    evaluator = Evaluator(settings(projections, samples=80), subject, CPU)
    scores = evaluator.score(TensorSource(broken, RULE))
    assert {score.reason for score in scores} == {"1 of 80 generated samples have NaN or infinite features"}
    assert {score.status for score in evaluator.score(TensorSource(points, RULE))} == {"done"}


def test_no_logits_skip_the_classifier_score_alone(projections, subject):
    evaluator = Evaluator(settings(projections, extractor=projections.Projection(bare=True)), subject, CPU)
    scores = of(evaluator.score(TensorSource(pixels(350, 3), RULE)))
    skipped = scores.pop("cs/projection")
    assert (skipped.value, skipped.status) == (None, "skipped")
    assert skipped.reason == "cs needs class logits, and extractor 'projection' gives none"
    assert {score.status for score in scores.values()} == {"done"}


@dataclass(frozen=True)
class Odd:
    """A stranger's metric that answers in odd ways."""

    answer: float | None = None
    seen: list = field(default_factory=list, compare=False)

    name: ClassVar[str] = "odd"
    direction: ClassVar[str] = "higher"
    scale: ClassVar[str] = "linear"
    needs: ClassVar[frozenset[str]] = frozenset({"features"})
    version: ClassVar[int] = 1
    equal_n: ClassVar[bool] = True

    def settings(self, rows: int | None = None) -> dict:
        return {"rows": rows}

    def compute(self, generated, real, context):
        self.seen.append((len(generated.features), len(real.features)))
        return 1 / 0 if self.answer is None else self.answer


@pytest.mark.parametrize("answer", [None, math.nan, math.inf])
def test_a_strangers_metric_takes_nobody_with_it(projections, subject, answer):
    metrics = (("fd", FrechetDistance()), ("odd", Odd(answer)))
    evaluator = Evaluator(settings(projections, metrics=metrics), subject, CPU)
    fd, odd = evaluator.score(TensorSource(pixels(350, 3), RULE))
    assert fd.status == "done"
    assert (odd.value, odd.status) == (None, "failed")
    assert odd.reason == (
        f"odd gave {answer}" if answer is not None else "odd raised ZeroDivisionError: division by zero"
    )
    assert evaluator.floors()["odd/projection"] is None


def test_equal_rows_where_a_metric_wants_them(projections, subject):
    odd = Odd(1.0)
    evaluator = Evaluator(settings(projections, metrics=(("odd", odd),)), subject, CPU)
    assert evaluator.score(TensorSource(pixels(350, 3), RULE))[0].value == 1.0
    assert odd.seen == [(300, 300)]
    protocol = evaluator.protocols(RULE)["odd/projection"]["protocol"]
    assert (protocol["generated"]["n"], protocol["reference"]["n"], protocol["estimator"]) == (300, 300, {"rows": 300})


def test_a_cap_is_in_the_protocol(projections, subject):
    evaluator = Evaluator(settings(projections, cap=100), subject, CPU)
    protocols = evaluator.protocols(RULE)
    assert protocols["fd/projection"]["protocol"]["generated"]["n"] == 350
    assert protocols["kd/projection"]["protocol"]["generated"]["n"] == 100
    assert protocols["kd/projection"]["protocol"]["estimator"]["subset_size"] == 50
    assert {score.status for score in evaluator.score(TensorSource(pixels(350, 3), RULE))} == {"done"}


def test_floors(projections, subject):
    exact = Evaluator(settings(projections), subject, CPU).floors()
    assert exact["kd/projection"] == {"value": 0.0, "extrapolated": False}
    assert exact["precision/projection"] is None
    assert exact["cs/projection"] is None
    assert exact["fd/projection"]["extrapolated"] is False
    more = Evaluator(settings(projections, samples=4000), subject, CPU).floors()["fd/projection"]
    whole = Evaluator(settings(projections, samples=400), subject, CPU).floors()["fd/projection"]
    assert more["extrapolated"] is True
    assert whole["extrapolated"] is False
    assert more["value"] == pytest.approx(whole["value"] * (1 / 4000 + 1 / 300) / (1 / 400 + 1 / 300), rel=1e-12)


def test_a_floor_without_disjoint_sets_is_that_of_the_halves(projections, subject):
    same = replace(subject, train=Images(subject.reference.pixels.clone()))
    evaluator = Evaluator(settings(projections), same, CPU)
    floor = evaluator.floors()["fd/projection"]
    disjoint = Evaluator(settings(projections), subject, CPU).floors()["fd/projection"]
    assert floor["extrapolated"] is True
    assert 0.3 * disjoint["value"] < floor["value"] < 3 * disjoint["value"]
    alone = replace(same, train=Images(pixels(1, 2)), reference=Images(pixels(1, 2)))
    assert Evaluator(settings(projections), alone, CPU).floors()["fd/projection"] is None


def test_the_reference_is_kept_on_disk(projections, subject, tmp_path, monkeypatch):
    cache = ReferenceCache(tmp_path)
    source = TensorSource(pixels(350, 3), RULE)
    first = Evaluator(settings(projections), subject, CPU, cache)
    scores, floors = first.score(source), first.floors()
    network = projections.Projection().load(CPU)
    monkeypatch.setattr(projections.Projection, "load", lambda self, device: network)
    again = Evaluator(settings(projections), subject, CPU, ReferenceCache(tmp_path))
    assert again.score(source) == scores
    assert again.floors() == floors
    assert sum(network.calls) == 350
    assert scores == Evaluator(settings(projections), subject, CPU).score(source)


def test_other_data_weights_or_needs_miss_the_cache(projections, subject, tmp_path):
    cache = ReferenceCache(tmp_path)

    def files(subject, **changes) -> int:
        Evaluator(settings(projections, **changes), subject, CPU, cache).score(TensorSource(pixels(350, 3), RULE))
        return len(list(tmp_path.rglob("*.safetensors")))

    assert files(subject) == 1
    changed = subject.reference.pixels.clone()
    changed[0, 0, 0, 0] ^= 1
    assert files(replace(subject, reference=Images(changed))) == 2
    assert files(subject, extractor=projections.Projection(seed=1)) == 3
    assert files(subject, metrics=ALL[:1]) == 4
    assert files(subject, seed=1) == 5
    assert files(subject, cap=50) == 6
    assert files(subject) == 6


def test_published_names(projections, subject):
    canonical = projections.Projection(claims=SHA256)
    asked = (("fid", FrechetDistance()), ("kd", KernelDistance()), ("precision", Precision()))
    evaluator = Evaluator(settings(projections, metrics=asked, extractor=canonical, samples=10_000), subject, CPU)
    assert evaluator.names == {"fid": "fid@10k", "kd": "kid@10k", "precision": "precision/projection"}
    assert evaluator.protocols(RULE)["fid@10k"]["label"] == "FID@10k"
    with pytest.raises(GanbenchError, match="'fid' was asked for"):
        Evaluator(settings(projections, metrics=asked), subject, CPU)
    twice = (("fid", FrechetDistance()), ("fd", FrechetDistance()))
    with pytest.raises(GanbenchError, match=r"'fid' and 'fd' are both 'fid@10k'"):
        Evaluator(settings(projections, metrics=twice, extractor=canonical, samples=10_000), subject, CPU)


def test_an_extractor_refuses_other_data_unless_forced(projections, subject):
    other = replace(subject, domain="faces", dataset="celeba")
    with pytest.raises(ExtractorUnavailable, match="'projection' was made for toy and 'celeba' is faces"):
        Evaluator(settings(projections), other, CPU)
    forced = Evaluator(settings(projections, forced=True), other, CPU)
    assert forced.names["fd"] == "fd/projection!forced"
    assert forced.protocols(RULE)["fd/projection!forced"]["protocol"]["extractor"]["forced"] is True
    assert Evaluator(settings(projections, forced=True), subject, CPU).names["fd"] == "fd/projection"
    wide = replace(subject, data=ImageSpec((3, 4, 4)))
    with pytest.raises(ExtractorUnavailable, match="16 values, not 48"):
        Evaluator(settings(projections, forced=True), wide, CPU)


def test_what_leaves_nothing_to_score_is_refused(projections, subject):
    with pytest.raises(ExtractorUnavailable, match="width 0 has no weights"):
        Evaluator(settings(projections, extractor=projections.Projection(width=0)), subject, CPU)
    with pytest.raises(GanbenchError, match="asks for 0 samples"):
        Evaluator(settings(projections, samples=0), subject, CPU)
    with pytest.raises(GanbenchError, match="empty reference"):
        Evaluator(settings(projections), replace(subject, reference=Images(pixels(0, 1))), CPU)
