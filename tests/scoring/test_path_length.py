"""Perceptual path length against paths whose length is known, through real synthesis and through a linear one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor, nn

from ganbench import Features, FeatureStore, ImageSpec, Latent, Measured
from ganbench.scoring.context import Context, Given
from ganbench.scoring.sample import GeneratorSource
from ganbench.scoring.synthesis import GeneratorSynthesis
from ganbench_zoo.blocks import Unconditional
from ganbench_zoo.metrics import ppl
from ganbench_zoo.metrics.ppl import PathLength, between, slerp

CPU = torch.device("cpu")


def matrix(rows: int, columns: int, seed: int = 1) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


@dataclass(frozen=True)
class Linear:
    """Features z A + c; remembers what it was asked for."""

    latent: Latent
    a: Tensor
    c: float = 0.0
    dtype: torch.dtype = torch.float32
    seen: list[tuple[Tensor, Tensor | None]] = field(default_factory=list)
    classes: int | None = None

    def labels(self, n: int, rng: torch.Generator) -> Tensor | None:
        return torch.randint(self.classes, (n,), generator=rng) if self.classes else None

    def features(self, z: Tensor, labels: Tensor | None) -> Tensor:
        self.seen.append((z, labels))
        return z @ self.a + self.c


def path_length(synthesis, errors: bool = True, seed: int = 0, **fields) -> Measured:
    store = FeatureStore(2, 0)
    given = Given(errors, synthesis=synthesis)
    return PathLength(**fields).compute(store, store, Context(seed, store, store, given=given))


def test_straight_paths_of_a_linear_map_have_a_known_length():
    """E |(b - a) A|^2 = 2/3 |A|^2 for a, b uniform in [-1, 1]."""
    a = matrix(6, 9)
    found = path_length(Linear(Latent(6, distribution="uniform"), a), paths=20_000, trim=0.0)
    expected = float(2 / 3 * a.square().sum())
    assert found.value == pytest.approx(expected, abs=4 * found.error)
    assert found.error < 0.02 * expected


def speed(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Return the derivative of the arc from ``a`` to ``b`` at ``t``."""
    angle = torch.nn.functional.cosine_similarity(a, b, dim=1).acos()[:, None]
    return angle / angle.sin() * (-((1 - t) * angle).cos() * a + (t * angle).cos() * b)


@pytest.mark.parametrize("epsilon", [1e-4, 1e-3])
def test_arcs_of_a_linear_map_have_a_known_length(epsilon):
    """Each path's own derivative, from the points that were asked for; float32 costs less than a thousandth."""
    latent, a = Latent(16), matrix(16, 5)
    synthesis = Linear(latent, a)
    found = path_length(synthesis, paths=1000, epsilon=epsilon, trim=0.0)
    rng = torch.Generator().manual_seed(0)
    ends = [latent.draw(200_000, rng).double() for _ in range(2)]
    t = torch.rand(200_000, 1, generator=rng, dtype=torch.float64)
    expected = (speed(*ends, t) @ a.double()).square().sum(dim=1).mean()
    assert found.value == pytest.approx(float(expected), abs=4 * found.error)
    (before, _), (after, _) = synthesis.seen
    own = ((after - before).double() @ a.double()).square().sum(dim=1) / epsilon**2
    assert found.value == pytest.approx(float(own.mean()), rel=1e-3)


def test_the_arc_keeps_to_the_lengths_of_its_ends_and_meets_them():
    rng = torch.Generator().manual_seed(2)
    a, b = (torch.randn(500, 12, generator=rng, dtype=torch.float64) for _ in range(2))
    zero, one = torch.zeros(500, 1, dtype=torch.float64), torch.ones(500, 1, dtype=torch.float64)
    assert torch.allclose(slerp(a, b, zero), a)
    assert torch.allclose(slerp(a, b, one), b)
    unit = [nn.functional.normalize(x, dim=1) for x in (a, b)]
    halfway = slerp(*unit, one / 2)
    assert torch.allclose(halfway.norm(dim=1), torch.ones(500, dtype=torch.float64))
    assert torch.allclose(halfway, nn.functional.normalize(unit[0] + unit[1], dim=1))
    angle = nn.functional.cosine_similarity(*unit, dim=1).acos()
    step = (slerp(*unit, 0.3 * one + 1e-5) - slerp(*unit, 0.3 * one)).norm(dim=1) / 1e-5
    assert torch.allclose(step, angle, rtol=1e-4)


def test_ends_on_one_axis_are_joined_by_a_line():
    a, t = torch.tensor([[1.0, 0.0]], dtype=torch.float64), torch.tensor([[0.25]], dtype=torch.float64)
    assert slerp(a, 3 * a, t).tolist() == [[1.5, 0.0]]
    assert slerp(a, -a, t).tolist() == [[0.5, 0.0]]
    assert slerp(a[:, :1], -a[:, :1], t).tolist() == [[0.5]]


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_codes_move_straight_or_not_at_all(distribution):
    latent = Latent(4, categorical=(3, 2), continuous=2, distribution=distribution)
    rng = torch.Generator().manual_seed(5)
    a, b = (latent.draw(50, rng).double() for _ in range(2))
    t = torch.full((50, 1), 0.25, dtype=torch.float64)
    z = between(latent, a, b, t)
    assert torch.equal(z[:, 4:9], a[:, 4:9])
    assert torch.allclose(z[:, 9:], 0.75 * a[:, 9:] + 0.25 * b[:, 9:])
    straight = torch.lerp(a[:, :4], b[:, :4], t)
    assert torch.allclose(z[:, :4], straight) == (distribution == "uniform")


def test_a_latent_of_codes_alone_has_paths():
    found = path_length(Linear(Latent(0, categorical=(3,), continuous=1), matrix(4, 2)), paths=5000, trim=0.0)
    assert found.value == pytest.approx(float(2 / 3 * matrix(4, 2)[3].square().sum()), abs=4 * found.error)


def test_labels_stay_what_they_are_along_a_path():
    synthesis = Linear(Latent(4), matrix(4, 3), classes=7)
    path_length(synthesis, paths=1500)
    (_, first), (_, second), (_, third), (_, fourth) = synthesis.seen
    assert torch.equal(first, second)
    assert torch.equal(third, fourth)
    assert len(first) == ppl.CHUNK
    assert len(third) == 1500 - ppl.CHUNK
    assert first.unique().numel() == 7


def test_the_value_follows_from_the_seed_and_the_error_is_optional():
    synthesis = Linear(Latent(4), matrix(4, 3))
    assert path_length(synthesis).value == path_length(synthesis).value
    assert path_length(synthesis).value != path_length(synthesis, seed=1).value
    assert path_length(synthesis, errors=False) == Measured(path_length(synthesis).value)


def test_the_outermost_paths_are_left_out():
    """The spread over seeds of the trimmed mean is the stated error; what is cut off no longer counts."""
    synthesis = Linear(Latent(2), matrix(2, 2))
    found = [path_length(synthesis, seed=seed, paths=500, trim=0.1) for seed in range(200)]
    values = torch.tensor([one.value for one in found], dtype=torch.float64)
    stated = torch.tensor([one.error for one in found], dtype=torch.float64).square().mean().sqrt()
    assert stated == pytest.approx(float(values.std()), rel=0.2)
    assert path_length(synthesis, trim=0.01).value < path_length(synthesis, trim=0.0).value


def test_scaling_the_features_scales_the_value_by_the_square():
    once, twice = (path_length(Linear(Latent(4), scale * matrix(4, 3))).value for scale in (1, 2))
    assert twice == pytest.approx(4 * once, rel=1e-5)


def test_a_constant_generator_has_paths_of_no_length():
    found = path_length(Linear(Latent(4), torch.zeros(4, 3), 1.0))
    assert (found.value, found.error) == (0.0, 0.0)


def test_features_that_float32_cannot_resolve_give_no_value():
    """With a constant part of 5,000 times the change rounding dominates; a larger step gets the value back."""
    exact = path_length(Linear(Latent(4), matrix(4, 3)), epsilon=1e-2).value
    offset = Linear(Latent(4), matrix(4, 3), 5000.0)
    with pytest.raises(ValueError, match=r"steps of 0.0001 change the features by little more than float32 resolves"):
        path_length(offset)
    assert path_length(offset, epsilon=1e-2).value == pytest.approx(exact, rel=0.02)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"paths": 1}, "paths is 1; a mean with a standard error needs at least 2"),
        ({"epsilon": 0.0}, "epsilon is 0.0; it lies between 0 and 1"),
        ({"trim": 0.5}, "trim is 0.5; it is a share"),
    ],
)
def test_fields_out_of_range_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        PathLength(**fields)


@dataclass(frozen=True)
class Scaled:
    """Features are the pixels over 127.5, from uint8 or not rounded."""

    see: Callable[[Tensor], None] = lambda images: None

    def __call__(self, images: Tensor) -> Features:
        self.see(images)
        return Features(images.float().flatten(1) / 127.5)


def test_through_a_real_generator_images_are_not_rounded():
    """A linear generator into [-1, 1]; pixels rounded to uint8 would show steps of 0 or 1 / 127.5."""
    net = Unconditional(nn.Linear(6, 16), nn.Unflatten(1, (1, 4, 4))).eval()
    with torch.no_grad():
        net[0].weight.copy_(0.02 * matrix(16, 6))
        net[0].bias.zero_()
    source = GeneratorSource(net, Latent(6, distribution="uniform"), ImageSpec((1, 4, 4)), None, 0, CPU)
    found = path_length(GeneratorSynthesis(source, Scaled(), 0), paths=4000, trim=0.0)
    expected = 2 / 3 * 0.0004 * float(matrix(16, 6).square().sum())
    assert found.value == pytest.approx(expected, abs=4 * found.error)


class Noisy(nn.Module):
    """A generator with noise of its own, as StyleGAN's."""

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return (0.1 * z[:, :1] + 0.1 * torch.randn(len(z), 16)).view(-1, 1, 4, 4).clamp(-1, 1)


def test_noise_of_the_generator_is_the_same_at_both_ends_of_a_step():
    source = GeneratorSource(Noisy().eval(), Latent(1, distribution="uniform"), ImageSpec((1, 4, 4)), None, 0, CPU)
    found = path_length(GeneratorSynthesis(source, Scaled(), 0), paths=2000, trim=0.0)
    assert found.value == pytest.approx(2 / 3 * 16 * 0.01, abs=4 * found.error)
    assert math.isfinite(found.error)
