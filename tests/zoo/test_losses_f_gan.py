"""f-GAN: the game's value at the best discriminator is the divergence, for each of them."""

import math
from types import SimpleNamespace

import pytest
import torch

from ganbench.testing import check_component
from ganbench_zoo.losses.f_gan import TERMS, FGan
from ganbench_zoo.losses.minimax import Minimax
from ganbench_zoo.losses.non_saturating import NonSaturating

REAL_COUNTS, FAKE_COUNTS = torch.tensor([7, 2, 1]), torch.tensor([1, 3, 6])
P, Q = REAL_COUNTS.double() / 10, FAKE_COUNTS.double() / 10
MIDDLE = (P + Q) / 2
DIVERGENCES = {
    "kl": (P * (P / Q).log()).sum(),
    "reverse_kl": (Q * (Q / P).log()).sum(),
    "pearson": ((P - Q).square() / Q).sum(),
    "squared_hellinger": (P.sqrt() - Q.sqrt()).square().sum(),
    "jensen_shannon": (P * (P / MIDDLE).log()).sum() + (Q * (Q / MIDDLE).log()).sum(),
}
GENERATING = {
    "kl": lambda u: u * u.log(),
    "reverse_kl": lambda u: -u.log(),
    "pearson": lambda u: (u - 1).square(),
    "squared_hellinger": lambda u: (u.sqrt() - 1).square(),
    "jensen_shannon": lambda u: -(u + 1) * ((1 + u) / 2).log() + u * u.log(),
}


def game_of(logits):
    """Return a game of ten samples a side, of which each atom's share has that atom's logit."""
    return SimpleNamespace(
        real_logits=logits.repeat_interleave(REAL_COUNTS), fake_logits=logits.repeat_interleave(FAKE_COUNTS)
    )


def best_logits(loss):
    logits = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS(
        [logits], max_iter=200, tolerance_grad=1e-13, tolerance_change=1e-16, line_search_fn="strong_wolfe"
    )

    def value():
        search.zero_grad()
        found = loss.discriminator(game_of(logits))
        found.backward()
        return found

    search.step(value)
    return logits.detach().requires_grad_()


@pytest.mark.parametrize("divergence", DIVERGENCES)
@pytest.mark.parametrize("non_saturating", [False, True])
def test_it_keeps_the_contract(divergence, non_saturating):
    check_component(FGan(divergence, non_saturating))


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_the_best_discriminator_reads_the_divergence(divergence):
    loss = FGan(divergence)
    value = loss.discriminator(game_of(best_logits(loss)))
    assert -value.item() == pytest.approx(DIVERGENCES[divergence].item(), rel=1e-9)


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_the_best_output_is_the_slope_of_f_at_the_density_ratio(divergence):
    ratio = (P / Q).requires_grad_()
    (slope,) = torch.autograd.grad(GENERATING[divergence](ratio).sum(), ratio)
    output = TERMS[divergence].output(best_logits(FGan(divergence)))
    torch.testing.assert_close(output, slope, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_the_conjugate_is_the_largest_u_t_minus_f(divergence):
    logits = torch.tensor([-1.5, -0.3, 0.0, 0.8, 1.2], dtype=torch.float64)
    output, conjugate = TERMS[divergence]
    u = torch.logspace(-4, 4, 400_001, dtype=torch.float64)[:, None]
    largest = (u * output(logits) - GENERATING[divergence](u)).amax(dim=0)
    torch.testing.assert_close(conjugate(logits), largest, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_players_pull_the_logits_their_own_way(divergence):
    for loss in (FGan(divergence), FGan(divergence, non_saturating=True)):
        fake = torch.tensor([-1.0, 0.0, 1.0], requires_grad=True)
        (gradient,) = torch.autograd.grad(loss.generator(SimpleNamespace(fake_logits=fake)), fake)
        assert (gradient < 0).all()
    real = torch.tensor([-1.0, 0.0, 1.0], requires_grad=True)
    value = loss.discriminator(SimpleNamespace(real_logits=real, fake_logits=fake))
    of_real, of_fake = torch.autograd.grad(value, (real, fake))
    assert (of_real < 0).all()
    assert (of_fake > 0).all()


def test_jensen_shannon_is_minimax_up_to_a_constant():
    logits = torch.tensor([0.3, -1.2, 2.0], dtype=torch.float64)
    loss, game = FGan("jensen_shannon"), game_of(logits)
    torch.testing.assert_close(loss.discriminator(game) + math.log(4), Minimax().discriminator(game))
    torch.testing.assert_close(loss.generator(game) - math.log(2), Minimax().generator(game))
    alternative = FGan("jensen_shannon", non_saturating=True)
    torch.testing.assert_close(alternative.generator(game) + math.log(2), NonSaturating().generator(game))


@pytest.mark.parametrize("divergence", DIVERGENCES)
@pytest.mark.parametrize("player", ["discriminator", "generator"])
def test_it_is_finite_wherever_the_function_is(divergence, player):
    bounded = ("pearson", "jensen_shannon")
    sure = {"dtype": torch.float32 if divergence in bounded else torch.float64, "requires_grad": True}
    real, fake = torch.tensor([-100.0, 100.0], **sure), torch.tensor([100.0, -100.0], **sure)
    for loss in (FGan(divergence), FGan(divergence, non_saturating=True)):
        value = getattr(loss, player)(SimpleNamespace(real_logits=real, fake_logits=fake))
        (gradient,) = torch.autograd.grad(value, fake)
        assert value.isfinite()
        assert gradient.isfinite().all()


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_a_right_and_sure_discriminator_costs_no_overflow_in_float32(divergence):
    right = SimpleNamespace(real_logits=torch.tensor([100.0]), fake_logits=torch.tensor([-100.0]))
    assert FGan(divergence).discriminator(right).isfinite()


def test_f_gan_refuses_an_unknown_divergence():
    with pytest.raises(ValueError, match=r"f_gan needs divergence in kl, .*, not 'total_variation'"):
        FGan(divergence="total_variation")
