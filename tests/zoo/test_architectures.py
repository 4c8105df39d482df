import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrize

from ganbench import Cell, ImageSpec, PointSpec
from ganbench.testing import check_component
from ganbench_zoo.architectures.dcgan import Dcgan
from ganbench_zoo.architectures.mlp import Mlp
from ganbench_zoo.architectures.sn_resnet import SnResnet
from ganbench_zoo.blocks import DiscriminatorBlock, GeneratorBlock


def counts(architecture, data):
    with torch.device("meta"):
        players = architecture.generator(data), architecture.discriminator(data)
    return tuple(sum(p.numel() for p in player.parameters()) for player in players)


def cell(architecture, data):
    return Cell(
        data=data,
        generator=architecture,
        discriminator=architecture,
        latent=architecture.latent(data),
        batch_coupling="none",
        companions=(),
        loss=None,
        regularizers=(),
        constraints=(),
        augmentations=(),
        pac=1,
        schedule=("D", "G"),
        batch_size=4,
    )


def play(architecture, data, n=3):
    torch.manual_seed(0)
    generator, discriminator = architecture.generator(data), architecture.discriminator(data)
    x = generator(torch.randn(n, architecture.latent(data).size), torch.zeros(n, dtype=torch.int64))
    return x, discriminator(x).logits


@pytest.mark.parametrize("norm", ["batch", "spectral", "layer", "none"])
def test_every_variant_of_dcgan_keeps_the_contract(norm):
    check_component(Dcgan(width=2, latent_size=4, d_norm=norm), data=ImageSpec((1, 16, 16)))


@pytest.mark.parametrize("component", [Mlp, Mlp(d_outputs=3), Dcgan])
def test_mlp_and_dcgan_keep_the_contract(component):
    check_component(component)


def test_sn_resnet_has_the_published_parameter_counts():
    assert counts(SnResnet(), ImageSpec((3, 32, 32))) == (4_276_739, 1_053_825)


def test_dcgan_has_the_parameters_of_the_torch_code_and_two_biases():
    # 3,576,704 and 2,765,568 without any bias; ours has one on the outputs of G, D's first layer and D's last
    assert counts(Dcgan(), ImageSpec((3, 64, 64))) == (3_576_704 + 3, 2_765_568 + 64 + 1)


@pytest.mark.parametrize("kernel", [4, 5])
@pytest.mark.parametrize("d_norm", ["batch", "spectral", "layer", "none"])
@pytest.mark.parametrize("size", [16, 28, 32, 64])
def test_dcgan_draws_every_size(size, d_norm, kernel):
    channels = 1 + size % 3
    x, logits = play(Dcgan(width=4, d_norm=d_norm, kernel=kernel), ImageSpec((channels, size, size)))
    assert x.shape == (3, channels, size, size)
    assert x.abs().max() <= 1
    assert logits.shape == (3,)


def test_dcgan_goes_to_28_pixels_by_way_of_7_and_14():
    generator = Dcgan(width=4).generator(ImageSpec((1, 28, 28)))
    sizes = []
    for layer in generator:
        layer.register_forward_hook(lambda _module, _inputs, out: sizes.append(tuple(out.shape[2:])))
    generator(torch.randn(2, 100))
    assert list(dict.fromkeys(sizes)) == [(), (7, 7), (14, 14), (28, 28)]


def test_dcgan_starts_from_a_normal_distribution_of_width_two_hundredths():
    torch.manual_seed(0)
    generator = Dcgan().generator(ImageSpec((1, 32, 32)))
    weights = [m.weight for m in generator if isinstance(m, nn.Linear | nn.ConvTranspose2d)]
    for weight in weights[:-1]:
        assert weight.mean().abs() < 1e-3
        assert weight.std().item() == pytest.approx(0.02, rel=0.02)


@pytest.mark.parametrize(("d_norm", "coupling"), [("batch", "normalisation"), ("spectral", "none"), ("layer", "none")])
def test_dcgan_declares_what_its_norm_does(d_norm, coupling):
    assert Dcgan(d_norm=d_norm).batch_coupling == coupling


@pytest.mark.parametrize("architecture", [Dcgan(width=4, d_norm="spectral"), SnResnet(g_width=4, d_width=8)])
def test_spectral_norm_brings_every_weight_of_the_discriminator_to_norm_one(architecture):
    torch.manual_seed(0)
    discriminator = architecture.discriminator(ImageSpec((3, 32, 32)))
    for _ in range(100):
        discriminator(torch.zeros(1, 3, 32, 32))
    weights = [m.weight for m in discriminator.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert all(parametrize.is_parametrized(m) for m in discriminator.modules() if isinstance(m, nn.Conv2d | nn.Linear))
    for weight in weights:
        assert torch.linalg.matrix_norm(weight.flatten(1), ord=2).item() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("data", [ImageSpec((3, 16, 16)), ImageSpec((1, 5, 7)), PointSpec((2,))])
def test_mlp_draws_any_shape(data):
    x, logits = play(Mlp(width=8), data)
    assert x.shape == (3, *data.shape)
    assert logits.shape == (3,)


def test_mlp_puts_points_anywhere():
    generator = Mlp(width=8).generator(PointSpec((2,)))
    assert isinstance(list(generator)[-1], nn.Linear)


def test_mlp_has_the_depth_that_was_asked_for():
    data = ImageSpec((1, 4, 4))
    layers = [m for m in Mlp(width=8, depth=3).discriminator(data).modules() if isinstance(m, nn.Linear)]
    assert [m.out_features for m in layers] == [8, 8, 8, 1]


@pytest.mark.parametrize("architecture", [Mlp(width=4), Dcgan(width=4, d_norm="none")])
def test_a_packed_discriminator_takes_more_channels(architecture):
    data = ImageSpec((2, 16, 16))
    discriminator = architecture.discriminator(data.packed(3))
    assert discriminator(torch.zeros(5, 6, 16, 16), torch.zeros(5, 3, dtype=torch.int64)).logits.shape == (5,)


@pytest.mark.parametrize(
    ("architecture", "data", "reason"),
    [
        (Dcgan(), ImageSpec((3, 48, 48)), "dcgan draws square images of 16, 28, 32, 64 pixels, not 48x48"),
        (Dcgan(), ImageSpec((3, 32, 16)), "dcgan draws square images of 16, 28, 32, 64 pixels, not 32x16"),
        (Dcgan(), PointSpec((2,)), "dcgan draws square images of 16, 28, 32, 64 pixels, not points of 2 coordinates"),
        (SnResnet(), ImageSpec((1, 28, 28)), "sn_resnet draws square images of 32, 48, 64, 128 pixels, not 28x28"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_the_reason(architecture, data, reason):
    assert architecture.compatible(cell(architecture, data)) == reason
    for build in (architecture.generator, architecture.discriminator):
        with pytest.raises(ValueError, match=reason):
            build(data)


@pytest.mark.parametrize("size", [16, 28, 32, 64])
def test_what_can_be_drawn_is_not_refused(size):
    assert Dcgan().compatible(cell(Dcgan(), ImageSpec((3, size, size)))) is None


@pytest.mark.parametrize(
    ("cls", "fields", "message"),
    [
        (Mlp, {"width": 0}, "width >= 1, not 0"),
        (Mlp, {"depth": 0}, "depth >= 1, not 0"),
        (Mlp, {"latent_size": -2}, "latent_size >= 1, not -2"),
        (Dcgan, {"width": 0}, "width >= 1, not 0"),
        (Dcgan, {"d_norm": "instance"}, "d_norm in batch, spectral, layer, none, not 'instance'"),
        (Dcgan, {"kernel": 3}, "kernel 4 or 5, not 3"),
        (Dcgan, {"distribution": "cauchy"}, "distribution normal or uniform, not 'cauchy'"),
        (SnResnet, {"g_width": 0}, "g_width >= 1, not 0"),
        (SnResnet, {"d_width": 0}, "d_width >= 1, not 0"),
    ],
)
def test_a_field_out_of_range_is_a_value_error(cls, fields, message):
    with pytest.raises(ValueError, match=message):
        cls(**fields)


def test_a_generator_block_is_the_residual_block_of_the_paper():
    torch.manual_seed(0)
    block = GeneratorBlock(3, 5).double()
    x = torch.randn(4, 3, 4, 4, dtype=torch.float64)

    def doubled(h):
        return F.interpolate(h, scale_factor=2)

    h = doubled(F.relu(F.batch_norm(x, None, None, training=True)))
    h = F.conv2d(h, block.conv1.weight, block.conv1.bias, padding=1)
    h = block.conv2(F.relu(F.batch_norm(h, None, None, training=True)))
    torch.testing.assert_close(block(x), h + block.shortcut(doubled(x)), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("first", [True, False])
def test_a_pooling_discriminator_block_is_the_residual_block_of_the_paper(first):
    torch.manual_seed(0)
    block = DiscriminatorBlock(3, 5, pool=True, first=first, norm="none").double()
    x = torch.randn(4, 3, 8, 8, dtype=torch.float64)
    h = F.conv2d(x if first else F.relu(x), block.conv1.weight, block.conv1.bias, padding=1)
    h = F.conv2d(F.relu(h), block.conv2.weight, block.conv2.bias, padding=1)
    plain = F.avg_pool2d(h + F.conv2d(x, block.shortcut.weight, block.shortcut.bias), 2)
    torch.testing.assert_close(block(x), plain, rtol=1e-10, atol=1e-10)


def test_a_plain_discriminator_block_keeps_its_input_on_the_shortcut():
    block = DiscriminatorBlock(3, 3, norm="none")
    nn.init.zeros_(block.conv2.weight)
    x = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(block(x), x)
