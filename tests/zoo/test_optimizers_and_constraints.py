"""What moves weights: optimizers and constraints, alone and in the bilinear game min_x max_y xy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ganbench import Images, PointSpec
from ganbench.suite.assemble import Assembly
from ganbench.suite.recipe import Budget, Recipe
from ganbench.testing import check_component
from ganbench.training.checkpoint import capture, load_state, restore, save_state
from ganbench.training.engine import Engine
from ganbench.training.setup import Setup
from ganbench_zoo.constraints.lookahead_minimax import LookaheadMinimax
from ganbench_zoo.constraints.weight_clip import WeightClip
from ganbench_zoo.optimizers.adam import Adam
from ganbench_zoo.optimizers.adamw import AdamW
from ganbench_zoo.optimizers.extragradient import Extragradient
from ganbench_zoo.optimizers.optimistic import Optimistic
from ganbench_zoo.optimizers.rmsprop import RmsProp
from ganbench_zoo.optimizers.sgd import Sgd

ETA = 0.3
FIELD = np.array([[0.0, 1.0], [-1.0, 0.0]])  # the gradients of min_x max_y xy, as each player minimises
ONE, NONE = np.eye(2), np.zeros((2, 2))

OPTIMIZERS = [
    AdamW(weight_decay=0.1),
    RmsProp(),
    Sgd(),
    Sgd(momentum=0.9),
    Optimistic(base="sgd"),
    Optimistic(base="adam"),
    Extragradient(base="sgd"),
    Extragradient(base="adam"),
]


def engine_of(architecture, loss, data, train, optimizer, **others) -> Engine:
    constraints = others.pop("constraints", ())
    parts = Assembly(
        generator=architecture,
        discriminator=architecture,
        loss=loss,
        regularizers=(),
        constraints=constraints,
        augmentations=(),
        g_optimizer=optimizer,
        d_optimizer=optimizer,
        recipe=Recipe(batch_size=16, **others),
        budget=Budget(images=160),
    )
    keys = dict.fromkeys(("dataset", "generator", "discriminator"), "toy")
    return Engine(Setup(parts, data=data, train=train, held_out=train, seed=0, keys=keys), torch.device("cpu"))


def bilinear(toys, optimizer, schedule=("DG",), **others) -> Engine:
    points = Images(torch.zeros(16, 1))
    return engine_of(toys.Scalars(), toys.Bilinear(), PointSpec((1,)), points, optimizer, schedule=schedule, **others)


def position(engine: Engine) -> np.ndarray:
    networks = engine.players.networks
    return np.array([networks.generator.x.item(), networks.discriminator.y.item()])


def trail(engine: Engine, rounds: int) -> np.ndarray:
    """The places after 0, 1, ... rounds, (rounds + 1, 2)."""
    places = [position(engine)]
    for _ in range(rounds):
        engine.play_round(0.0)
        places.append(position(engine))
    return np.array(places)


def radius(matrix: np.ndarray) -> float:
    return np.abs(np.linalg.eigvals(matrix)).max()


def follow(matrix: np.ndarray, rounds: int, size: int) -> np.ndarray:
    """The first two coordinates of the linear iteration from (1, 1, 0, ...); what is remembered starts at 0."""
    state = np.concatenate([np.ones(2), np.zeros(size - 2)])
    states = [state := matrix @ state for _ in range(rounds)]
    return np.array([np.ones(2), *(s[:2] for s in states)])


# Optimizers, one number or one quadratic at a time


def test_adam_follows_algorithm_1():
    lr, (b1, b2), eps = 0.01, (0.5, 0.9), 1e-8
    w = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64, requires_grad=True)
    optimizer = Adam(lr=lr, betas=(b1, b2), eps=eps).build([w])
    expected, m, v = w.detach().clone(), torch.zeros(3).double(), torch.zeros(3).double()
    for t in range(1, 6):
        g = 2 * expected
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        expected = expected - lr * (m / (1 - b1**t)) / ((v / (1 - b2**t)).sqrt() + eps)
        optimizer.zero_grad()
        w.square().sum().backward()
        optimizer.step()
    torch.testing.assert_close(w.detach(), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("cls", [Adam, AdamW])
def test_adam_uses_the_fused_kernel_where_there_is_one(cls):
    assert cls().build([torch.zeros(2, requires_grad=True)]).param_groups[0]["fused"]
    assert not cls().build([torch.zeros(2, device="meta", requires_grad=True)]).param_groups[0]["fused"]


@pytest.mark.parametrize("cls", [Adam, AdamW, Optimistic, Extragradient])
def test_betas_may_come_as_a_suite_file_writes_them(cls):
    assert cls(betas=[0.0, 0.9]).build([torch.zeros(1, requires_grad=True)]).defaults["betas"] == (0.0, 0.9)


@pytest.mark.parametrize(
    "fields", [{"lr": -1.0}, {"lr": float("nan")}, {"betas": (0.5, 1.0)}, {"betas": (0.5,)}, {"eps": 0.0}]
)
@pytest.mark.parametrize("cls", [Adam, AdamW, Optimistic, Extragradient])
def test_adam_and_its_kin_refuse_what_has_no_meaning(cls, fields):
    with pytest.raises(ValueError, match=f"{cls.name} needs"):
        cls(**fields)


@pytest.mark.parametrize(
    ("cls", "fields"),
    [
        (AdamW, {"weight_decay": -0.1}),
        (RmsProp, {"lr": -1.0}),
        (RmsProp, {"alpha": 1.0}),
        (RmsProp, {"eps": 0.0}),
        (Sgd, {"lr": float("inf")}),
        (Sgd, {"momentum": 1.0}),
        (Optimistic, {"base": "rmsprop"}),
        (Extragradient, {"base": ""}),
    ],
)
def test_optimizers_refuse_what_has_no_meaning(cls, fields):
    with pytest.raises(ValueError, match=f"{cls.name} needs"):
        cls(**fields)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
def test_optimizers_keep_to_the_contract(optimizer):
    check_component(optimizer)


def descend(optimizer, gradients) -> list[float]:
    """Where one weight goes from 1 when it is given these gradients, whatever they are the gradients of."""
    w = torch.ones(1, dtype=torch.float64, requires_grad=True)
    built, places = optimizer.build([w]), []
    for gradient in gradients:
        w.grad = torch.tensor([gradient], dtype=torch.float64)
        built.step()
        places.append(w.item())
    return places


def test_adamw_decays_beside_the_moments():
    lr, decay = 0.1, 0.5
    assert descend(AdamW(lr=lr, weight_decay=decay), [0.0])[0] == pytest.approx(1 - lr * decay)
    assert descend(AdamW(lr=lr, weight_decay=decay), [3.0])[0] == pytest.approx(1 - lr * decay - lr)
    plain = descend(Adam(lr=lr), [3.0, -1.0, 0.5])
    assert descend(AdamW(lr=lr, weight_decay=0.0), [3.0, -1.0, 0.5]) == pytest.approx(plain)


def test_rmsprop_divides_by_the_running_root_mean_square():
    v, w, expected = 0.0, 1.0, []
    for g in (3.0, -1.0, 0.5):
        v = 0.99 * v + 0.01 * g * g
        w -= 0.1 * g / (v**0.5 + 1e-8)
        expected.append(w)
    assert descend(RmsProp(lr=0.1), (3.0, -1.0, 0.5)) == pytest.approx(expected)


def test_sgd_adds_its_momentum():
    assert descend(Sgd(lr=0.1), [3.0, -1.0]) == pytest.approx([0.7, 0.8])
    assert descend(Sgd(lr=0.1, momentum=0.5), [3.0, -1.0]) == pytest.approx([0.7, 0.65])


def test_optimistic_sgd_takes_the_last_gradient_back():
    # 1 - 2 (0.1) 3 = 0.4; 0.4 - 0.1 (2 (-1) - 3) = 0.9; 0.9 - 0.1 (2 (0.5) - (-1)) = 0.7
    assert descend(Optimistic(base="sgd", lr=0.1), [3.0, -1.0, 0.5]) == pytest.approx([0.4, 0.9, 0.7])


def test_optimistic_adam_follows_algorithm_1():
    lr, (b1, b2), eps = 0.01, (0.5, 0.9), 1e-8
    w, m, v, last, expected = 1.0, 0.0, 0.0, 0.0, []
    for t, g in enumerate((3.0, -1.0, 0.5, 0.5), start=1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        newest = (m / (1 - b1**t)) / ((v / (1 - b2**t)) ** 0.5 + eps)
        w, last = w - 2 * lr * newest + lr * last, newest
        expected.append(w)
    assert descend(Optimistic(lr=lr, betas=(b1, b2)), (3.0, -1.0, 0.5, 0.5)) == pytest.approx(expected, rel=1e-12)


def test_extra_adam_takes_both_gradients_into_its_moments():
    lr, (b1, b2), eps = 0.01, (0.5, 0.9), 1e-8
    w = torch.ones(1, dtype=torch.float64, requires_grad=True)
    built = Extragradient(lr=lr, betas=(b1, b2)).build([w])
    start, m, v, t = 1.0, 0.0, 0.0, 0
    for pair in ((3.0, -1.0), (0.5, 2.0), (-0.25, 1.0)):
        places = []
        for g, move in zip(pair, (built.extrapolate, built.step), strict=True):
            t += 1
            m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
            places.append(start - lr * (m / (1 - b1**t)) / ((v / (1 - b2**t)) ** 0.5 + eps))
            w.grad = torch.tensor([g], dtype=torch.float64)
            move()
            assert w.item() == pytest.approx(places[-1], rel=1e-12)
        start = places[-1]


@pytest.mark.parametrize("optimizer", [Optimistic(base="sgd"), Extragradient(base="adam")], ids=str)
def test_a_weight_without_gradient_stays(optimizer):
    moving, resting = (torch.ones(2, requires_grad=True) for _ in range(2))
    built = optimizer.build([moving, resting])
    for _ in range(2):
        moving.grad = torch.ones(2)
        if optimizer.name == "extragradient":
            built.extrapolate()
        built.step()
    assert (resting == 1).all()
    assert (moving < 1).all()


# In the bilinear game


def test_simultaneous_gradient_descent_diverges_at_the_known_rate(toys):
    places = trail(bilinear(toys, Sgd(lr=ETA)), 20)
    matrix = ONE - ETA * FIELD
    assert radius(matrix) == pytest.approx((1 + ETA**2) ** 0.5)
    np.testing.assert_allclose(places, follow(matrix, 20, 2), rtol=1e-4, atol=1e-5)
    assert np.linalg.norm(places[-1]) == pytest.approx(2**0.5 * (1 + ETA**2) ** 10, rel=1e-4)


def test_alternating_gradient_descent_circles(toys):
    sizes = np.linalg.norm(trail(bilinear(toys, Sgd(lr=ETA), ("D", "G")), 200), axis=1)
    assert 0.5 < sizes.min() < sizes.max() < 3


def test_extragradient_converges_at_the_known_rate(toys):
    engine = bilinear(toys, Extragradient(base="sgd", lr=ETA))
    places = trail(engine, 60)
    matrix = ONE - ETA * FIELD @ (ONE - ETA * FIELD)
    assert radius(matrix) == pytest.approx(0.9582, abs=5e-5)
    np.testing.assert_allclose(places, follow(matrix, 60, 2), rtol=1e-3, atol=1e-5)
    assert np.linalg.norm(places[-1]) == pytest.approx(2**0.5 * radius(matrix) ** 60, rel=1e-3)
    assert engine.counters.gradient_evaluations == 240


def test_optimistic_descent_converges_at_the_known_rate(toys):
    places = trail(bilinear(toys, Optimistic(base="sgd", lr=ETA)), 60)
    matrix = np.block([[ONE - 2 * ETA * FIELD, ETA * FIELD], [ONE, NONE]])  # (w_t, w_{t-1})
    rate = radius(matrix)
    assert rate == pytest.approx(0.9487, abs=5e-5)
    first = (ONE - 2 * ETA * FIELD) @ np.ones(2)  # before it, the last gradient counts as 0
    state = np.concatenate([first, np.ones(2)])
    for place in places[1:]:
        np.testing.assert_allclose(place, state[:2], rtol=1e-3, atol=1e-5)
        state = matrix @ state
    sizes = np.linalg.norm(places, axis=1)
    assert (sizes[60] / sizes[30]) ** (1 / 30) == pytest.approx(rate, rel=1e-3)


@pytest.mark.parametrize("cls", [Extragradient, Optimistic])
def test_the_adam_forms_stay_nearer_to_the_equilibrium_than_adam(toys, cls):
    plain, other = (
        np.linalg.norm(trail(bilinear(toys, one(lr=0.05, betas=(0.0, 0.9))), 300)[-1]) for one in (Adam, cls)
    )
    assert other < plain / 2


# Going on from a checkpoint


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
def test_a_restored_run_goes_on_to_the_same_bytes(toys, tmp_path, optimizer):
    optimizer = replace(optimizer, lr=0.01)
    blobs = toys.Blobs()
    train = blobs.load(tmp_path, "train")
    lookahead = LookaheadMinimax(every=4)

    def fresh() -> Engine:
        return engine_of(
            toys.Tiny(), toys.Logistic(), blobs.spec(tmp_path), train, optimizer, schedule=("DG",),
            constraints=(lookahead,),
        )  # fmt: skip

    through, resumed = fresh(), fresh()
    for _ in range(6):
        through.play_round(0.0)
    save_state(tmp_path, capture(through))
    restore(resumed, load_state(tmp_path))
    for engine in (through, resumed):
        for _ in range(3):
            engine.play_round(0.5)
    first, second = capture(through), capture(resumed)
    assert first.numbers == second.numbers
    assert first.tensors.keys() == second.tensors.keys()
    assert all(torch.equal(tensor, second.tensors[name]) for name, tensor in first.tensors.items())


# Constraints


def test_weight_clip_clamps_in_place_and_keeps_what_is_inside():
    params = [torch.tensor([-1.0, 0.005, 0.5], requires_grad=True), torch.full((2, 2), -3.0, requires_grad=True)]
    addresses = [p.data_ptr() for p in params]
    WeightClip()(params, {})
    assert params[0].tolist() == pytest.approx([-0.01, 0.005, 0.01])
    assert (params[1] == -0.01).all()
    assert [p.data_ptr() for p in params] == addresses
    assert all(p.requires_grad and p.is_leaf for p in params)


@pytest.mark.parametrize("c", [0.0, -1.0, float("inf")])
def test_weight_clip_refuses_what_has_no_meaning(c):
    with pytest.raises(ValueError, match="weight_clip needs"):
        WeightClip(c=c)


@pytest.mark.parametrize("fields", [{"alpha": 0.0}, {"alpha": 1.5}, {"alpha": float("nan")}, {"every": 0}])
def test_lookahead_refuses_what_has_no_meaning(fields):
    with pytest.raises(ValueError, match="lookahead_minimax needs"):
        LookaheadMinimax(**fields)


def test_lookahead_keeps_to_the_contract():
    check_component(LookaheadMinimax())


def test_lookahead_goes_back_alpha_of_the_way_and_remembers_where_to():
    lookahead = LookaheadMinimax(alpha=0.25)
    w = torch.zeros(2, requires_grad=True)
    state = lookahead.state([w])
    for moved, slow in ((4.0, 1.0), (5.0, 2.0)):
        with torch.no_grad():
            w.fill_(moved)
        lookahead([w], state)
        assert w.tolist() == state["0"].tolist() == [slow, slow]
        assert w.data_ptr() != state["0"].data_ptr()


@pytest.mark.parametrize("schedule", [("DG",), ("D", "G")])
def test_lookahead_makes_gradient_descent_converge(toys, schedule):
    step = ONE - ETA * FIELD
    if schedule == ("D", "G"):
        step = np.array([[1, -ETA], [0, 1]]) @ np.array([[1, 0], [ETA, 1]])  # y moves, then x against the new y
    matrix = (ONE + np.linalg.matrix_power(step, 5)) / 2
    assert radius(step) >= 1 - 1e-12
    assert radius(matrix) < 0.9
    engine = bilinear(toys, Sgd(lr=ETA), schedule, constraints=(LookaheadMinimax(),))
    places = trail(engine, 40)
    np.testing.assert_allclose(places[::5], follow(matrix, 8, 2), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(places[4], np.linalg.matrix_power(step, 4) @ np.ones(2), rtol=1e-4)
