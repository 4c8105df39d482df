"""The gradient, output and weight penalties: closed forms on linear and quadratic critics."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from ganbench import Latent, Networks
from ganbench.components import trait
from ganbench.suite.expand import core_incompatibility
from ganbench.testing import check_component
from ganbench.training.game import Draws, Game, Players, evaluate_phase
from ganbench_zoo.losses.wasserstein import Wasserstein
from ganbench_zoo.regularizers.dragan import Dragan
from ganbench_zoo.regularizers.drift import Drift
from ganbench_zoo.regularizers.lecam import LeCam
from ganbench_zoo.regularizers.max_gp import MaxGp
from ganbench_zoo.regularizers.orthogonal import Orthogonal
from ganbench_zoo.regularizers.r1 import R1
from ganbench_zoo.regularizers.r2 import R2
from ganbench_zoo.regularizers.wgan_gp import WganGp
from ganbench_zoo.regularizers.wgan_lp import WganLp
from ganbench_zoo.regularizers.zero_centered_gp import ZeroCenteredGp

N, SHAPE = 8, (1, 2, 3)
ALL = [WganLp, Dragan, R2, ZeroCenteredGp, MaxGp, LeCam, Drift, Orthogonal]
BETWEEN = [WganLp, ZeroCenteredGp, MaxGp]


class Linear(nn.Module):
    """x (units, *shape) -> w . x, whose gradient is w everywhere."""

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x, labels=None):
        return x.flatten(1) @ self.weight


class Quadratic(nn.Module):
    """x -> scale |x|^2 / 2, whose gradient is scale x; keeps what it judged last."""

    def __init__(self, scale=1.0):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))

    def forward(self, x, labels=None):
        self.seen = x.detach()
        return self.scale * x.flatten(1).square().sum(1) / 2


class Mean(nn.Module):
    """x -> bias + the mean of x: the outputs are chosen with the samples."""

    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, x, labels=None):
        return self.bias + x.flatten(1).mean(1)


class Fixed(nn.Module):
    """Returns the samples that it holds, whatever the latents."""

    def __init__(self, images):
        super().__init__()
        self.images = nn.Parameter(images)

    def forward(self, z, labels=None):
        return self.images


def phase(
    critic, regularizer, *, pac=1, player="discriminator", real=None, fake=None, state=None, step=0, weights=None
):
    torch.manual_seed(0)
    real, fake = (torch.randn(N, *SHAPE) if x is None else x for x in (real, fake))
    networks = Networks(Fixed(fake), critic, Latent(2))
    states = () if state is None else ((regularizer, state),)
    players = Players(networks, pac, Wasserstein(), (regularizer,), (), states, weights or {})
    draws = Draws(lambda: (real, None), lambda: (torch.zeros(len(real), 2), None))
    return Game(player, players, draws, (regularizer,), (torch.tensor(float(step)), torch.zeros(())))


def constant(value):
    return torch.full((N, *SHAPE), float(value))


def unit(size, norm=1.0):
    weight = torch.arange(1.0, size + 1)
    return weight / weight.norm() * norm


def slope_norms(critic, pac=1):
    """Return the norms of a quadratic critic's gradients where it last looked."""
    return critic.scale.detach() * critic.seen.reshape(N // pac, -1).norm(dim=1)


@pytest.mark.parametrize("cls", ALL)
def test_keeps_the_contract(cls):
    check_component(cls())


@pytest.mark.parametrize("field", [{"norms": True}, {"player": "discriminator"}, {"player": "both"}])
def test_orthogonal_keeps_the_contract_with_other_fields(field):
    check_component(Orthogonal(**field))


# WGAN-LP


@pytest.mark.parametrize("norm", [1.5, 3.0])
def test_wgan_lp_is_wgan_gp_above_slope_one(norm):
    critic = Linear(unit(6, norm))
    value = WganLp(weight=4.0).penalty(phase(critic, WganLp()))
    torch.testing.assert_close(value, torch.tensor(4 * (norm - 1) ** 2))
    torch.testing.assert_close(value, WganGp(weight=4.0).penalty(phase(critic, WganGp())))
    value.backward()
    torch.testing.assert_close(critic.weight.grad, 8 * (norm - 1) * unit(6))


@pytest.mark.parametrize("norm", [0.0, 0.3, 0.99])
def test_wgan_lp_lets_a_slope_below_one_be(norm):
    critic = Linear(unit(6, norm))
    value = WganLp().penalty(phase(critic, WganLp()))
    value.backward()
    assert value == 0
    assert not critic.weight.grad.any()


def test_wgan_lp_counts_the_steep_points_alone():
    critic = Quadratic(0.5)
    value = WganLp(weight=2.0).penalty(phase(critic, WganLp()))
    norms = slope_norms(critic)
    assert norms.min() < 1 < norms.max()
    torch.testing.assert_close(value, 2 * torch.relu(norms - 1).square().mean())


# DRAGAN


@pytest.mark.parametrize(("norm", "k"), [(0.5, 1.0), (3.0, 1.0), (2.0, 2.0), (1.0, 0.0)])
def test_dragan_of_a_linear_critic_follows_from_its_norm(norm, k):
    critic = Linear(unit(6, norm))
    value = Dragan(k=k).penalty(phase(critic, Dragan()))
    torch.testing.assert_close(value, torch.tensor(10 * (norm - k) ** 2), atol=1e-6, rtol=1e-5)
    value.backward()
    torch.testing.assert_close(critic.weight.grad, 20 * (norm - k) * unit(6), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("pac", [1, 2])
def test_dragan_looks_above_real_samples_within_c_standard_deviations_of_the_batch(pac):
    critic, real = Quadratic(), 3 * torch.randn(N, 40, 40, generator=torch.Generator().manual_seed(3))
    value = Dragan(weight=2.0, k=0.5).penalty(phase(critic, Dragan(), pac=pac, real=real, fake=real))
    noise = (critic.seen.reshape(real.shape) - real) / (0.5 * real.std(correction=0))  # u v, one u a decision
    reach = noise.reshape(N // pac, -1).amax(dim=1)
    assert noise.min() > -1e-5
    assert 0 < reach.min() < 0.9 * reach.max() < 0.9
    scaled = noise.reshape(N // pac, -1) / reach[:, None]  # v ~ U(0, 1) in every coordinate
    torch.testing.assert_close(scaled.mean(dim=1), torch.full_like(reach, 0.5), atol=0.05, rtol=0)
    torch.testing.assert_close(scaled.var(dim=1), torch.full_like(reach, 1 / 12), atol=0.01, rtol=0)
    torch.testing.assert_close(value, 2 * (slope_norms(critic, pac) - 0.5).square().mean())


def test_dragan_without_noise_looks_at_the_real_samples():
    critic = Quadratic()
    game = phase(critic, Dragan(), fake=constant(100))
    value = Dragan(weight=1.0, c=0.0).penalty(game)
    torch.testing.assert_close(value, (game.real.flatten(1).norm(dim=1) - 1).square().mean())


# R2


def test_r2_of_a_linear_critic_is_half_gamma_its_squared_norm():
    critic = Linear(unit(6, 2.0))
    value = R2(gamma=3.0).penalty(phase(critic, R2()))
    torch.testing.assert_close(value, torch.tensor(6.0))
    value.backward()
    torch.testing.assert_close(critic.weight.grad, 3 * critic.weight.detach())


def test_r2_looks_at_generated_samples_only():
    critic, fake = Quadratic(2.0), torch.randn(N, *SHAPE)
    game = phase(critic, R2(), real=constant(100), fake=fake)
    value = R2(gamma=3.0).penalty(game)
    torch.testing.assert_close(value, 1.5 * 4 * fake.flatten(1).square().sum(1).mean())
    value.backward()
    assert game.players.networks.generator.images.grad is None


def test_r2_is_r1_with_the_sides_changed():
    a, b = torch.randn(2, N, *SHAPE)
    r2 = R2(gamma=2.0).penalty(phase(Quadratic(), R2(), real=a, fake=b))
    torch.testing.assert_close(r2, R1(gamma=2.0).penalty(phase(Quadratic(), R1(), real=b, fake=a)))


def test_a_lazy_r2_is_multiplied_by_its_interval():
    critic = Linear(unit(6))
    eager, lazy = (evaluate_phase(phase(critic, R2(gamma=3.0, every=k))) for k in (1, 16))
    bare = Wasserstein().discriminator(phase(critic, R2()))
    torch.testing.assert_close(lazy - bare, 16 * (eager - bare), rtol=1e-4, atol=1e-4)


# 0-GP and MaxGP


def test_zero_centered_gp_is_least_for_a_flat_critic():
    steep, flat = Linear(unit(6, 2.0)), Linear(torch.zeros(6))
    value, least = (ZeroCenteredGp(weight=5.0).penalty(phase(one, ZeroCenteredGp())) for one in (steep, flat))
    torch.testing.assert_close(value, torch.tensor(20.0))
    assert least == 0
    (value + least).backward()
    torch.testing.assert_close(steep.weight.grad, 10 * steep.weight.detach())
    assert not flat.weight.grad.any()


def test_zero_centered_gp_averages_and_max_gp_takes_the_steepest():
    critic = Quadratic()
    mean = ZeroCenteredGp(weight=2.0).penalty(phase(critic, ZeroCenteredGp()))
    norms = slope_norms(critic)
    torch.testing.assert_close(mean, 2 * norms.square().mean())
    most = MaxGp(weight=2.0).penalty(phase(critic, MaxGp()))
    torch.testing.assert_close(slope_norms(critic), norms)
    torch.testing.assert_close(most, 2 * norms.max().square())
    most.backward()
    torch.testing.assert_close(critic.scale.grad, 4 * norms.max().square())  # scale = 1


def test_max_gp_of_a_linear_critic_is_its_squared_norm():
    critic = Linear(unit(6, 3.0))
    value = MaxGp(weight=0.5).penalty(phase(critic, MaxGp()))
    torch.testing.assert_close(value, torch.tensor(4.5))
    value.backward()
    torch.testing.assert_close(critic.weight.grad, critic.weight.detach())


# What gradient penalties have in common


@pytest.mark.parametrize("cls", BETWEEN)
def test_looks_between_real_and_generated_samples_with_one_weight_a_decision(cls):
    critic = Quadratic()
    game = phase(critic, cls(), pac=2)
    cls().penalty(game)
    x, real, fake = (t.reshape(N // 2, -1) for t in (critic.seen, game.real, game.fake))
    share = (x - fake) / (real - fake)
    torch.testing.assert_close(share, share[:, :1].expand_as(share), rtol=1e-3, atol=1e-3)
    assert 0 <= share.min() <= share.max() <= 1
    assert share[:, 0].std() > 0.05


@pytest.mark.parametrize(
    ("regularizer", "wanted"),
    [
        (WganLp(weight=2.0), 8.0),
        (Dragan(weight=2.0), 8.0),
        (R2(gamma=2.0), 9.0),
        (ZeroCenteredGp(weight=2.0), 18.0),
        (MaxGp(weight=2.0), 18.0),
    ],
)
def test_a_pack_is_one_decision_with_one_slope(regularizer, wanted):
    value = regularizer.penalty(phase(Linear(unit(12, 3.0)), regularizer, pac=2))
    torch.testing.assert_close(value, torch.tensor(wanted))


@pytest.mark.parametrize("cls", [*BETWEEN, Dragan])
def test_trains_the_critic_alone(cls):
    critic = Quadratic()
    game = phase(critic, cls())
    cls().penalty(game).backward()
    assert critic.scale.grad.isfinite()
    assert critic.scale.grad != 0
    assert game.players.networks.generator.images.grad is None


@pytest.mark.parametrize("cls", ALL)
def test_batch_norm_in_the_discriminator_is_refused_where_single_samples_are_differentiated(plain_cell, cls):
    cell = replace(plain_cell, batch_coupling="normalisation", regularizers=(cls(),))
    assert ("normalises over the batch" in (core_incompatibility(cell) or "")) is (cls in {*BETWEEN, Dragan})


# LeCam


def blank():
    return dict(LeCam().state())


def test_lecam_starts_at_the_means_of_the_first_batch():
    regularizer = LeCam(weight=0.5)
    game = phase(Mean(), regularizer, real=constant(2), fake=constant(-1), state=blank())
    torch.testing.assert_close(regularizer.penalty(game), torch.tensor(0.5 * (9 + 9)))


def test_lecam_averages_are_what_every_batch_so_far_weighs():
    regularizer, state, real, fake = LeCam(decay=0.8), blank(), [3.0, -1.0, 0.5, 7.0], [0.0, 2.0, -4.0, 1.0]
    for x, y in zip(real, fake, strict=True):
        game = phase(Mean(), regularizer, real=constant(x), fake=constant(y), state=state)
        value = regularizer.penalty(game)
        state = {name: tensor.detach() for name, tensor in regularizer.update(game, state).items()}
    weights = torch.tensor([0.8**age for age in (3, 2, 1, 0)])
    a_real, a_fake = ((weights * torch.tensor(side)).sum() / weights.sum() for side in (real, fake))
    torch.testing.assert_close(state["real"] / state["gathered"], a_real)
    torch.testing.assert_close(state["fake"] / state["gathered"], a_fake)
    torch.testing.assert_close(value, 0.3 * ((7 - a_fake) ** 2 + (1 - a_real) ** 2))


def test_lecam_holds_the_averages_fixed_and_draws_each_side_to_the_other():
    regularizer, critic = LeCam(weight=1.0), Mean()
    state = {"real": torch.tensor(5.0), "fake": torch.tensor(-3.0), "gathered": torch.tensor(1.0)}
    real = constant(5).requires_grad_(True)
    game = phase(critic, regularizer, real=real, fake=constant(-3), state=state)
    real, fake = game.real_logits, game.fake_logits
    by_real, by_fake = torch.autograd.grad(regularizer.penalty(game), [real, fake])
    torch.testing.assert_close(by_real, torch.full((N,), 2 * 8 / N))  # descent lowers D(x)
    torch.testing.assert_close(by_fake, torch.full((N,), -2 * 8 / N))


def test_lecam_is_zero_where_the_critic_tells_nothing_apart():
    regularizer = LeCam()
    assert regularizer.penalty(phase(Mean(), regularizer, real=constant(3), fake=constant(3), state=blank())) < 1e-10


@pytest.mark.parametrize(("step", "acts"), [(0, False), (9, False), (10, True), (11, True)])
def test_lecam_waits_for_its_start(step, acts):
    regularizer = LeCam(start=10)
    game = phase(Mean(), regularizer, real=constant(1), fake=constant(0), state=blank(), step=step)
    assert (regularizer.penalty(game) > 0).item() is acts


# Drift


def test_drift_is_the_mean_square_of_real_logits():
    critic, real = Mean(), torch.randn(N, *SHAPE)
    value = Drift(weight=0.1).penalty(phase(critic, Drift(), real=real, fake=constant(100)))
    logits = real.flatten(1).mean(1)
    torch.testing.assert_close(value, 0.1 * logits.square().mean())
    value.backward()
    torch.testing.assert_close(critic.bias.grad, 0.2 * logits.mean())


def test_drift_pins_the_level_that_the_wasserstein_loss_leaves_free():
    critic = Mean()
    evaluate_phase(phase(critic, Drift(weight=0.5), real=constant(2), fake=constant(-1))).backward()
    torch.testing.assert_close(critic.bias.grad, torch.tensor(2.0))


# Orthogonal


def weight_game(regularizer, *tensors, player="generator"):
    params = tuple(nn.Parameter(tensor) for tensor in tensors)
    return phase(Mean(), regularizer, player=player, weights={player: params}), params


@pytest.mark.parametrize(("rows", "columns"), [(3, 7), (5, 5), (7, 3)])
@pytest.mark.parametrize("norms", [False, True])
def test_orthogonal_is_the_papers_equation_for_wide_and_tall_weights(rows, columns, norms):
    regularizer = Orthogonal(weight=0.5, norms=norms)
    game, (w,) = weight_game(regularizer, torch.randn(rows, columns, dtype=torch.float64))
    gram, eye = w @ w.T, torch.eye(rows, dtype=torch.float64)
    kept = gram - eye if norms else gram * (1 - eye)
    value = regularizer.penalty(game)
    torch.testing.assert_close(value, 0.5 * kept.square().sum())
    (gradient,) = torch.autograd.grad(value, w)
    torch.testing.assert_close(gradient, 0.5 * 4 * kept @ w)


def test_orthogonal_takes_rows_along_the_first_axis_and_sums_over_layers():
    regularizer = Orthogonal(weight=1.0)
    kernel, matrix = torch.zeros(2, 3, 2, 2), torch.tensor([[1.0, 2.0], [3.0, -1.0]])
    kernel[0, 1, 0, 1], kernel[1, 1, 0, 1] = 2, 3  # the two filters overlap in one weight: 2 * 3
    game, _ = weight_game(regularizer, kernel, matrix, torch.full((4,), 100.0))
    torch.testing.assert_close(regularizer.penalty(game), torch.tensor(2.0 * 6**2 + 2.0 * 1**2))


@pytest.mark.parametrize(("norms", "wanted"), [(False, 0.0), (True, 4 * (9 - 1) ** 2)])
def test_orthogonal_rows_of_any_norm_cost_nothing_unless_norms_count(norms, wanted):
    regularizer = Orthogonal(weight=1.0, norms=norms)
    game, (w,) = weight_game(regularizer, 3 * torch.eye(4, 6))
    value = regularizer.penalty(game)
    value.backward()
    torch.testing.assert_close(value, torch.tensor(float(wanted)))
    assert w.grad.any().item() is norms


def test_orthogonal_turns_two_rows_away_from_each_other():
    regularizer = Orthogonal(weight=0.1)
    game, (w,) = weight_game(regularizer, torch.tensor([[1.0, 0.0], [0.6, 0.8]]))
    regularizer.penalty(game).backward()
    moved = (w - 0.1 * w.grad).detach()
    assert abs(moved[0] @ moved[1]) < 0.6


def test_orthogonal_without_matrices_is_zero():
    regularizer = Orthogonal()
    game, _ = weight_game(regularizer, torch.ones(3))
    assert regularizer.penalty(game) == 0


@pytest.mark.parametrize(
    ("player", "phases"),
    [
        ("generator", {"generator"}),
        ("discriminator", {"discriminator"}),
        ("both", {"generator", "discriminator"}),
    ],
)
def test_orthogonal_acts_on_the_weights_of_its_players(player, phases):
    regularizer = Orthogonal(weight=1.0, player=player)
    assert trait(regularizer, "phases") == phases
    for mover in phases:
        game, _ = weight_game(regularizer, torch.ones(2, 2), player=mover)
        torch.testing.assert_close(regularizer.penalty(game), torch.tensor(8.0))


# Fields


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
@pytest.mark.parametrize("cls", ALL)
def test_a_strength_out_of_range_is_a_value_error(cls, bad):
    with pytest.raises(ValueError, match=f"{cls.name} needs a finite .* >= 0, not {bad}"):
        cls(**{"gamma" if cls is R2 else "weight": bad})


@pytest.mark.parametrize(
    ("cls", "fields"),
    [
        (Dragan, {"k": -1.0}),
        (Dragan, {"c": math.inf}),
        (R2, {"every": 0}),
        (LeCam, {"decay": 1.0}),
        (LeCam, {"decay": -0.1}),
        (LeCam, {"decay": math.nan}),
        (LeCam, {"start": -1}),
        (Orthogonal, {"player": "referee"}),
    ],
)
def test_a_field_out_of_range_is_a_value_error(cls, fields):
    with pytest.raises(ValueError, match=f"{cls.name} needs .*{next(iter(fields))}"):
        cls(**fields)
