"""The relativistic losses: hand-made values, what they do not see, and how they are related."""

import math
from types import SimpleNamespace

import pytest
import torch

from ganbench.testing import check_component
from ganbench.testing.rehearsal import Cast, Stage
from ganbench.values import ImageSpec
from ganbench_zoo.losses.ragan import RaGan
from ganbench_zoo.losses.rpgan import RpGan

REAL, FAKE = [1.5, -0.25, 3.0], [-2.0, 0.5, 0.0]
KINDS = ("standard", "least_squares", "hinge")
LOSSES = [RpGan(), *(RaGan(kind=kind) for kind in KINDS)]
PLAYERS = ("discriminator", "generator")


def game(real=REAL, fake=FAKE, dtype=torch.float64):
    def logits(values):
        return torch.tensor(values, dtype=dtype, requires_grad=True)

    return SimpleNamespace(real_logits=logits(real), fake_logits=logits(fake))


def log_sigmoid(a):
    return math.log(1 / (1 + math.exp(-a)))


@pytest.mark.parametrize("loss", LOSSES)
def test_it_keeps_the_contract(loss):
    check_component(loss)


def test_rpgan_is_the_mean_log_sigmoid_over_pairs():
    pairs = list(zip(REAL, FAKE, strict=True))
    expected = -sum(log_sigmoid(real - fake) for real, fake in pairs) / 3
    assert RpGan().discriminator(game()).item() == pytest.approx(expected, rel=1e-12)
    expected = -sum(log_sigmoid(fake - real) for real, fake in pairs) / 3
    assert RpGan().generator(game()).item() == pytest.approx(expected, rel=1e-12)


def test_ragan_is_the_paper_s_four_expectations():
    real_mean, fake_mean = sum(REAL) / 3, sum(FAKE) / 3
    real, fake = [a - fake_mean for a in REAL], [b - real_mean for b in FAKE]
    costs = {
        "standard": (lambda a: -log_sigmoid(a), lambda b: -math.log(1 - math.exp(log_sigmoid(b)))),
        "least_squares": (lambda a: (a - 1) ** 2, lambda b: (b + 1) ** 2),
        "hinge": (lambda a: max(0, 1 - a), lambda b: max(0, 1 + b)),
    }
    for kind, (high, low) in costs.items():
        expected = sum(map(high, real)) / 3 + sum(map(low, fake)) / 3
        assert RaGan(kind=kind).discriminator(game()).item() == pytest.approx(expected, rel=1e-12)
        expected = sum(map(high, fake)) / 3 + sum(map(low, real)) / 3
        assert RaGan(kind=kind).generator(game()).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_generator_plays_the_discriminator_s_game_with_sides_exchanged(loss):
    assert loss.generator(game(REAL, FAKE)) == loss.discriminator(game(FAKE, REAL))


@pytest.mark.parametrize("player", PLAYERS)
def test_of_one_pair_the_average_game_is_twice_the_pairing_game(player):
    single = game([0.7], [-1.2])
    average, pairing = (getattr(loss, player)(single) for loss in (RaGan(), RpGan()))
    torch.testing.assert_close(average, 2 * pairing)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("player", PLAYERS)
def test_a_constant_added_to_all_logits_changes_nothing(loss, player):
    shifted = game([a + 7 for a in REAL], [b + 7 for b in FAKE])
    torch.testing.assert_close(getattr(loss, player)(shifted), getattr(loss, player)(game()))


@pytest.mark.parametrize("loss", LOSSES)
def test_players_pull_the_logits_their_own_way(loss):
    logits = game([0.5, -0.5], [0.75, 0.25])
    loss.discriminator(logits).backward()
    assert (logits.real_logits.grad < 0).all()
    assert (logits.fake_logits.grad > 0).all()
    logits = game([0.5, -0.5], [0.75, 0.25])
    loss.generator(logits).backward()
    assert (logits.fake_logits.grad < 0).all()
    assert (logits.real_logits.grad > 0).all()


def test_the_generator_of_ragan_learns_through_the_mean_of_generated_samples_too():
    logits = game([0.0], [0.0, 0.0])
    RaGan().generator(logits).backward()
    # d/df of [softplus(r - f1) + softplus(r - f2)] / 2 + softplus(r - (f1 + f2) / 2) at 0
    torch.testing.assert_close(logits.fake_logits.grad, torch.full((2,), -0.5, dtype=torch.float64))


@pytest.mark.parametrize("loss", [RpGan(), RaGan()])
@pytest.mark.parametrize("player", PLAYERS)
def test_log_sigmoids_stay_finite_at_large_logits(loss, player):
    logits = game([-1e4, 1e4], [1e4, -1e4], torch.float32)
    value = getattr(loss, player)(logits)
    value.backward()
    assert value.isfinite()
    assert logits.fake_logits.grad.isfinite().all()


def test_rpgan_refuses_what_breaks_its_pairs(toys):
    refusal = Cast(Stage(), ImageSpec((1, 4, 4)), RpGan(), regularizers=(toys.TopK(),)).refusal()
    assert refusal == "rpgan pairs every generated sample with a real one, and top_half leaves some out"


def test_ragan_refuses_an_unknown_kind():
    with pytest.raises(ValueError, match="ragan needs kind in standard, least_squares, hinge, not 'softer'"):
        RaGan(kind="softer")
