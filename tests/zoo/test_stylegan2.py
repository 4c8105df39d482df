"""StyleGAN2: published parameter counts, modulation, equalised rates, resampling, style mixing, minibatch deviation."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ganbench import ImageSpec, PointSpec
from ganbench.testing import check_component
from ganbench_zoo.architectures.stylegan2 import ResidualBlock, Stylegan2
from ganbench_zoo.modulated import (
    EqualConv2d,
    EqualLinear,
    MinibatchDeviation,
    ModulatedConv2d,
    StyledLayer,
    UnitLength,
    activated,
)
from ganbench_zoo.resampling import Doubling, Halving

TINY = {"latent_size": 6, "style_size": 5, "mapping_layers": 2, "channel_max": 4}


def counts(architecture, data):
    with torch.device("meta"):
        players = architecture.generator(data), architecture.discriminator(data)
    return tuple(sum(p.numel() for p in player.parameters()) for player in players)


def exact(module):
    """The module in float64, every parameter random."""
    torch.manual_seed(0)
    module = module.double()
    for p in module.parameters():
        nn.init.normal_(p)
    return module


def filtered(x):
    """The low-pass filter without padding, by its definition."""
    taps, size = torch.tensor([1, 3, 3, 1], dtype=x.dtype) / 8, x.shape[-1] - 3
    rows = sum(tap * x[..., k : k + size, :] for k, tap in enumerate(taps))
    return sum(tap * rows[..., k : k + size] for k, tap in enumerate(taps))


def test_stylegan2_satisfies_the_contract():
    check_component(Stylegan2)


@pytest.mark.parametrize("layers", [2, 8])
def test_at_1024_pixels_it_has_the_parameters_of_the_authors_code(layers):
    # its log for mapping_layers = 2; each further layer has 512 x 512 + 512
    expected = 28_794_124 + (layers - 2) * 262_656, 29_012_513
    assert counts(Stylegan2(mapping_layers=layers), ImageSpec((3, 1024, 1024))) == expected


def test_the_cifar10_configuration_has_the_parameters_counted_by_hand():
    convolution, pixels, conv3 = 2_622_465, 264_195, 512 * 512 * 9 + 512
    generator = 2 * 262_656 + 512 * 16 + 7 * convolution + 4 * pixels
    discriminator = 3 * 512 + 512 + 6 * conv3 + 513 * 512 * 9 + 512 + 512 * 16 * 512 + 512 + 513
    cifar = Stylegan2(mapping_layers=2, mixing=0, group=32, d_shortcuts=False)
    assert counts(cifar, ImageSpec((3, 32, 32))) == (generator, discriminator)
    with_shortcuts = counts(Stylegan2(mapping_layers=2), ImageSpec((3, 32, 32)))
    assert with_shortcuts == (generator, discriminator + 3 * 512 * 512)


@pytest.mark.parametrize("size", [8, 16, 32, 64])
def test_stylegan2_draws_every_size(size):
    torch.manual_seed(0)
    data = ImageSpec((1 + size % 3, size, size))
    generator, discriminator = Stylegan2(**TINY).generator(data), Stylegan2(**TINY).discriminator(data)
    sample = generator(torch.randn(3, 6), torch.zeros(3, dtype=torch.int64))
    assert sample.images.shape == (3, *data.shape)
    assert sample.images.abs().max() <= 1
    assert sample.style.shape == (3, 2 * (size.bit_length() - 1) - 2, 5)
    assert discriminator(sample.images).logits.shape == (3,)


def own_weights(layer, style):
    """Each sample's weights (N, outputs, inputs, k, k) by equations 1 to 3."""
    weights = layer.weight[None] * layer.gain * layer.style(style)[:, None, :, None, None]
    if layer.demodulate:
        weights = weights / (weights.square().sum(dim=(2, 3, 4), keepdim=True) + 1e-8).sqrt()
    return weights


@pytest.mark.parametrize(("kernel", "demodulate"), [(3, True), (3, False), (1, True), (1, False)])
def test_a_modulated_convolution_is_a_grouped_one_with_weights_of_each_sample(kernel, demodulate):
    layer = exact(ModulatedConv2d(3, 4, kernel, 5, demodulate=demodulate))
    x, style = torch.randn(2, 3, 6, 6).double(), torch.randn(2, 5).double().requires_grad_()
    weights = own_weights(layer, style)
    grouped = F.conv2d(x.reshape(1, 6, 6, 6), weights.flatten(0, 1), padding=kernel // 2, groups=2)
    expected = grouped.view(2, 4, 6, 6)
    torch.testing.assert_close(layer(x, style), expected, rtol=1e-10, atol=1e-10)
    for wanted in (style, layer.weight, layer.style.bias):
        torch.testing.assert_close(
            torch.autograd.grad(layer(x, style).square().sum(), wanted),
            torch.autograd.grad(expected.square().sum(), wanted, retain_graph=True),
            rtol=1e-9,
            atol=1e-9,
        )


def test_a_doubling_convolution_spreads_the_pixels_convolves_and_filters():
    layer = exact(ModulatedConv2d(3, 4, 3, 5, double=True))
    x, style = torch.randn(2, 3, 5, 5).double(), torch.randn(2, 5).double()
    spread = torch.zeros(2, 3, 9, 9, dtype=torch.float64)
    spread[..., ::2, ::2] = x
    flipped = own_weights(layer, style).flip(3, 4)
    full = torch.cat([F.conv2d(one[None], weights, padding=2) for one, weights in zip(spread, flipped, strict=True)])
    expected = 4 * filtered(F.pad(full, (1, 1, 1, 1)))
    assert expected.shape == (2, 4, 10, 10)
    torch.testing.assert_close(layer(x, style), expected, rtol=1e-10, atol=1e-10)


def test_a_doubling_convolution_commutes_with_the_filter_away_from_the_border():
    layer = exact(ModulatedConv2d(3, 4, 3, 5, demodulate=False, double=True))
    x, style = torch.randn(1, 3, 8, 8).double(), torch.randn(1, 5).double()
    doubled = Doubling().double()(x * layer.style(style)[:, :, None, None])
    expected = F.conv2d(doubled, layer.weight.flip(2, 3) * layer.gain, padding=1)
    torch.testing.assert_close(layer(x, style)[..., 3:-3, 3:-3], expected[..., 3:-3, 3:-3], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("strength", [0.1, 1.0, 30.0])
def test_demodulation_gives_unit_variance_whatever_the_style(strength):
    torch.manual_seed(0)
    layer = ModulatedConv2d(8, 6, 3, 5)
    out = layer(torch.randn(2, 8, 64, 64), strength * torch.randn(2, 5))[..., 1:-1, 1:-1]
    torch.testing.assert_close(out.var(dim=(2, 3)), torch.ones(2, 6), rtol=0.15, atol=0)


def test_without_demodulation_the_style_scales_the_output():
    torch.manual_seed(0)
    layer = ModulatedConv2d(8, 6, 1, 5, demodulate=False)
    nn.init.zeros_(layer.style.weight)
    x, style = torch.randn(2, 8, 4, 4), torch.randn(2, 5)
    once = layer(x, style)
    nn.init.constant_(layer.style.bias, 3.0)
    torch.testing.assert_close(layer(x, style), 3 * once)


def test_styles_start_around_one():
    torch.manual_seed(0)
    scale = ModulatedConv2d(64, 8, 3, 256).style(torch.randn(500, 256))
    assert scale.mean().item() == pytest.approx(1, abs=0.05)
    assert scale.std().item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("rate", [1.0, 0.01])
def test_an_equalised_layer_keeps_variance_times_its_rate_and_moves_at_its_rate(rate):
    torch.manual_seed(0)
    layer = EqualLinear(256, 128, rate=rate)
    assert layer.weight.std().item() == pytest.approx(1 / rate, rel=0.02)
    x = torch.randn(400, 256)
    before = layer(x)
    assert before.std().item() == pytest.approx(1, rel=0.05)
    adam = torch.optim.Adam(layer.parameters(), lr=1e-3)
    (layer(x[:1]).sum()).backward()
    adam.step()
    moved = layer(x[:1]) - before[:1]
    expected = 1e-3 * rate * (x[0].abs().sum() / 16 + 1)  # Adam's first step: lr in the direction of the gradient
    torch.testing.assert_close(moved, -expected.expand(1, 128), rtol=1e-3, atol=1e-4 * rate)


def test_an_equalised_convolution_has_unit_variance():
    torch.manual_seed(0)
    layer = EqualConv2d(32, 64, 3)
    assert layer.weight.std().item() == pytest.approx(1, rel=0.02)
    assert layer(torch.randn(4, 32, 16, 16))[..., 1:-1, 1:-1].std().item() == pytest.approx(1, rel=0.05)


def test_a_halving_convolution_filters_first():
    layer = exact(EqualConv2d(3, 4, 3, halve=True))
    x = torch.randn(2, 3, 8, 8).double()
    smooth = filtered(F.pad(x, (2, 2, 2, 2)))
    expected = F.conv2d(smooth, layer.weight * layer.gain, layer.bias, stride=2)
    assert expected.shape == (2, 4, 4, 4)
    torch.testing.assert_close(layer(x), expected, rtol=1e-10, atol=1e-10)


def test_a_halving_shortcut_is_pointwise_after_the_filter():
    layer = exact(EqualConv2d(3, 4, 1, halve=True, bias=False))
    x = torch.randn(2, 3, 8, 8).double()
    expected = torch.einsum("oi,nihw->nohw", layer.weight[:, :, 0, 0] / 3**0.5, Halving().double()(x))
    torch.testing.assert_close(layer(x), expected, rtol=1e-10, atol=1e-10)


def test_a_residual_block_averages_its_two_ways_with_unit_variance():
    block = exact(ResidualBlock(3, 4))
    x = torch.randn(2, 3, 8, 8).double()
    first, second = block.convolutions[0], block.convolutions[2]
    expected = (activated(second(activated(first(x)))) + block.shortcut(x)) / 2**0.5
    torch.testing.assert_close(block(x), expected, rtol=1e-12, atol=1e-12)


def test_latents_are_scaled_to_a_mean_square_of_one():
    z = torch.tensor([[3.0, 4.0], [0.6, -0.8]])
    torch.testing.assert_close(UnitLength()(z), z / torch.tensor([[12.5**0.5], [0.5**0.5]]))


def test_the_mapping_learns_at_a_hundredth_of_the_rate_and_nothing_else_does():
    data = ImageSpec((1, 8, 8))
    generator, discriminator = Stylegan2(**TINY).generator(data), Stylegan2(**TINY).discriminator(data)
    layers = [*generator.named_modules(), *discriminator.named_modules()]
    rates = {name: layer.rate for name, layer in layers if isinstance(layer, EqualLinear)}
    assert [rate for name, rate in rates.items() if name.startswith("mapping")] == [0.01, 0.01]
    assert all(rate == 1 for name, rate in rates.items() if not name.startswith("mapping"))


def test_the_mapping_is_blind_to_the_length_of_the_latents():
    torch.manual_seed(0)
    generator, z = Stylegan2(**TINY).generator(ImageSpec((1, 8, 8))).eval(), torch.randn(3, 6)
    torch.testing.assert_close(generator(z).style, generator(7 * z).style)


def test_the_minibatch_deviation_of_four_is_the_mean_of_their_standard_deviations():
    x = torch.tensor([[0.0, 1.0], [0.0, 3.0], [4.0, 5.0], [4.0, 7.0]]).view(4, 2, 1, 1)
    out = MinibatchDeviation(4)(x)
    assert out.shape == (4, 3, 1, 1)
    torch.testing.assert_close(out[:, :2], x)
    torch.testing.assert_close(out[:, 2], torch.full((4, 1, 1), (2 + 5**0.5) / 2))  # {0, 0, 4, 4} and {1, 3, 5, 7}


@pytest.mark.parametrize(("n", "group"), [(1, 1), (2, 2), (3, 3), (5, 1), (6, 3), (7, 1), (8, 4), (12, 4)])
def test_groups_are_the_largest_that_divide_the_batch(n, group):
    torch.manual_seed(0)
    x = torch.randn(n, 2, 3, 3)
    deviation = MinibatchDeviation(4)(x)[:, 2]
    for i in range(n):
        together = x[i % (n // group) :: n // group]
        assert len(together) == group
        expected = together.std(dim=0, correction=0).mean()
        torch.testing.assert_close(deviation[i], expected.expand(3, 3), rtol=1e-4, atol=1e-3)


def test_a_layer_adds_new_noise_to_each_image_only_in_training():
    torch.manual_seed(0)
    layer = StyledLayer(3, 4, 5, 8)
    x, style = torch.randn(1, 3, 8, 8).expand(6, -1, -1, -1), torch.randn(1, 5).expand(6, -1)
    torch.testing.assert_close(layer(x, style), layer.eval()(x, style))  # the strength starts at 0
    nn.init.constant_(layer.strength, 0.5)
    fixed = layer(x, style)
    torch.testing.assert_close(fixed, fixed[:1].expand(6, -1, -1, -1))
    expected = activated(layer.convolution(x, style) + 0.5 * layer.noise)
    torch.testing.assert_close(fixed, expected)
    noisy = layer.train()(x, style)
    inverse = torch.where(noisy > 0, noisy, noisy / 0.2) / 2**0.5 - layer.convolution(x, style)
    torch.testing.assert_close(inverse, inverse[:, :1].expand(-1, 4, -1, -1), rtol=1e-4, atol=1e-4)  # same a channel
    assert inverse.std().item() == pytest.approx(0.5, rel=0.2)


def test_images_are_the_sum_of_every_stage_upsampled():
    torch.manual_seed(0)
    generator = Stylegan2(**TINY).generator(ImageSpec((2, 16, 16))).eval()
    for p in generator.synthesis.parameters():
        nn.init.normal_(p)
    parts = []
    for layer in generator.synthesis.pixels:
        layer.register_forward_hook(lambda _module, _inputs, out: parts.append(out))
    images = generator(torch.randn(3, 6)).images
    double = Doubling()
    assert [tuple(part.shape) for part in parts] == [(3, 2, size, size) for size in (4, 8, 16)]
    torch.testing.assert_close(images, torch.tanh(double(double(parts[0]) + parts[1]) + parts[2]))


def test_each_layer_hears_its_own_row_of_the_style():
    torch.manual_seed(0)
    generator = Stylegan2(**TINY).generator(ImageSpec((1, 16, 16))).eval()
    heard = []
    for name, layer in generator.synthesis.named_modules():
        if isinstance(layer, ModulatedConv2d):
            layer.register_forward_hook(
                lambda _module, inputs, _out, name=name: heard.append((name, inputs[1][0, 0].item()))
            )
    generator.synthesis(torch.arange(6.0)[None, :, None].expand(1, 6, 5))
    rows = dict(heard)
    assert rows == {
        "first.convolution": 0,
        "pixels.0.convolution": 1,
        "blocks.0.0.convolution": 1,
        "blocks.0.1.convolution": 2,
        "pixels.1.convolution": 3,
        "blocks.1.0.convolution": 3,
        "blocks.1.1.convolution": 4,
        "pixels.2.convolution": 5,
    }


def test_a_share_of_training_images_mixes_two_styles_at_a_random_layer():
    torch.manual_seed(0)
    generator = Stylegan2(**TINY, mixing=0.9).generator(ImageSpec((1, 16, 16)))
    z = torch.randn(2000, 6)
    style, own = generator(z).style, generator.mapping(z)
    is_own = (style == own[:, None]).all(dim=2)  # (N, 6)
    mixed = ~is_own.all(dim=1)
    assert is_own[:, 0].all()
    assert mixed.float().mean().item() == pytest.approx(0.9, abs=0.03)
    first = is_own.sum(dim=1)[mixed]
    assert (is_own[:, 1:] <= is_own[:, :-1]).all()  # once the other style begins, it stays
    shares = torch.bincount(first, minlength=7)[1:6] / len(first)
    torch.testing.assert_close(shares, torch.full((5,), 0.2), rtol=0, atol=0.04)
    last = style[mixed, -1]
    other = torch.where(is_own[mixed][:, :, None], last[:, None], style[mixed])
    torch.testing.assert_close(other, last[:, None].expand_as(other))


def test_other_styles_are_those_of_the_latents_drawn_beside():
    torch.manual_seed(0)
    generator = Stylegan2(**TINY, mixing=1.0).generator(ImageSpec((1, 8, 8)))
    z, beside = torch.randn(5, 6), torch.randn(5, 6)
    style = generator.mapping(z)[:, None].expand(-1, 4, -1)
    torch.testing.assert_close(generator.mixed(style, beside)[:, -1], generator.mapping(beside))


@pytest.mark.parametrize(("mixing", "training"), [(0.9, False), (0.0, True)])
def test_no_style_is_mixed_outside_training_or_at_a_share_of_zero(mixing, training):
    torch.manual_seed(0)
    generator = Stylegan2(**TINY, mixing=mixing).generator(ImageSpec((1, 8, 8))).train(training)
    z = torch.randn(200, 6)
    torch.testing.assert_close(generator(z).style, generator.mapping(z)[:, None].expand(-1, 4, -1))


@pytest.mark.parametrize("mixing", [0.0, 0.9])
def test_every_layer_of_the_style_is_in_the_graph_of_the_images(mixing):
    torch.manual_seed(0)
    generator = Stylegan2(**TINY, mixing=mixing).generator(ImageSpec((1, 8, 8)))
    sample = generator(torch.randn(4, 6))
    (slope,) = torch.autograd.grad((sample.images * torch.randn(4, 1, 8, 8)).sum(), sample.style, create_graph=True)
    assert slope.shape == sample.style.shape
    assert (slope.norm(dim=2) > 0).all()
    slope.square().sum(dim=2).mean(dim=1).sqrt().mean().backward()
    gradients = {name: p.grad for name, p in generator.named_parameters() if p.grad is not None}
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    assert gradients["mapping.1.weight"].any()


def test_a_gradient_penalty_reaches_every_layer_of_the_discriminator():
    torch.manual_seed(0)
    discriminator = Stylegan2(**TINY).discriminator(ImageSpec((1, 8, 8)))
    x = torch.randn(8, 1, 8, 8, requires_grad=True)
    (slope,) = torch.autograd.grad(discriminator(x).logits.sum(), x, create_graph=True)
    slope.square().sum().backward()
    for name, p in discriminator.named_parameters():
        if name.endswith("weight"):
            assert p.grad.isfinite().all(), name
            assert p.grad.any(), name


def test_identical_images_have_a_finite_gradient_through_the_minibatch_deviation():
    discriminator = Stylegan2(**TINY).discriminator(ImageSpec((1, 8, 8)))
    x = torch.zeros(4, 1, 8, 8, requires_grad=True)
    (slope,) = torch.autograd.grad(discriminator(x).logits.sum(), x, create_graph=True)
    slope.square().sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in discriminator.parameters())


def test_a_packed_discriminator_takes_more_channels():
    discriminator = Stylegan2(**TINY).discriminator(ImageSpec((2, 8, 8)).packed(3))
    assert discriminator(torch.zeros(5, 6, 8, 8), torch.zeros(5, 3, dtype=torch.int64)).logits.shape == (5,)


def test_several_outputs_are_the_embedding_and_their_mean_the_logit():
    torch.manual_seed(0)
    critique = Stylegan2(**TINY, d_outputs=5).discriminator(ImageSpec((1, 8, 8)))(torch.randn(3, 1, 8, 8))
    assert critique.embedding.shape == (3, 5)
    torch.testing.assert_close(critique.logits, critique.embedding.mean(1))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (
            ImageSpec((1, 28, 28)),
            "stylegan2 draws square images of 8, 16, 32, 64, 128, 256, 512, 1024 pixels, not 28x28",
        ),
        (ImageSpec((1, 4, 4)), "not 4x4"),
        (PointSpec((2,)), "not points of 2 coordinates"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_the_reason(data, reason):
    for build in (Stylegan2().generator, Stylegan2().discriminator):
        with pytest.raises(ValueError, match=reason):
            build(data)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"latent_size": 0}, "latent_size >= 1, not 0"),
        ({"mapping_layers": 0}, "mapping_layers >= 1, not 0"),
        ({"channel_base": 0}, "channel_base >= 1, not 0"),
        ({"group": 1}, "group >= 2, not 1"),
        ({"mixing": 1.5}, "mixing in \\[0, 1\\], not 1.5"),
        ({"d_outputs": 0}, "d_outputs >= 1, not 0"),
    ],
)
def test_a_field_out_of_range_is_a_value_error(fields, message):
    with pytest.raises(ValueError, match=message):
        Stylegan2(**fields)
