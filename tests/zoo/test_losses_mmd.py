"""MMD GAN: the estimator against its double sum, its unbiasedness, and the penalty on the witness function."""

import itertools
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from ganbench import Critique, Latent, Networks
from ganbench.testing import check_component
from ganbench.training.game import Draws, Game, Players
from ganbench_zoo.losses.mmd import Mmd

KERNELS = ("rational_quadratic", "gaussian", "distance")


def kernel_of(name, x, y):
    squared = sum((a - b) ** 2 for a, b in zip(x, y, strict=True))
    if name == "rational_quadratic":
        return sum((1 + squared / (2 * alpha)) ** -alpha for alpha in (0.2, 0.5, 1, 2, 5))
    if name == "gaussian":
        return sum(math.exp(-squared / (2 * sigma**2)) for sigma in (2, 5, 10, 20, 40, 80))
    return -math.sqrt(squared) / 2


def double_sum(k, x, y):
    within = [
        sum(k(a, b) for a, b in itertools.permutations(side, 2)) / (len(side) * (len(side) - 1)) for side in (x, y)
    ]
    return sum(within) - 2 * sum(k(a, b) for a in x for b in y) / (len(x) * len(y))


def game(x, y):
    return SimpleNamespace(real_critique=Critique(x[:, 0], embedding=x), fake_critique=Critique(y[:, 0], embedding=y))


def embeddings(m=5, n=4, k=3, scale=2.0, dtype=torch.float64):
    rng = torch.Generator().manual_seed(0)
    draw = {"generator": rng, "dtype": dtype}
    return scale * torch.randn(m, k, **draw), 1 + scale * torch.randn(n, k, **draw)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(("linear", "penalty"), [(0.0, 1.0), (1.0, 0.0)])
def test_it_keeps_the_contract(kernel, linear, penalty):
    check_component(Mmd(kernel, linear, penalty))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("linear", [0.0, 0.5])
def test_it_is_the_double_sum_of_the_textbook(kernel, linear):
    x, y = embeddings()

    def k(a, b):
        return kernel_of(kernel, a, b) + linear * sum(p * q for p, q in zip(a, b, strict=True))

    expected = double_sum(k, x.tolist(), y.tolist())
    loss = Mmd(kernel, linear, penalty=0.0)
    assert loss.generator(game(x, y)).item() == pytest.approx(expected, rel=1e-10)
    assert loss.discriminator(game(x, y)).item() == pytest.approx(-expected, rel=1e-10)


@pytest.mark.parametrize("kernel", KERNELS)
def test_it_is_unbiased(kernel):
    atoms, p, q = [-1.0, 0.0, 2.0], [0.5, 0.25, 0.25], [0.25, 0.25, 0.5]
    expected = sum(
        (p[i] - q[i]) * (p[j] - q[j]) * kernel_of(kernel, [atoms[i]], [atoms[j]])
        for i, j in itertools.product(range(3), repeat=2)
    )
    mean = 0.0  # over every batch of two and two, by its probability
    for i, j, k, l in itertools.product(range(3), repeat=4):  # noqa: E741
        x, y = (torch.tensor([[atoms[a]], [atoms[b]]], dtype=torch.float64) for a, b in ((i, j), (k, l)))
        mean += p[i] * p[j] * q[k] * q[l] * Mmd(kernel, penalty=0.0).generator(game(x, y)).item()
    assert mean == pytest.approx(expected, rel=1e-10)


def test_half_the_energy_distance_of_two_points_from_two():
    x, y = torch.tensor([[0.0], [1.0]]), torch.tensor([[3.0], [5.0]])
    # mean distance between sides 3.5, within 1 and 2: 3.5 - (1 + 2) / 2
    assert Mmd("distance", penalty=0.0).generator(game(x, y)).item() == pytest.approx(2.0)


@pytest.mark.parametrize("kernel", KERNELS)
def test_float32_agrees_with_float64_far_from_the_origin(kernel):
    x, y = (side + 1e3 for side in embeddings(m=32, n=32, dtype=torch.float32))
    single = Mmd(kernel, penalty=0.0).generator(game(x, y))
    double = Mmd(kernel, penalty=0.0).generator(game(x.double(), y.double()))
    torch.testing.assert_close(single.double(), double, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_collapsed_generator_still_has_a_finite_gradient_towards_the_data(kernel):
    x = torch.tensor([[1.0], [2.0], [3.0]])
    y = torch.zeros(3, 1, requires_grad=True)
    Mmd(kernel, penalty=0.0).generator(game(x, y)).backward()
    assert (y.grad < 0).all()
    y.grad = None
    Mmd(kernel, penalty=0.0).discriminator(game(x, y)).backward()
    assert (y.grad > 0).all()


class Scaled(nn.Module):
    """Embeds x (units, *shape) as weight x, with a logit that the loss has no use for."""

    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight, dtype=torch.float64))

    def forward(self, x, labels=None):
        return Critique(x.new_zeros(len(x)), embedding=self.weight * x.flatten(1))


def phase(critic, loss, real, fake, pac=1, player="discriminator"):
    generator = nn.Identity()
    generator.forward = lambda z, labels=None: z
    players = Players(Networks(generator, critic, Latent(real.shape[1])), pac, loss, (), ())
    clock = torch.zeros(()), torch.zeros(())
    torch.manual_seed(3)
    return Game(player, players, Draws(lambda: (real, None), lambda: (fake, None)), (), clock)


@pytest.mark.parametrize("pac", [1, 2])
def test_the_penalty_on_a_linear_kernel_is_the_slope_of_the_means(pac):
    """With k(x, y) = <x, y> alone the witness function is linear: its gradient is weight^2 (mean x - mean y)."""

    class Linear(Mmd):
        def _kernel(self, x, y):
            return x @ y.T

    real, fake = embeddings(m=6, n=6, k=2)
    critic = Scaled(0.7)
    with_penalty = Linear(penalty=3.0).discriminator(phase(critic, Linear(), real, fake, pac))
    without = Linear(penalty=0.0).discriminator(phase(critic, Linear(), real, fake, pac))
    apart = (real.reshape(6 // pac, -1).mean(dim=0) - fake.reshape(6 // pac, -1).mean(dim=0)).norm()
    expected = 3 * (critic.weight**2 * apart - 1).square()
    torch.testing.assert_close(with_penalty - without, expected, rtol=1e-5, atol=1e-5)  # slope() is float32
    found, wanted = (torch.autograd.grad(value, critic.weight)[0] for value in (with_penalty - without, expected))
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_penalty_is_that_of_autograd_sample_by_sample(kernel):
    real, fake = embeddings(m=4, n=4, k=2)
    loss, critic = Mmd(kernel, linear=0.5), Scaled(1.3)
    seen = phase(critic, loss, real, fake)
    penalty = loss.discriminator(seen) - replace(loss, penalty=0.0).discriminator(phase(critic, loss, real, fake))
    torch.manual_seed(3)
    points = phase(critic, loss, real, fake).mix(real, fake).detach()
    slopes = []
    for point in points:
        x = point[None].clone().requires_grad_()
        k = [sum(loss._kernel(1.3 * x, 1.3 * other[None])[0, 0] for other in side) / len(side) for side in (real, fake)]
        slopes.append(torch.autograd.grad(k[0] - k[1], x)[0].norm().item())
    expected = sum((slope - 1) ** 2 for slope in slopes) / len(slopes)
    assert penalty.item() == pytest.approx(expected, rel=1e-5)
    assert seen.logs["slope"].item() == pytest.approx(sum(slopes) / len(slopes), rel=1e-5)


def test_the_generator_pays_no_penalty():
    real, fake = embeddings(m=4, n=4, k=2)
    seen = phase(Scaled(1.3), Mmd(), real, fake, player="generator")
    plain = Mmd(penalty=0.0).generator(game(1.3 * real, 1.3 * fake))
    torch.testing.assert_close(Mmd(penalty=5.0).generator(seen), plain)


@pytest.fixture
def cell(plain_cell):
    return replace(plain_cell, loss=Mmd(), offers=frozenset({"embedding"}))


def test_it_refuses_where_it_has_no_meaning(cell, toys):
    loss = Mmd()
    assert loss.compatible(cell) is None
    assert loss.compatible(replace(cell, pac=2)) is None
    assert loss.compatible(replace(cell, batch_coupling="statistic")) is None
    assert "of tiny gives none" in loss.compatible(replace(cell, offers=frozenset()))
    assert "two decisions a batch" in loss.compatible(replace(cell, pac=4))
    assert "top_half goes by" in loss.compatible(replace(cell, regularizers=(toys.TopK(),)))
    assert "latent_step goes by" in loss.compatible(replace(cell, regularizers=(toys.LatentStep(),)))
    coupled = replace(cell, batch_coupling="normalisation")
    assert "mmd(penalty=0)" in loss.compatible(coupled)
    assert Mmd(penalty=0.0).compatible(coupled) is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kernel": "laplace"}, "mmd needs kernel in rational_quadratic, gaussian, distance, not 'laplace'"),
        ({"linear": -1.0}, "mmd needs a finite linear >= 0, not -1.0"),
        ({"penalty": math.inf}, "mmd needs a finite penalty >= 0, not inf"),
    ],
)
def test_it_refuses_fields_without_meaning(fields, message):
    with pytest.raises(ValueError, match=message):
        Mmd(**fields)
