"""The reference rows: real images without replacement, uniform noise."""

import pytest
import torch

from ganbench import Images, ImageSpec, PointSpec
from ganbench_zoo.baselines.noise import Noise
from ganbench_zoo.baselines.real import Real

SPEC = ImageSpec((1, 2, 2))


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def images():
    return Images(torch.arange(100, dtype=torch.uint8).view(100, 1, 1, 1).expand(-1, 1, 2, 2).contiguous())


def test_real_draws_without_replacement(images):
    sample = Real().fit(SPEC, images, rng())
    drawn = sample(60)[:, 0, 0, 0].tolist()
    assert len(set(drawn)) == 60
    assert drawn != sorted(drawn)
    assert sorted(sample(100)[:, 0, 0, 0].tolist()) == list(range(100))


def test_real_gives_fewer_where_there_are_fewer(images):
    assert Real().fit(SPEC, images, rng())(101).shape == (100, 1, 2, 2)


def test_noise_is_uniform_over_all_256_values(images):
    drawn = Noise().fit(SPEC, images, rng())(50_000)
    assert drawn.shape == (50_000, 1, 2, 2)
    assert drawn.dtype == torch.uint8
    counts = drawn.flatten().long().bincount(minlength=256).double()
    expected = 200_000 / 256
    assert ((counts - expected) ** 2 / expected).sum() < 350  # chi-square with 255 degrees of freedom: p < 1e-4


def test_noise_in_points_fills_the_bounding_box():
    points = torch.stack([torch.linspace(-1, 3, 50), torch.linspace(5, 6, 50)], dim=1)
    drawn = Noise().fit(PointSpec((2,)), Images(points), rng())(4000)
    assert drawn.dtype == torch.float32
    assert drawn.amin(0).tolist() == pytest.approx([-1, 5], abs=0.02)
    assert drawn.amax(0).tolist() == pytest.approx([3, 6], abs=0.02)
    assert drawn.mean(0).tolist() == pytest.approx([1, 5.5], abs=0.08)


@pytest.mark.parametrize("baseline", [Real(), Noise()])
def test_the_first_n_are_the_same_each_time_and_follow_from_the_seed(baseline, images):
    sample = baseline.fit(SPEC, images, rng())
    assert torch.equal(sample(10), sample(30)[:10])
    assert torch.equal(sample(30), baseline.fit(SPEC, images, rng())(30))
    assert not torch.equal(sample(30), baseline.fit(SPEC, images, rng(1))(30))


@pytest.mark.parametrize("baseline", [Real(), Noise()])
def test_the_global_stream_is_left_alone(baseline, images):
    before = torch.get_rng_state()
    baseline.fit(SPEC, images, rng())(5)
    assert torch.equal(before, torch.get_rng_state())
