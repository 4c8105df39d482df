"""The residual networks: sn_resnet at its four sizes, wgan_gp_resnet, and what they share."""

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrize

from ganbench import ImageSpec
from ganbench.testing import check_component
from ganbench_zoo.architectures.sn_resnet import SnResnet
from ganbench_zoo.architectures.wgan_gp_resnet import WganGpResnet
from ganbench_zoo.blocks import DiscriminatorBlock, MeanPool
from ganbench_zoo.residual import residual_plan


def count(module):
    return sum(p.numel() for p in module.parameters())


def conv(inputs, outputs, kernel=3):
    return (inputs * kernel * kernel + 1) * outputs


def generator_count(start, widths, latent=128):
    blocks = sum(2 * a + conv(a, b) + 2 * b + conv(b, b) + conv(a, b, 1) for a, b in pairwise(widths))
    return (latent + 1) * widths[0] * start**2 + blocks + 2 * widths[-1] + conv(widths[-1], 3)


def discriminator_count(widths, pooled, channels=3):
    total = conv(channels, widths[0]) + conv(widths[0], widths[0]) + conv(channels, widths[0], 1)
    for place, (a, b) in enumerate(pairwise(widths), start=1):
        total += conv(a, a) + conv(a, b) + (conv(a, b, 1) if place < pooled or a != b else 0)
    return total + widths[-1] + 1


TABLES = [
    (32, 4, [256, 256, 256, 256], [128, 128, 128, 128], 2),
    (48, 6, [512, 256, 128, 64], [64, 128, 256, 512, 1024], 4),
    (64, 4, [1024, 512, 256, 128, 64], [64, 128, 256, 512, 1024], 5),
    (128, 4, [1024, 1024, 512, 256, 128, 64], [64, 128, 256, 512, 1024, 1024], 5),
]


@pytest.mark.parametrize(("size", "start", "g_widths", "d_widths", "pooled"), TABLES)
def test_sn_resnet_has_the_layers_of_the_tables(size, start, g_widths, d_widths, pooled):
    data = ImageSpec((3, size, size))
    with torch.device("meta"):
        generator, discriminator = SnResnet().generator(data), SnResnet().discriminator(data)
    assert count(generator) == generator_count(start, g_widths)
    assert count(discriminator) == discriminator_count(d_widths, pooled)


def test_the_counts_by_hand_agree_with_the_published_ones():
    assert generator_count(4, [256] * 4) == 4_276_739
    assert discriminator_count([128] * 4, 2) == 1_053_825


@pytest.mark.parametrize("size", [32, 48, 64, 128])
def test_sn_resnet_draws_every_size(size):
    torch.manual_seed(0)
    component, data = SnResnet(g_width=4, d_width=4), ImageSpec((3, size, size))
    x = component.generator(data)(torch.randn(2, 128), torch.zeros(2, dtype=torch.int64))
    assert x.shape == (2, 3, size, size)
    assert x.abs().max() <= 1
    discriminator = component.discriminator(data)
    pooled = []
    discriminator.body[-1].register_forward_hook(lambda _module, inputs, _out: pooled.append(inputs[0].shape[2]))
    assert discriminator(x).logits.shape == (2,)
    assert pooled == [{32: 8, 48: 3, 64: 2, 128: 4}[size]]


def test_sn_resnet_keeps_the_contract():
    check_component(SnResnet)


def test_a_plan_has_at_least_one_channel():
    assert residual_plan(64, 1, 1).generator == (4, 2, 1, 1, 1)
    assert residual_plan(64, 1, 1).pooled == (1, 1, 2, 4, 8)


def test_spectral_norm_covers_every_layer_at_other_sizes():
    discriminator = SnResnet(g_width=4, d_width=4).discriminator(ImageSpec((3, 48, 48)))
    layers = [m for m in discriminator.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == 3 * 5 + 1
    assert all(parametrize.is_parametrized(m) for m in layers)


def test_a_block_may_widen_with_its_second_convolution():
    torch.manual_seed(0)
    block = DiscriminatorBlock(3, 5, pool=True, norm="none", hidden=3).double()
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    h = F.conv2d(F.relu(x), block.conv1.weight, block.conv1.bias, padding=1)
    assert h.shape[1] == 3
    h = F.conv2d(F.relu(h), block.conv2.weight, block.conv2.bias, padding=1)
    plain = F.avg_pool2d(h + F.conv2d(x, block.shortcut.weight, block.shortcut.bias), 2)
    torch.testing.assert_close(block(x), plain, rtol=1e-10, atol=1e-10)


def test_a_block_may_normalise_each_sample_before_each_relu():
    torch.manual_seed(0)
    block = DiscriminatorBlock(3, 3, norm="layer").double()
    x = 5 + 3 * torch.randn(2, 3, 4, 4, dtype=torch.float64)

    def standard(h):
        mean = h.mean(dim=(1, 2, 3), keepdim=True)
        return (h - mean) / (h.var(dim=(1, 2, 3), keepdim=True, unbiased=False) + 1e-5).sqrt()

    plain = x + block.conv2(F.relu(standard(block.conv1(F.relu(standard(x))))))
    torch.testing.assert_close(block(x), plain, rtol=1e-10, atol=1e-10)


def test_the_block_that_sees_images_does_not_normalise():
    block = DiscriminatorBlock(3, 4, pool=True, first=True, norm="layer")
    assert not any(isinstance(m, nn.GroupNorm) for m in block.modules())


@pytest.mark.parametrize("norm", ["layer", "none"])
def test_wgan_gp_resnet_keeps_the_contract(norm):
    check_component(WganGpResnet(width=4, latent_size=4, d_norm=norm), data=ImageSpec((3, 32, 32), classes=3))


def test_the_default_wgan_gp_resnet_keeps_the_contract():
    check_component(WganGpResnet)


def test_wgan_gp_resnet_has_the_layers_of_the_paper():
    data = ImageSpec((3, 32, 32))
    with torch.device("meta"):
        generator = WganGpResnet().generator(data)
        layered, plain = (WganGpResnet(d_norm=norm).discriminator(data) for norm in ("layer", "none"))
    assert count(generator) == generator_count(4, [128] * 4)
    assert count(plain) == discriminator_count([128] * 4, 2)
    assert count(layered) == count(plain) + 3 * 2 * 2 * 128


def test_wgan_gp_resnet_averages_over_places():
    discriminator = WganGpResnet(width=4).discriminator(ImageSpec((3, 32, 32)))
    assert isinstance(discriminator.body[-1], MeanPool)
    x = torch.arange(16.0).view(1, 2, 2, 4)
    torch.testing.assert_close(MeanPool()(x), torch.tensor([[3.5, 11.5]]))


def test_no_critic_of_wgan_gp_couples_its_decisions():
    torch.manual_seed(0)
    for norm in ("layer", "none"):
        discriminator = WganGpResnet(width=4, d_norm=norm).discriminator(ImageSpec((3, 32, 32)))
        x = torch.randn(3, 3, 32, 32)
        torch.testing.assert_close(discriminator(x).logits[:1], discriminator(x[:1]).logits)


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"width": 0}, "wgan_gp_resnet needs width >= 1, not 0"), ({"d_norm": "batch"}, "d_norm in none, layer")],
)
def test_a_field_out_of_range_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        WganGpResnet(**fields)


def test_wgan_gp_resnet_refuses_other_sizes():
    for build in (WganGpResnet().generator, WganGpResnet().discriminator):
        with pytest.raises(ValueError, match="wgan_gp_resnet draws square images of 32 pixels, not 64x64"):
            build(ImageSpec((3, 64, 64)))
