"""Ring and grid: points drawn as they are said to be, the truth about any point, and a GAN that trains on them."""

import math
from pathlib import Path

import pytest
import torch

from ganbench import PointSpec
from ganbench.scoring.reference import content_hash
from ganbench.scoring.sample import GeneratorSource
from ganbench.suite.assemble import Assembly
from ganbench.suite.recipe import Budget, Recipe
from ganbench.testing import check_component
from ganbench.training.checkpoint import GENERATOR_FILE, load_generator
from ganbench.training.loop import Training
from ganbench.training.setup import Setup
from ganbench_zoo.architectures.mlp import Mlp
from ganbench_zoo.datasets.grid import Grid
from ganbench_zoo.datasets.ring import Ring
from ganbench_zoo.losses.non_saturating import NonSaturating
from ganbench_zoo.mixture import Mixture
from ganbench_zoo.optimizers.adam import Adam

ROOT = Path()
REAL_SHARE = 1 - math.exp(-4.5)


@pytest.mark.parametrize("dataset", [Ring(), Grid(), Ring(modes=3, radius=2.0, sigma=0.1), Grid(side=2, train=50)])
def test_a_set_of_points_keeps_the_contract(dataset):
    check_component(dataset)


def test_the_ring_is_eight_gaussians_on_the_unit_circle():
    means = torch.tensor(Ring().truth(ROOT).means)
    assert means.norm(dim=1).tolist() == pytest.approx([1.0] * 8)
    assert means[:3].tolist() == [
        pytest.approx(pair, abs=1e-7) for pair in ([1, 0], [math.sqrt(0.5), math.sqrt(0.5)], [0, 1])
    ]
    assert Ring().truth(ROOT).sigma == 0.01


def test_the_grid_is_five_by_five():
    truth = Grid().truth(ROOT)
    assert sorted(truth.means) == [(x, y) for x in (-4.0, -2.0, 0.0, 2.0, 4.0) for y in (-4.0, -2.0, 0.0, 2.0, 4.0)]
    assert truth.sigma == 0.05


@pytest.mark.parametrize("dataset", [Ring(), Grid()])
def test_points_are_drawn_from_equally_likely_modes_of_the_stated_width(dataset):
    truth, images = dataset.truth(ROOT), dataset.load(ROOT, "train")
    assert dataset.spec(ROOT) == PointSpec((2,), classes=truth.modes)
    assert images.pixels.shape == (20_000, 2)
    modes, deviations = truth.locate(images.pixels)
    assert torch.equal(modes, images.labels)
    expected = 20_000 / truth.modes
    chi2 = ((images.labels.bincount().double() - expected).square() / expected).sum()
    assert chi2 < truth.modes - 1 + 4 * math.sqrt(2 * (truth.modes - 1))
    assert deviations.square().mean() == pytest.approx(2, abs=4 * 2 / math.sqrt(20_000))
    assert (deviations < 3).double().mean() == pytest.approx(REAL_SHARE, abs=4 * math.sqrt(0.011 * 0.989 / 20_000))


def test_splits_follow_from_their_names_and_share_no_point():
    train, test = (Ring().load(ROOT, split).pixels for split in ("train", "test"))
    assert len(test) == 10_000
    assert not set(map(tuple, train.tolist())) & set(map(tuple, test.tolist()))
    assert content_hash(train) == content_hash(Ring().load(ROOT, "train").pixels)
    before = torch.get_rng_state()
    Grid().load(ROOT, "test")
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("dataset", "split", "point", "modes"),
    [
        (Ring(), "train", (0.710415, -0.715363), [7, 1, 6, 7, 4]),
        (Ring(), "test", (0.712695, 0.693966), [1, 7, 5, 1, 1]),
        (Grid(), "train", (-2.009396, -2.002703), [6, 16, 18, 2, 24]),
        (Grid(), "test", (3.923181, 4.040714), [24, 16, 18, 20, 6]),
    ],
)
def test_splits_stay_what_they_are(dataset, split, point, modes):
    images = dataset.load(ROOT, split)
    assert images.pixels[0].tolist() == pytest.approx(point, abs=1e-5)
    assert images.labels[:5].tolist() == modes


def test_a_point_is_located_by_its_nearest_mean_and_its_distance_in_deviations():
    truth = Mixture(((0.0, 0.0), (10.0, 0.0)), 0.5)
    modes, deviations = truth.locate(torch.tensor([[0.0, 1.0], [9.0, 0.0], [4.0, 0.0], [math.nan, 0.0]]))
    assert modes.tolist() == [0, 1, 0, -1]
    assert deviations.tolist() == [2.0, 2.0, 8.0, math.inf]
    assert [len(part) for part in truth.locate(torch.empty(0, 2))] == [0, 0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Ring(sigma=0.0), "ring: sigma is 0.0; it must be positive and finite"),
        (lambda: Ring(radius=math.inf), "ring: radius is inf"),
        (lambda: Ring(modes=0), "ring: modes is 0; it must be at least 1"),
        (lambda: Grid(spacing=-1.0), "grid: spacing is -1.0"),
        (lambda: Grid(test=0), "grid: test is 0; it must be at least 1"),
        (lambda: Grid().load(ROOT, "val"), "grid has no split 'val'; it has: train, test"),
    ],
)
def test_what_has_no_meaning_is_refused_in_a_sentence(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("dataset", [Ring(), Grid()])
def test_a_small_gan_draws_points_of_the_data_s_extent_after_a_few_hundred_rounds(dataset, tmp_path):
    architecture, data = Mlp(width=32, latent_size=8), dataset.spec(ROOT)
    sides = {f"{side}_optimizer": Adam(lr=1e-3, betas=(0.5, 0.999)) for side in ("g", "d")}
    nothing = dict.fromkeys(("regularizers", "constraints", "augmentations"), ())
    recipe, budget = Recipe(batch_size=64), Budget(images=300 * 64)
    parts = Assembly(architecture, architecture, NonSaturating(), recipe=recipe, budget=budget, **sides, **nothing)
    splits = [dataset.load(ROOT, split) for split in ("train", "test")]
    keys = {"dataset": dataset.name, "generator": "mlp", "discriminator": "mlp"}
    setup = Setup(parts, data, *splits, 0, keys)

    def drawn() -> torch.Tensor:
        source = GeneratorSource(network.eval(), architecture.latent(data), data, None, 0, torch.device("cpu"))
        return torch.cat(list(source.batches(1000, 500)))

    network = architecture.generator(data)
    untrained = drawn()
    assert Training(setup, tmp_path, torch.device("cpu")).run().status == "done"
    load_generator(tmp_path / GENERATOR_FILE, network, torch.device("cpu"))
    extent = splits[0].pixels.norm(dim=1).mean()
    assert drawn().isfinite().all()
    before, after = ((points.norm(dim=1).mean() / extent).log().abs() for points in (untrained, drawn()))
    assert after < 0.5 * before
