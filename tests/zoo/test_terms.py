"""Terms beyond gradient penalties: consistency, path length, features, top-k, latent optimisation, consensus."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from ganbench import Cell, Critique, Images, ImageSpec, Latent, Networks, PointSpec, Sample
from ganbench.suite.assemble import Assembly
from ganbench.suite.recipe import Budget, Recipe
from ganbench.testing import check_component
from ganbench.training.checkpoint import capture, restore
from ganbench.training.engine import Engine
from ganbench.training.game import Draws, Game, Players, evaluate_phase
from ganbench.training.setup import Setup
from ganbench_zoo.losses.minimax import Minimax
from ganbench_zoo.losses.wasserstein import Wasserstein
from ganbench_zoo.optimizers.adam import Adam
from ganbench_zoo.optimizers.sgd import Sgd
from ganbench_zoo.regularizers.consensus import Consensus
from ganbench_zoo.regularizers.consistency import Consistency, shifted
from ganbench_zoo.regularizers.feature_matching import FeatureMatching
from ganbench_zoo.regularizers.latent_optimisation import LatentOptimisation
from ganbench_zoo.regularizers.path_length import PathLength
from ganbench_zoo.regularizers.top_k import TopK

N, SHAPE = 8, (1, 2, 3)
CPU = torch.device("cpu")


class Maker(nn.Module):
    """z (N, 2) -> style = z w, images = style a, both matrices; the style has a layer axis where ``layers`` is set."""

    def __init__(self, width=3, layers=0, shape=SHAPE):
        super().__init__()
        self.shape, self.layers = shape, layers
        self.w = nn.Parameter(torch.randn(2, width))
        self.a = nn.Parameter(torch.randn(max(layers, 1) * width, math.prod(shape)))

    def forward(self, z, labels=None):
        style = z @ self.w  # (N, width)
        if self.layers:
            style = style[:, None].repeat(1, self.layers, 1)
        return Sample((style.reshape(len(z), -1) @ self.a).reshape(len(z), *self.shape), style)


class Linear(nn.Module):
    """x (units, *shape) -> w . x, with x itself and twice it as features."""

    def __init__(self, size=6):
        super().__init__()
        self.w = nn.Parameter(torch.randn(size))

    def forward(self, x, labels=None):
        return Critique(x.flatten(1) @ self.w, (x.flatten(1), 2 * x.flatten(1)), embedding=x.flatten(1))


class Curved(nn.Module):
    """x (units, *shape) -> sin(w . x)."""

    def __init__(self, size=6):
        super().__init__()
        self.w = nn.Parameter(torch.randn(size) / 2)

    def forward(self, x, labels=None):
        return (x.flatten(1) @ self.w).sin()


def phase(regularizer, player="discriminator", *, pac=1, progress=0.0, loss=None, shape=SHAPE, **modules):
    torch.manual_seed(0)
    generator = modules.get("generator") or Maker(shape=shape)
    critic = modules.get("critic") or Linear(pac * math.prod(shape))
    networks = Networks(generator, critic, Latent(2))
    states = ((regularizer, regularizer.state()),) if hasattr(regularizer, "state") else ()
    weights = {"generator": tuple(generator.parameters()), "discriminator": tuple(critic.parameters())}
    players = Players(networks, pac, loss or Wasserstein(), (regularizer,), (), states, weights)
    real, z = torch.randn(N, *shape), torch.randn(N, 2)
    clock = torch.zeros(()), torch.tensor(progress)
    return Game(player, players, Draws(lambda: (real, None), lambda: (z, None)), (regularizer,), clock)


def cell(regularizer, **others) -> Cell:
    class Named:
        name = "plain"

    return Cell(
        **{
            "data": ImageSpec((1, 16, 16)), "generator": Named(), "discriminator": Named(), "latent": Latent(2),
            "batch_coupling": "none", "companions": (), "loss": Wasserstein(), "regularizers": (regularizer,),
            "constraints": (), "augmentations": (), "pac": 1, "schedule": ("D", "G"), "batch_size": 4, **others,
        }
    )  # fmt: skip


def engine_of(toys, regularizer, *, optimizer=None, loss=None, architecture=None, **others) -> Engine:
    architecture, blobs = architecture or toys.Tiny(), toys.Blobs()
    data, train = (PointSpec((1,)), Images(torch.zeros(32, 1))) if architecture.name == "scalars" else (None, None)
    parts = Assembly(
        generator=architecture,
        discriminator=architecture,
        loss=loss or toys.Logistic(),
        regularizers=(regularizer,),
        constraints=(),
        augmentations=(),
        g_optimizer=optimizer or Adam(),
        d_optimizer=optimizer or Adam(),
        recipe=Recipe(batch_size=16, **others),
        budget=Budget(images=160),
    )
    train = train or blobs.load(None, "train")
    keys = dict.fromkeys(("dataset", "generator", "discriminator"), "toy")
    setup = Setup(parts, data=data or blobs.spec(None), train=train, held_out=train, seed=0, keys=keys)
    return Engine(setup, CPU)


def play(engine: Engine, rounds: int) -> Engine:
    for _ in range(rounds):
        engine.play_round(0.25)
    return engine


@pytest.mark.parametrize(
    "regularizer",
    [
        FeatureMatching(),
        TopK(),
        TopK(anneal=0.0),
        Consistency(),
        Consistency(fake=10.0),
        PathLength(),
        Consensus(),
    ],
    ids=str,
)
def test_terms_keep_to_the_contract(regularizer):
    check_component(regularizer)


@pytest.mark.parametrize(
    "regularizer",
    [
        LatentOptimisation(),
        LatentOptimisation(limit=1.0),
        Consistency(fake=10.0, latent_d=5.0, latent_g=0.5),
        Consistency(real=0.0, latent_g=0.5),
    ],
    ids=str,
)
def test_terms_on_latents_keep_to_the_contract_where_the_latent_has_no_codes(toys, regularizer):
    check_component(regularizer, architecture=toys.Tiny())


@pytest.mark.parametrize(
    ("cls", "fields"),
    [
        (FeatureMatching, {"weight": -1.0}),
        (TopK, {"share": 0.0}),
        (TopK, {"share": 1.1}),
        (TopK, {"anneal": -0.1}),
        (Consistency, {"real": -1.0}),
        (Consistency, {"real": 0.0}),
        (Consistency, {"sigma": float("nan")}),
        (Consistency, {"shift": -1}),
        (PathLength, {"weight": float("inf")}),
        (PathLength, {"decay": 0.0}),
        (PathLength, {"every": 0}),
        (Consensus, {"gamma": -1.0}),
        (LatentOptimisation, {"alpha": 0.0}),
        (LatentOptimisation, {"beta": 0.0}),
        (LatentOptimisation, {"weight": -1.0}),
        (LatentOptimisation, {"share": 2.0}),
        (LatentOptimisation, {"limit": 0.0}),
    ],
)
def test_a_field_out_of_range_is_a_value_error(cls, fields):
    with pytest.raises(ValueError, match=f"{cls.name} needs"):
        cls(**fields)


class OnePlayer:
    name = "vae"

    def generator(self, game):
        return None


@pytest.mark.parametrize(
    ("regularizer", "others", "reason"),
    [
        (FeatureMatching(), {}, "plain gives none"),
        (FeatureMatching(), {"discriminator": None}, "this combination gives none"),
        (PathLength(), {}, "plain's generator gives none"),
        (Consistency(), {"data": PointSpec((2,))}, "these are points"),
        (Consistency(latent_d=5.0), {"latent": Latent(2, (3,))}, "no longer be codes"),
        (LatentOptimisation(), {"latent": Latent(2, continuous=1)}, "no longer be codes"),
        (LatentOptimisation(), {"latent": Latent(2, distribution="uniform")}, "set limit = 1"),
        (LatentOptimisation(), {"regularizers": (LatentOptimisation(), LatentOptimisation(alpha=0.5))}, "named twice"),
        (LatentOptimisation(), {"discriminator": None}, "there is none"),
        (Consensus(), {"loss": OnePlayer()}, "vae has one"),
        (Consensus(), {"schedule": ("G",)}, "the schedule moves one"),
    ],
)
def test_what_has_no_meaning_is_refused_with_a_reason(regularizer, others, reason):
    assert reason in regularizer.compatible(cell(regularizer, **others))


@pytest.mark.parametrize(
    ("regularizer", "others"),
    [
        (FeatureMatching(), {"offers": frozenset({"features"})}),
        (PathLength(), {"offers": frozenset({"style"})}),
        (Consistency(), {"latent": Latent(2, (3,)), "pac": 2}),
        (Consistency(real=0.0, latent_d=5.0), {"data": PointSpec((2,))}),
        (LatentOptimisation(limit=1.0), {"latent": Latent(2, distribution="uniform"), "pac": 2}),
        (Consensus(), {"schedule": ("DG",), "pac": 2}),
    ],
)
def test_what_has_a_meaning_is_not_refused(regularizer, others):
    assert regularizer.compatible(cell(regularizer, **others)) is None


@pytest.mark.parametrize(
    "regularizer",
    [
        FeatureMatching(),
        TopK(),
        Consistency(fake=10.0, latent_d=5.0, latent_g=0.5),
        PathLength(every=2),
        LatentOptimisation(),
        Consensus(),
    ],
    ids=str,
)
@pytest.mark.parametrize("schedule", [("DG",), ("D", "D", "G")])
def test_terms_train_and_a_restored_run_goes_on_to_the_same_bytes(toys, regularizer, schedule):
    through, resumed = (engine_of(toys, regularizer, schedule=schedule, pac=2) for _ in range(2))
    restore(resumed, capture(play(through, 3)))
    first, second = (capture(play(engine, 2)) for engine in (through, resumed))
    assert int(through.first_bad) == -1
    assert first.numbers == second.numbers
    assert all(torch.equal(tensor, second.tensors[name]) for name, tensor in first.tensors.items())


# Feature matching


@pytest.mark.parametrize("pac", [1, 2])
def test_feature_matching_is_the_squared_distance_of_the_means_of_each_layer(pac):
    game = phase(FeatureMatching(weight=3.0), "generator", pac=pac)
    real, fake = (x.reshape(N // pac, -1).mean(0) for x in (game.real, game.fake))
    expected = 3 * (1 + 4) * (real - fake).square().sum()  # the features are x and 2 x
    torch.testing.assert_close(FeatureMatching(weight=3.0).penalty(game), expected)


def test_feature_matching_is_zero_where_the_means_agree_and_descent_brings_them_together():
    term = FeatureMatching()
    game = phase(term, "generator")
    gradient = torch.autograd.grad(term.penalty(game), game.clean_fake)[0]
    real, fake = game.real.mean(0), game.clean_fake.mean(0)
    torch.testing.assert_close(gradient, (2 * 5 / N * (fake - real)).expand_as(gradient))
    agreeing = phase(term, "generator")
    agreeing._memo["fake"] = game.clean_fake + real - fake
    assert term.penalty(agreeing) < 1e-10


# Top-k


@pytest.mark.parametrize(("share", "k"), [(0.5, 4), (0.25, 2), (1.0, 8), (0.01, 1)])
@pytest.mark.parametrize("loss", [Wasserstein(), Minimax()], ids=lambda loss: loss.name)
def test_the_gradient_of_top_k_is_that_of_the_mean_over_the_best(share, k, loss):
    term = TopK(share=share, anneal=0.0)
    game, plain = phase(term, "generator", loss=loss), phase(PathLength(), "generator", loss=loss)
    value = loss.generator(game)
    torch.testing.assert_close(value, loss.generator(plain), rtol=0, atol=0)
    (found,) = torch.autograd.grad(value, game.players.networks.generator.a)
    best = plain.fake_logits.topk(k).values
    plain._memo["fake_critique"] = Critique(best)
    (expected,) = torch.autograd.grad(loss.generator(plain), plain.players.networks.generator.a)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(("progress", "k"), [(0.0, 8), (0.1, 6), (0.2, 4), (0.4, 2), (1.0, 2)])
def test_top_k_falls_geometrically_to_its_share(progress, k):
    term = TopK(share=0.25, anneal=0.4)  # 8 x 0.25^(0.1 / 0.4) = 5.66
    game = phase(term, "generator", progress=progress)
    (gradient,) = torch.autograd.grad(game.fake_logits.sum(), game.clean_fake)
    moved = gradient.flatten(1).abs().sum(1) > 0
    assert int(moved.sum()) == k
    assert game.fake_logits[moved].min() >= game.fake_logits.detach().topk(k).values[-1]


def test_top_k_selects_exactly_k_of_equal_scores():
    term = TopK(share=0.5, anneal=0.0)
    logits = torch.zeros(N, requires_grad=True)
    term.select(phase(term, "generator"), Critique(logits), "fake").logits.sum().backward()
    assert logits.grad.sort().values.tolist() == [0.0] * 4 + [2.0] * 4


def test_top_k_leaves_real_samples_and_other_outputs_alone():
    term = TopK(anneal=0.0)
    game, plain = phase(term, "generator"), phase(PathLength(), "generator")
    assert torch.equal(game.real_logits, plain.real_logits)
    (gradient,) = torch.autograd.grad(game.fake_critique.embedding.sum(), game.clean_fake)
    assert (gradient == 1).all()


def test_top_k_counts_decisions_under_packing():
    term = TopK(share=0.5, anneal=0.0)
    game = phase(term, "generator", pac=2)
    (gradient,) = torch.autograd.grad(game.fake_logits.sum(), game.clean_fake)
    moved = gradient.reshape(N // 2, 2, -1).abs().sum(2) > 0
    assert int(moved.all(1).sum()) == int(moved.any(1).sum()) == 2


# Consistency


def test_shifted_images_are_reflected_at_the_edge():
    row = torch.arange(4.0).expand(3, 1, 2, 4)
    moved = shifted(row, torch.tensor([0, 2, -1]), 3)
    assert moved[:, 0, 0].tolist() == [[0, 1, 2, 3], [2, 3, 2, 1], [1, 0, 1, 2]]
    assert torch.equal(shifted(row.mT, torch.tensor([0, 2, -1]), 2), moved.mT)


def test_images_are_flipped_half_the_time_and_shifted_evenly():
    term = Consistency(shift=1)
    torch.manual_seed(0)
    image = torch.arange(25.0).reshape(1, 1, 5, 5).expand(6000, -1, -1, -1)
    moved = term._move(phase(term), image)
    kinds, counts = moved.flatten(1).unique(dim=0, return_counts=True)
    assert len(kinds) == 2 * 3 * 3
    assert counts.min() > 240
    assert counts.max() < 430
    assert torch.equal(replace(term, flip=False, shift=0)._move(phase(term), image), image)


def test_consistency_is_zero_for_a_critic_that_does_not_see_what_changes():
    class Mean(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.ones(()))

        def forward(self, x, labels=None):
            return self.w * x.flatten(1).mean(1)

    term = Consistency(fake=10.0, shift=0)
    assert term.penalty(phase(term, critic=Mean())) < 1e-10
    assert term.penalty(phase(term)) > 0.1


@pytest.mark.parametrize("side", ["real", "fake"])
@pytest.mark.parametrize("pac", [1, 2])
def test_consistency_is_the_mean_squared_change_of_the_logits(side, pac, monkeypatch):
    term = Consistency(**{"real": 0.0, side: 3.0})
    monkeypatch.setattr(Consistency, "_move", lambda self, game, images: images.flip(3))
    game = phase(term, pac=pac)
    images = getattr(game, side).reshape(N // pac, -1, *SHAPE[1:])
    change = (images - images.flip(3)).flatten(1) @ game.players.networks.discriminator.w
    torch.testing.assert_close(term.penalty(game), 3 * change.square().mean())


@pytest.mark.parametrize(
    ("fields", "phases"),
    [
        ({}, {"discriminator"}),
        ({"latent_g": 0.5}, {"discriminator", "generator"}),
        ({"real": 0.0, "latent_g": 0.5}, {"generator"}),
        ({"real": 0.0, "latent_d": 5.0}, {"discriminator"}),
    ],
)
def test_consistency_acts_where_it_has_a_weight(fields, phases):
    assert Consistency(**fields).phases == phases


def test_consistency_in_latents_follows_from_linear_networks():
    # with linear networks G(z + s) - G(z) = s W A whatever z is; s is the first that a phase draws
    term = Consistency(real=0.0, latent_d=5.0, latent_g=0.5, sigma=0.1)
    for player in ("discriminator", "generator"):
        game = phase(term, player)
        _ = game.real, game.fake_logits
        torch.manual_seed(7)
        noise = 0.1 * torch.randn(N, 2)
        torch.manual_seed(7)
        value = term.penalty(game)
        networks = game.players.networks
        change = noise @ networks.generator.w @ networks.generator.a  # (N, 6)
        expected = 5 * (change @ networks.discriminator.w).square().mean()
        if player == "generator":
            expected = -0.5 * change.square().mean()
        torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-6)
        parts = [networks.discriminator.w] if player == "discriminator" else list(networks.generator.parameters())
        assert all(gradient.abs().sum() > 0 for gradient in torch.autograd.grad(value, parts))


# Path length


@pytest.mark.parametrize("layers", [0, 3])
def test_path_length_of_a_linear_generator_follows_from_its_matrix(layers):
    term = PathLength(weight=2.0, decay=0.1)
    torch.manual_seed(3)
    shape = (3, 2, 2)
    game = phase(term, "generator", generator=Maker(layers=layers, shape=shape), shape=shape)
    _ = game.sample
    torch.manual_seed(7)
    y = torch.randn(N, *shape).flatten(1) / 2  # sqrt(H W), whatever the channels
    torch.manual_seed(7)
    value = term.penalty(game)
    a = game.players.networks.generator.a
    pulled = (y @ a.T).reshape(N, max(layers, 1), -1)  # (N, L, d)
    lengths = pulled.square().sum(2).mean(1).sqrt()
    average = 0.1 * lengths.detach().mean()
    expected = 2 * (lengths - average).square().mean()
    torch.testing.assert_close(value, expected)
    found, wanted = (torch.autograd.grad(v, a)[0] for v in (value, expected))
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(term.update(game, game.state(term))["a"], average)


def test_path_length_is_zero_for_an_orthonormal_generator_at_its_average():
    generator = Maker(width=6, shape=(1, 1, 6))
    generator.a = nn.Parameter(torch.linalg.qr(torch.randn(6, 6)).Q)
    term = PathLength(decay=1.0)

    class Unit(Game):
        def normal(self, *shape):
            y = super().normal(*shape)
            return y / y.flatten(1).norm(dim=1).reshape(-1, 1, 1, 1)

    game = phase(term, "generator", generator=generator, shape=(1, 1, 6))
    game.__class__ = Unit
    assert term.penalty(game) < 1e-10
    torch.testing.assert_close(term.update(game, game.state(term))["a"], torch.tensor(6**-0.5))


def test_the_average_path_length_moves_in_the_updates_that_take_part(toys):
    term = PathLength(every=2)
    engine = play(engine_of(toys, term), 4)
    ((_, state),) = engine.players.states
    measured = engine.meter.read()["g/path_length"]
    assert 0 < state["a"] < measured
    assert state["a"] == pytest.approx(measured * (1 - 0.99**2), rel=0.05)


def test_the_average_tends_to_the_mean_length():
    term = PathLength(decay=0.5)
    game = phase(term, "generator")
    state = {"a": torch.tensor(5.0)}
    term.penalty(game)
    mean = game.logs["path_length"]
    for _ in range(30):
        state = dict(term.update(game, state))
    torch.testing.assert_close(state["a"], mean)


# Latent optimisation


@pytest.mark.parametrize("pac", [1, 2])
@pytest.mark.parametrize("player", ["discriminator", "generator"])
def test_latents_take_the_natural_gradient_step(pac, player):
    term = LatentOptimisation(alpha=0.9, beta=0.5, share=0.5, weight=2.0)
    game = phase(term, player, pac=pac)
    networks = game.players.networks
    slope = networks.discriminator.w.reshape(pac, 6) @ (networks.generator.w @ networks.generator.a).T  # (pac, 2)
    step = 0.9 * slope / (0.5 + slope.square().sum())
    found = (game.latents - game._draws.latents()[0]).reshape(N // pac, pac, 2)
    units = N // pac
    torch.testing.assert_close(found[: units // 2], step.expand(units // 2, pac, 2))
    assert (found[units // 2 :] == 0).all()
    torch.testing.assert_close(term.penalty(game), 2 * 0.5 * step.square().sum())


def test_moved_latents_score_higher_and_stay_within_their_limit():
    for limit in (None, 0.5):
        term = LatentOptimisation(share=1.0, limit=limit)
        game = phase(term, critic=Curved())
        if limit is None:
            assert game.fake_logits.mean() > phase(PathLength(), critic=Curved()).fake_logits.mean()
        else:
            assert game.latents.abs().max() <= 0.5


@pytest.mark.parametrize("player", ["discriminator", "generator"])
@pytest.mark.parametrize("loss", [Wasserstein(), Minimax()], ids=lambda loss: loss.name)
def test_both_players_differentiate_through_the_step(player, loss):
    term = LatentOptimisation(alpha=0.5, beta=0.2, share=1.0, weight=0.3)
    game = phase(term, player, loss=loss, critic=Curved())
    networks = game.players.networks
    own = list((networks.discriminator if player == "discriminator" else networks.generator).parameters())
    found = torch.autograd.grad(evaluate_phase(game), own)

    z, real = game._draws.latents()[0].requires_grad_(), game._draws.real()[0]
    score = networks.discriminator(networks.generator(z).images)
    (slope,) = torch.autograd.grad(score.sum(), z, create_graph=True)
    step = 0.5 * slope / (0.2 + slope.square().sum(1, keepdim=True))
    fake_logits = networks.discriminator(networks.generator(z + step).images)

    class Read:
        pass

    view = Read()
    view.real_logits, view.fake_logits = networks.discriminator(real), fake_logits
    total = getattr(loss, player)(view) + 0.3 * step.square().sum(1).mean()
    for one, wanted in zip(found, torch.autograd.grad(total, own), strict=True):
        torch.testing.assert_close(one, wanted, rtol=1e-4, atol=1e-6)


def test_the_step_of_latents_is_logged_in_both_phases(toys):
    read = play(engine_of(toys, LatentOptimisation()), 2).meter.read()
    assert read["d/step"] > 0
    assert read["g/step"] > 0


# Consensus


@pytest.mark.parametrize("gamma", [0.5, 10.0])
@pytest.mark.parametrize("pac", [1, 2])
def test_consensus_is_half_gamma_the_squared_field(gamma, pac):
    term = Consensus(gamma=gamma)
    for player in ("discriminator", "generator"):
        game = phase(term, player, pac=pac)
        networks = game.players.networks
        parts = list(networks.discriminator.parameters()), list(networks.generator.parameters())
        z, real = game._draws.latents()[0], game._draws.real()[0]
        fake = networks.generator(z).images.reshape(N // pac, -1)
        gap = (networks.discriminator.w * (fake - real.reshape(N // pac, -1))).sum(1).mean()
        of_d = torch.autograd.grad(gap, parts[0], create_graph=True)
        of_g = torch.autograd.grad(-(networks.discriminator.w * fake).sum(1).mean(), parts[1], create_graph=True)
        expected = gamma / 2 * sum(gradient.square().sum() for gradient in (*of_d, *of_g))
        value = term.penalty(game)
        torch.testing.assert_close(value, expected)
        own = parts[0] if player == "discriminator" else parts[1]
        for found, wanted in zip(torch.autograd.grad(value, own), torch.autograd.grad(expected, own), strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_consensus_converges_on_the_bilinear_game_at_the_known_rate(toys):
    eta, gamma = 0.3, 0.5
    engine = engine_of(
        toys,
        Consensus(gamma=gamma),
        optimizer=Sgd(lr=eta),
        loss=toys.Bilinear(),
        architecture=toys.Scalars(),
        schedule=("DG",),
    )
    x = y = 1.0
    for _ in range(20):
        engine.play_round(0.0)
        x, y = x - eta * (y + gamma * x), y + eta * (x - gamma * y)
    networks = engine.players.networks
    assert networks.generator.x.item() == pytest.approx(x, rel=1e-3, abs=1e-6)
    assert networks.discriminator.y.item() == pytest.approx(y, rel=1e-3, abs=1e-6)
    rate = ((1 - eta * gamma) ** 2 + eta**2) ** 0.5
    assert rate < 0.91
    assert math.hypot(x, y) == pytest.approx(2**0.5 * rate**20)
