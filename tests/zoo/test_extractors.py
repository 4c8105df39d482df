"""The embedded classifiers are what their cards say."""

import hashlib
import json
import os
from pathlib import Path

import pytest
import torch

from ganbench import ImageSpec, PointSpec
from ganbench_zoo.classifier import FOLDER, read_card
from ganbench_zoo.datasets.digits import Digits
from ganbench_zoo.datasets.mnist import Mnist
from ganbench_zoo.extractors.digits_cnn import DigitsCnn
from ganbench_zoo.extractors.mnist_cnn import MnistCnn

DATA = os.environ.get("GANBENCH_DATA")
CPU = torch.device("cpu")
EMBEDDED = [
    (DigitsCnn(), 64, 250_000, 0.96, 1198),
    (MnistCnn(), 128, 1_500_000, 0.993, 10_000),
]


@pytest.fixture(scope="module")
def digits():
    return Digits().load(Path(), "test")


@pytest.fixture(scope="module")
def network():
    return DigitsCnn().load(CPU)


@pytest.mark.parametrize(("extractor", "width", "limit", "accuracy", "unseen"), EMBEDDED)
def test_card_and_weights_agree(extractor, width, limit, accuracy, unseen):
    facts, content = read_card(extractor.name), (FOLDER / f"{extractor.name}.safetensors").read_bytes()
    assert facts["sha256"] == hashlib.sha256(content).hexdigest()
    assert facts["bytes"] == len(content) < limit
    assert (facts["features"], facts["classes"]) == (width, 10)
    assert facts["test"]["accuracy"] >= accuracy
    assert facts["test"]["images"] == unseen == sum(map(sum, facts["test"]["confusion"]))
    right = sum(row[index] for index, row in enumerate(facts["test"]["confusion"]))
    assert right / unseen == pytest.approx(facts["test"]["accuracy"])


@pytest.mark.parametrize(("extractor", "width", "limit", "accuracy", "unseen"), EMBEDDED)
def test_embedded_networks_load(extractor, width, limit, accuracy, unseen):
    assert extractor.available() is None
    network = extractor.load(CPU)
    out = network(torch.zeros(3, *extractor.plan.shape, dtype=torch.uint8))
    assert out.features.shape == (3, width)
    assert out.logits.shape == (3, 10)
    assert out.features.dtype == out.logits.dtype == torch.float32
    assert not network.canonical
    assert not network.module.training
    assert network.provenance["weights_sha256"] == read_card(extractor.name)["sha256"]
    assert network.provenance["width"] == width
    json.dumps(network.provenance, allow_nan=False)


def test_digits_accuracy_on_unseen_images(network):
    parts = [Digits().load(Path(), split) for split in ("train", "test")]
    right = sum((network(part.pixels).logits.argmax(1) == part.labels).sum().item() for part in parts)
    assert right / 1198 == pytest.approx(read_card("digits_cnn")["test"]["accuracy"], abs=2 / 1198)
    assert right / 1198 >= 0.96


@pytest.mark.mnist
@pytest.mark.skipif(DATA is None, reason="GANBENCH_DATA names no folder with the MNIST files")
def test_mnist_accuracy_batches_and_ladder():
    network, test = MnistCnn().load(CPU), Mnist().load(Path(DATA), "test")
    out = [network(part) for part in test.pixels.split(500)]
    features = torch.cat([part.features for part in out])
    right = (torch.cat([part.logits for part in out]).argmax(1) == test.labels).sum().item()
    assert right / 10_000 >= 0.993
    assert right / 10_000 == pytest.approx(read_card("mnist_cnn")["test"]["accuracy"], abs=2 / 10_000)
    assert features.std(0).min() > 0.5
    padded = Mnist(size=32).load(Path(DATA), "test").pixels[:20]
    assert torch.allclose(network(padded).features, features[:20], atol=1e-5)
    check_batches(network, test.pixels[:128])
    check_ladder(network, test.pixels[:500])


def check_batches(network, pixels):
    whole = network(pixels).features
    for size in (1, 7, 64):
        parts = torch.cat([network(part).features for part in pixels.split(size)])
        assert (parts - whole).abs().max() < 1e-5, size


def check_ladder(network, pixels):
    """Features move away from the clean ones, image by image and in the mean, the more noise is added."""
    clean, rng = network(pixels).features, torch.Generator().manual_seed(0)
    noise = torch.randn(pixels.shape, generator=rng)
    moved, shifted = [0.0], [0.0]
    for strength in (8, 16, 32, 64, 128):
        noisy = network((pixels + strength * noise).clamp(0, 255).byte()).features
        moved.append((noisy - clean).norm(dim=1).mean().item())
        shifted.append((noisy.mean(0) - clean.mean(0)).norm().item())
    assert moved == sorted(moved)
    assert shifted == sorted(shifted)
    assert moved[-1] > 5 * moved[1]


def test_digits_features_do_not_depend_on_the_batch(network, digits):
    check_batches(network, digits.pixels[:128])


def test_digits_noise_ladder(network, digits):
    check_ladder(network, digits.pixels)


def test_features_are_standardised_and_no_unit_is_dead(network, digits):
    seen = network(Digits().load(Path(), "extractor").pixels).features
    assert seen.mean(0).abs().max() < 1e-4
    assert (seen.std(0) - 1).abs().max() < 1e-4
    assert network(digits.pixels).features.std(0).min() > 0.5


def test_digits_features_are_the_same_on_every_torch(network, digits):
    pinned = torch.tensor(
        [
            [-0.35278, 0.11344, 0.00426, 0.59344],
            [-1.29766, 0.30053, 0.41782, -0.89079],
            [-0.44024, -0.6979, -0.45519, -0.63997],
        ]
    )
    assert torch.allclose(network(digits.pixels[:3]).features[:, :4], pinned, atol=1e-4)


def test_digits_of_32_have_the_features_of_16(network, digits):
    large = network(Digits(size=32).load(Path(), "test").pixels).features
    small = network(digits.pixels).features
    assert (large - small).norm(dim=1).max() < 0.05 * small.norm(dim=1).mean()


@pytest.mark.parametrize(
    ("extractor", "data", "reason"),
    [
        (DigitsCnn(), ImageSpec((1, 16, 16)), None),
        (DigitsCnn(), ImageSpec((1, 32, 32)), None),
        (DigitsCnn(), ImageSpec((1, 28, 28)), "one channel of 16x16 or 32x32, not 1x28x28"),
        (DigitsCnn(), ImageSpec((3, 16, 16)), "not 3x16x16"),
        (DigitsCnn(), PointSpec((2,)), "takes images, not points"),
        (MnistCnn(), ImageSpec((1, 28, 28)), None),
        (MnistCnn(), ImageSpec((1, 32, 32)), None),
        (MnistCnn(), ImageSpec((1, 16, 16)), "one channel of 28x28 or 32x32"),
    ],
)
def test_what_extractors_accept(extractor, data, reason):
    found = extractor.accepts(data)
    assert found is None if reason is None else reason in found


def test_embedded_networks_take_images_that_were_not_rounded(network, digits):
    pixels = digits.pixels[:40]
    found = network(pixels).features
    assert DigitsCnn.continuous
    assert MnistCnn.continuous
    assert torch.equal(network(pixels.float()).features, found)
    moved = (network(pixels.float() + 0.25).features - found).norm(dim=1)
    assert 0 < moved.max() < 0.1
    mnist = MnistCnn().load(CPU)
    stored = torch.randint(256, (4, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(mnist(stored.float()).features, mnist(stored).features)
