"""The network of "Are GANs Created Equal?", as a classifier and as an autoencoder."""

import math

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from ganbench import ImageSpec
from ganbench.testing import check_component
from ganbench_zoo.architectures.infogan_net import InfoganNet

TINY = {"width": 2, "latent_size": 4, "code_size": 3}
NORMS = ["batch", "spectral", "layer", "none"]


def count(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("kind", ["classifier", "autoencoder"])
@pytest.mark.parametrize("norm", NORMS)
def test_every_variant_keeps_the_contract(norm, kind):
    check_component(InfoganNet(d_norm=norm, d_kind=kind, **TINY), data=ImageSpec((1, 28, 28), classes=3))


def test_the_default_keeps_the_contract():
    check_component(InfoganNet)


@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 32)])
def test_the_layers_have_the_sizes_of_the_paper(channels, size):
    data, flat = ImageSpec((channels, size, size)), 128 * (size // 4) ** 2
    with torch.device("meta"):
        generator, discriminator = InfoganNet().generator(data), InfoganNet().discriminator(data)
    assert count(generator) == (64 + 2) * 1024 + (1024 + 2) * flat + (128 * 16 + 2) * 64 + 64 * channels * 16 + channels
    convolutions = (channels * 16 + 1) * 64 + (64 * 16 + 2) * 128
    assert count(discriminator) == convolutions + (flat + 2) * 1024 + 1024 + 1


def test_without_batch_norm_every_layer_of_the_discriminator_has_a_bias():
    with torch.device("meta"):
        discriminator = InfoganNet(d_norm="none").discriminator(ImageSpec((1, 28, 28)))
    assert count(discriminator) == 17 * 64 + 1025 * 128 + (6272 + 1) * 1024 + 1025


def test_the_autoencoder_judges_by_its_mean_squared_error():
    torch.manual_seed(0)
    discriminator = InfoganNet(d_norm="none", d_kind="autoencoder", **TINY).discriminator(ImageSpec((3, 32, 32)))
    x = torch.rand(5, 3, 32, 32) * 2 - 1
    critique = discriminator(x)
    assert critique.reconstruction.shape == x.shape
    assert critique.embedding.shape == (5, 3)
    assert critique.features == ()
    wanted = [-sum(((a - b) ** 2).flatten().tolist()) / (3 * 32 * 32) for a, b in zip(x, critique.reconstruction)]
    assert critique.logits.tolist() == pytest.approx(wanted, rel=1e-5)


def test_the_autoencoder_can_learn_to_reconstruct():
    torch.manual_seed(0)
    component = InfoganNet(width=4, d_norm="none", d_kind="autoencoder", code_size=8)
    discriminator = component.discriminator(ImageSpec((1, 28, 28)))
    rows = torch.linspace(-0.9, 0.9, 28).expand(28, 28)
    x = torch.stack([rows, rows.T, -rows, -rows.T]).unsqueeze(1)
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=3e-3)
    first = discriminator(x).logits.mean().item()
    for _ in range(150):
        optimizer.zero_grad()
        (-discriminator(x).logits.mean()).backward()
        optimizer.step()
    assert discriminator(x).logits.mean().item() > 0.1 * first


def test_the_packed_autoencoder_reconstructs_all_that_it_judges():
    component, data = InfoganNet(d_norm="none", d_kind="autoencoder", **TINY), ImageSpec((2, 28, 28))
    x = torch.zeros(5, 6, 28, 28)
    critique = component.discriminator(data.packed(3))(x)
    assert critique.logits.shape == (5,)
    assert critique.reconstruction.shape == x.shape


@pytest.mark.parametrize(
    ("kind", "offers"), [("classifier", {"features", "embedding"}), ("autoencoder", {"embedding", "reconstruction"})]
)
def test_what_it_offers_depends_on_the_kind(kind, offers):
    assert InfoganNet(d_kind=kind).offers == offers


def test_the_outputs_of_a_classifier_are_its_embedding():
    torch.manual_seed(0)
    critique = InfoganNet(d_norm="none", d_outputs=3, **TINY).discriminator(ImageSpec((1, 28, 28)))(
        torch.randn(2, 1, 28, 28)
    )
    assert critique.embedding.shape == (2, 3)
    torch.testing.assert_close(critique.logits, critique.embedding.mean(dim=1))


@pytest.mark.parametrize("kind", ["classifier", "autoencoder"])
def test_spectral_norm_covers_every_layer_of_the_discriminator(kind):
    discriminator = InfoganNet(d_norm="spectral", d_kind=kind, **TINY).discriminator(ImageSpec((1, 28, 28)))
    layers = [m for m in discriminator.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)]
    assert len(layers) == (4 if kind == "classifier" else 8)
    assert all(parametrize.is_parametrized(m) for m in layers)


def test_latents_are_uniform():
    latent = InfoganNet().latent(ImageSpec((1, 28, 28)))
    z = latent.draw(1000, torch.Generator().manual_seed(0))
    assert latent.size == 64
    assert z.abs().max() <= 1
    assert z.square().mean().item() == pytest.approx(1 / 3, rel=0.02)


@pytest.mark.parametrize(("norm", "coupling"), [("batch", "normalisation"), ("layer", "none"), ("spectral", "none")])
def test_only_batch_norm_couples(norm, coupling):
    assert InfoganNet(d_norm=norm).batch_coupling == coupling


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"width": 0}, "infogan_net needs width >= 1, not 0"),
        ({"code_size": 0}, "infogan_net needs code_size >= 1, not 0"),
        ({"d_norm": "instance"}, "infogan_net needs d_norm in batch, spectral, layer, none, not 'instance'"),
        ({"d_kind": "encoder"}, "infogan_net needs d_kind in classifier, autoencoder, not 'encoder'"),
        ({"d_kind": "autoencoder", "d_outputs": 2}, "one output, its error, so d_outputs cannot be 2"),
    ],
)
def test_a_field_out_of_range_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        InfoganNet(**fields)


def test_other_sizes_are_refused():
    for build in (InfoganNet().generator, InfoganNet().discriminator):
        with pytest.raises(ValueError, match="infogan_net draws square images of 28, 32 pixels, not 64x64"):
            build(ImageSpec((3, 64, 64)))


def test_weights_start_small():
    torch.manual_seed(0)
    weight = InfoganNet().generator(ImageSpec((1, 28, 28)))[0].weight
    assert weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert math.isclose(weight.mean().item(), 0, abs_tol=1e-3)
