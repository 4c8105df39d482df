from dataclasses import replace

import pytest
import torch
from torch import nn

from ganbench import Latent, Networks
from ganbench.training.game import Draws, Game, Players, evaluate_phase
from ganbench_zoo.losses.wasserstein import Wasserstein
from ganbench_zoo.regularizers.r1 import R1
from ganbench_zoo.regularizers.wgan_gp import WganGp

N, SHAPE = 8, (1, 2, 3)


class Linear(nn.Module):
    """x (units, *shape) -> w . x, whose gradient is w everywhere."""

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x, labels=None):
        return x.flatten(1) @ self.weight


class Quadratic(nn.Module):
    """x -> scale |x|^2 / 2, whose gradient is scale x."""

    def __init__(self, scale=1.0):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))

    def forward(self, x, labels=None):
        return self.scale * x.flatten(1).square().sum(1) / 2


def phase(critic, regularizer, pac=1, player="discriminator"):
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Linear(2, 6), nn.Unflatten(1, SHAPE))
    generator.forward = lambda z, labels=None: generator[1](generator[0](z))
    networks = Networks(generator, critic, Latent(2))
    players = Players(networks, pac, Wasserstein(), (regularizer,), ())
    real, z = torch.randn(N, *SHAPE), torch.randn(N, 2)
    clock = torch.zeros(()), torch.zeros(())
    return Game(player, players, Draws(lambda: (real, None), lambda: (z, None)), (regularizer,), clock)


@pytest.fixture
def weight():
    return torch.randn(6, generator=torch.Generator().manual_seed(1))


def test_r1_of_a_linear_critic_is_half_gamma_its_squared_norm(weight):
    critic = Linear(weight)
    value = R1(gamma=3.0).penalty(phase(critic, R1(gamma=3.0)))
    torch.testing.assert_close(value, 1.5 * weight.square().sum())
    (gradient,) = torch.autograd.grad(value, critic.weight)
    torch.testing.assert_close(gradient, 3 * weight)


def test_r1_looks_at_real_samples_only():
    game = phase(Quadratic(), R1(gamma=2.0))
    torch.testing.assert_close(R1(gamma=2.0).penalty(game), game.real.flatten(1).square().sum(1).mean())


def test_r1_counts_a_pack_as_one_decision():
    weight = torch.arange(12.0)
    value = R1(gamma=2.0).penalty(phase(Linear(weight), R1(gamma=2.0), pac=2))
    torch.testing.assert_close(value, weight.square().sum())


def test_a_lazy_r1_is_multiplied_by_its_interval(weight):
    eager, lazy = (evaluate_phase(phase(Linear(weight), R1(gamma=3.0, every=k))) for k in (1, 16))
    bare = Wasserstein().discriminator(phase(Linear(weight), R1()))
    torch.testing.assert_close(lazy - bare, 16 * (eager - bare), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("norm", [0.5, 1.0, 3.0])
def test_wgan_gp_of_a_linear_critic_follows_from_its_norm(weight, norm):
    critic = Linear(weight / weight.norm() * norm)
    value = WganGp().penalty(phase(critic, WganGp()))
    torch.testing.assert_close(value, torch.tensor(10 * (norm - 1) ** 2), atol=1e-6, rtol=1e-5)
    value.backward()
    if norm != 1:  # descent on the penalty brings the norm towards 1
        assert (critic.weight.grad @ critic.weight).sign() == (1 if norm > 1 else -1)


def test_wgan_gp_is_zero_at_unit_norm_under_packing_too():
    weight = torch.arange(12.0)
    assert WganGp().penalty(phase(Linear(weight / weight.norm()), WganGp(), pac=2)) < 1e-10


def test_wgan_gp_differentiates_between_real_and_generated_samples():
    class Spy(Quadratic):
        def forward(self, x, labels=None):
            self.seen = x
            return super().forward(x, labels)

    critic = Spy()
    game = phase(critic, WganGp(), pac=2)
    value = WganGp(weight=2.0).penalty(game)
    x, real, fake = (t.reshape(N // 2, -1) for t in (critic.seen.detach(), game.real, game.fake))
    share = (x - fake) / (real - fake)
    torch.testing.assert_close(share, share[:, :1].expand_as(share), rtol=1e-3, atol=1e-4)  # one weight a decision
    assert 0 <= share.min() <= share.max() <= 1
    assert share[:, 0].std() > 0.05
    torch.testing.assert_close(value, 2 * (x.norm(dim=1) - 1).square().mean())


def test_wgan_gp_trains_the_critic_alone():
    critic = Quadratic()
    game = phase(critic, WganGp())
    WganGp().penalty(game).backward()
    assert critic.scale.grad.isfinite()
    assert game.fake.grad is None
    assert all(p.grad is None for p in game.players.networks.generator.parameters())


@pytest.mark.parametrize(("coupling", "refused"), [("none", False), ("statistic", False), ("normalisation", True)])
def test_wgan_gp_refuses_batch_norm_in_the_discriminator(plain_cell, coupling, refused):
    cell = replace(plain_cell, batch_coupling=coupling, regularizers=(WganGp(),))
    assert ("BatchNorm" in (WganGp().compatible(cell) or "")) is refused


@pytest.mark.parametrize(
    ("cls", "fields"),
    [(R1, {"gamma": -1.0}), (R1, {"every": 0}), (R1, {"gamma": float("nan")}), (WganGp, {"weight": -1.0})],
)
def test_a_field_out_of_range_is_a_value_error(cls, fields):
    with pytest.raises(ValueError, match=f"{cls.name} needs"):
        cls(**fields)
