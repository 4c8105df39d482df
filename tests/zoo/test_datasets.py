"""The bundled datasets: shapes, splits that are disjoint and stay as they are, one sentence for what is broken."""

import os
import socket
import struct
from pathlib import Path

import pytest
import torch

from ganbench import ImageSpec
from ganbench.identity import digest
from ganbench_zoo import download
from ganbench_zoo.datasets.cifar10 import Cifar10
from ganbench_zoo.datasets.digits import SPLITS as DIGITS_SPLITS
from ganbench_zoo.datasets.digits import Digits
from ganbench_zoo.datasets.fashion_mnist import FashionMnist
from ganbench_zoo.datasets.mnist import SPLITS as MNIST_SPLITS
from ganbench_zoo.datasets.mnist import Mnist
from ganbench_zoo.splits import partition, ranked

DATA = os.environ.get("GANBENCH_DATA")
PINNED = {
    ("digits", "extractor"): "12442507121054fee5f1da4eec7917fb6e90166caed7fb21f540fe671ba000a2",
    ("digits", "train"): "7388192fd44015c5b4d3bf8076f93b406f2e96bd1b823eb6fc0517c728324c58",
    ("digits", "test"): "5d5059e54832dbe281d6107de364c4d7f27971a399a3381d7f5197b1dd77e249",
    ("mnist", "extractor"): "db664f1a8d64cea48a2a8f13cc7606b253207ec0516a77eb7b2ed11916a61622",
    ("mnist", "train"): "d7ba87fef495905c4f313618abcb19de18431724fe281446f35931b540a8da21",
}
NAMES = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")


def write_idx(path: Path, shape: tuple[int, ...], length: int | None = None) -> None:
    size = 1
    for side in shape:
        size *= side
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape))
        file.truncate(4 * (1 + len(shape)) + size if length is None else length)


def write_set(folder: Path) -> None:
    """Write the four files of an MNIST-like set, all zeros (sparse on disk)."""
    for name in NAMES:
        count = 60_000 if name.startswith("train") else 10_000
        write_idx(folder / f"{name}-ubyte", (count, 28, 28) if "images" in name else (count,))


def test_splits_are_disjoint_cover_everything_and_stay_what_they_are():
    for name, sizes in (("digits", DIGITS_SPLITS), ("mnist", MNIST_SPLITS)):
        count = sum(sizes.values())
        splits = partition(count, name, sizes)
        assert sorted(index for split in splits.values() for index in split) == list(range(count))
        for split, index in splits.items():
            assert len(index) == sizes[split]
            assert digest(index) == PINNED[name, split], (name, split, digest(index))


def test_partition_refuses_sizes_that_do_not_add_up():
    with pytest.raises(ValueError, match="hold 3 indices, the set has 4"):
        partition(4, "x", {"a": 1, "b": 2})


def test_ranking_depends_on_salt_and_key_only():
    assert ranked(["a", "b", "c"], "s") == ranked(["c", "a", "b"], "s")
    assert ranked(range(50), "s") != ranked(range(50), "t")


@pytest.mark.parametrize("size", [16, 32])
def test_digits(size, tmp_path, no_download):
    data = Digits(size=size)
    assert data.spec(tmp_path) == ImageSpec((1, size, size), 10)
    for split in ("extractor", "train", "test"):
        images = data.load(tmp_path, split)
        assert images.pixels.shape == (599, 1, size, size)
        assert images.pixels.dtype == torch.uint8
        assert images.labels.dtype == torch.int64
        assert images.labels.bincount().numel() == 10
        assert images.labels.bincount().min() > 40
        assert images.pixels.min() == 0
        assert images.pixels.max() == 255
    assert not list(tmp_path.iterdir())


def test_digits_of_32_averaged_are_digits_of_16(tmp_path):
    large, small = (Digits(size=size).load(tmp_path, "test").pixels.float() for size in (32, 16))
    assert (torch.nn.functional.avg_pool2d(large, 2) - small).abs().max() <= 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Digits(size=8), "digits: size is 8"),
        (lambda: Mnist(size=16), "mnist: size is 16"),
        (lambda: FashionMnist(size=64), "fashion_mnist: size is 64"),
        (lambda: Digits().load(Path(), "val"), "digits has no split 'val'; it has: extractor, train, test"),
        (lambda: Mnist().load(Path(), "val"), "mnist has no split 'val'"),
        (lambda: Cifar10().load(Path(), "extractor"), "cifar10 has no split 'extractor'; it has: train, test"),
    ],
)
def test_bad_parameters_and_splits_are_one_sentence(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (Mnist(), "MNIST/raw"),
        (FashionMnist(), "FashionMNIST/raw"),
        (Cifar10(), "cifar-10-batches-py"),
    ],
)
def test_offline_says_what_was_looked_for_and_where(data, place, tmp_path, offline, capsys):
    with pytest.raises(ValueError, match="downloading failed") as caught:
        data.load(tmp_path, "train")
    message = str(caught.value)
    assert str(tmp_path / place) in message
    assert "\n" not in message
    assert "no network" in message
    assert "data root" in message
    assert capsys.readouterr().out == ""


def test_a_root_that_cannot_be_made_is_one_sentence(tmp_path, offline):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"mnist: .* downloading failed"):
        Mnist().load(tmp_path / "file", "train")


def test_idx_sets_are_padded_and_split(tmp_path, no_download):
    write_set(tmp_path / "MNIST" / "raw")
    assert len(Mnist().load(tmp_path, "extractor")) == 20_000
    assert Mnist(size=32).load(tmp_path, "train").pixels.shape == (40_000, 1, 32, 32)
    assert len(Mnist(disjoint=False).load(tmp_path, "train")) == 60_000
    test = Mnist().load(tmp_path, "test")
    assert test.pixels.shape == (10_000, 1, 28, 28)
    assert test.pixels.dtype == torch.uint8
    assert test.labels.dtype == torch.int64


def test_broken_idx_files_are_named(tmp_path, no_download):
    folder = tmp_path / "FashionMNIST" / "raw"
    write_set(folder)
    images, labels = folder / "t10k-images-idx3-ubyte", folder / "t10k-labels-idx1-ubyte"
    write_idx(images, (10_000, 28, 28), length=1000)
    with pytest.raises(ValueError, match=r"t10k-images-idx3-ubyte is truncated.*promises 7840016 bytes, it has 1000"):
        FashionMnist().load(tmp_path, "test")
    write_idx(images, (10, 28, 28))
    with pytest.raises(ValueError, match=r"holds an array of \(10, 28, 28\), expected \(10000, 28, 28\)"):
        FashionMnist().load(tmp_path, "test")
    images.write_bytes(b"<html>")
    with pytest.raises(ValueError, match="is no IDX file of 3 dimensions"):
        FashionMnist().load(tmp_path, "test")
    write_idx(images, (10_000, 28, 28))
    write_idx(labels, (10_000,), length=20_000)
    with pytest.raises(ValueError, match="t10k-labels-idx1-ubyte is too long"):
        FashionMnist().load(tmp_path, "test")


def test_a_broken_cifar_file_is_named(tmp_path, offline):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    (folder / "data_batch_1").write_bytes(b"not the original")
    with pytest.raises(ValueError, match="data_batch_1 is broken"):
        Cifar10().load(tmp_path, "train")


def test_the_time_limit_of_sockets_is_given_back():
    before = socket.getdefaulttimeout()

    def fail():
        with download.bounded():
            assert socket.getdefaulttimeout() == download.TIMEOUT_SECONDS
            raise OSError("x")

    with pytest.raises(OSError, match="x"):
        fail()
    assert socket.getdefaulttimeout() == before


@pytest.mark.mnist
@pytest.mark.skipif(DATA is None, reason="GANBENCH_DATA names no folder with the MNIST files")
def test_real_mnist(no_download):
    root = Path(DATA)
    extractor, train, test = (Mnist().load(root, split) for split in ("extractor", "train", "test"))
    assert [len(part) for part in (extractor, train, test)] == [20_000, 40_000, 10_000]
    assert test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    everything = Mnist(disjoint=False).load(root, "train")
    assert everything.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert (extractor.labels.bincount() + train.labels.bincount() == everything.labels.bincount()).all()
    padded = Mnist(size=32).load(root, "test")
    assert torch.equal(padded.pixels[:, :, 2:-2, 2:-2], test.pixels)
    assert padded.pixels.sum() == test.pixels.sum()
