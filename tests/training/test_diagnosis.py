"""Diagnostics against closed forms: slopes, signals, accuracies, spreads; and that reading them changes nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ganbench.training import diagnosis
from ganbench.training.checkpoint import capture
from ganbench.training.diagnosis import (
    OF_CRITIC,
    accuracies,
    generator_signal,
    lipschitz,
    read_probe,
    sample_spread,
)
from ganbench.training.engine import Engine
from ganbench.training.game import Draws, Game, Players
from ganbench.training.value import Probe
from ganbench.values import Critique, Images, Latent, Networks, PointSpec, Sample

CPU = torch.device("cpu")
ZERO = torch.zeros(())


class Linear(nn.Module):
    """Logits are a weighted sum over the flat input, plus a bend: bend |x|^2 / 2."""

    def __init__(self, weight, bend=0.0):
        super().__init__()
        self.weight, self.bend = nn.Parameter(torch.as_tensor(weight)), bend

    def forward(self, x, labels=None):
        x = x.flatten(1)
        return x @ self.weight + self.bend / 2 * x.square().sum(1)


class Scaled(nn.Module):
    def __init__(self, scale=1.0):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))

    def forward(self, z, labels=None):
        return self.scale * z


class OfLoss:
    """A loss whose generator minimises the mean of ``summand`` over the fake logits."""

    def __init__(self, summand):
        self.summand = summand

    def generator(self, game):
        return self.summand(game.fake_logits).mean()


def players_of(critic, loss=None, pac=1, generator=None, dim=4, augmentations=()):
    networks = Networks(generator or Scaled(), critic, Latent(dim))
    return Players(networks, pac, loss or OfLoss(torch.neg), (), augmentations)


def game_of(critic, pac=1):
    return Game("discriminator", players_of(critic, pac=pac), Draws(None, None), (), (ZERO, ZERO))


def probe_of(n=64, dim=4, labels=None, seed=0):
    rng = torch.Generator().manual_seed(seed)
    real, z, train = (torch.randn(n, dim, generator=rng) for _ in range(3))
    return Probe(real, labels, z, labels, train, labels)


def signal(loss, logits, real=None, pac=1):
    """Return the generator's signal at given fake logits."""
    n = len(logits) * pac
    x = torch.zeros(n, 1)
    draws = Draws(lambda: (x, None), lambda: (x, None))
    real = torch.zeros(len(logits)) if real is None else real
    judged = (Sample(x), Critique(real), Critique(logits))
    return generator_signal(players_of(None, loss, pac, dim=1), draws, (ZERO, ZERO), judged)


# The critic's slope


@pytest.mark.parametrize("pac", [1, 2, 4])
@pytest.mark.parametrize("shape", [(3,), (1, 2, 2), (3, 4, 4)])
def test_the_lipschitz_constant_of_a_linear_critic_is_the_norm_of_its_weight(pac, shape):
    weight = torch.randn(pac * math.prod(shape))
    a, b = torch.randn(2, 12, *shape)
    assert lipschitz(game_of(Linear(weight), pac), a, b) == pytest.approx(float(weight.norm()), rel=1e-5)


def test_the_steepest_of_the_points_counts_and_they_reach_from_fake_to_real():
    bowl = Linear(torch.zeros(1), bend=1.0)  # the slope at x is x
    ones = torch.ones(9, 1)
    assert lipschitz(game_of(bowl), 3 * ones, -1 * ones) == pytest.approx(3.0)
    assert lipschitz(game_of(bowl), -1 * ones, 3 * ones) == pytest.approx(3.0)
    only = torch.zeros(9, 1)
    only[4] = 8.0  # in the middle, half way to a fake at 0
    assert lipschitz(game_of(bowl), only, torch.zeros(9, 1)) == pytest.approx(4.0)


@pytest.mark.parametrize("pac", [1, 3])
def test_points_taken_a_few_at_a_time_give_the_same_slope(monkeypatch, pac):
    bowl = Linear(torch.randn(2 * pac), bend=1.0)
    a, b = torch.randn(2, 15 * pac, 2)
    found = []
    for at_once in (1, 4, 7, 1000):
        monkeypatch.setattr(diagnosis, "AT_ONCE", at_once)
        found.append(lipschitz(game_of(bowl, pac), a, b))
    assert found == pytest.approx([found[0]] * 4, rel=1e-6)


def test_the_slope_is_taken_at_the_labels_of_the_reals():
    class ByLabel(nn.Module):
        def forward(self, x, labels):
            return x[:, 0] * labels.float()

    labels = torch.arange(20) % 6
    assert lipschitz(game_of(ByLabel()), torch.ones(20, 1), torch.zeros(20, 1), labels) == pytest.approx(5.0)


# What the loss lets through to the generator

LOGITS = torch.tensor([-9.0, -2.0, 0.0, 0.5, 7.0])
SIGNALS = {
    "minimax": (lambda x: -F.softplus(x), torch.sigmoid(LOGITS)),
    "non_saturating": (lambda x: F.softplus(-x), 1 - torch.sigmoid(LOGITS)),
    "wasserstein": (torch.neg, torch.ones(5)),
    "least_squares": (lambda x: (x - 1).square() / 2, (LOGITS - 1).abs()),
}


@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize("pac", [1, 3])
def test_the_signal_is_the_mean_slope_of_the_generators_loss(name, pac):
    summand, slopes = SIGNALS[name]
    assert signal(OfLoss(summand), LOGITS, pac=pac) == pytest.approx(float(slopes.mean()), rel=1e-5)


def test_minimax_is_saturated_where_the_discriminator_is_sure_and_non_saturating_where_it_is_fooled():
    minimax, non_saturating = (OfLoss(SIGNALS[name][0]) for name in ("minimax", "non_saturating"))
    sure, fooled = torch.full((8,), -20.0), torch.full((8,), 20.0)
    assert signal(minimax, sure) < 1e-8
    assert signal(minimax, fooled) == pytest.approx(1)
    assert signal(non_saturating, sure) == pytest.approx(1)
    assert signal(non_saturating, fooled) < 1e-8


def test_a_relativistic_loss_sees_both_sides():
    class Relativistic:
        def generator(self, game):
            return F.softplus(game.real_logits - game.fake_logits).mean()

    real = torch.tensor([1.0, 2.0, -1.0, 0.0, 3.0])
    assert signal(Relativistic(), LOGITS, real) == pytest.approx(float(torch.sigmoid(real - LOGITS).mean()), rel=1e-5)


def test_the_signal_reads_the_clock_of_the_run():
    class Annealed:
        def generator(self, game):
            return -(1 - game.progress) * game.fake_logits.mean()

    players, probe = players_of(Linear(torch.ones(4)), Annealed()), probe_of()
    assert read_probe(players, probe)["g_signal"] == pytest.approx(1)
    assert read_probe(players, probe, (ZERO, torch.tensor(0.75)))["g_signal"] == pytest.approx(0.25)


def test_a_loss_that_does_not_go_through_the_logits_has_no_signal(play, toys):
    engine = play(1, toys.Stateful())
    reading = read_probe(engine.players, engine.probe())
    assert reading["g_signal"] is None
    assert reading["d_lipschitz"] > 0


@pytest.mark.parametrize(
    "summand",
    [
        lambda x: x.detach(),
        lambda x: x * torch.inf,
        lambda x: torch.autograd.grad(x.sum(), torch.ones(1, requires_grad=True))[0],
    ],
)
def test_what_has_no_finite_signal_on_the_probe_is_null_and_ends_nothing(summand):
    reading = read_probe(players_of(Linear(torch.ones(4)), OfLoss(summand)), probe_of())
    assert reading["g_signal"] is None
    assert reading["d_lipschitz"] == pytest.approx(2)


# What the discriminator tells apart

SIDES = ("d_accuracy_train", "d_accuracy_held_out", "d_accuracy_fake")


@pytest.mark.parametrize(("scale", "shift"), [(1, 0), (0.001, 5), (400, -70), (-1, 0), (-30, 2)])
def test_separable_logits_are_told_apart_on_every_scale_and_either_way_round(scale, shift):
    rng = np.random.default_rng(0)
    real, held_out, fake = (scale * rng.uniform(low, low + 1, 100) + shift for low in (2, 2, 0))
    assert [accuracies(real, held_out, fake)[name] for name in SIDES] == [1, 1, 1]


def test_a_discriminator_that_knows_its_training_images_by_heart_shows_a_gap():
    rng = np.random.default_rng(1)
    train, held_out, fake = rng.normal(6, 1, 256), rng.normal(0, 1, 256), rng.normal(0, 1, 256)
    found = accuracies(train, held_out, fake)
    assert found["d_accuracy_train"] > 0.99
    assert found["d_accuracy_fake"] > 0.99
    assert found["d_accuracy_held_out"] < 0.01


def test_the_threshold_is_where_both_are_equally_likely():
    rng = np.random.default_rng(2)
    real, held_out, fake = (rng.normal(m, 1, 40_000) for m in (1, 1, -1))
    found = accuracies(real, held_out, fake)
    expected = 0.5 * (1 + math.erf(1 / math.sqrt(2)))
    assert [found[name] for name in SIDES] == pytest.approx([expected] * 3, abs=0.01)


def test_an_undecided_discriminator_is_right_half_the_time():
    assert list(accuracies(np.zeros(8), np.zeros(6), np.zeros(8)).values()) == [0.5, 0.5, 0.5]


def test_fewer_training_images_than_fakes_do_not_move_the_threshold():
    rng = np.random.default_rng(3)
    real, held_out, fake = rng.normal(1, 1, 2_000), rng.normal(1, 1, 20_000), rng.normal(-1, 1, 40_000)
    found = accuracies(real, held_out, fake)
    assert found["d_accuracy_held_out"] == pytest.approx(found["d_accuracy_fake"], abs=0.05)


def test_the_fit_is_read_on_what_was_not_fitted():
    train, fake = np.r_[np.ones(4), -np.ones(4)], np.r_[-np.ones(4), np.ones(4)]
    assert list(accuracies(train, np.ones(3), fake).values()) == [0, 1, 0]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("side", range(3))
def test_logits_that_are_not_finite_have_no_accuracy(bad, side):
    logits = [np.zeros(4), np.zeros(4), np.zeros(4)]
    logits[side][1] = bad
    assert list(accuracies(*logits).values()) == [None] * 3


# How spread the samples are


@pytest.mark.parametrize("shape", [(2,), (3, 4, 4)])
@pytest.mark.parametrize("scale", [0.0, 0.05, 1.0, 3.0])
def test_the_spread_of_scaled_samples_is_the_scale(shape, scale):
    real = torch.randn(64, *shape)
    assert sample_spread(scale * real + 7, real) == pytest.approx(scale, abs=1e-5)


def test_the_spread_is_a_root_mean_square_over_coordinates():
    real = torch.tensor([[1.0, 3.0], [-1.0, -3.0]])  # deviations 1 and 3
    fake = torch.tensor([[2.0, 5.0], [-2.0, 5.0]])  # deviations 2 and 0
    assert sample_spread(fake, real) == pytest.approx((4 / 10) ** 0.5)


def test_data_that_never_vary_have_no_spread():
    assert sample_spread(torch.randn(4, 2), torch.ones(4, 2)) is None


# A whole reading


def test_a_whole_reading_of_a_linear_game():
    reading = read_probe(players_of(Linear(torch.tensor([3.0, 4.0, 0.0, 0.0])), generator=Scaled(0.5)), probe_of(4096))
    assert set(reading) == {*OF_CRITIC, "sample_spread"}
    assert reading["d_lipschitz"] == pytest.approx(5)
    assert reading["g_signal"] == pytest.approx(1)
    assert reading["sample_spread"] == pytest.approx(0.5, abs=0.05)


def test_without_a_discriminator_only_the_spread_is_known(play, toys):
    engine = play(1, toys.Autoencoding())
    reading = read_probe(engine.players, engine.probe())
    assert {name for name, value in reading.items() if value is not None} == {"sample_spread"}


def test_a_held_out_set_smaller_than_a_pack_tells_nothing(make_setup, toys):
    engine = Engine(make_setup(pac=8, test=toys.Blobs(n=6).load(None, "test")), CPU)
    assert set(read_probe(engine.players, engine.probe()).values()) == {None}


@pytest.mark.parametrize("pac", [1, 5])
def test_the_probe_holds_whole_packs_of_training_images_too(make_setup, toys, pac):
    engine = Engine(make_setup(pac=pac, batch_size=20, train=toys.Blobs(n=42).load(None, "train")), CPU)
    probe, again = engine.probe(), Engine(make_setup(toys.Bilinear(), pac=pac, batch_size=20), CPU).probe()
    assert (len(probe.real), len(probe.latents), len(probe.train)) == (96 // pac * pac,) * 2 + (42 // pac * pac,)
    assert torch.equal(probe.real, again.real)
    stored = {tuple(row) for row in engine.setup.data.decode(engine.setup.train.pixels).flatten(1).tolist()}
    assert {tuple(row) for row in probe.train.flatten(1).tolist()} <= stored
    assert torch.equal(probe.train, engine.probe().train)


@pytest.mark.parametrize("pac", [1, 4])
def test_packed_points_are_read_as_decisions(make_setup, toys, pac):
    points = toys.Blobs().load(None, "train").pixels.flatten(1)[:, :2].float() / 255
    data = {"train": Images(points), "test": Images(points.flip(0))}
    engine = Engine(make_setup(toys.Logistic(), data=PointSpec((2,)), pac=pac, **data), CPU)
    engine.play_round(0.0)
    assert all(value is not None for value in read_probe(engine.players, engine.probe()).values())


class Noisy(nn.Module):
    """A generator with noise of its own."""

    def __init__(self):
        super().__init__()
        self.norm, self.drop = nn.BatchNorm1d(4), nn.Dropout(0.5)

    def forward(self, z, labels=None):
        return self.drop(self.norm(z)) + torch.randn_like(z)


def test_reading_draws_from_no_stream_changes_no_buffer_and_gives_the_same_again(toys):
    class Drawing:
        def generator(self, game):
            return (-game.fake_logits * game.uniform(len(game.fake_logits))).mean()

    players = players_of(Linear(torch.ones(4)), Drawing(), generator=Noisy(), augmentations=(toys.Brightness(),))
    generator = players.networks.generator
    generator.drop.eval()
    before = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = read_probe(players, probe_of())
    assert torch.equal(torch.rand(3), expected)
    assert read_probe(players, probe_of()) == first
    assert all(torch.equal(tensor, before[name]) for name, tensor in generator.state_dict().items())
    assert (generator.training, generator.norm.training, generator.drop.training) == (True, True, False)
    assert all(p.grad is None for p in (*generator.parameters(), *players.networks.discriminator.parameters()))


def test_reading_leaves_a_run_as_it_was_to_the_byte(make_setup, toys):
    def state(reads: bool):
        setup = make_setup(
            toys.Stateful(),
            architecture=toys.Tiny(norm=True, spectral=True),
            augmentations=(toys.Brightness(),),
            regularizers=(toys.SlopePenalty("real"),),
        )
        engine = Engine(setup, CPU)
        probe = engine.probe()
        for _ in range(12):
            engine.play_round(0.0)
            if reads:
                read_probe(engine.players, probe)
        return capture(engine)

    with_readings, without = state(True), state(False)
    assert with_readings.numbers == without.numbers
    assert all(torch.equal(with_readings.tensors[name], tensor) for name, tensor in without.tensors.items())


def test_a_discriminator_that_normalises_over_the_batch_is_read_one_sample_at_a_time(play, toys):
    engine = play(5, architecture=toys.BatchCoupled())
    probe = engine.probe()
    reading, critic = read_probe(engine.players, probe), engine.players.networks.discriminator.eval()
    fake = engine.players.networks.generator.eval()(probe.latents).images.detach()
    weight = torch.linspace(0, 1, len(fake)).view(-1, 1, 1, 1)
    steepest = 0.0
    for x in torch.lerp(fake, probe.real, weight).split(1):
        x.requires_grad_(True)
        (slope,) = torch.autograd.grad(critic(x).logits.sum(), x)
        steepest = max(steepest, float(slope.norm()))
    assert reading["d_lipschitz"] == pytest.approx(steepest, rel=1e-4)
