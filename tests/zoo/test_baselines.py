"""The reference rows: real images without replacement, uniform noise, a variational autoencoder."""

import math
from types import SimpleNamespace

import pytest
import torch

from ganbench import Images, ImageSpec, PointSpec, Sample
from ganbench.testing import check_component
from ganbench_zoo.baselines.noise import Noise
from ganbench_zoo.baselines.real import Real
from ganbench_zoo.baselines.vae import Vae

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


@pytest.mark.parametrize(
    "data", [ImageSpec((1, 8, 8)), ImageSpec((3, 28, 28)), ImageSpec((1, 16, 32), 3), PointSpec((2,))]
)
def test_the_autoencoder_draws_images_of_any_size_and_points(data):
    check_component(Vae(latent_size=4, width=2, hidden=8), data=data)


@pytest.mark.parametrize("fields", [{"latent_size": 0}, {"lr": 0.0}, {"lr": math.inf}, {"batch_size": 0}])
def test_the_autoencoder_refuses_sizes_without_meaning(fields):
    with pytest.raises(ValueError, match="vae needs"):
        Vae(**fields)


def bound_of(mean, variance, x, decode):
    """Return the bound where the encoder says the same of every x, and the noise is nought."""
    logged = {}
    game = SimpleNamespace(
        real=x,
        real_labels=None,
        companion=lambda name: lambda x: torch.cat([mean, variance.log()]).expand(len(x), -1),
        normal=lambda *shape: torch.zeros(shape, dtype=x.dtype),
        generate=lambda z, labels: Sample(decode(z)),
        log=logged.__setitem__,
    )
    loss = Vae().combination(PointSpec((2,))).loss
    return loss.generator(game).item(), logged


def test_the_bound_is_the_divergence_of_the_codes_plus_the_surprise_at_the_best_variance():
    mean, variance = torch.tensor([0.5, -1.0]).double(), torch.tensor([0.25, 2.0]).double()
    x = torch.tensor([[1.0, 2.0], [0.0, -1.0], [3.0, 0.5]]).double()
    bound, logged = bound_of(mean, variance, x, lambda z: z)
    gaussians = [torch.distributions.Normal(m, v) for m, v in ((mean, variance.sqrt()), (torch.zeros(2), 1.0))]
    divergence = torch.distributions.kl_divergence(gaussians[0], gaussians[1]).sum().item()
    squares = (x - mean).square().mean()
    surprise = -torch.distributions.Normal(mean, squares.sqrt()).log_prob(x).sum(dim=1).mean().item()
    assert logged["kl"].item() == pytest.approx(divergence, rel=1e-9)
    assert logged["mse"].item() == pytest.approx(squares.item(), rel=1e-12)
    assert bound == pytest.approx(divergence + surprise, rel=1e-9)
    for wrong in (0.8, 1.2):  # any other variance explains the same data worse
        worse = -torch.distributions.Normal(mean, wrong * squares.sqrt()).log_prob(x).sum(dim=1).mean().item()
        assert bound < divergence + worse


def test_a_perfect_decoder_costs_a_finite_bound():
    x = torch.zeros(4, 2)
    bound, _ = bound_of(torch.zeros(2), torch.ones(2), x, lambda z: torch.zeros_like(x))
    assert bound == pytest.approx(math.log(2 * math.pi * math.e * 1e-6), rel=1e-6)


def test_codes_are_drawn_with_the_standard_deviation_that_the_encoder_says():
    mean, variance = torch.tensor([0.5, -1.0]), torch.tensor([0.25, 4.0])
    drawn = []
    game = SimpleNamespace(
        real=torch.zeros(3, 2),
        real_labels=None,
        companion=lambda name: lambda x: torch.cat([mean, variance.log()]).expand(len(x), -1),
        normal=lambda *shape: torch.ones(shape),
        generate=lambda z, labels: drawn.append(z) or Sample(z),
        log=lambda name, value: None,
    )
    Vae().combination(PointSpec((2,))).loss.generator(game)
    torch.testing.assert_close(drawn[0], (mean + variance.sqrt()).expand(3, -1))
