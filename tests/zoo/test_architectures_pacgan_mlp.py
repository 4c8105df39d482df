"""The networks of PacGAN's experiments on points."""

import pytest
import torch
from torch import nn

from ganbench import ImageSpec, PointSpec
from ganbench.testing import check_component
from ganbench_zoo.architectures.pacgan_mlp import Maxout, PacganMlp


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_it_keeps_the_contract():
    check_component(PacganMlp)
    check_component(PacganMlp(g_width=8, d_width=4), data=PointSpec((3,), classes=4))


def test_the_layers_have_the_sizes_of_the_paper():
    data = PointSpec((2,))
    generator = PacganMlp().generator(data)
    assert count(generator) == 2 * 400 + 3 * 400 * 400 + 4 * 2 * 400 + 400 * 2 + 2
    for pac in (1, 2, 4):
        discriminator = PacganMlp().discriminator(data.packed(pac))
        assert count(discriminator) == (2 * pac + 1) * 1000 + 2 * 201 * 1000 + 201


def test_weights_start_from_two_hundredths_and_biases_from_zero():
    torch.manual_seed(0)
    players = PacganMlp().generator(PointSpec((2,))), PacganMlp().discriminator(PointSpec((2,)))
    for layer in (m for player in players for m in player.modules() if isinstance(m, nn.Linear)):
        if layer.weight.numel() > 10_000:
            assert layer.weight.std().item() == pytest.approx(0.02, rel=0.02)
        assert layer.bias is None or not layer.bias.any()


def test_population_statistics_move_by_a_twentieth():
    norms = [m for m in PacganMlp().generator(PointSpec((2,))).modules() if isinstance(m, nn.BatchNorm1d)]
    assert [norm.momentum for norm in norms] == [0.05] * 4


def test_a_maxout_unit_takes_its_largest_piece():
    layer = Maxout(1, 2, 3)
    with torch.no_grad():
        layer.linear.weight.copy_(torch.tensor([[1.0], [-1.0], [0.0], [2.0], [0.5], [0.0]]))
        layer.linear.bias.copy_(torch.tensor([0.0, 0.0, 0.5, 0.0, 0.0, -1.0]))
    x = torch.tensor([[-2.0], [0.25], [3.0]])
    wanted = torch.tensor([[2.0, -1.0], [0.5, 0.5], [3.0, 6.0]])  # max(x, -x, 1/2) and max(2 x, x / 2, -1)
    torch.testing.assert_close(layer(x), wanted)


def test_the_discriminator_has_no_nonlinearity_but_maxout():
    torch.manual_seed(0)
    discriminator = PacganMlp(pieces=1).discriminator(PointSpec((2,)))
    x, y = torch.randn(2, 5, 2)
    both = discriminator((x + y) / 2).logits
    torch.testing.assert_close(both, (discriminator(x).logits + discriminator(y).logits) / 2)


def test_images_are_refused():
    for build in (PacganMlp().generator, PacganMlp().discriminator):
        with pytest.raises(ValueError, match="pacgan_mlp draws points, not images of 3x8x8"):
            build(ImageSpec((3, 8, 8)))


def test_a_field_out_of_range_is_refused():
    with pytest.raises(ValueError, match="pacgan_mlp needs pieces >= 1, not 0"):
        PacganMlp(pieces=0)
