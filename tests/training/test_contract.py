"""Every part of the contract, each exercised by a toy component that stands for a family of papers."""

from __future__ import annotations

import pytest
import torch

from ganbench.training.checkpoint import capture
from ganbench.training.engine import Engine
from ganbench.training.game import Draws, Game, Players, due_regularizers
from ganbench.training.kernels import Kernels
from ganbench.training.setup import build_networks
from ganbench.values import Critique, Images, Networks, PointSpec

CPU = torch.device("cpu")


def weights(engine: Engine) -> dict[str, torch.Tensor]:
    return {k: v for k, v in capture(engine).tensors.items() if k.startswith(("generator", "discriminator"))}


def apart(a: Engine, b: Engine) -> float:
    pairs = zip(weights(a).values(), weights(b).values(), strict=True)
    return max(float((x.double() - y.double()).abs().max()) for x, y in pairs)


def game_of(engine: Engine, phase: str = "discriminator", due: tuple = ()) -> Game:
    side = engine.sides[phase]
    draws = Draws(lambda: side.images.batch(0), lambda: side.latents.batch(0, engine.setup.parts.recipe.batch_size))
    return Game(phase, engine.players, draws, due, (side.updates, engine.progress))


def test_both_players_move_and_nothing_is_bad(play):
    start, end = play(0), play(5)
    assert apart(start, end) > 1e-4
    assert int(end.first_bad) == -1
    assert end.counters.as_json() == {
        "rounds": 5, "images_seen": 80, "discriminator": 5, "generator": 5, "gradient_evaluations": 10
    }  # fmt: skip


def test_same_seed_same_bytes_other_seed_other_weights(play):
    assert apart(play(5), play(5)) == 0
    assert apart(play(5), play(5, seed=1)) > 1e-3


def test_one_pass_over_real_and_fake_equals_two(play):
    assert apart(play(10), play(10, joint=False)) < 1e-6


def test_a_batch_coupled_discriminator_never_sees_real_and_fake_together(play, toys):
    coupled = {"architecture": toys.BatchCoupled()}
    assert apart(play(3, **coupled), play(3, joint=False, **coupled)) == 0


def test_an_architecture_that_lies_about_coupling_would_be_noticed(play, toys):
    class Liar(toys.BatchCoupled):
        batch_coupling = "none"

    assert apart(play(3, architecture=Liar()), play(3, joint=False, architecture=Liar())) > 1e-5


def test_two_losses_start_from_the_same_weights_and_see_the_same_batches(make_setup, toys):
    a, b = (Engine(make_setup(loss), CPU) for loss in (toys.Logistic(), toys.Bilinear()))
    assert apart(a, b) == 0
    for k in range(8):
        assert torch.equal(a.sides["discriminator"].images.batch(k)[0], b.sides["discriminator"].images.batch(k)[0])
        assert torch.equal(a.sides["generator"].latents.batch(k, 16)[0], b.sides["generator"].latents.batch(k, 16)[0])


def test_an_epoch_shows_every_image_once(make_setup):
    engine = Engine(make_setup(), CPU)
    stream = engine.sides["discriminator"].images
    seen = torch.cat([stream.batch(k)[0] for k in range(6)])  # 6 x 16 = 96 images
    everything = engine.setup.data.decode(engine.setup.train.pixels)
    assert torch.equal(seen.flatten(1).sort(dim=0).values, everything.flatten(1).sort(dim=0).values)


def test_a_stateful_loss_reads_and_renews_its_state_in_both_phases(play, toys):
    engine = play(4, toys.Stateful(rate=0.1))
    ((_, state),) = engine.players.states
    assert state["calls"] == 8
    assert state["k"] == pytest.approx(0.8)
    assert engine.meter.read()["d/balance"] == pytest.approx((0 + 0.2 + 0.4 + 0.6) / 4)


def test_equal_components_do_not_share_state(play, toys):
    once, twice = toys.Counting(), toys.Counting()
    engine = play(3, regularizers=(once, twice))
    assert once == twice
    assert [int(state["calls"]) for _, state in engine.players.states] == [3, 3]
    assert engine.players.states[0][1]["calls"] is not engine.players.states[1][1]["calls"]


def test_an_auxiliary_head_is_trained_in_both_phases(play, toys):
    engine = play(3, architecture=toys.Tiny(codes=3), regularizers=(toys.Auxiliary(),))
    plain = play(3, architecture=toys.Tiny(codes=3))
    assert apart(engine, plain) > 1e-4
    game = game_of(engine, "generator", (toys.Auxiliary(),))
    code = game.latents[:, 4:].argmax(dim=1)
    assert torch.equal(code, engine.players.latent.codes(game.latents)[0])


def test_top_k_lets_the_generator_learn_from_its_best_samples_only(make_setup, toys):
    engine = Engine(make_setup(), CPU)
    top = toys.TopK(share=0.25)
    game = game_of(engine, "generator", (top,))
    every = game_of(engine, "generator").fake_logits
    assert torch.equal(game.fake_logits.sort().values, every.sort().values[-4:])


def test_latents_move_up_the_slope_before_they_are_used(make_setup, play, toys):
    engine = Engine(make_setup(), CPU)
    for phase in ("discriminator", "generator"):
        moved = game_of(engine, phase, (toys.LatentStep(rate=0.05),))
        assert moved.fake_logits.mean() > game_of(engine, phase).fake_logits.mean()
    assert not game_of(engine, "discriminator", (toys.LatentStep(),)).fake.requires_grad
    assert play(3, regularizers=(toys.LatentStep(),)).meter.read()["g/moved"] > 0


def test_a_constraint_holds_after_every_update_of_its_player(play, toys):
    engine = play(3, constraints=(toys.Box(c=0.05),))
    assert all(p.abs().max() <= 0.05 for p in engine.sides["discriminator"].params)
    assert any(p.abs().max() > 0.05 for p in engine.sides["generator"].params)


def test_lookahead_returns_both_players_to_slow_weights(play, toys):
    slow, plain = play(3, constraints=(toys.Lookahead(every=3, alpha=0.5),)), play(3)
    start = play(0)
    for (name, a), b, c in zip(weights(slow).items(), weights(plain).values(), weights(start).values(), strict=True):
        torch.testing.assert_close(a, (b + c) / 2, msg=name)


def test_lookahead_waits_for_its_round(play, toys):
    assert apart(play(2, constraints=(toys.Lookahead(every=3),)), play(2)) == 0


def bilinear(toys, optimizer, schedule):
    return {
        "architecture": toys.Scalars(), "data": PointSpec((1,)), "g_optimizer": optimizer, "d_optimizer": optimizer,
        "train": Images(torch.zeros(16, 1)), "test": Images(torch.zeros(16, 1)), "schedule": schedule,
    }  # fmt: skip


def radius(engine: Engine) -> float:
    return float(sum(p.detach().square().sum() for side in engine.sides.values() for p in side.params).sqrt())


def test_simultaneous_gradient_descent_diverges_on_the_bilinear_game_at_the_known_rate(play, toys):
    engine = play(20, toys.Bilinear(), **bilinear(toys, toys.PlainSgd(0.3), ("DG",)))
    assert radius(engine) == pytest.approx(2**0.5 * (1 + 0.3**2) ** 10, rel=1e-4)


def test_extragradient_converges_on_the_bilinear_game_at_the_known_rate(play, toys):
    engine = play(20, toys.Bilinear(), **bilinear(toys, toys.Extragradient(0.3), ("DG",)))
    rate = ((1 - 0.3**2) ** 2 + 0.3**2) ** 0.5
    assert rate == pytest.approx(0.9582, abs=1e-4)
    assert radius(engine) == pytest.approx(2**0.5 * rate**20, rel=1e-4)
    assert engine.counters.gradient_evaluations == 80


def test_a_loss_without_discriminator_trains_the_generator_and_its_companion(play, toys):
    start, end = play(0, toys.Autoencoding()), play(30, toys.Autoencoding(), g_lr=1e-2)
    assert start.players.networks.discriminator is None
    assert set(end.sides) == {"generator"}
    assert end.counters.images_seen == 30 * 16
    before, after = (e.players.networks.companions["encoder"].module[1].weight for e in (start, end))
    assert not torch.equal(before, after)


def test_the_schedule_says_who_moves_how_often(play):
    counters = play(4, schedule=("D", "D", "G", "DG")).counters
    assert (counters.discriminator, counters.generator, counters.images_seen) == (12, 8, 12 * 16)


@pytest.mark.parametrize("side", ["real", "fake", "between"])
def test_penalties_differentiate_what_they_declare(play, toys, side):
    engine = play(2, regularizers=(toys.SlopePenalty(side),))
    assert engine.meter.read()["d/slope"] > 0


def test_a_penalty_that_declares_nothing_is_told_what_to_declare(make_setup, toys):
    game = game_of(Engine(make_setup(), CPU))
    with pytest.raises(ValueError, match="differentiates"):
        game.slope(game.real_logits, game.real)


def test_a_regularizer_due_every_third_update_counts_threefold(make_setup, toys):
    lazy = toys.SlopePenalty("real", every=3)
    assert [bool(due_regularizers((lazy,), "discriminator", k)) for k in range(4)] == [True, False, False, True]
    assert due_regularizers((lazy,), "generator", 0) == ()
    one, three = (Engine(make_setup(regularizers=(r,)), CPU) for r in (toys.SlopePenalty("real"), lazy))
    plain = Engine(make_setup(), CPU)
    for engine in (one, three, plain):
        engine.gradient("discriminator")
    grads = [torch.cat([p.grad.flatten() for p in e.sides["discriminator"].params if p.grad is not None])
             for e in (one, three, plain)]  # fmt: skip
    size = min(map(len, grads))
    torch.testing.assert_close(grads[1][:size] - grads[2][:size], 3 * (grads[0][:size] - grads[2][:size]))


@pytest.mark.parametrize("pac", [2, 4])
def test_packing_judges_m_samples_as_one(make_setup, toys, pac):
    engine = Engine(make_setup(pac=pac), CPU)
    game = game_of(engine)
    assert game.real.shape == (16, 1, 4, 4)
    assert game.real_logits.shape == game.fake_logits.shape == (16 // pac,)
    x = game.mix(game.real, game.fake)
    slope = game.slope(game.critic(x).logits, x)
    assert slope.shape == (16 // pac, pac * 16)
    packed = game.real.reshape(16 // pac, pac, 4, 4)
    torch.testing.assert_close(engine.players.networks.discriminator(packed).logits, game.real_logits)


def test_packing_mixes_with_one_weight_a_decision(make_setup):
    engine = Engine(make_setup(pac=4), CPU)
    game = game_of(engine)
    a, b = torch.ones(16, 1, 4, 4), torch.zeros(16, 1, 4, 4)
    weights_used = game.mix(a, b).detach().reshape(4, -1)
    assert (weights_used == weights_used[:, :1]).all()
    assert len(weights_used[:, 0].unique()) == 4


def test_slope_of_a_packed_linear_critic_is_its_weight(toys):
    weight = torch.randn(2 * 3)
    critic = torch.nn.Linear(6, 1)
    critic.weight.data[:] = weight

    class Flat(torch.nn.Module):
        def forward(self, x, labels=None):
            return critic(x.flatten(1))[:, 0]

    latent = toys.Tiny().latent(None)
    players = Players(Networks(torch.nn.Identity(), Flat(), latent), 2, toys.Logistic(), (), ())
    zero = torch.zeros(())
    game = Game("discriminator", players, Draws(None, None), (), (zero, zero))
    x = torch.randn(8, 3, requires_grad=True)
    torch.testing.assert_close(game.slope(game.critic(x).logits, x), weight.expand(4, 6))


def test_augmentation_is_seen_by_the_discriminator_and_differentiated_for_the_generator(make_setup, toys):
    engine = Engine(make_setup(augmentations=(toys.Brightness(),)), CPU)
    game = game_of(engine, "generator")
    assert not torch.equal(game.fake, game.clean_fake)
    (gradient,) = torch.autograd.grad(game.fake.sum(), game.clean_fake)
    torch.testing.assert_close(gradient, torch.ones_like(gradient))


def test_spectral_norm_takes_one_power_iteration_a_phase_on_every_path(make_setup, toys):
    def vectors(joint: bool, rounds: int) -> torch.Tensor:
        engine = Engine(make_setup(architecture=toys.Tiny(spectral=True)), CPU)
        object.__setattr__(engine.players, "joint", joint)
        for _ in range(rounds):
            engine.play_round(0.0)
        return engine.players.networks.discriminator.body[1].parametrizations.weight[0]._u.clone()

    torch.testing.assert_close(vectors(True, 4), vectors(False, 4))
    assert not torch.equal(vectors(True, 0), vectors(True, 1))


def test_spectral_weights_cached_under_no_grad_do_not_lose_their_gradient(make_setup, toys):
    class Peeking(toys.Logistic):
        def discriminator(self, game):
            with torch.no_grad():
                game.critic(game.real)
            return super().discriminator(game)

    engine = Engine(make_setup(Peeking(), architecture=toys.Tiny(spectral=True)), CPU)
    engine.gradient("discriminator")
    assert engine.players.networks.discriminator.body[1].parametrizations.weight.original.grad.abs().sum() > 0


def test_a_phase_leaves_no_gradient_in_the_other_player(make_setup):
    engine = Engine(make_setup(), CPU)
    engine.gradient("generator")
    assert all(p.grad is None for p in engine.sides["discriminator"].params)
    assert all(p.grad is not None for p in engine.players.networks.generator.parameters())


def test_what_an_architecture_freezes_stays_frozen(play, toys):
    class Frozen(toys.Tiny):
        def discriminator(self, data):
            module = super().discriminator(data)
            module.body[1].requires_grad_(False)
            return module

    start, end = (play(n, architecture=Frozen()).players.networks.discriminator for n in (0, 3))
    assert torch.equal(start.body[1].weight, end.body[1].weight)
    assert not torch.equal(start.logit.weight, end.logit.weight)


def test_a_player_that_never_moves_collects_no_gradient(play):
    discriminator = play(2, schedule=("G",)).players.networks.discriminator
    assert all(p.grad is None for p in discriminator.parameters())


def test_labels_reach_both_networks(make_setup, toys):
    seen = {}

    class Noting(toys.Tiny):
        def generator(self, data):
            module = super().generator(data)
            module.register_forward_pre_hook(lambda _, args: seen.__setitem__("g", args[1]))
            return module

        def discriminator(self, data):
            module = super().discriminator(data)
            module.register_forward_pre_hook(lambda _, args: seen.__setitem__("d", args[1]))
            return module

    Engine(make_setup(architecture=Noting()), CPU).gradient("discriminator")
    assert seen["g"].shape == (16,)
    assert seen["d"].shape == (32,)
    assert set(seen["d"].tolist()) == {0, 1}


def test_a_discriminator_of_the_wrong_shape_is_named(make_setup, toys):
    class Flat(torch.nn.Module):
        def forward(self, x, labels=None):
            return Critique(x.flatten(1).mean(1, keepdim=True))

    engine = Engine(make_setup(), CPU)
    object.__setattr__(engine.players.networks, "discriminator", Flat())
    with pytest.raises(ValueError, match=r"shape \(16, 1\)"):
        game_of(engine).critic(torch.zeros(16, 1, 4, 4))


def test_initial_weights_do_not_depend_on_the_global_stream(make_setup):
    torch.manual_seed(1)
    first = build_networks(make_setup()).generator.out.weight
    torch.manual_seed(2)
    assert torch.equal(first, build_networks(make_setup()).generator.out.weight)


class Field:
    """Half the squared norm of both players' gradients, times 1/4: a term in the weights of the two."""

    name, paper = "field", "none"
    phases = frozenset({"discriminator", "generator"})
    differentiates = frozenset({"weights"})

    def penalty(self, game):
        total = 0
        for player in ("discriminator", "generator"):
            gradients = torch.autograd.grad(game.objective(player), game.weights(player), create_graph=True)
            total = total + sum(gradient.square().sum() for gradient in gradients)
        return total / 8


@pytest.mark.parametrize("schedule", [("DG",), ("D", "G")])
def test_a_term_in_the_gradients_of_both_players_moves_its_own_player_alone(play, toys, schedule):
    # min_x max_y xy: the gradients are y and -x, the term (x^2 + y^2) / 8 adds x / 4 and y / 4 to them
    engine = play(
        5,
        toys.Bilinear(),
        architecture=toys.Scalars(),
        data=PointSpec((1,)),
        train=Images(torch.zeros(32, 1)),
        test=Images(torch.zeros(32, 1)),
        schedule=schedule,
        regularizers=(Field(),),
        g_optimizer=toys.PlainSgd(lr=0.1),
        d_optimizer=toys.PlainSgd(lr=0.1),
    )
    x = y = 1.0
    for _ in range(5):
        new = y + 0.1 * (x - y / 4)
        x, y = x - 0.1 * ((y if schedule == ("DG",) else new) + x / 4), new
    networks = engine.players.networks
    assert networks.generator.x.item() == pytest.approx(x, rel=1e-5)
    assert networks.discriminator.y.item() == pytest.approx(y, rel=1e-5)


def test_both_players_objectives_are_there_for_terms_that_declare_it(play):
    with pytest.raises(ValueError, match="declare it in `differentiates`"):
        game_of(play(0)).objective("generator")


def test_dropout_draws_the_same_masks_whether_passes_may_be_joint_or_not(make_setup, toys):
    class Dropping(toys.Tiny):
        def discriminator(self, data):
            network = super().discriminator(data)
            network.body.extend([torch.nn.Dropout(0.5), torch.nn.Linear(16, 16), torch.nn.Dropout(0.5)])
            return network

    read = []
    for joint in (True, False):
        engine = Engine(make_setup(architecture=Dropping()), CPU, Kernels(joint=joint))
        engine.play_round(0.0)
        read.append(engine.meter.read())
    assert read[0] == read[1]
