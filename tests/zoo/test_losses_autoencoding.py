"""BEGAN and EBGAN: reconstruction errors by hand, the control of k, the margin, and codes pulled apart."""

import itertools
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from ganbench import Critique
from ganbench.suite.assemble import Assembly
from ganbench.suite.recipe import Budget, Recipe
from ganbench.testing import check_component
from ganbench.training.engine import Engine
from ganbench.training.setup import Setup
from ganbench_zoo.losses.began import Began
from ganbench_zoo.losses.ebgan import Ebgan, likeness


def judged(x, miss, codes=None):
    """Return the critique of an autoencoder that misses every value of ``x`` by ``miss``."""
    return Critique(torch.zeros(len(x)), embedding=codes, reconstruction=x + miss)


def game(real_miss, fake_miss, phase="discriminator", codes=None, **state):
    """Return a game of two 1x2x2 samples a side; misses have shape (2, 1, 2, 2) or less."""
    real, fake = (torch.full((2, 1, 2, 2), value, dtype=torch.float64, requires_grad=True) for value in (0.5, -0.5))
    logs = {}
    return SimpleNamespace(
        phase=phase,
        real=real,
        fake=fake,
        real_critique=judged(real, real_miss),
        fake_critique=judged(fake, fake_miss, codes),
        state=lambda component: {key: torch.tensor(value, dtype=torch.float64) for key, value in state.items()},
        log=logs.__setitem__,
        logs=logs,
    )


def each(first, second):
    """Return a miss of ``first`` everywhere in sample 0 and of ``second`` everywhere in sample 1."""
    return torch.tensor([first, second], dtype=torch.float64).view(2, 1, 1, 1)


@pytest.mark.parametrize("loss", [Began(), Ebgan(), Ebgan(pulling_away=0.0)])
def test_it_keeps_the_contract(loss):
    check_component(loss)


# BEGAN


def test_began_weighs_the_generated_samples_error_by_k():
    seen = game(each(0.1, -0.3), each(1.0, 0.5), k=0.25, real=0.0)
    assert Began().discriminator(seen).item() == pytest.approx(0.2 - 0.25 * 0.75)
    assert seen.logs["k"].item() == 0.25


def test_began_s_generator_minimises_its_error_and_logs_the_convergence_measure():
    seen = game(0.0, each(0.1, -0.2), "generator", k=0.5, real=0.4)
    assert Began(gamma=0.5).generator(seen).item() == pytest.approx(0.15)
    assert seen.logs["convergence"].item() == pytest.approx(0.4 + abs(0.5 * 0.4 - 0.15))


@pytest.mark.parametrize(
    ("k", "fake", "expected"),
    [(0.3, 0.2, 0.3 + 0.1 * (0.5 * 0.8 - 0.2)), (0.3, 0.6, 0.3 + 0.1 * (0.4 - 0.6)), (0.99, 0.1, 1.0), (0.0, 0.9, 0.0)],
)
def test_k_follows_the_balance_within_zero_and_one(k, fake, expected):
    loss, state = Began(gamma=0.5, lambda_k=0.1), {"k": torch.tensor(k), "real": torch.tensor(0.0)}
    state |= loss.update(game(each(0.9, 0.7), 0.0), state)
    assert state["real"].item() == pytest.approx(0.8)
    assert state["k"] == torch.tensor(k)  # the discriminator's phase leaves it
    state |= loss.update(game(0.0, fake, "generator"), state)
    assert state["k"].item() == pytest.approx(expected)
    assert not any(value.requires_grad for value in state.values())


@pytest.mark.parametrize("schedule", [("D", "G"), ("D", "D", "G"), ("DG",)])
def test_in_play_k_moves_once_a_round_by_the_errors_of_that_round(toys, schedule):
    loss = Began(gamma=0.7, lambda_k=0.01)
    dataset = toys.Blobs()
    architecture = toys.Tiny()
    parts = Assembly(
        generator=architecture,
        discriminator=architecture,
        loss=loss,
        regularizers=(),
        constraints=(),
        augmentations=(),
        g_optimizer=toys.PlainAdam(),
        d_optimizer=toys.PlainAdam(),
        recipe=Recipe(batch_size=16, schedule=schedule),
        budget=Budget(images=160),
    )
    train, held_out = (dataset.load(Path(), split) for split in ("train", "test"))
    keys = {"dataset": "blobs", "generator": "tiny", "discriminator": "tiny"}
    engine = Engine(
        Setup(parts, data=dataset.spec(Path()), train=train, held_out=held_out, seed=0, keys=keys), torch.device("cpu")
    )
    ((_, state),) = engine.players.states
    state["k"].fill_(0.5)
    for _ in range(3):
        before = state["k"].item()
        engine.play_round(0.0)
        read = engine.meter.read()
        assert state["k"].item() == pytest.approx(before + 0.01 * (0.7 * state["real"].item() - read["g_loss"]))
        assert 0 < state["real"].item() < 2
        assert state["k"].item() != before


# EBGAN


def test_ebgan_s_energies_are_mean_squared_errors_under_a_hinge():
    seen = game(each(0.1, -0.3), each(1.5, 0.5))
    assert Ebgan(margin=1.0).discriminator(seen).item() == pytest.approx((0.01 + 0.09) / 2 + (0 + 0.75) / 2)
    assert Ebgan(pulling_away=0.0).generator(seen).item() == pytest.approx((2.25 + 0.25) / 2)


def test_ebgan_leaves_alone_what_is_beyond_the_margin():
    miss = each(1.5, 0.5).requires_grad_()
    Ebgan(margin=1.0).discriminator(game(0.1, miss)).backward()
    assert miss.grad.flatten().tolist() == [0.0, -0.5]  # descent raises the energy below the margin


def test_likeness_is_the_mean_squared_cosine_between_different_codes():
    codes = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    cosines = [(a @ b / (a.norm() * b.norm())).item() ** 2 for a, b in itertools.permutations(codes, 2)]
    assert likeness(codes).item() == pytest.approx(sum(cosines) / 20, rel=1e-12)


@pytest.mark.parametrize(
    ("codes", "expected"),
    [([[1.0, 0.0], [0.0, 3.0]], 0.0), ([[1.0, 2.0], [-2.0, -4.0]], 1.0), ([[0.0, 0.0], [1.0, 1.0]], 0.0)],
)
def test_likeness_of_known_angles(codes, expected):
    codes = torch.tensor(codes, requires_grad=True)
    value = likeness(codes)
    assert value.item() == pytest.approx(expected, abs=1e-6)
    value.backward()
    assert codes.grad.isfinite().all()


def test_pulling_away_adds_its_weight_times_likeness_and_turns_codes_apart():
    codes = torch.tensor([[1.0, 0.0], [1.0, 1.0]], dtype=torch.float64, requires_grad=True)
    value = Ebgan(pulling_away=0.5).generator(game(0.1, each(1.5, 0.5), codes=codes))
    assert value.item() == pytest.approx(1.25 + 0.5 * 0.5)  # cos^2 45 degrees
    value.backward()
    apart = codes.detach() - 0.01 * codes.grad
    assert likeness(apart) < likeness(codes.detach())


# Both


@pytest.mark.parametrize("loss", [Began(), Ebgan(pulling_away=0.0)])
def test_a_pack_is_compared_with_its_own_samples(loss):
    single = game(each(0.1, -0.3), each(1.5, 0.5), k=0.5, real=0.2)
    packed = game(each(0.1, -0.3), each(1.5, 0.5), k=0.5, real=0.2)
    for side in ("real", "fake"):
        critique = getattr(packed, f"{side}_critique")
        seen = replace(critique, reconstruction=critique.reconstruction.reshape(1, 2, 2, 2))
        setattr(packed, f"{side}_critique", seen)
    if isinstance(loss, Began):
        torch.testing.assert_close(loss.discriminator(packed), loss.discriminator(single))
    else:  # one decision of mean energy 1.25, beyond the margin
        assert loss.discriminator(packed).item() == pytest.approx(0.05)
    torch.testing.assert_close(loss.generator(packed), loss.generator(single))


@pytest.fixture
def cell(plain_cell):
    return replace(plain_cell, loss=Ebgan(), offers=frozenset({"embedding", "reconstruction"}))


@pytest.mark.parametrize("loss", [Began(), Ebgan()])
def test_it_refuses_what_reconstructs_nothing_or_leaves_samples_out(loss, cell, toys):
    assert loss.compatible(cell) is None
    assert loss.compatible(replace(cell, pac=2)) is None
    bare = loss.compatible(replace(cell, offers=frozenset({"embedding"})))
    assert bare == f"{loss.name} needs an autoencoder as discriminator, and that of tiny reconstructs nothing"
    assert "top_half leaves some out" in loss.compatible(replace(cell, regularizers=(toys.TopK(),)))


def test_pulling_away_needs_two_codes(cell):
    assert "gives none" in Ebgan().compatible(replace(cell, offers=frozenset({"reconstruction"})))
    assert "two decisions a batch" in Ebgan().compatible(replace(cell, pac=4))
    assert Ebgan(pulling_away=0.0).compatible(replace(cell, pac=4, offers=frozenset({"reconstruction"}))) is None


@pytest.mark.parametrize(
    ("loss", "fields", "message"),
    [
        (Began, {"gamma": 1.5}, r"began needs gamma in \[0, 1\], not 1.5"),
        (Began, {"gamma": math.nan}, "began needs gamma in"),
        (Began, {"lambda_k": -1.0}, "began needs a finite lambda_k >= 0, not -1.0"),
        (Ebgan, {"margin": 0.0}, "ebgan needs a finite margin > 0, not 0.0"),
        (Ebgan, {"pulling_away": math.inf}, "ebgan needs a finite pulling_away >= 0, not inf"),
    ],
)
def test_fields_without_meaning_are_refused(loss, fields, message):
    with pytest.raises(ValueError, match=message):
        loss(**fields)
