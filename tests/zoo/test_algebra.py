"""The cheaper forms of the zoo's networks against the plain ones: equal in float64, in every layout, in bfloat16."""

from __future__ import annotations

import copy
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode

from ganbench import Critique, ImageSpec, Sample
from ganbench.catalog import load_catalog
from ganbench_zoo.architectures.dcgan import Dcgan
from ganbench_zoo.architectures.mlp import Mlp
from ganbench_zoo.architectures.sn_resnet import SnResnet
from ganbench_zoo.blocks import GeneratorBlock, PooledConv2d, UpsampledConv2d
from ganbench_zoo.modulated import StyledLayer
from ganbench_zoo.moments import corrections
from ganbench_zoo.optimizers.extragradient import Extragradient
from ganbench_zoo.optimizers.optimistic import Optimistic
from ganbench_zoo.optimizers.sgd import Sgd
from ganbench_zoo.resampling import Doubling, Halving

TEXTBOOK = Path(__file__).parents[2] / "benchmarks" / "textbook.py"
EXACT = {"rtol": 1e-12, "atol": 1e-12}


@pytest.fixture(scope="module")
def textbook() -> ModuleType:
    name = "ganbench_test_textbook"
    spec = importlib.util.spec_from_file_location(name, TEXTBOOK)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def gradients(output: Tensor, wanted: list[Tensor], keep: bool = False) -> tuple[Tensor, ...]:
    """The gradient of a fixed random projection of ``output``."""
    weights = torch.randn(output.shape, dtype=output.dtype, generator=torch.Generator().manual_seed(1))
    return torch.autograd.grad((output * weights).sum(), wanted, create_graph=keep)


def assert_same(one: Tensor, other: Tensor) -> None:
    """Equal to 1e-12 of the largest entry: a gradient that cancels to nothing has no digits of its own."""
    scale = other.abs().max()
    torch.testing.assert_close(one / scale, other / scale, **EXACT)


# Blocks


def pooled(layer: nn.Conv2d, x: Tensor) -> Tensor:
    return F.avg_pool2d(F.conv2d(x, layer.weight, layer.bias, padding=1), 2)


def upsampled(layer: nn.Conv2d, x: Tensor) -> Tensor:
    return F.conv2d(F.interpolate(x, scale_factor=2), layer.weight, layer.bias, padding=1)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("cls", "plain"), [(PooledConv2d, pooled), (UpsampledConv2d, upsampled)])
def test_a_convolution_that_resizes_is_a_convolution_and_a_resizing(cls, plain, layout):
    torch.manual_seed(0)
    layer = cls(3, 5).double().to(memory_format=layout)
    x = torch.randn(2, 3, 4, 6, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
    assert layer.weight.shape == (5, 3, 3, 3)
    wanted, cheap, full = [x, layer.weight, layer.bias], layer(x), plain(layer, x)
    torch.testing.assert_close(cheap, full, **EXACT)
    for one, other in zip(gradients(cheap, wanted), gradients(full, wanted), strict=True):
        assert_same(one, other)


@pytest.mark.parametrize(("cls", "plain"), [(PooledConv2d, pooled), (UpsampledConv2d, upsampled)])
def test_the_slope_of_a_convolution_that_resizes_can_be_differentiated(cls, plain):
    torch.manual_seed(0)
    layer = cls(3, 5).double()
    x = torch.randn(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)

    def penalty(output: Tensor) -> tuple[Tensor, ...]:
        (slope,) = gradients(output.square(), [x], keep=True)
        return torch.autograd.grad(slope.square().sum(), [layer.weight, x])

    for one, other in zip(penalty(layer(x)), penalty(plain(layer, x)), strict=True):
        assert_same(one, other)


def test_a_generator_block_draws_the_weights_that_a_plain_convolution_draws():
    torch.manual_seed(0)
    block = GeneratorBlock(3, 5)
    torch.manual_seed(0)
    plain = nn.Conv2d(3, 5, 3, padding=1)
    nn.init.xavier_uniform_(plain.weight, 2**0.5)
    assert torch.equal(block.conv1.weight, plain.weight)


# Networks against the textbook's


def played(output: Tensor | Critique | Sample) -> Tensor:
    if isinstance(output, Sample):
        return output.images
    return output.logits if isinstance(output, Critique) else output


NETWORKS = [
    ("sn_resnet", SnResnet(g_width=4, d_width=4, latent_size=5), {"g_width": 4, "d_width": 4, "latent_size": 5}),
    ("dcgan", Dcgan(width=3, latent_size=5), {"width": 3, "latent_size": 5}),
    ("mlp", Mlp(width=8, latent_size=5), {"width": 8, "latent_size": 5}),
]


@pytest.mark.parametrize("player", ["generator", "discriminator"])
@pytest.mark.parametrize(("name", "architecture", "fields"), NETWORKS, ids=[name for name, *_ in NETWORKS])
def test_networks_compute_what_the_textbooks_do(textbook, name, architecture, fields, player):
    torch.manual_seed(0)
    data = ImageSpec((3, 32, 32))
    ours = getattr(architecture, player)(data).double()
    theirs = getattr(textbook, name)(**fields)[player == "discriminator"].double()
    theirs.load_state_dict(ours.state_dict())
    shape = (6, 5) if player == "generator" else (6, *data.shape)
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    cheap, full = played(ours(x)), theirs(x)
    assert_same(cheap, full)
    mine, others = (gradients(y, [x, *m.parameters()]) for y, m in ((cheap, ours), (full, theirs)))
    largest = max(slope.abs().max().item() for slope in others)
    for one, other in zip(mine, others, strict=True):
        size = other.abs().max().item()
        scale = size if size > 1e-10 * largest else largest  # of a bias before BatchNorm only rounding is left
        torch.testing.assert_close(one / scale, other / scale, **EXACT)
    for key, tensor in ours.state_dict().items():  # running statistics, vectors of the power iteration
        torch.testing.assert_close(tensor, theirs.state_dict()[key], **EXACT)


@pytest.mark.parametrize(("name", "loss"), [("sn_resnet", "hinge"), ("dcgan", "non_saturating")])
@pytest.mark.parametrize("indexed", [True, False])
def test_a_round_of_the_textbook_moves_both_players_and_the_average(textbook, name, loss, indexed):
    torch.manual_seed(0)
    fields = next(fields for known, _, fields in NETWORKS if known == name)
    settings = textbook.Settings(loss, d_steps=2, batch_size=2, latent_size=5, decay=0.5, indexed=indexed)
    playing = textbook.Textbook(getattr(textbook, name)(**fields), torch.rand(7, 3, 32, 32), settings)
    before = [p.detach().clone() for p in playing.average.parameters()]
    playing.play_round()
    for optimizer, steps in ((playing.d_optimizer, 2), (playing.g_optimizer, 1)):
        assert {state["step"].item() for state in optimizer.state.values()} == {steps}
    for start, kept, live in zip(before, playing.average.parameters(), playing.generator.parameters(), strict=True):
        assert not torch.equal(start, live)
        torch.testing.assert_close(kept, (start + live) / 2)
    for _ in range(4):  # more images than there are
        playing.play_round()


def test_the_steps_of_the_textbook_descend_its_losses(textbook):
    torch.manual_seed(0)
    playing = textbook.Textbook(
        textbook.mlp((1, 2, 2), width=8, latent_size=3),
        torch.rand(4, 1, 2, 2),
        textbook.Settings("non_saturating", batch_size=4, latent_size=3, lr=0.0),
    )
    real = torch.rand(4, 1, 2, 2)
    z = torch.randn(4, 3)
    playing.latents = lambda: z
    fake_logits = playing.discriminator(playing.generator(z))
    losses = (
        (F.softplus(-playing.discriminator(real)) + F.softplus(fake_logits)).mean(),
        F.softplus(-fake_logits).mean(),
    )
    params = [list(network.parameters()) for network in (playing.discriminator, playing.generator)]
    wanted = [torch.autograd.grad(loss, own, retain_graph=True) for loss, own in zip(losses, params, strict=True)]
    for slopes, own, step in zip(wanted, params, (lambda: playing.d_step(real), playing.g_step), strict=True):
        step()
        for slope, p in zip(slopes, own, strict=True):
            torch.testing.assert_close(p.grad, slope)


# Layouts and precision


def smallest() -> list:
    classes = {e.name: e.component for e in load_catalog().of_kind("architecture") if e.origin.startswith("ganbench ")}
    assert len(classes) >= 12
    return [pytest.param(*cls.smallest(), id=name) for name, cls in classes.items()]


def tried(network: nn.Module, x: Tensor, layout: torch.memory_format, bf16: bool) -> tuple[Tensor, list[Tensor]]:
    """What a copy of ``network`` gives in a layout, and the gradient of its mean square."""
    torch.manual_seed(0)  # some generators draw noise
    network = copy.deepcopy(network).to(memory_format=layout)
    x = x.contiguous(memory_format=layout) if x.dim() == 4 else x
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        output = played(network(x, None))
    output = output.float()
    return output.detach(), list(torch.autograd.grad(output.square().mean(), list(network.parameters())))


def distance(one: list[Tensor], other: list[Tensor]) -> float:
    """Of all entries together, relative to the second."""
    first, second = (torch.cat([tensor.flatten() for tensor in tensors]) for tensors in (one, other))
    return ((first - second).norm() / second.norm()).item()


@pytest.mark.parametrize("player", ["generator", "discriminator"])
@pytest.mark.parametrize(("architecture", "data"), smallest())
def test_networks_are_the_same_in_every_layout_and_nearly_in_bfloat16(architecture, data, player):
    torch.manual_seed(0)
    network = getattr(architecture, player)(data)
    x = architecture.latent(data).draw(8, torch.Generator()) if player == "generator" else torch.randn(8, *data.shape)
    wanted, slopes = tried(network, x, torch.contiguous_format, False)
    images = len(data.shape) == 3
    for layout in (torch.contiguous_format, torch.channels_last) if images else (torch.contiguous_format,):
        output, found = tried(network, x, layout, False)
        assert distance([output], [wanted]) < 1e-4
        assert distance(found, slopes) < 1e-3
        output, found = tried(network, x, layout, True)
        assert distance([output], [wanted]) < 0.1
        assert distance(found, slopes) < 0.3


@pytest.mark.parametrize("cls", [Doubling, Halving])
def test_resampling_in_bfloat16_rounds_only_what_it_gives(cls):
    torch.manual_seed(0)
    layer, x = cls(), torch.randn(2, 3, 8, 8).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer(x), layer(x.float()))
        assert layer(x).dtype == torch.bfloat16
    assert torch.equal(layer(x.float()).bfloat16(), layer.bfloat16()(x))


def test_feature_maps_of_a_styled_layer_stay_in_the_type_of_autocast():
    layer = StyledLayer(3, 4, 5, 8)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(torch.randn(2, 3, 8, 8), torch.randn(2, 5)).dtype == torch.bfloat16


# Optimizers

LR, BETAS, EPS = 0.1, (0.5, 0.9), 1e-8
BASES = [
    pytest.param(cls(base=base, lr=LR, betas=BETAS, eps=EPS), id=f"{cls.name}-{base}")
    for cls in (Optimistic, Extragradient)
    for base in ("sgd", "adam")
]


class Plain:
    """One weight, moved as the formulas say, one operation after another."""

    def __init__(self, optimizer, weight: Tensor) -> None:
        self.optimizer, self.weight, self.start = optimizer, weight.detach().clone(), None
        self.t, self.m, self.v, self.last = 0, torch.zeros_like(weight), torch.zeros_like(weight), 0.0

    def direction(self, g: Tensor) -> Tensor:
        if self.optimizer.base == "sgd":
            return g
        b1, b2 = BETAS
        self.t, self.m, self.v = self.t + 1, b1 * self.m + (1 - b1) * g, b2 * self.v + (1 - b2) * g * g
        return (self.m / (1 - b1**self.t)) / ((self.v / (1 - b2**self.t)).sqrt() + EPS)

    def move(self, g: Tensor, lr: float) -> None:
        """An evaluation: of extragradient, every second one steps from where the first one extrapolated."""
        newest = self.direction(g)
        if isinstance(self.optimizer, Optimistic):
            self.weight, self.last = self.weight - 2 * lr * newest + lr * self.last, newest
        elif self.start is None:
            self.start, self.weight = self.weight, self.weight - lr * newest
        else:
            self.weight, self.start = self.start - lr * newest, None


def moves(built) -> list:
    return [built.extrapolate, built.step] if hasattr(built, "extrapolate") else [built.step]


@pytest.mark.parametrize("tensor_rate", [False, True])
@pytest.mark.parametrize("optimizer", BASES)
def test_steps_on_lists_of_weights_are_steps_on_each(optimizer, tensor_rate):
    torch.manual_seed(0)
    shapes = [(3,), (), (4, 3, 3, 3), (2, 5)]
    weights = [torch.randn(shape, dtype=torch.float64) for shape in shapes]
    weights[2] = weights[2].contiguous(memory_format=torch.channels_last)
    weights = [weight.requires_grad_() for weight in weights]
    plain, built = [Plain(optimizer, weight) for weight in weights], optimizer.build(weights)
    if tensor_rate:
        built.param_groups[0]["lr"] = torch.tensor(LR, dtype=torch.float64)
    for k in range(6):
        lr = LR / (k + 1)
        if tensor_rate:
            built.param_groups[0]["lr"].fill_(lr)
        else:
            built.param_groups[0]["lr"] = lr
        for move in moves(built):
            for place, (weight, one) in enumerate(zip(weights, plain, strict=True)):
                weight.grad = None
                if place or k % 2:  # the first weight rests every second time
                    weight.grad = torch.randn_like(weight)
                    one.move(weight.grad, lr)
            move()
            for weight, one in zip(weights, plain, strict=True):
                torch.testing.assert_close(weight.detach(), one.weight, **EXACT)


@pytest.mark.parametrize("optimizer", [*BASES, Sgd(lr=LR), Sgd(lr=LR, momentum=0.9)])
def test_a_step_can_be_recorded(optimizer):
    """It reads no tensor on the host, and what it remembers stays where it is."""
    with FakeTensorMode():
        weight = torch.zeros(3, requires_grad=True)
        built = optimizer.build([weight])
        built.param_groups[0]["lr"] = torch.empty(())  # of a value that nobody knows
        for move in moves(built) * 2:
            weight.grad = torch.ones(3)
            move()
    weight = torch.zeros(3, requires_grad=True)
    built = optimizer.build([weight])
    places = []
    for move in moves(built) * 3:
        weight.grad = torch.ones(3)
        move()
        places.append({name: tensor.data_ptr() for name, tensor in built.state[weight].items() if tensor is not None})
    assert places.count(places[0]) == len(places)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_the_fused_form_of_sgd_is_the_plain_one(momentum):
    torch.manual_seed(0)
    ours, plain = (torch.zeros(4, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    fused, looped = Sgd(lr=LR, momentum=momentum).build([ours]), torch.optim.SGD([plain], LR, momentum, foreach=False)
    assert fused.param_groups[0]["fused"]
    for _ in range(3):
        ours.grad = torch.randn(4, 3, dtype=torch.float64)
        plain.grad = ours.grad.clone()
        fused.step()
        looped.step()
        torch.testing.assert_close(ours, plain, **EXACT)


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.999])
def test_bias_corrections_keep_their_digits_in_single_precision(beta):
    counts = [torch.tensor(float(t)) for t in (1, 2, 1000)]
    wanted = [torch.tensor(1 - beta**t, dtype=torch.float32) for t in (1, 2, 1000)]
    torch.testing.assert_close(corrections(counts, beta), wanted, rtol=1e-6, atol=0)
