"""Fisher GAN: the augmented Lagrangian, its multiplier, and the distance at the best critic."""

import math
from types import SimpleNamespace

import pytest
import torch

from ganbench.testing import check_component
from ganbench_zoo.losses.fisher import Fisher

REAL, FAKE = [1.5, -0.25, 3.0], [-2.0, 0.5, 0.0]


def game(multiplier=0.0, phase="discriminator", real=REAL, fake=FAKE):
    logs = {}
    return SimpleNamespace(
        phase=phase,
        real_logits=torch.tensor(real, dtype=torch.float64, requires_grad=True),
        fake_logits=torch.tensor(fake, dtype=torch.float64, requires_grad=True),
        state=lambda component: {"lambda": torch.tensor(multiplier, dtype=torch.float64)},
        log=logs.__setitem__,
        logs=logs,
    )


def test_it_keeps_the_contract():
    check_component(Fisher())


def test_the_discriminator_s_value_is_the_paper_s_lagrangian():
    difference, moment = 4.25 / 3 + 0.5, ((2.25 + 0.0625 + 9) / 3 + (4 + 0.25) / 3) / 2
    expected = -(difference + 0.3 * (1 - moment) - 0.05 / 2 * (moment - 1) ** 2)
    seen = game(multiplier=0.3)
    assert Fisher(rho=0.05).discriminator(seen).item() == pytest.approx(expected, rel=1e-12)
    assert seen.logs["second_moment"].item() == pytest.approx(moment)
    assert Fisher().generator(seen).item() == pytest.approx(0.5)


@pytest.mark.parametrize(("scale", "sign"), [(0.1, -1), (10.0, 1)])
def test_the_multiplier_grows_where_the_moment_exceeds_one(scale, sign):
    loss = Fisher(rho=0.5)
    seen = game(real=[a * scale for a in REAL], fake=[b * scale for b in FAKE])
    state = {"lambda": torch.tensor(0.2, dtype=torch.float64)}
    moved = loss.update(seen, state)["lambda"]
    moment = (seen.real_logits.square().mean() + seen.fake_logits.square().mean()) / 2
    torch.testing.assert_close(moved, 0.2 + 0.5 * (moment.detach() - 1))
    assert (moved - 0.2).sign() == sign
    assert not moved.requires_grad


def test_the_generator_s_phase_leaves_the_multiplier():
    assert Fisher().update(game(phase="generator"), {"lambda": torch.zeros(())}) == {}


def test_a_positive_multiplier_pulls_large_logits_in():
    free, held = game(0.0), game(10.0)
    gradients = [
        torch.autograd.grad(Fisher().discriminator(seen), seen.real_logits)[0][2] for seen in (free, held)
    ]  # at the real logit of 3
    assert gradients[0] < 0 < gradients[1]


def test_at_the_saddle_it_reads_the_chi_square_distance_to_the_middle():
    p, q = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]], dtype=torch.float64)
    counts = [(10 * side).round().long() for side in (p, q)]
    distance = ((p - q).square() / ((p + q) / 2)).sum().sqrt()
    best = ((p - q) / ((p + q) / 2) / distance).requires_grad_()  # second moment 1
    seen = game(distance.item() / 2)
    seen.real_logits, seen.fake_logits = (best.repeat_interleave(count) for count in counts)
    value = Fisher().discriminator(seen)
    assert -value.item() == pytest.approx(distance.item(), rel=1e-9)
    assert torch.autograd.grad(value, best)[0].abs().max() < 1e-12
    moved = Fisher().update(seen, {"lambda": distance / 2})["lambda"]
    torch.testing.assert_close(moved, distance / 2)


@pytest.mark.parametrize("rho", [0.0, -1.0, math.nan])
def test_fisher_refuses_a_rho_without_meaning(rho):
    with pytest.raises(ValueError, match="fisher needs a finite rho > 0"):
        Fisher(rho=rho)
