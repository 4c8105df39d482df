"""Activations that are computed again: the same bits, fewer of them kept."""

from __future__ import annotations

import copy
import importlib
import math
import pkgutil
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ganbench_zoo.architectures
from ganbench.training.engine import Engine
from ganbench.training.kernels import Kernels
from ganbench.training.recompute import recompute
from ganbench.training.setup import build_networks
from ganbench.values import Images, ImageSpec
from ganbench_zoo.losses.non_saturating import NonSaturating
from ganbench_zoo.regularizers.consensus import Consensus
from ganbench_zoo.regularizers.path_length import PathLength
from ganbench_zoo.regularizers.r1 import R1
from ganbench_zoo.regularizers.wgan_gp import WganGp

CPU = torch.device("cpu")
ARCHITECTURES = [
    architecture
    for module in pkgutil.iter_modules(ganbench_zoo.architectures.__path__)
    for architecture in importlib.import_module(f"ganbench_zoo.architectures.{module.name}").architectures()
]
"""All of the zoo."""


def networks_of(engine: Engine) -> list[nn.Module]:
    networks = engine.players.networks
    return [networks.generator, networks.discriminator]


@pytest.fixture
def make(make_setup):
    """Return a maker of engines on random samples that suit an architecture."""

    def make(architecture: Any, again: bool, **others: Any) -> Engine:
        component, data = architecture if isinstance(architecture, tuple) else architecture.smallest()
        samples = torch.randint(0, 256, (8, *data.shape), generator=torch.Generator().manual_seed(0)).byte()
        images = Images(samples if len(data.shape) == 3 else samples.float() / 255, torch.arange(8) % 3)
        setup = make_setup(
            NonSaturating(), architecture=component, data=data, train=images, test=images, batch_size=4, **others
        )
        engine = Engine(setup, CPU)
        stretches = [recompute(network) for network in networks_of(engine)] if again else [1, 1]
        assert all(stretches)
        return engine

    return make


def state_of(engine: Engine) -> dict[str, Tensor]:
    return {
        f"{place}.{name}": tensor
        for place, network in enumerate((*networks_of(engine), engine.ema.network))
        for name, tensor in network.state_dict().items()
    }


def assert_same_bits(make: Any, architecture: Any, rounds: int = 2, **others: Any) -> None:
    plain, again = (make(architecture, way, **others) for way in (False, True))
    for _ in range(rounds):
        plain.play_round(0.0)
        again.play_round(0.0)
    wanted, found = state_of(plain), state_of(again)
    assert wanted.keys() == found.keys()
    for name in wanted:
        assert torch.equal(wanted[name], found[name]), name


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: a.name)
def test_every_architecture_of_the_zoo_trains_to_the_same_bits(make, architecture):
    assert_same_bits(make, architecture, regularizers=(R1(), WganGp()))


@pytest.mark.parametrize("name", ["dcgan", "mlp"])
def test_a_term_that_differentiates_by_weights_is_the_same(make, name):
    (architecture,) = (one for one in ARCHITECTURES if one.name == name)
    assert_same_bits(make, architecture, regularizers=(Consensus(),))


def test_noise_that_a_network_draws_is_drawn_again(make):
    (stylegan2,) = (one for one in ARCHITECTURES if one.name == "stylegan2")
    assert_same_bits(make, stylegan2, regularizers=(PathLength(every=1),))


def test_what_bf16_computes_is_the_same(make):
    for name, regularizers in (("stylegan2", (PathLength(every=1),)), ("sn_resnet", (R1(),))):
        (architecture,) = (one for one in ARCHITECTURES if one.name == name)
        assert_same_bits(make, architecture, regularizers=regularizers, precision="bf16")


def test_a_discriminator_with_batch_norm_and_spectral_norm_is_the_same(make):
    (dcgan,) = (one for one in ARCHITECTURES if one.name == "dcgan")
    component, data = dcgan.smallest()
    for norm in ("batch", "spectral", "layer"):
        assert_same_bits(make, (type(component)(width=4, d_norm=norm, latent_size=4), data), regularizers=(R1(),))


def test_copies_run_their_own_weights(make):
    (resnet,) = (one for one in ARCHITECTURES if one.name == "sn_resnet")
    engine = make(resnet, again=True)
    generator = engine.players.networks.generator
    copied = copy.deepcopy(generator)
    for p in copied.parameters():
        p.data.zero_()
    z = torch.randn(2, 4)
    assert not torch.equal(copied(z), generator(z))
    assert not copied(z).any()
    assert recompute(generator) == 0


def test_a_network_without_layers_in_sequence_is_left_alone():
    layer = nn.Linear(2, 2)
    assert recompute(layer) == 0
    assert type(layer) is nn.Linear


def kept(network: nn.Module, x: Tensor) -> int:
    """Return how many bytes autograd keeps of a forward pass, weights left out."""
    own = {p.data_ptr() for p in network.parameters()}
    total = 0

    def pack(tensor: Tensor) -> Tensor:
        nonlocal total
        total += 0 if tensor.data_ptr() in own else tensor.nbytes
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        network(x)
    return total


@pytest.mark.parametrize(("name", "share"), [("dcgan", 0.7), ("sn_resnet", 0.4), ("r3gan", 0.5)])
def test_less_is_kept(make, name, share):
    (architecture,) = (one for one in ARCHITECTURES if one.name == name)
    engine = make(architecture, again=False)
    z = torch.randn(4, 4)
    network = build_networks(engine.setup).generator
    plain = kept(network, z)
    recompute(network)
    assert kept(network, z) < share * plain


def test_an_engine_says_that_there_is_nothing_to_compute_again(make_setup, toys):
    class Bare(nn.Module):
        def __init__(self, before: int, shape: tuple[int, ...]) -> None:
            super().__init__()
            self.layer, self.shape = nn.Linear(before, math.prod(shape)), shape

        def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
            return self.layer(x.flatten(1)).view(len(x), *self.shape)

    class Shallow(toys.Tiny):
        def generator(self, data: ImageSpec) -> nn.Module:
            return Bare(4, data.shape)

        def discriminator(self, data: ImageSpec) -> nn.Module:
            return Bare(math.prod(data.shape), ())

        def companions(self, data: ImageSpec) -> dict[str, Any]:
            return {}

    kernels = Kernels(checkpoint=True)
    assert "layers in sequence" in Engine(make_setup(architecture=Shallow()), CPU, kernels).fallbacks["checkpoint"]
    assert Engine(make_setup(), CPU, kernels).fallbacks == {}
