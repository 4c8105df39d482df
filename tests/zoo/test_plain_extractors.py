"""Extractors without trained weights: samples themselves, and a random network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from ganbench import ImageSpec, PointSpec
from ganbench_zoo.datasets.digits import Digits
from ganbench_zoo.extractors.random_conv import RandomConv
from ganbench_zoo.extractors.raw import Raw

CPU = torch.device("cpu")


def images(*shape: int) -> torch.Tensor:
    return torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_raw_gives_pixels_and_points_as_they_are():
    network = Raw().load(CPU)
    stored = torch.tensor([0, 255, 51, 204], dtype=torch.uint8).view(1, 1, 2, 2)
    wanted = torch.tensor([[-1.0, 1.0, -0.6, 0.6]])
    assert torch.allclose(network(stored).features, wanted, atol=1e-6)
    assert torch.equal(network(stored.double()).features, network(stored).features)
    points = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)).double()
    assert torch.equal(network(points).features, points.float())
    assert network(points).features.dtype == torch.float32
    assert network(points).logits is None
    assert network(images(4, 3, 5, 7)).features.shape == (4, 105)
    with pytest.raises(ValueError, match="images must be"):
        network(torch.zeros(2, 3, 4))


def test_raw_says_what_is_too_large_and_why():
    extractor = Raw()
    assert extractor.available() is None
    assert extractor.domains is None
    assert extractor.continuous
    for data in (ImageSpec((3, 32, 32)), ImageSpec((2, 64, 64)), PointSpec((2,)), PointSpec((8192,))):
        assert extractor.accepts(data) is None
    reason = extractor.accepts(ImageSpec((3, 64, 64)))
    assert "at most 8,192 numbers a sample, and 3x64x64 are 12,288" in reason
    assert "1.2 GB; choose an extractor with a network" in reason
    assert "8193 are 8,193" in extractor.accepts(PointSpec((8193,)))


def test_raw_depends_on_no_weights():
    network = Raw().load(CPU)
    assert network.provenance["weights_sha256"] is None
    assert not network.canonical
    json.dumps(network.provenance, allow_nan=False)


def test_random_conv_is_the_same_on_every_machine():
    network = RandomConv().load(CPU)
    assert network.provenance["weights_sha256"] == "4b97d6afe39a9c62997e4f430eaafb9a215c4d8013487505189b9eb057b36b46"
    pinned = torch.tensor([[1.14569, -0.79988, 0.14429, 0.61044], [-0.98035, -1.13025, -0.81887, -0.04217]])
    assert torch.allclose(network(images(2, 3, 20, 24)).features[:, :4], pinned, atol=1e-4)


def test_random_conv_takes_any_image_and_leaves_global_randomness():
    before = torch.get_rng_state()
    network = RandomConv(width=10).load(CPU)
    assert torch.equal(torch.get_rng_state(), before)
    for shape in ((3, 1, 28, 28), (2, 3, 7, 65), (2, 1, 1, 1)):
        out = network(images(*shape))
        assert out.features.shape == (shape[0], 10)
        assert out.features.dtype == torch.float32
        assert out.logits is None
    grey = images(3, 1, 28, 28)
    assert torch.allclose(network(grey).features, network(grey.repeat(1, 3, 1, 1)).features, atol=1e-6)
    assert torch.equal(network(grey.float()).features, network(grey).features)
    assert RandomConv.continuous
    assert not torch.equal(network(grey.float() + 0.25).features, network(grey).features)
    with pytest.raises(ValueError, match="images must be"):
        network(torch.zeros(3, 2))


def test_random_conv_follows_its_seed_and_not_the_batch():
    first, again, other = (RandomConv(seed=seed).load(CPU) for seed in (0, 0, 1))
    pixels = images(64, 1, 16, 16)
    assert first.provenance == again.provenance != other.provenance
    assert torch.equal(first(pixels).features, again(pixels).features)
    assert not torch.allclose(first(pixels).features, other(pixels).features, atol=0.1)
    for size in (1, 7):
        parts = torch.cat([first(part).features for part in pixels.split(size)])
        assert (parts - first(pixels).features).abs().max() < 1e-4
    json.dumps(first.provenance, allow_nan=False)


def test_random_conv_has_a_readable_scale_and_sees_noise():
    network, pixels = RandomConv().load(CPU), Digits().load(Path(), "test").pixels
    clean = network(pixels).features
    assert 0.3 < clean.std(0).median() < 3
    assert clean.std(0).min() > 0.05  # no feature is dead
    noise = torch.randn(pixels.shape, generator=torch.Generator().manual_seed(0))
    moved = [
        (network((pixels + strength * noise).clamp(0, 255).byte()).features - clean).norm(dim=1).mean()
        for strength in (8, 32, 128)
    ]
    assert moved == sorted(moved)
    assert moved[2] > 3 * moved[0]


def test_random_conv_refuses_what_has_no_meaning():
    assert RandomConv().accepts(ImageSpec((3, 9, 200))) is None
    assert "takes images, not points" in RandomConv().accepts(PointSpec((2,)))
    assert "one or three channels, not 2" in RandomConv().accepts(ImageSpec((2, 8, 8)))
    assert RandomConv().available() is None
    with pytest.raises(ValueError, match="width must be from 1 to 4096, not 0"):
        RandomConv(width=0)
    with pytest.raises(ValueError, match="seed must be from 0"):
        RandomConv(seed=-1)
