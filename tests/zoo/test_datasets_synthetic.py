"""fake and stacked_mnist: images that are made rather than read."""

import os
import struct
from pathlib import Path

import pytest
import torch

from ganbench import ImageSpec
from ganbench.testing import check_component
from ganbench_zoo.classifier import ClassifierExtractor
from ganbench_zoo.datasets.fake import Fake
from ganbench_zoo.datasets.mnist import Mnist
from ganbench_zoo.datasets.stacked_mnist import StackedMnist

DATA = os.environ.get("GANBENCH_DATA")
ROOT = Path()


def write_mnist(root: Path) -> None:
    """Write an MNIST whose n-th image is filled with n mod 251 and whose n-th label is n mod 10."""
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for part, count in (("train", 60_000), ("t10k", 10_000)):
        numbers = torch.arange(count)
        pixels = (numbers % 251).byte().view(-1, 1, 1).expand(-1, 28, 28)
        head = bytes([0, 0, 8, 3]) + struct.pack(">3I", count, 28, 28)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(head + pixels.numpy().tobytes())
        head = bytes([0, 0, 8, 1]) + struct.pack(">I", count)
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(head + (numbers % 10).byte().numpy().tobytes())


@pytest.mark.parametrize(
    "data", [Fake(train=50, test=40), Fake(shape=(1, 5, 7), classes=None, train=20, test=10), Fake(classes=1)]
)
def test_fake_components(data):
    check_component(data)


def test_fake_images_are_even_and_follow_from_their_number():
    data = Fake(train=400)
    images = data.load(ROOT, "train")
    assert data.spec(ROOT) == ImageSpec((3, 32, 32), classes=10)
    assert images.pixels.shape == (400, 3, 32, 32)
    counts = images.pixels.flatten().long().bincount(minlength=256)
    assert counts.min() > 0.9 * counts.float().mean()
    assert images.labels.bincount().min() > 20
    few = Fake(train=7).load(ROOT, "train")
    assert torch.equal(few.pixels, images.pixels[:7])
    assert torch.equal(few.labels, images.labels[:7])
    for other in (Fake(train=400, seed=1).load(ROOT, "train"), Fake(test=400).load(ROOT, "test")):
        assert not (other.pixels == images.pixels).flatten(1).all(1).any()


def test_fake_without_classes_has_no_labels():
    assert Fake(classes=None).load(ROOT, "train").labels is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"classes": 0}, "fake: classes is 0; it must be at least 1"),
        ({"train": 0}, "fake: train is 0"),
        ({"test": -1}, "fake: test is -1"),
        ({"shape": (3, 0, 8)}, r"fake: shape is \(3, 0, 8\); it must be \(C, H, W\)"),
        ({"shape": (3, 8)}, r"fake: shape is \(3, 8\)"),
    ],
)
def test_fake_refusals(fields, message):
    with pytest.raises(ValueError, match=message):
        Fake(**fields)


def test_stacks_are_triples_of_digits(tmp_path):
    write_mnist(tmp_path)
    data = StackedMnist(triples=3000, test=500)
    train = data.load(tmp_path, "train")
    assert data.spec(tmp_path) == ImageSpec((3, 28, 28), classes=1000)
    assert train.pixels.shape == (3000, 3, 28, 28)
    assert train.pixels.dtype == torch.uint8
    known = {(int(p[0, 0, 0]), int(y)) for p, y in zip(*vars(Mnist().load(tmp_path, "train")).values(), strict=True)}
    for channel, place in enumerate((100, 10, 1)):
        digits = train.labels // place % 10
        assert digits.bincount(minlength=10).min() > 200
        values = train.pixels[:, channel, 5, 5]
        assert (train.pixels[:, channel] == values[:, None, None]).all()
        assert {(int(v), int(d)) for v, d in zip(values, digits, strict=True)} <= known
    assert torch.equal(StackedMnist(triples=10).load(tmp_path, "train").pixels, train.pixels[:10])
    assert data.load(tmp_path, "test").pixels.shape == (500, 3, 28, 28)


def test_stacks_are_padded_and_may_be_of_all_digits(tmp_path):
    write_mnist(tmp_path)
    small, large = (StackedMnist(triples=50, test=9, size=size).load(tmp_path, "train") for size in (28, 32))
    assert torch.equal(large.pixels[..., 2:-2, 2:-2], small.pixels)
    assert large.pixels.float().sum() == small.pixels.float().sum()
    published = StackedMnist(triples=50, test=9, disjoint=False)
    assert not torch.equal(published.load(tmp_path, "train").pixels, small.pixels)
    assert torch.equal(published.load(tmp_path, "test").pixels, StackedMnist(test=9).load(tmp_path, "test").pixels)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: StackedMnist(size=64), "stacked_mnist: size is 64"),
        (lambda: StackedMnist(triples=0), "stacked_mnist: triples is 0; it must be at least 1"),
        (lambda: StackedMnist(test=0), "stacked_mnist: test is 0"),
        (lambda: StackedMnist().load(Path(), "extractor"), "stacked_mnist has no split 'extractor'"),
    ],
)
def test_stacked_refusals(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_mode_of_a_stack_is_read_off_its_channels(monkeypatch):
    class Told:
        """Say that a channel filled with v shows the digit v."""

        def __call__(self, stored):
            assert stored.shape[1:] == (1, 28, 28)
            return type("Features", (), {"logits": torch.nn.functional.one_hot(stored[:, 0, 0, 0].long(), 10)})

    monkeypatch.setattr(ClassifierExtractor, "load", lambda self, device: Told())
    digits = torch.tensor([[0, 0, 0], [1, 2, 3], [9, 9, 9], [7, 0, 4]], dtype=torch.uint8).repeat(300, 1)
    truth = StackedMnist().truth(ROOT)
    modes, deviations = truth.locate(digits[:, :, None, None].expand(-1, -1, 28, 28))
    assert modes.tolist() == [0, 123, 999, 704] * 300
    assert deviations is None
    assert (truth.modes, truth.width) == (1000, None)
    assert truth.locate(torch.zeros(0, 3, 28, 28, dtype=torch.uint8))[0].shape == (0,)


@pytest.mark.mnist
@pytest.mark.skipif(DATA is None, reason="GANBENCH_DATA names no folder with the MNIST files")
def test_real_stacks():
    data, root = StackedMnist(triples=2000, test=1000), Path(DATA)
    check_component(data, root=root)
    test = data.load(root, "test")
    modes, _ = data.truth(root).locate(test.pixels)
    assert (modes == test.labels).float().mean() > 0.97  # three digits at 0.99 each
    padded = StackedMnist(test=1000, size=32).load(root, "test")
    assert torch.equal(data.truth(root).locate(padded.pixels)[0], modes)


@pytest.mark.mnist
@pytest.mark.skipif(DATA is None, reason="GANBENCH_DATA names no folder with the MNIST files")
def test_real_labels_show_the_divergence_of_a_perfect_model():
    labels = StackedMnist().load(Path(DATA), "test").labels
    shares = labels.bincount(minlength=1000).double() / len(labels)
    divergence = torch.log(torch.tensor(1000.0)) + torch.xlogy(shares, shares).sum()
    assert divergence == pytest.approx(0.0192 + 0.0043, abs=0.003)
