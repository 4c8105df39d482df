"""SNDCGAN, the standard CNN of spectral normalisation."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from ganbench import ImageSpec, PointSpec
from ganbench.testing import check_component
from ganbench_zoo.architectures.sndcgan import Sndcgan


def count(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("norm", ["batch", "spectral", "layer", "none"])
def test_every_variant_keeps_the_contract(norm):
    check_component(Sndcgan(width=2, latent_size=4, d_norm=norm), data=ImageSpec((3, 32, 32), classes=3))


def test_the_default_keeps_the_contract():
    check_component(Sndcgan)


@pytest.mark.parametrize(("size", "start"), [(32, 4), (48, 6), (64, 8)])
def test_the_layers_have_the_sizes_of_the_table(size, start):
    data = ImageSpec((3, size, size))
    with torch.device("meta"):
        generator, discriminator = Sndcgan().generator(data), Sndcgan(d_norm="none").discriminator(data)
    deconvolutions = 16 * (512 * 256 + 256 * 128 + 128 * 64) + 2 * (512 + 256 + 128 + 64)
    assert count(generator) == 128 * 512 * start**2 + deconvolutions + 9 * 64 * 3 + 3
    threes = 9 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512) + 64 + 128 + 256 + 512
    fours = 16 * (64 * 64 + 128 * 128 + 256 * 256) + 64 + 128 + 256
    assert count(discriminator) == threes + fours + 512 * start**2 + 1


def test_the_discriminator_halves_with_its_even_layers_and_widens_with_its_odd_ones():
    body = Sndcgan(d_norm="none").discriminator(ImageSpec((3, 32, 32))).body
    layers = [m for m in body if isinstance(m, nn.Conv2d)]
    assert [m.out_channels for m in layers] == [64, 64, 128, 128, 256, 256, 512]
    assert [(m.kernel_size[0], m.stride[0]) for m in layers] == [(3, 1), (4, 2)] * 3 + [(3, 1)]
    assert {m.negative_slope for m in body if isinstance(m, nn.LeakyReLU)} == {0.1}


def test_spectral_norm_brings_every_weight_to_norm_one():
    torch.manual_seed(0)
    discriminator = Sndcgan(width=4).discriminator(ImageSpec((3, 32, 32)))
    for _ in range(100):
        discriminator(torch.zeros(1, 3, 32, 32))
    layers = [m for m in discriminator.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == 8
    assert all(parametrize.is_parametrized(m) for m in layers)
    for layer in layers:
        assert torch.linalg.matrix_norm(layer.weight.flatten(1), ord=2).item() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("size", [32, 48, 64])
def test_it_draws_every_size(size):
    component, data = Sndcgan(width=2), ImageSpec((3, size, size))
    x = component.generator(data)(torch.randn(2, 128), torch.zeros(2, dtype=torch.int64))
    assert x.shape == (2, 3, size, size)
    assert component.discriminator(data)(x).logits.shape == (2,)


@pytest.mark.parametrize(("norm", "coupling"), [("batch", "normalisation"), ("layer", "none"), ("spectral", "none")])
def test_only_batch_norm_couples(norm, coupling):
    assert Sndcgan(d_norm=norm).batch_coupling == coupling


@pytest.mark.parametrize(
    ("data", "found"), [(ImageSpec((1, 28, 28)), "not 28x28"), (PointSpec((2,)), "not points of 2 coordinates")]
)
def test_other_data_are_refused(data, found):
    for build in (Sndcgan().generator, Sndcgan().discriminator):
        with pytest.raises(ValueError, match=f"sndcgan draws square images of 32, 48, 64 pixels, {found}"):
            build(data)


def test_a_field_out_of_range_is_refused():
    with pytest.raises(ValueError, match="sndcgan needs latent_size >= 1, not 0"):
        Sndcgan(latent_size=0)
