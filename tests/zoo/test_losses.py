import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from ganbench_zoo.losses.hinge import Hinge
from ganbench_zoo.losses.least_squares import LeastSquares
from ganbench_zoo.losses.minimax import Minimax
from ganbench_zoo.losses.non_saturating import NonSaturating
from ganbench_zoo.losses.wasserstein import Wasserstein

LOSSES = [Minimax(), NonSaturating(), Hinge(), LeastSquares(), Wasserstein()]
REAL, FAKE = [1.5, -0.25, 3.0], [-2.0, 0.5, 0.0]


def game(real=REAL, fake=FAKE):
    def logits(values):
        return torch.tensor(values, dtype=torch.float64, requires_grad=True)

    return SimpleNamespace(real_logits=logits(real), fake_logits=logits(fake))


def mean(f, values):
    return sum(map(f, values)) / len(values)


def sigmoid(a):
    return 1 / (1 + math.exp(-a))


def log_d(a):
    return math.log(sigmoid(a))


def log_not_d(a):
    return math.log(1 - sigmoid(a))


CLOSED_FORMS = [
    (Minimax(), -mean(log_d, REAL) - mean(log_not_d, FAKE), mean(log_not_d, FAKE)),
    (NonSaturating(), -mean(log_d, REAL) - mean(log_not_d, FAKE), -mean(log_d, FAKE)),
    (Hinge(), (0 + 1.25 + 0) / 3 + (0 + 1.5 + 1) / 3, 1.5 / 3),
    (LeastSquares(), (0.25 + 1.5625 + 4) / 6 + (4 + 0.25 + 0) / 6, (9 + 0.25 + 1) / 6),
    (LeastSquares(a=-1, b=1, c=0), (0.25 + 1.5625 + 4) / 6 + (1 + 2.25 + 1) / 6, (4 + 0.25 + 0) / 6),
    (Wasserstein(), -0.5 - 4.25 / 3, 0.5),
]


@pytest.mark.parametrize(("loss", "discriminator", "generator"), CLOSED_FORMS)
def test_hand_made_logits_give_the_values_of_the_paper(loss, discriminator, generator):
    assert loss.discriminator(game()).item() == pytest.approx(discriminator, rel=1e-12)
    assert loss.generator(game()).item() == pytest.approx(generator, rel=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
def test_players_pull_the_logits_their_own_way(loss):
    logits = game([0.5, -0.5], [0.75, 0.25])
    loss.discriminator(logits).backward()
    assert (logits.real_logits.grad < 0).all()  # descent raises what D says of real samples
    assert (logits.fake_logits.grad > 0).all()
    logits = game([0.5, -0.5], [0.75, 0.25])
    loss.generator(logits).backward()
    assert (logits.fake_logits.grad < 0).all()


def test_minimax_is_zero_sum():
    logits = game()
    both = Minimax().discriminator(logits) + Minimax().generator(logits)
    torch.testing.assert_close(both, F.softplus(-logits.real_logits).mean())  # what G cannot move
    assert torch.autograd.grad(both, logits.fake_logits)[0].abs().max() < 1e-15


def test_minimax_at_the_undecided_discriminator_is_log_four():
    assert Minimax().discriminator(game([0.0], [0.0])).item() == pytest.approx(math.log(4), rel=1e-12)


def test_the_optimal_discriminator_stands_at_the_log_density_ratio():
    p, q = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]], dtype=torch.float64)
    best = (p / q).log().requires_grad_()  # logit of D* = p / (p + q)
    value = (p * F.softplus(-best)).sum() + (q * F.softplus(best)).sum()
    assert torch.autograd.grad(value, best)[0].abs().max() < 1e-15
    middle = (p + q) / 2
    shannon = ((p * (p / middle).log()).sum() + (q * (q / middle).log()).sum()) / 2
    assert value.item() == pytest.approx(math.log(4) - 2 * shannon.item(), rel=1e-12)


def test_minimax_saturates_where_non_saturating_does_not():
    sure = game(fake=[-10.0])
    minimax, non_saturating = (
        torch.autograd.grad(loss.generator(sure), sure.fake_logits)[0].item() for loss in (Minimax(), NonSaturating())
    )
    assert minimax == pytest.approx(-sigmoid(-10), rel=1e-9)
    assert non_saturating == pytest.approx(-(1 - sigmoid(-10)), rel=1e-9)


@pytest.mark.parametrize("loss", [Minimax(), NonSaturating(), Minimax(smoothing=0.1), NonSaturating(smoothing=0.1)])
@pytest.mark.parametrize("player", ["discriminator", "generator"])
def test_log_sigmoids_stay_finite_at_large_logits(loss, player):
    logits = SimpleNamespace(
        real_logits=torch.tensor([-1e4, 1e4], requires_grad=True),
        fake_logits=torch.tensor([1e4, -1e4], requires_grad=True),
    )
    value = getattr(loss, player)(logits)
    value.backward()
    assert value.isfinite()
    assert logits.fake_logits.grad.isfinite().all()


@pytest.mark.parametrize("loss", [Minimax, NonSaturating])
def test_smoothing_is_cross_entropy_with_a_softer_target_for_real_samples(loss):
    logits = game()
    smooth = loss(smoothing=0.1).discriminator(logits)
    real, fake = logits.real_logits, logits.fake_logits
    entropy = F.binary_cross_entropy_with_logits
    expected = entropy(real, torch.full_like(real, 0.9)) + entropy(fake, torch.zeros_like(fake))
    torch.testing.assert_close(smooth, expected)
    torch.testing.assert_close(loss(smoothing=0.1).generator(logits), loss().generator(logits))


def test_under_smoothing_the_best_discriminator_is_sure_of_nothing():
    p, q = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]], dtype=torch.float64)
    best = (0.9 * p / (p + q)).logit().requires_grad_()  # Salimans 2016, section 3.4
    counts = [(10 * side).round().long() for side in (p, q)]
    logits = SimpleNamespace(
        real_logits=best.repeat_interleave(counts[0]), fake_logits=best.repeat_interleave(counts[1])
    )
    value = Minimax(smoothing=0.1).discriminator(logits)
    assert torch.autograd.grad(value, best)[0].abs().max() < 1e-15


@pytest.mark.parametrize("loss", [Minimax, NonSaturating])
def test_no_smoothing_leaves_every_bit_as_it_was(loss):
    logits = SimpleNamespace(real_logits=torch.randn(64), fake_logits=torch.randn(64))
    expected = F.softplus(-logits.real_logits).mean() + F.softplus(logits.fake_logits).mean()
    assert torch.equal(loss().discriminator(logits), expected)


@pytest.mark.parametrize("loss", [Minimax, NonSaturating])
@pytest.mark.parametrize("smoothing", [-0.1, 1.0, math.nan])
def test_smoothing_out_of_range_is_refused(loss, smoothing):
    with pytest.raises(ValueError, match=f"{loss.name} needs smoothing in"):
        loss(smoothing=smoothing)


def test_hinge_leaves_alone_what_is_beyond_the_margin():
    logits = game([2.0, 0.0], [-2.0, 0.0])
    Hinge().discriminator(logits).backward()
    assert logits.real_logits.grad.tolist() == [0.0, -0.5]
    assert logits.fake_logits.grad.tolist() == [0.0, 0.5]


def test_wasserstein_does_not_see_a_constant():
    shifted = game([a + 7 for a in REAL], [a + 7 for a in FAKE])
    torch.testing.assert_close(Wasserstein().discriminator(shifted), Wasserstein().discriminator(game()))


@pytest.mark.parametrize("fields", [{"a": 1.0, "b": 1.0}, {"a": math.nan}, {"c": math.inf}])
def test_least_squares_refuses_targets_without_meaning(fields):
    with pytest.raises(ValueError, match="least_squares needs"):
        LeastSquares(**fields)
