"""R3GAN: the published parameter counts, its initialisation, its blocks and its resampling."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ganbench import ImageSpec, PointSpec
from ganbench.testing import check_component
from ganbench_zoo.architectures.r3gan import GenerativeBasis, R3gan, ResidualBlock
from ganbench_zoo.resampling import Doubling, Halving, Smoothing


def counts(architecture, data):
    with torch.device("meta"):
        players = architecture.generator(data), architecture.discriminator(data)
    return tuple(sum(p.numel() for p in player.parameters()) for player in players)


def block_parameters(width, groups):
    inner = 2 * width
    return 2 * width * inner + 9 * inner * (inner // groups) + 2 * inner


def test_r3gan_satisfies_the_contract():
    check_component(R3gan)


def test_the_cifar10_preset_has_the_published_parameter_counts():
    assert counts(R3gan(), ImageSpec((3, 32, 32))) == (20_732_160, 20_683_776)


def test_at_64_pixels_the_last_stage_has_half_the_width_and_the_cardinality():
    blocks = 8 * block_parameters(768, 96) + 2 * block_parameters(384, 48)
    between = 768 * 384
    generator = blocks + between + 64 * 768 + 16 * 768 + 3 * 384
    discriminator = blocks + between + 16 * 768 + 768 + 3 * 384
    assert counts(R3gan(), ImageSpec((3, 64, 64))) == (generator, discriminator)


@pytest.mark.parametrize("size", [8, 16, 28, 32, 64])
def test_r3gan_draws_every_size(size):
    torch.manual_seed(0)
    data = ImageSpec((1 + size % 3, size, size))
    architecture = R3gan(width=16, cardinality=4, blocks=1, latent_size=8)
    generator, discriminator = architecture.generator(data), architecture.discriminator(data)
    images = generator(torch.randn(3, 8), torch.zeros(3, dtype=torch.int64))
    assert images.shape == (3, *data.shape)
    assert images.abs().max() <= 1
    assert discriminator(images).logits.shape == (3,)


def test_28_pixels_start_from_7():
    basis = R3gan(width=16, cardinality=4).generator(ImageSpec((1, 28, 28)))[0].basis
    assert basis.shape == (16, 7, 7)


def test_the_first_feature_map_is_a_weighted_basis():
    torch.manual_seed(0)
    basis = GenerativeBasis(5, 3, 4)
    z = torch.randn(2, 5)
    weights = z @ basis.linear.weight.T
    torch.testing.assert_close(basis(z), torch.einsum("nc,cij->ncij", weights, basis.basis))


def test_a_block_is_an_inverted_bottleneck_with_grouped_convolution():
    torch.manual_seed(0)
    block = ResidualBlock(4, 2, 3, 1).double()
    for p in block.parameters():
        nn.init.normal_(p)
    x = torch.randn(2, 4, 5, 5, dtype=torch.float64)
    h = torch.einsum("oi,nihw->nohw", block.widen.weight[:, :, 0, 0], x) + block.widen.bias[:, None, None]
    h = torch.maximum(h, 0.2 * h)
    halves = zip(h.chunk(2, 1), block.grouped.weight.chunk(2), strict=True)
    h = torch.cat([F.conv2d(part, weight, padding=1) for part, weight in halves], 1) + block.grouped.bias[:, None, None]
    h = torch.maximum(h, 0.2 * h)
    expected = x + torch.einsum("oi,nihw->nohw", block.narrow.weight[:, :, 0, 0], h)
    torch.testing.assert_close(block(x), expected, rtol=1e-12, atol=1e-12)


def test_fixup_starts_every_block_as_the_identity_and_scales_by_depth():
    torch.manual_seed(0)
    generator = R3gan(width=128, cardinality=4).generator(ImageSpec((3, 32, 32)))
    blocks = [module for module in generator if isinstance(module, ResidualBlock)]
    assert len(blocks) == 8
    gain = (2 / 1.04) ** 0.5 * 8**-0.25
    for block in blocks:
        assert block.widen.weight.std().item() == pytest.approx(gain / 128**0.5, rel=0.03)
        assert block.grouped.weight.std().item() == pytest.approx(gain / (64 * 9) ** 0.5, rel=0.03)
        assert not block.narrow.weight.any()
        x = torch.randn(1, 128, 4, 4)
        torch.testing.assert_close(block(x), x)


def test_no_layer_normalises_and_only_activations_have_biases():
    data = ImageSpec((3, 32, 32))
    architecture = R3gan(width=16, cardinality=4, blocks=1)
    names = [
        name
        for build in (architecture.generator, architecture.discriminator)
        for name, _ in build(data).named_buffers()
    ]
    assert all(name.endswith("kernel") for name in names)
    biases = [name for name, _ in architecture.discriminator(data).named_parameters() if name.endswith("bias")]
    assert len(biases) == 8
    assert all("widen" in name or "grouped" in name for name in biases)


def test_doubling_is_bilinear_interpolation_away_from_the_border():
    torch.manual_seed(0)
    x = torch.randn(2, 3, 6, 6)
    smooth = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(Doubling()(x)[..., 1:-1, 1:-1], smooth[..., 1:-1, 1:-1])


def test_halving_is_the_filter_and_every_second_pixel():
    torch.manual_seed(0)
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    halved = Halving().double()(x)
    taps = torch.tensor([1, 3, 3, 1], dtype=torch.float64) / 8
    padded = F.pad(x, (1, 1, 1, 1))
    rows = sum(tap * padded[..., k : k + 8 : 2, :] for k, tap in enumerate(taps))
    expected = sum(tap * rows[..., k : k + 8 : 2] for k, tap in enumerate(taps))
    torch.testing.assert_close(halved, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("layer", [Doubling(), Halving(), Smoothing(2)])
def test_constants_pass_every_filter_unchanged_away_from_the_border(layer):
    out = layer(torch.full((1, 2, 8, 8), 0.7))
    torch.testing.assert_close(out[..., 2:-2, 2:-2], torch.full_like(out[..., 2:-2, 2:-2], 0.7))


def test_doubling_is_the_adjoint_of_halving_times_four():
    torch.manual_seed(0)
    small, large = torch.randn(1, 2, 4, 4).double(), torch.randn(1, 2, 8, 8).double()
    left = (Doubling().double()(small) * large).sum()
    right = 4 * (small * Halving().double()(large)).sum()
    torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-12)


def test_a_packed_discriminator_takes_more_channels():
    discriminator = R3gan.smallest()[0].discriminator(ImageSpec((2, 8, 8)).packed(3))
    assert discriminator(torch.zeros(5, 6, 8, 8), torch.zeros(5, 3, dtype=torch.int64)).logits.shape == (5,)


def test_several_outputs_are_the_embedding_and_their_mean_the_logit():
    critique = R3gan(width=8, cardinality=2, d_outputs=5).discriminator(ImageSpec((1, 8, 8)))(torch.randn(3, 1, 8, 8))
    assert critique.embedding.shape == (3, 5)
    torch.testing.assert_close(critique.logits, critique.embedding.mean(1))


@pytest.mark.parametrize(
    ("architecture", "data", "reason"),
    [
        (R3gan(), ImageSpec((3, 48, 48)), "r3gan draws square images of 8, 16, 28, 32, 64, 128, 256 pixels, not 48x48"),
        (R3gan(), PointSpec((2,)), "pixels, not points of 2 coordinates"),
        (R3gan(width=6, cardinality=3), ImageSpec((3, 64, 64)), "width 6 and cardinality 3 by 2 at 64 pixels"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_the_reason(architecture, data, reason):
    for build in (architecture.generator, architecture.discriminator):
        with pytest.raises(ValueError, match=reason):
            build(data)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"width": 0}, "width >= 1, not 0"),
        ({"blocks": 0}, "blocks >= 1, not 0"),
        ({"latent_size": -1}, "latent_size >= 1, not -1"),
        ({"d_outputs": 0}, "d_outputs >= 1, not 0"),
        ({"cardinality": 7}, "cardinality that divides width x expansion = 1536, not 7"),
    ],
)
def test_a_field_out_of_range_is_a_value_error(fields, message):
    with pytest.raises(ValueError, match=message):
        R3gan(**fields)
