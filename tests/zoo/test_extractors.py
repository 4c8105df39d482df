"""The embedded classifiers are what their cards say, and Inception is never taken for what it is not."""

import hashlib
import json
import os
from pathlib import Path

import pytest
import torch

from ganbench import ExtractorUnavailable, ImageSpec, PointSpec
from ganbench_zoo import inception
from ganbench_zoo.classifier import FOLDER, read_card
from ganbench_zoo.datasets.digits import Digits
from ganbench_zoo.datasets.mnist import Mnist
from ganbench_zoo.extractors import inception_v3
from ganbench_zoo.extractors.digits_cnn import DigitsCnn
from ganbench_zoo.extractors.inception_v3 import InceptionV3
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
        (InceptionV3(), ImageSpec((1, 28, 28)), None),
        (InceptionV3(), ImageSpec((3, 64, 48)), None),
        (InceptionV3(), ImageSpec((4, 32, 32)), "one or three channels, not 4"),
        (InceptionV3(), PointSpec((2,)), "takes images, not points"),
    ],
)
def test_what_extractors_accept(extractor, data, reason):
    found = extractor.accepts(data)
    assert found is None if reason is None else reason in found


@pytest.fixture
def no_weights(tmp_path, monkeypatch):
    """Let torch's hub cache be empty and every download fail as it does without a network."""

    def refuse(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.delenv(inception.VARIABLE, raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", refuse)
    return tmp_path / "hub" / "checkpoints" / "weights-inception-2015-12-05-6726825d.pth"


@pytest.fixture(scope="module")
def random_weights(tmp_path_factory):
    """Write a state dict of Inception's shapes whose activations keep their scale."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    folder = tmp_path_factory.mktemp("inception")
    torch.save({}, folder / "empty.pth")
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        module = FeatureExtractorInceptionV3("x", ["2048"], feature_extractor_weights_path=folder / "empty.pth")
    for layer in module.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    torch.save(module.state_dict(), folder / "random.pth")
    return str(folder / "random.pth")


def test_inception_without_weights_or_network_says_what_to_do(no_weights, capsys):
    reason = InceptionV3().available()
    assert str(no_weights) in reason
    assert "python -m ganbench_zoo.inception" in reason
    assert "GANBENCH_INCEPTION" in reason
    with pytest.raises(ExtractorUnavailable, match="downloading failed: no network"):
        InceptionV3().load(CPU)
    assert capsys.readouterr().out == ""
    with pytest.raises(SystemExit, match="no weights here"):
        inception.main()


def test_inception_says_who_named_the_missing_file(no_weights, monkeypatch):
    assert "the parameter weights" in InceptionV3(weights="nowhere.pth").available()
    with pytest.raises(ExtractorUnavailable, match=r"nowhere.pth \(the parameter weights\) does not exist"):
        InceptionV3(weights="nowhere.pth").load(CPU)
    monkeypatch.setenv(inception.VARIABLE, "elsewhere.pth")
    assert "elsewhere.pth (the variable GANBENCH_INCEPTION)" in InceptionV3().available()


def test_a_cached_file_that_is_not_the_released_one_is_refused(no_weights):
    no_weights.parent.mkdir(parents=True)
    no_weights.write_bytes(b"truncated")
    assert InceptionV3().available() is None
    with pytest.raises(ExtractorUnavailable, match=r"the released weights 6726825d.*delete the file"):
        InceptionV3().load(CPU)


def test_a_download_is_compared_with_the_known_hash_and_kept(no_weights, monkeypatch):
    asked = {}

    def give(url, path, hash_prefix, progress):
        asked.update(url=url, hash_prefix=hash_prefix)
        Path(path).write_bytes(b"weights")

    monkeypatch.setattr("torch.hub.download_url_to_file", give)
    location = inception.locate(None)
    inception.fetch(location)
    assert location.path == no_weights
    assert no_weights.read_bytes() == b"weights"
    assert asked["hash_prefix"] == inception.SHA256
    assert inception.SHA256[:8] in asked["url"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"hello", "no file of torch weights"),
        ({}, "does not hold this network's weights"),
        ({"fc.weight": torch.zeros(3)}, "does not hold this network's weights"),
        (torch.zeros(3), "does not hold this network's weights"),
        (Path("x"), "no file of torch weights"),
    ],
)
def test_files_that_are_no_inception_weights(content, message, tmp_path):
    path = tmp_path / "w.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(ValueError, match=message) as caught:
        InceptionV3(weights=str(path)).load(CPU)
    assert "\n" not in str(caught.value)


def test_inception_with_other_weights_is_not_canonical(random_weights, monkeypatch):
    monkeypatch.setenv(inception.VARIABLE, random_weights)
    network = InceptionV3().load(CPU)
    assert not network.canonical
    sha256 = hashlib.sha256(Path(random_weights).read_bytes()).hexdigest()
    assert network.provenance["weights_sha256"] == sha256
    assert "repeated to three" in network.provenance["preprocessing"]["input"]
    grey = torch.randint(256, (3, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    out = network(grey)
    assert out.features.shape == (3, 2048)
    assert out.logits.shape == (3, 1008)
    again = network(grey.repeat(1, 3, 1, 1))
    assert torch.equal(out.features, again.features)
    single = network(grey[:1])
    assert (single.features - out.features[:1]).abs().max() < 1e-4 * out.features.std()
    bias = network.module.fc.bias
    linear = out.features @ network.module.fc.weight.T
    assert torch.allclose(out.logits, linear, rtol=1e-4, atol=1e-4 * float(linear.abs().max()))
    assert bias.abs().max() > 0


def test_inception_is_canonical_only_with_the_known_hash(random_weights, monkeypatch):
    sha256 = hashlib.sha256(Path(random_weights).read_bytes()).hexdigest()
    monkeypatch.setattr(inception_v3, "SHA256", sha256)
    assert InceptionV3(weights=random_weights).load(CPU).canonical
