"""Ground truth: the real sampler, dropped modes, all points on one mean, none near any; classes told by an oracle."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ganbench import FeatureStore, Measured
from ganbench.scoring.context import Context, Given
from ganbench_zoo.datasets.grid import Grid
from ganbench_zoo.datasets.ring import Ring
from ganbench_zoo.metrics.hq import HighQuality
from ganbench_zoo.metrics.mode_kl import ModeKl
from ganbench_zoo.metrics.mode_spread import ModeSpread
from ganbench_zoo.metrics.modes import Modes
from ganbench_zoo.mixture import Mixture

METRICS = {metric.name: metric for metric in (Modes(), HighQuality(), ModeKl(), ModeSpread())}
N = 2500
REAL_SHARE = 1 - math.exp(-4.5)
SETS = {"ring": Ring().truth(Path()), "grid": Grid().truth(Path())}


@pytest.fixture(params=sorted(SETS))
def truth(request) -> Mixture:
    return SETS[request.param]


def store_of(truth, stored: Tensor) -> FeatureStore:
    modes, deviations = truth.locate(stored)
    return FeatureStore(len(stored), 0, modes=modes, deviations=deviations)


def measured(truth, stored: Tensor, name: str, errors: bool = False) -> Measured:
    store = store_of(truth, stored)
    found = METRICS[name].compute(store, store, Context(0, store, store, given=Given(errors, truth=truth)))
    return found if isinstance(found, Measured) else Measured(found)


def value(truth, stored: Tensor, name: str) -> float:
    return measured(truth, stored, name).value


def test_the_real_sampler(truth, rng):
    points = truth.draw(N, rng).pixels
    assert value(truth, points, "modes") == truth.modes
    assert value(truth, points, "hq") == pytest.approx(REAL_SHARE, abs=4 * math.sqrt(0.011 * 0.989 / N))
    floor = (truth.modes - 1) / (2 * N)
    assert value(truth, points, "mode_kl") == pytest.approx(floor, abs=4 * math.sqrt(2 * (truth.modes - 1)) / (2 * N))
    assert value(truth, points, "mode_spread") == pytest.approx(1, abs=0.03)


def test_the_floors_are_those_of_the_formulas(truth, rng):
    """Means over 100 draws: within four standard errors of the truth."""
    draws = [truth.draw(N, rng).pixels for _ in range(100)]
    expected = {"hq": REAL_SHARE, "mode_kl": (truth.modes - 1) / (2 * REAL_SHARE * N)}
    for name, wanted in expected.items():
        values = torch.tensor([value(truth, points, name) for points in draws], dtype=torch.float64)
        assert values.mean() == pytest.approx(wanted, abs=4 * float(values.std()) / 10), name


def test_dropped_modes(truth, rng):
    images = truth.draw(N, rng)
    previous = value(truth, images.pixels, "mode_kl")
    for dropped in (1, truth.modes // 2, truth.modes - 1):
        kept = images.pixels[images.labels >= dropped]
        assert value(truth, kept, "modes") == truth.modes - dropped
        assert value(truth, kept, "hq") == pytest.approx(REAL_SHARE, abs=0.03)
        assert value(truth, kept, "mode_kl") == pytest.approx(-math.log(1 - dropped / truth.modes), abs=0.02)
        assert value(truth, kept, "mode_kl") > previous
        assert value(truth, kept, "mode_spread") > 0.9
        previous = value(truth, kept, "mode_kl")


def test_all_points_on_one_mean(truth):
    points = torch.tensor(truth.means[-1]).expand(N, 2)
    assert value(truth, points, "modes") == 1
    assert value(truth, points, "hq") == 1
    assert value(truth, points, "mode_kl") == pytest.approx(math.log(truth.modes))
    assert value(truth, points, "mode_spread") == pytest.approx(0, abs=1e-4)  # means rounded to float32


def test_every_point_on_a_mean_of_its_own_mode_is_shown_by_the_spread_alone(truth):
    points = torch.tensor(truth.means).repeat(N // truth.modes, 1)
    assert value(truth, points, "modes") == truth.modes
    assert value(truth, points, "hq") == 1
    assert value(truth, points, "mode_kl") == pytest.approx(0, abs=1e-12)
    assert value(truth, points, "mode_spread") == pytest.approx(0, abs=1e-4)


def test_no_point_near_any_mean(truth):
    points = torch.full((N, 2), 1000.0)
    assert value(truth, points, "modes") == 0
    assert value(truth, points, "hq") == 0
    for name in ("mode_kl", "mode_spread"):
        with pytest.raises(ValueError, match="no sample is of high quality"):
            value(truth, points, name)


@pytest.mark.parametrize(("factor", "low", "high"), [(0.5, 0.47, 0.53), (1.0, 0.97, 1.0), (1.6, 0.75, 0.85)])
def test_modes_too_narrow_and_too_wide_both_fall_short_of_one(truth, rng, factor, low, high):
    images = truth.draw(N, rng)
    centres = torch.tensor(truth.means)[images.labels]
    found = measured(truth, centres + factor * (images.pixels - centres), "mode_spread")
    assert low < found.value < high
    ratio = float(found.note.removeprefix("R = "))
    assert min(ratio, 1 / ratio) == pytest.approx(found.value, abs=1e-3)
    assert (ratio > 1) == (factor > 1) or factor == 1


def test_the_spread_allows_for_the_tails_that_are_cut_off(rng):
    """Without the truncated moment real points in one dimension would show 0.987, in the plane 0.974."""
    for width in (1, 2, 5):
        truth = Mixture((tuple(0.0 for _ in range(width)),), 2.0)
        points = truth.draw(200_000, rng).pixels
        assert value(truth, points, "mode_spread") == pytest.approx(1, abs=0.005)


@pytest.mark.parametrize("name", ["hq", "mode_kl", "mode_spread"])
@pytest.mark.parametrize("dropped", [0, 3])
def test_the_stated_error_is_the_spread_over_repeated_draws(truth, rng, name, dropped):
    found = []
    for _ in range(200):
        images = truth.draw(N, rng)
        found.append(measured(truth, images.pixels[images.labels >= dropped], name, errors=True))
    spread = torch.tensor([one.value for one in found], dtype=torch.float64)
    if name == "mode_spread":  # on one side of the fold
        spread = torch.tensor([float(one.note.removeprefix("R = ")) for one in found], dtype=torch.float64)
    stated = torch.tensor([one.error for one in found], dtype=torch.float64).square().mean().sqrt()
    assert stated == pytest.approx(float(spread.std()), rel=0.25)


def test_errors_are_stated_only_where_they_are_asked_for_and_known(truth, rng):
    points = truth.draw(N, rng).pixels
    assert all(measured(truth, points, name).error is None for name in METRICS)
    assert measured(truth, points, "modes", errors=True).error is None
    assert measured(truth, points[:1], "mode_spread", errors=True).error is None
    on_means = torch.tensor(truth.means, dtype=torch.float32)
    assert measured(truth, on_means.repeat(2, 1), "mode_spread", errors=True).error == pytest.approx(0, abs=1e-6)


@dataclass(frozen=True)
class Oracle:
    """A thousand classes without width: stacked digits, told by a perfect classifier that says -1 for no digit."""

    modes: int = 1000
    width: None = None

    def locate(self, stored: Tensor) -> tuple[Tensor, None]:
        return stored, None


STACKED_SPREAD = math.sqrt(2 * 999) / (2 * 26_000)  # 0.00086: of one draw of 26,000, so that +-0.0008 is for a mean


def test_stacked_modes_told_by_an_oracle():
    rng = torch.Generator().manual_seed(3)
    draws = [torch.randint(1000, (26_000,), generator=rng) for _ in range(50)]
    found = [measured(Oracle(), labels, "mode_kl", errors=True) for labels in draws]
    values = torch.tensor([one.value for one in found], dtype=torch.float64)
    assert values.mean() == pytest.approx(0.0192, abs=0.0008)
    assert values.mean() == pytest.approx(999 / 52_000, abs=4 * STACKED_SPREAD / math.sqrt(50) + 1e-4)
    assert values.sub(0.0192).abs().max() < 4 * STACKED_SPREAD
    assert all(one.error == pytest.approx(STACKED_SPREAD, rel=0.2) for one in found)
    assert value(Oracle(), draws[0], "modes") == 1000
    assert value(Oracle(), draws[0], "hq") == 1


def test_samples_of_no_class_are_of_no_mode():
    labels = torch.tensor([0, 0, 1, -1])
    assert value(Oracle(2), labels, "hq") == 0.75
    assert value(Oracle(2), labels, "modes") == 2
    assert value(Oracle(2), labels, "mode_kl") == pytest.approx(
        math.log(2) + 2 / 3 * math.log(2 / 3) + math.log(1 / 3) / 3
    )


def test_classes_have_no_spread():
    with pytest.raises(ValueError, match="the modes of these data are classes and have no width"):
        value(Oracle(), torch.arange(1000), "mode_spread")


@pytest.mark.parametrize("metric", [Modes, HighQuality, ModeKl, ModeSpread])
def test_a_radius_is_positive(metric):
    with pytest.raises(ValueError, match=r"radius is 0\.0; it is a positive number"):
        metric(radius=0.0)


@pytest.mark.parametrize("name", sorted(METRICS))
def test_without_modes_there_is_no_value(truth, name):
    store = FeatureStore(3, 0)
    context = Context(0, store, store, given=Given(truth=truth))
    with pytest.raises(ValueError, match="the modes of the generated samples were not kept"):
        METRICS[name].compute(store, store, context)


def test_the_error_of_the_spread_is_sound_where_modes_hold_one_sample_or_none(rng):
    truth = SETS["grid"]
    found = [measured(truth, truth.draw(30, rng).pixels, "mode_spread", errors=True) for _ in range(400)]
    ratios = torch.tensor([float(one.note.removeprefix("R = ")) for one in found], dtype=torch.float64)
    stated = torch.tensor([one.error for one in found if one.error is not None], dtype=torch.float64)
    assert len(stated) > 390
    assert stated.square().mean().sqrt() == pytest.approx(float(ratios.std()), rel=0.4)
