"""Sanity ladders: what each kind of damage does, what rungs keep, and what values along them are taken to say."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ganbench import Images
from ganbench.scoring.corruption import add_noise, blur, copied_rows, lower_contrast, mix_pairs
from ganbench.scoring.ladder import FEW, LADDERS, Rung, Stock
from ganbench.scoring.sampling_noise import DRAWS, CleanSets, clean_sets, noise_along, redrawn
from ganbench.scoring.verdict import BEYOND, MEANINGS, Reading, Verdict, judge, sentence

N = 120
IMAGE_LADDERS = ["noise", "blur", "contrast", "mode_dropping", "duplication", "mixing"]
POINT_LADDERS = ["noise", "mode_dropping", "duplication", "mixing"]


def images(count: int = 400, classes: int = 10, shape: tuple[int, ...] = (3, 8, 6)) -> Images:
    rng = torch.Generator().manual_seed(1)
    pixels = torch.randint(256, (count, *shape), generator=rng, dtype=torch.uint8)
    return Images(pixels, torch.randint(classes, (count,), generator=rng))


def points(count: int = 400, classes: int = 4) -> Images:
    rng = torch.Generator().manual_seed(2)
    return Images(torch.randn(count, 2, generator=rng) * torch.tensor([1.0, 3.0]), torch.arange(count) % classes)


def climb(name: str, stock: Stock) -> list[Rung]:
    return list(LADDERS[name].rungs(stock))


def rows(stored: Tensor) -> list[bytes]:
    return [row.numpy().tobytes() for row in stored]


# What rungs keep


@pytest.mark.parametrize(
    ("everything", "names"), [(images(), IMAGE_LADDERS), (points(), POINT_LADDERS)], ids=["images", "points"]
)
def test_every_rung_has_as_many_samples_of_the_same_kind_and_follows_from_the_seed(everything, names):
    stock = Stock(everything, N, 0)
    before = torch.get_rng_state()
    for name in names:
        found, again = climb(name, stock), climb(name, stock)
        other = climb(name, Stock(everything, N, 1))
        degrees = LADDERS[name].degrees(stock)
        assert degrees[0] == 0
        assert list(degrees) == sorted(set(degrees))
        assert [rung.level for rung in found] == list(degrees[1:]), name
        assert [rung.number for rung in found] == list(range(1, len(degrees)))
        assert len(found) >= 3, name
        for rung, same in zip(found, again, strict=True):
            assert rung.images.pixels.shape == stock.clean.pixels.shape
            assert rung.images.pixels.dtype == stock.clean.pixels.dtype
            assert rung.images.labels.shape == (N,)
            assert torch.equal(rung.images.pixels, same.images.pixels)
        drawn = name not in ("blur", "contrast")
        assert torch.equal(found[-1].images.pixels, other[-1].images.pixels) != drawn, name
    assert torch.equal(before, torch.get_rng_state())


def test_the_clean_set_is_the_head_of_the_stock_and_is_left_alone():
    everything = images()
    kept = everything.pixels.clone()
    stock = Stock(everything, N, 0)
    for name in IMAGE_LADDERS:
        climb(name, stock)
    assert torch.equal(everything.pixels, kept)
    assert torch.equal(stock.clean.pixels, kept[:N])


@pytest.mark.parametrize("name", IMAGE_LADDERS)
def test_damage_grows_from_rung_to_rung(name):
    stock = Stock(images(shape=(3, 20, 18)), N, 0)
    clean = stock.clean.pixels.float()
    moved = [0.0, *((rung.images.pixels.float() - clean).square().mean().item() for rung in climb(name, stock))]
    assert moved == sorted(set(moved))


# What each ladder cannot do


def test_points_have_no_pixels_to_blur_or_to_grey():
    stock = Stock(points(), N, 0)
    for name in ("blur", "contrast"):
        assert LADDERS[name].refusal(stock) == "points have no pixels"
        with pytest.raises(ValueError, match=f"ladder '{name}' cannot be climbed: points have no pixels"):
            climb(name, stock)


def test_classes_are_needed_to_drop_them():
    without, single = Stock(Images(images().pixels), N, 0), Stock(images(classes=1), N, 0)
    assert LADDERS["mode_dropping"].refusal(without) == "the samples have no labels"
    assert LADDERS["mode_dropping"].refusal(single) == "all samples are of one class"
    assert all(LADDERS[name].refusal(without) is None for name in IMAGE_LADDERS if name != "mode_dropping")
    assert climb("noise", without)[0].images.labels is None


def test_one_sample_is_no_set():
    assert LADDERS["mixing"].refusal(Stock(images(), 1, 0)) == "one sample is no set"


# The damage


def test_noise_has_the_stated_deviation():
    grey = torch.full((50, 1, 40, 40), 128, dtype=torch.uint8)
    noisy = add_noise(grey, 0.1, torch.Generator().manual_seed(0)).float()
    assert noisy.std() == pytest.approx(25.5, rel=0.02)
    assert noisy.mean() == pytest.approx(128, abs=0.5)
    extreme = add_noise(grey, 2.0, torch.Generator().manual_seed(0))
    assert (extreme.min(), extreme.max()) == (0, 255)


def test_noise_on_points_is_relative_to_their_spread():
    cloud = points(20_000).pixels
    moved = add_noise(cloud, 0.5, torch.Generator().manual_seed(0)) - cloud
    assert moved.std(dim=0).tolist() == pytest.approx([0.5 * math.sqrt(5)] * 2, rel=0.03)
    shifted = add_noise(cloud + 100, 0.5, torch.Generator().manual_seed(0)) - cloud - 100
    assert torch.allclose(moved, shifted, atol=1e-4)


def test_blur_spreads_a_dot_into_a_gaussian_and_keeps_what_is_even():
    dot = torch.zeros(1, 1, 33, 33, dtype=torch.uint8)
    dot[0, 0, 16, 16] = 255
    deviation = 2.0
    blurred = blur(dot, deviation / 33)[0, 0].float()
    assert blurred[16, 16] == pytest.approx(255 / (2 * math.pi * deviation**2), abs=0.6)
    assert blurred[16, 18] == pytest.approx(float(blurred[16, 16]) * math.exp(-0.5), abs=0.8)
    assert torch.equal(blurred, blurred.T)
    even = torch.full((2, 3, 7, 9), 77, dtype=torch.uint8)
    assert torch.equal(blur(even, 0.3), even)
    assert torch.equal(blur(dot, 0.0), dot)


def test_contrast_shrinks_towards_the_mean_of_each_image():
    pair = torch.tensor([[0, 100], [200, 250]], dtype=torch.uint8).view(2, 1, 1, 2)
    assert lower_contrast(pair, 0.5).flatten().tolist() == [25, 75, 213, 238]
    assert lower_contrast(pair, 1.0).flatten().tolist() == [50, 50, 225, 225]
    assert torch.equal(lower_contrast(pair, 0.0), pair)


def test_mixing_replaces_a_share_by_means_of_two():
    line = torch.arange(10, dtype=torch.float32)[:, None] ** 2
    mixed = mix_pairs(line, 0.4, torch.Generator().manual_seed(0))
    changed = (mixed != line)[:, 0]
    assert int(changed.sum()) == 4
    means = {(a * a + b * b) / 2 for a in range(10) for b in range(a)}
    assert set(mixed[changed][:, 0].tolist()) <= means
    assert bool((mix_pairs(line, 1.0, torch.Generator().manual_seed(0)) != line).all())
    pair = torch.tensor([[[[3]]], [[[4]]]], dtype=torch.uint8)
    assert mix_pairs(pair, 1.0, torch.Generator()).flatten().tolist() == [4, 4]  # half up


def test_copies_are_of_few_others_and_grow_in_place():
    found = [copied_rows(1000, degree, FEW, torch.Generator().manual_seed(0)) for degree in (0.0, 0.2, 0.95)]
    assert torch.equal(found[0], torch.arange(1000))
    own = [set((found[i] == torch.arange(1000)).nonzero()[:, 0].tolist()) for i in (1, 2)]
    assert [len(kept) for kept in own] == [800, 50]
    assert own[1] < own[0]
    assert set(found[2].tolist()) == own[1]
    assert copied_rows(3, 1.0, FEW, torch.Generator()).unique().numel() == 1


def test_rungs_say_how_many_copies_they_hold_and_what_they_are_worth():
    stock = Stock(images(5000), 1000, 0)
    for rung in climb("duplication", stock):
        assert rung.copies == round(rung.level * 1000)
        found = set(rows(rung.images.pixels))
        assert len(found) == 1000 - rung.copies
    assert climb("duplication", stock)[-1].effective == pytest.approx(50, rel=0.1)  # 50 samples, 20 times each
    assert all((rung.copies, rung.effective) == (0, 1000) for rung in climb("mixing", stock))


def test_dropped_modes_are_nested_and_their_places_are_taken_by_unused_samples():
    stock = Stock(images(4000), 200, 0)
    previous = set(range(10))
    for rung in climb("mode_dropping", stock):
        left = set(rung.images.labels.tolist())
        assert left < previous
        assert len(left) == 10 - round(10 * rung.level)
        assert len(set(rows(rung.images.pixels))) == 200
        assert (rung.copies, rung.effective) == (0, 200)
        kept = torch.isin(stock.clean.labels, torch.tensor(sorted(left)))
        assert torch.equal(rung.images.pixels[kept], stock.clean.pixels[kept])
        previous = left


def test_copies_fill_the_places_of_dropped_modes_only_where_nothing_is_left_to_take():
    stock = Stock(images(240), 200, 0)
    for rung in climb("mode_dropping", stock):
        available = int(torch.isin(stock.images.labels, rung.images.labels.unique()).sum())
        assert rung.copies == max(0, 200 - available)
        assert (rung.effective < 200) == (rung.copies > 0)
    assert rung.copies > 100


@pytest.mark.parametrize(
    ("classes", "levels"), [(2, (0, 1 / 2)), (3, (0, 1 / 3, 2 / 3)), (8, (0, 1 / 8, 2 / 8, 4 / 8, 6 / 8, 7 / 8))]
)
def test_some_class_always_remains(classes, levels):
    assert LADDERS["mode_dropping"].degrees(Stock(images(classes=classes), N, 0)) == pytest.approx(levels)


# The noise of sampling


@pytest.mark.parametrize(
    ("total", "n", "divisions", "sets", "size"),
    [(900, 100, 1, 8, 100), (450, 225, 7, 2, 225), (450, 400, 7, 2, 225), (1000, 300, 4, 3, 300), (3, 3, 4, 3, 1)],
)
def test_clean_sets_are_disjoint_within_a_division(total, n, divisions, sets, size):
    found = clean_sets(Stock(images(total), n, 0))
    assert [len(division) for division in found.divisions] == [sets] * divisions
    for division in found.divisions:
        together = torch.cat(division)
        assert together.unique().numel() == len(together) == sets * size
    assert found.factor == pytest.approx(math.sqrt(size / n))


@pytest.mark.parametrize(("total", "n"), [(1000, 100), (1000, 400), (1000, 500), (1000, 1000)])
@pytest.mark.parametrize("power", [1, 2])
def test_the_spread_of_clean_sets_is_that_of_independent_sets(total, n, power):
    """Means of standard normal samples, of deviation 1 / sqrt(n), and their squares, of deviation sqrt(2) / n."""
    rng, found = torch.Generator().manual_seed(7), []
    for seed in range(300):
        values = torch.randn(total, generator=rng, dtype=torch.float64)
        sets = clean_sets(Stock(Images(values[:, None]), n, seed))
        measured = [[float(values[rows].mean() ** power) for rows in division] for division in sets.divisions]
        found.append(sets.spread(measured) ** 2 / sets.factor**2)
    size = min(n, total // 2)
    wanted = 1 / math.sqrt(size) if power == 1 else math.sqrt(2) / size
    assert math.sqrt(sum(found) / len(found)) == pytest.approx(wanted, rel=0.12)


def test_a_spread_needs_two_values_in_a_division():
    sets = CleanSets((), 2.0)
    assert sets.spread([[1.0, None], [None, None]]) is None
    assert sets.spread([[1.0, 3.0], [5.0, None]]) == pytest.approx(2 * math.sqrt(2))


def test_redrawn_stocks_hold_the_same_samples_in_other_orders():
    stock = Stock(images(), N, 0)
    found = list(redrawn(stock))
    assert len(found) == DRAWS
    assert all(sorted(rows(other.images.pixels)) == sorted(rows(stock.images.pixels)) for other in found)
    last = {LADDERS["duplication"].rung(other, -1).images.pixels.numpy().tobytes() for other in found}
    assert len(last) == DRAWS


def test_the_noise_of_a_rung_is_the_larger_of_its_error_and_the_spread_of_clean_sets():
    assert noise_along([0.1, None, 0.3], [100, 100, 100], 0.2) == (0.2, 0.2, 0.3)
    assert noise_along([0.1, None, 0.3], [100, 100, 100], 0.2, last=5.0) == (0.2, 0.2, 0.3)


def test_copies_make_a_rung_as_noisy_as_fewer_samples():
    assert noise_along([0.1, None, 0.3], [100, 25, 4], 0.2) == pytest.approx((0.2, 0.4, 1.5))


def test_a_last_rung_drawn_anew_says_how_noisy_copies_are():
    found = noise_along([0.1, None, 0.3], [100, 50, 25], 0.2, last=0.8)
    assert found == pytest.approx((0.2, math.sqrt(0.04 + 0.6 / 3), 0.8))
    assert noise_along([0.1, None, 0.3], [100, 50, 25], 0.2, last=0.1) == (0.2, 0.2, 0.3)


def test_the_noise_of_copies_is_that_of_drawing_them_anew_rung_by_rung():
    """Means of standard normal samples: their deviation is 1 / sqrt(effective)."""
    ladder, rng, found = LADDERS["duplication"], torch.Generator().manual_seed(5), []
    for seed in range(400):
        stock = Stock(Images(torch.randn(500, 1, generator=rng)), 500, seed)
        found.append([float(rung.images.pixels.mean()) for rung in ladder.rungs(stock)])
    effective = [500.0, *(rung.effective for rung in ladder.rungs(stock))]
    spread = torch.tensor(found, dtype=torch.float64).std(dim=0)
    stated = noise_along([None] * 6, effective, 1 / math.sqrt(500), last=float(spread[-1]))
    assert list(stated[1:]) == pytest.approx(spread.tolist(), rel=0.15)


# The verdict


def readings(values: list[float | None], noise: float = 0.1) -> list[Reading]:
    return [Reading(float(level), value, noise) for level, value in enumerate(values)]


STEP = BEYOND * math.hypot(0.1, 0.1) * 1.01  # just beyond the noise

VERDICTS = [
    ([0, 1, 2, 3], "follows"),
    ([0, STEP, 2 * STEP], "follows"),
    ([0, 1, 2, 2.1, 2.0], "follows, then flat (after 2)"),
    ([0, 1, 1.3, 1.6, 1.9], "follows roughly"),
    ([0, 0.1, 0.2, 1, 2], "follows late (from 3)"),
    ([0, 0.3, 0.6, 0.9], "follows late (from 2)"),
    ([0, 1, 1.1, 2], "follows roughly"),
    ([0, 1, 2, 1], "turns back (at 3)"),
    ([0, -1, 1], "turns back (at 1)"),
    ([0, 1, 0], "does not follow"),
    ([0, 0.1, -0.1], "does not follow"),
    ([0, -1, -2], "moves the wrong way"),
    ([0, 1, -1], "moves the wrong way"),
    ([0, None, 1, 2], "follows"),
    ([0, 1, 2, None], "follows"),
    ([None, 1, 2], "not measured"),
    ([0, None], "not measured"),
    ([], "not measured"),
]


@pytest.mark.parametrize(("values", "expected"), VERDICTS)
@pytest.mark.parametrize("direction", ["lower", "higher"])
def test_what_values_along_a_ladder_say(values, expected, direction):
    sign = 1 if direction == "lower" else -1
    signed = [None if value is None else sign * value for value in values]
    assert str(judge(readings(signed), direction, blind=False)) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 0.1, -0.2, 0.3], "blind, as meant"),
        ([0, 0.1, 1, 0.1], "moves though it should not (from 2)"),
        ([0, 0.1, -1], "moves though it should not (from 2)"),
        ([None, 1], "not measured"),
    ],
)
@pytest.mark.parametrize("direction", ["lower", "higher"])
def test_what_values_say_of_a_metric_that_is_not_meant_to_move(values, expected, direction):
    assert str(judge(readings(values), direction, blind=True)) == expected


def test_noise_counts_rung_by_rung():
    quiet, loud = Reading(0, 0.0, 0.0), Reading(1, 1.0, 0.5)
    assert judge([quiet, Reading(1, 1.0, 0.1)], "lower", blind=False).word == "follows"
    assert judge([quiet, loud], "lower", blind=False).word == "does not follow"
    assert judge([quiet, Reading(1, 1e-9, 0.0)], "lower", blind=False).word == "follows"


def test_pure_noise_is_hardly_ever_taken_for_a_move():
    rng = torch.Generator().manual_seed(0)
    words = [
        judge(readings(torch.randn(6, generator=rng).tolist(), noise=1.0), "lower", blind=True).word
        for _ in range(2000)
    ]
    assert words.count("blind, as meant") > 0.98 * 2000


def test_the_sentence_says_where_a_metric_can_be_trusted():
    verdicts = {
        "noise": Verdict("follows late", 0.2),
        "blur": Verdict("follows"),
        "contrast": Verdict("follows, then flat", 0.4),
        "mode_dropping": Verdict("blind, as meant"),
        "duplication": Verdict("moves though it should not", 0.8),
        "mixing": Verdict("does not follow"),
    }
    assert sentence(verdicts) == (
        "Can be trusted along noise (from 0.2), blur and contrast (up to 0.4); does not see mixing; moves, though it "
        "is not meant to, along duplication (from 0.8); is blind, as meant, to mode_dropping."
    )


def test_the_sentence_says_where_values_are_missing():
    verdicts = {"noise": Verdict("follows"), "blur": Verdict("not measured")}
    assert sentence(verdicts, {"noise": 0.8, "blur": 0.0}) == (
        "Can be trusted along noise; has no value along blur; has rungs without a value on noise (0.8)."
    )


@pytest.mark.parametrize("word", list(MEANINGS))
def test_every_verdict_has_its_words(word):
    text = sentence({"noise": Verdict(word, 0.5)})
    assert "noise" in text
    assert text.startswith("Can be trusted along")
    assert text.startswith("Can be trusted along no ladder") == (not word.startswith("follows"))
