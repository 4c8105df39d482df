"""SAGAN: self-attention against its formula, where it sits, and spectral norm in both players."""

import math
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from ganbench import ImageSpec
from ganbench.suite.assemble import Assembly
from ganbench.suite.recipe import Budget, Recipe
from ganbench.testing import check_component
from ganbench.training.engine import Engine
from ganbench.training.setup import Setup
from ganbench.values import Images
from ganbench_zoo.architectures.sagan import Sagan, SelfAttention
from ganbench_zoo.architectures.sn_resnet import SnResnet
from ganbench_zoo.losses.hinge import Hinge
from ganbench_zoo.optimizers.adam import Adam
from ganbench_zoo.regularizers.wgan_gp import WganGp

TINY = {"g_width": 4, "d_width": 4, "latent_size": 4}


def count(module):
    return sum(p.numel() for p in module.parameters())


@torch.no_grad()
def test_self_attention_is_the_formula_place_by_place():
    torch.manual_seed(0)
    block = SelfAttention(16).double().eval()
    nn.init.constant_(block.gamma, 0.7)
    x = torch.randn(2, 16, 3, 4, dtype=torch.float64)
    wf, wg, wh, wv = (layer.weight[:, :, 0, 0] for layer in (block.f, block.g, block.h, block.v))
    assert wf.shape == wg.shape == wh.shape == (2, 16)
    wanted = torch.empty_like(x).flatten(2)
    for n, places in enumerate(x.flatten(2)):  # (C, places)
        columns = places.T
        for j, drawn in enumerate(columns):
            scores = [math.exp(float((wf @ seen) @ (wg @ drawn))) for seen in columns]
            mixed = sum(score / sum(scores) * (wh @ seen) for score, seen in zip(scores, columns, strict=True))
            wanted[n, :, j] = drawn + 0.7 * (wv @ mixed)
    torch.testing.assert_close(block(x), wanted.view_as(x), rtol=1e-10, atol=1e-10)


def test_self_attention_starts_as_the_identity():
    torch.manual_seed(0)
    x = torch.randn(2, 8, 4, 4)
    block = SelfAttention(8)
    assert torch.equal(block(x), x)
    block(x).square().sum().backward()
    assert block.gamma.grad != 0


def test_self_attention_can_be_differentiated_twice():
    torch.manual_seed(0)
    block = SelfAttention(8).double()
    nn.init.ones_(block.gamma)
    x = torch.randn(1, 8, 2, 2, dtype=torch.float64, requires_grad=True)
    with parametrize.cached():
        block(x)
        assert torch.autograd.gradgradcheck(block, (x,))


def places(network, x):
    seen = []
    for layer in network.modules():
        if isinstance(layer, SelfAttention):
            layer.register_forward_hook(lambda _module, _inputs, out: seen.append(tuple(out.shape[1:3])))
    with torch.no_grad():
        network(x)
    return seen


@pytest.mark.parametrize(
    ("size", "attention", "in_generator", "in_discriminator"),
    [
        (32, 32, (32, 16), (16, 16)),  # a half of the image; 8 times narrower than the default
        (32, 8, (32, 8), (16, 8)),
        (64, 32, (16, 32), (8, 32)),
        (128, 32, (32, 32), (16, 32)),
    ],
)
def test_attention_sits_once_in_each_player(size, attention, in_generator, in_discriminator):
    component, data = Sagan(g_width=32, d_width=16, attention=attention), ImageSpec((3, size, size))
    assert places(component.generator(data), torch.zeros(1, 128)) == [in_generator]
    assert places(component.discriminator(data), torch.zeros(1, 3, size, size)) == [in_discriminator]


def test_in_the_generator_attention_is_all_that_sn_resnet_lacks():
    for size, channels in ((32, 32), (64, 16), (128, 32)):
        data = ImageSpec((3, size, size))
        ours, theirs = (cls(g_width=32, d_width=16).generator(data) for cls in (Sagan, SnResnet))
        assert count(ours) - count(theirs) == 4 * channels * (channels // 8) + 1


def test_a_block_of_the_discriminator_widens_with_its_first_convolution():
    data = ImageSpec((3, 64, 64))
    ours, theirs = (cls(g_width=4, d_width=16).discriminator(data) for cls in (Sagan, SnResnet))
    widths = (8, 16, 32, 64, 128)
    attention = 4 * 8 * 1 + 1
    wider = sum(9 * (b * b - a * a) + b - a for a, b in pairwise(widths))  # (a b + b b) instead of (a a + a b)
    assert count(ours) - count(theirs) == attention + wider


def test_both_players_are_spectrally_normalised_throughout():
    torch.manual_seed(0)
    for network in (
        Sagan(**TINY).generator(ImageSpec((1, 32, 32))),
        Sagan(**TINY).discriminator(ImageSpec((1, 32, 32))),
    ):
        layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        assert layers
        assert all(parametrize.is_parametrized(m) for m in layers)


def test_a_few_rounds_move_every_weight_and_both_players_singular_vectors():
    component, data = Sagan(g_width=16, d_width=16, latent_size=4, attention=8), ImageSpec((1, 32, 32), classes=3)
    pixels = torch.randint(0, 256, (8, *data.shape), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    parts = Assembly(
        generator=component,
        discriminator=component,
        loss=Hinge(),
        regularizers=(WganGp(),),
        constraints=(),
        augmentations=(),
        g_optimizer=Adam(),
        d_optimizer=Adam(),
        recipe=Recipe(batch_size=4),
        budget=Budget(images=4),
    )
    keys = {"dataset": "made up", "generator": "sagan", "discriminator": "sagan"}
    split = Images(pixels, torch.arange(8) % 3)
    engine = Engine(Setup(parts, data=data, train=split, held_out=split, seed=0, keys=keys), torch.device("cpu"))
    players = engine.players.networks.generator, engine.players.networks.discriminator
    before = [{key: value.clone() for key, value in player.state_dict().items()} for player in players]
    for _ in range(4):  # gamma leaves 0 in the first, what it weighs moves in the second, its vectors in the third
        engine.play_round(0.0)
    assert int(engine.first_bad) == -1
    for player, old in zip(players, before, strict=True):
        for key, value in player.state_dict().items():
            if key.endswith(("_u", "original", "gamma")) and value.numel() > 1:
                assert not torch.equal(value, old[key]), key


def test_in_eval_mode_samples_neither_move_nor_depend_on_each_other():
    torch.manual_seed(0)
    generator = Sagan(**TINY).generator(ImageSpec((1, 32, 32))).eval()
    z = torch.randn(4, 4)
    images = generator(z)
    assert torch.equal(images, generator(z))
    torch.testing.assert_close(images[:2], generator(z[:2]), rtol=1e-4, atol=1e-5)


def test_it_keeps_the_contract():
    check_component(Sagan)


def test_the_discriminator_learns_faster():
    assert Sagan.recipe["d_lr"] == 4 * Sagan.recipe["g_lr"]


def test_what_cannot_be_drawn_or_set_is_refused():
    for build in (Sagan().generator, Sagan().discriminator):
        with pytest.raises(ValueError, match="sagan draws square images of 32, 64, 128 pixels, not 48x48"):
            build(ImageSpec((3, 48, 48)))
    with pytest.raises(ValueError, match="sagan needs attention at 8, 16 or 32 pixels, not 12"):
        Sagan(attention=12)
    with pytest.raises(ValueError, match="sagan needs d_width >= 1, not 0"):
        Sagan(d_width=0)
