"""The two networks of the experiments on stacked MNIST: dcgan28 and unrolled_dcgan."""

import pytest
import torch
from torch import nn

from ganbench import ImageSpec
from ganbench.testing import check_component
from ganbench_zoo.architectures.dcgan28 import Dcgan28
from ganbench_zoo.architectures.unrolled_dcgan import UnrolledDcgan

STACKED = ImageSpec((3, 28, 28))
NORMS = ["batch", "spectral", "layer", "none"]


def count(module):
    return sum(p.numel() for p in module.parameters())


def sizes(network, x):
    seen = []
    for layer in network:
        layer.register_forward_hook(lambda _module, _inputs, out: seen.append(tuple(out.shape[2:])))
    network(x)
    return list(dict.fromkeys(size for size in seen if size))


@pytest.mark.parametrize("cls", [Dcgan28, UnrolledDcgan])
@pytest.mark.parametrize("norm", NORMS)
def test_every_variant_keeps_the_contract(norm, cls):
    check_component(cls(width=4, latent_size=4, d_norm=norm), data=STACKED)


@pytest.mark.parametrize("cls", [Dcgan28, UnrolledDcgan])
def test_the_default_keeps_the_contract(cls):
    check_component(cls)


def test_dcgan28_goes_through_every_size_down_to_two():
    component = Dcgan28(width=2, d_norm="none")
    generator, discriminator = component.generator(STACKED), component.discriminator(STACKED)
    assert sizes(generator, torch.zeros(2, 100)) == [(2, 2), (4, 4), (7, 7), (14, 14), (28, 28)]
    assert sizes(discriminator.body, torch.zeros(2, 3, 28, 28)) == [(14, 14), (7, 7), (4, 4), (2, 2)]


@pytest.mark.parametrize("pac", [1, 2, 3])
def test_dcgan28_has_the_layers_of_the_paper(pac):
    with torch.device("meta"):
        generator, discriminator = Dcgan28().generator(STACKED), Dcgan28().discriminator(STACKED.packed(pac))
    deconvolutions = 25 * (512 * 256 + 256 * 128 + 128 * 64 + 64 * 3) + 3
    assert count(generator) == 100 * 512 * 4 + deconvolutions + 2 * (512 + 256 + 128 + 64)
    convolutions = 25 * (3 * pac * 64 + 64 * 128 + 128 * 256 + 256 * 512) + 64
    assert count(discriminator) == convolutions + 2 * (128 + 256 + 512) + 512 * 4 + 1


def test_dcgan28_normalises_all_but_the_first_layer_of_the_discriminator():
    body = Dcgan28(width=2).discriminator(STACKED).body
    kinds = [type(m) for m in body]
    assert kinds[:2] == [nn.Conv2d, nn.LeakyReLU]
    assert kinds[2:-1] == [nn.Conv2d, nn.BatchNorm2d, nn.LeakyReLU] * 3


def test_dcgan28_judges_by_several_outputs_if_asked():
    critique = Dcgan28(width=2, d_norm="none", d_outputs=3).discriminator(STACKED)(torch.randn(2, 3, 28, 28))
    torch.testing.assert_close(critique.logits, critique.embedding.mean(dim=1))
    assert critique.embedding.shape == (2, 3)


def test_dcgan28_trains_with_two_generator_steps_a_discriminator_step():
    assert Dcgan28.recipe["schedule"] == ("D", "G", "G")


def test_unrolled_dcgan_goes_through_every_size():
    component = UnrolledDcgan(d_norm="none")
    generator, discriminator = component.generator(STACKED), component.discriminator(STACKED)
    assert sizes(generator, torch.zeros(2, 256)) == [(4, 4), (7, 7), (14, 14), (28, 28)]
    assert sizes(discriminator.body, torch.zeros(2, 3, 28, 28)) == [(14, 14), (7, 7), (4, 4)]


@pytest.mark.parametrize(("share", "widths"), [(0.25, (2, 4, 8)), (0.5, (4, 8, 16))])
def test_unrolled_dcgan_has_the_layers_of_the_paper(share, widths):
    component, (a, b, c) = UnrolledDcgan(d_share=share), widths
    generator, discriminator = component.generator(STACKED), component.discriminator(STACKED)
    deconvolutions = 9 * (64 * 32 + 32 * 16 + 16 * 8 + 8 * 3) + 3
    assert count(generator) == 256 * 64 * 16 + deconvolutions + 2 * (64 + 32 + 16 + 8)
    assert count(discriminator) == 9 * (3 * a + a * b + b * c) + 2 * (a + b + c) + 16 * c + 1


def test_unrolled_dcgan_normalises_every_hidden_layer_and_leaks_by_three_tenths():
    body = UnrolledDcgan().discriminator(STACKED).body
    assert [type(m) for m in body][:-1] == [nn.Conv2d, nn.BatchNorm2d, nn.LeakyReLU] * 3
    assert {m.negative_slope for m in body if isinstance(m, nn.LeakyReLU)} == {0.3}


@pytest.mark.parametrize(
    ("cls", "fields", "message"),
    [
        (Dcgan28, {"width": 0}, "dcgan28 needs width >= 1, not 0"),
        (Dcgan28, {"d_norm": "weight"}, "dcgan28 needs d_norm in batch, spectral, layer, none, not 'weight'"),
        (UnrolledDcgan, {"d_share": 1}, "unrolled_dcgan needs d_share 0.25 or 0.5, not 1"),
        (UnrolledDcgan, {"width": 2}, "unrolled_dcgan needs a whole number of channels: width 2 times 0.25"),
    ],
)
def test_a_field_out_of_range_is_refused(cls, fields, message):
    with pytest.raises(ValueError, match=message):
        cls(**fields)


@pytest.mark.parametrize("cls", [Dcgan28, UnrolledDcgan])
def test_other_sizes_are_refused(cls):
    for build in (cls().generator, cls().discriminator):
        with pytest.raises(ValueError, match=f"{cls.name} draws square images of 28 pixels, not 32x32"):
            build(ImageSpec((3, 32, 32)))
