"""kmnist, emnist, svhn, cifar100: read from small files in each set's own format, or refused in one sentence."""

import hashlib
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision

from ganbench import ImageSpec
from ganbench.testing import check_component
from ganbench_zoo.datasets.cifar10 import Cifar10
from ganbench_zoo.datasets.cifar100 import Cifar100
from ganbench_zoo.datasets.emnist import CLASSES, Emnist
from ganbench_zoo.datasets.kmnist import Kmnist
from ganbench_zoo.datasets.svhn import Svhn

RNG = np.random.default_rng(0)


def noise(*shape):
    return RNG.integers(0, 256, shape, np.uint8)


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def write_idx(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes())


def write_emnist(root: Path, part: str, train: int = 70, test: int = 65, first: int = 0) -> dict[str, np.ndarray]:
    images = {"train": noise(train, 28, 28), "test": noise(test, 28, 28)}
    for split, array in images.items():
        name = root / "EMNIST" / "raw" / f"emnist-{part}-{split}"
        write_idx(Path(f"{name}-images-idx3-ubyte"), array)
        labels = (first + np.arange(len(array)) % CLASSES[part]).astype(np.uint8)
        write_idx(Path(f"{name}-labels-idx1-ubyte"), labels)
    return images


def write_cifar(monkeypatch, root: Path, cls, key: str, classes: int) -> dict[str, np.ndarray]:
    """Write small batches and let ``cls`` take them for the original ones."""
    folder, written = root / cls.base_folder, {}
    folder.mkdir(parents=True)
    for attribute in ("train_list", "test_list"):
        files = []
        for name, _ in getattr(cls, attribute):
            written[name] = noise(classes, 3072)
            entry = {"data": written[name], key: list(range(classes))}
            (folder / name).write_bytes(pickle.dumps(entry))
            files.append([name, md5(folder / name)])
        monkeypatch.setattr(cls, attribute, files)
    meta = folder / cls.meta["filename"]
    meta.write_bytes(pickle.dumps({cls.meta["key"]: ["x"] * classes}))
    monkeypatch.setattr(cls, "meta", {**cls.meta, "md5": md5(meta)})
    return written


def write_svhn(monkeypatch, root: Path) -> dict[str, np.ndarray]:
    from scipy.io import savemat

    (root / "svhn").mkdir(parents=True)
    files, written = {}, {}
    for split, count in (("train", 30), ("test", 20), ("extra", 25)):
        path = root / "svhn" / f"{split}_32x32.mat"
        written[split] = noise(32, 32, 3, count)
        savemat(path, {"X": written[split], "y": (np.arange(count) % 10 + 1).astype(np.uint8)[:, None]})
        files[split] = ["http://nowhere", path.name, md5(path)]
    monkeypatch.setattr(torchvision.datasets.SVHN, "split_list", files)
    return written


def test_kmnist_is_read_like_mnist(tmp_path, no_download):
    folder = tmp_path / "KMNIST" / "raw"
    test = noise(10_000, 28, 28)
    for part, images in (("train", np.zeros((60_000, 28, 28), np.uint8)), ("t10k", test)):
        write_idx(folder / f"{part}-images-idx3-ubyte", images)
        write_idx(folder / f"{part}-labels-idx1-ubyte", (np.arange(len(images)) % 10).astype(np.uint8))
    check_component(Kmnist(), root=tmp_path)
    images = Kmnist(size=32).load(tmp_path, "test")
    assert Kmnist().spec(tmp_path) == ImageSpec((1, 28, 28), classes=10)
    assert (images.pixels[:, 0, 2:-2, 2:-2].numpy() == test).all()
    assert images.labels[:12].tolist() == [*range(10), 0, 1]


@pytest.mark.parametrize("part", CLASSES)
def test_emnist_stands_upright_and_counts_classes_from_0(part, tmp_path, no_download):
    written = write_emnist(tmp_path, part, first=int(part == "letters"))
    data = Emnist(part=part)
    check_component(data, root=tmp_path)
    for split in ("train", "test"):
        images = data.load(tmp_path, split)
        assert (images.pixels[:, 0].numpy() == written[split].transpose(0, 2, 1)).all()
        assert images.labels.tolist() == [i % CLASSES[part] for i in range(len(images))]
    assert data.spec(tmp_path).classes == CLASSES[part]
    assert Emnist(part=part, size=32).load(tmp_path, "test").pixels.shape == (65, 1, 32, 32)


def test_broken_emnist_files_are_named(tmp_path, no_download):
    write_emnist(tmp_path, "letters", first=0)
    with pytest.raises(ValueError, match="letters-train-labels-idx1-ubyte has labels of no known class"):
        Emnist(part="letters").load(tmp_path, "train")
    folder = tmp_path / "EMNIST" / "raw"
    write_idx(folder / "emnist-letters-test-labels-idx1-ubyte", np.ones(3, np.uint8))
    with pytest.raises(ValueError, match=r"test-labels-idx1-ubyte holds an array of \(3,\), expected \(65,\)"):
        Emnist(part="letters").load(tmp_path, "test")
    images = folder / "emnist-letters-test-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:500])
    with pytest.raises(ValueError, match="test-images-idx3-ubyte is truncated"):
        Emnist(part="letters").load(tmp_path, "test")


def test_cifar100_is_read_with_its_fine_classes(tmp_path, monkeypatch, no_download):
    cls = torchvision.datasets.CIFAR100
    written = write_cifar(monkeypatch, tmp_path, cls, "fine_labels", 100)
    check_component(Cifar100(), root=tmp_path)
    test = Cifar100().load(tmp_path, "test")
    assert Cifar100().spec(tmp_path) == ImageSpec((3, 32, 32), classes=100)
    assert (test.pixels.numpy() == written["test"].reshape(-1, 3, 32, 32)).all()
    assert test.labels.tolist() == list(range(100))
    assert test.labels.dtype == torch.int64


def test_cifar10_is_read_in_the_same_way(tmp_path, monkeypatch, no_download):
    written = write_cifar(monkeypatch, tmp_path, torchvision.datasets.CIFAR10, "labels", 10)
    check_component(Cifar10(), root=tmp_path)
    train = Cifar10().load(tmp_path, "train")
    assert len(train) == 50
    assert (train.pixels[10:20].numpy() == written["data_batch_2"].reshape(-1, 3, 32, 32)).all()


def test_a_batch_that_is_not_the_original_is_never_unpickled(tmp_path, monkeypatch, offline):
    write_cifar(monkeypatch, tmp_path, torchvision.datasets.CIFAR100, "fine_labels", 100)

    class Trap:
        def __reduce__(self):
            return pytest.fail, ("the pickle was opened",)

    (tmp_path / "cifar-100-python" / "train").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ValueError, match="cifar-100-python/train is broken"):
        Cifar100().load(tmp_path, "train")


def test_svhn_calls_the_digit_0_by_0_and_adds_the_extra_set(tmp_path, monkeypatch, no_download):
    written = write_svhn(monkeypatch, tmp_path)
    check_component(Svhn(), root=tmp_path)
    train = Svhn().load(tmp_path, "train")
    assert Svhn().spec(tmp_path) == ImageSpec((3, 32, 32), classes=10)
    assert (train.pixels.numpy() == written["train"].transpose(3, 2, 0, 1)).all()
    assert train.labels[:10].tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]
    both = Svhn(extra=True).load(tmp_path, "train")
    assert len(both) == 55
    assert torch.equal(both.pixels[:30], train.pixels)
    assert (both.pixels[30:].numpy() == written["extra"].transpose(3, 2, 0, 1)).all()
    assert len(Svhn(extra=True).load(tmp_path, "test")) == 20


def test_svhn_without_the_extra_set_needs_no_file_of_it(tmp_path, monkeypatch, offline):
    write_svhn(monkeypatch, tmp_path)
    (tmp_path / "svhn" / "extra_32x32.mat").write_bytes(b"")
    assert len(Svhn().load(tmp_path, "train")) == 30
    with pytest.raises(ValueError, match=r"extra_32x32.mat is broken \(another MD5 than the original\)"):
        Svhn(extra=True).load(tmp_path, "train")


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (Kmnist(), "KMNIST/raw"),
        (Emnist(), "EMNIST/raw"),
        (Cifar100(), "cifar-100-python"),
        (Svhn(), "svhn"),
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


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Kmnist(size=64), "kmnist: size is 64"),
        (lambda: Emnist(size=64), "emnist: size is 64"),
        (lambda: Emnist(part="hiragana"), "emnist: part is 'hiragana', not one of balanced, letters"),
        (lambda: Kmnist().load(Path(), "val"), "kmnist has no split 'val'; it has: train, test"),
        (lambda: Emnist().load(Path(), "val"), "emnist has no split 'val'; it has: train, test"),
        (lambda: Cifar100().load(Path(), "val"), "cifar100 has no split 'val'; it has: train, test"),
        (lambda: Svhn().load(Path(), "extra"), "svhn has no split 'extra'; it has: train, test"),
    ],
)
def test_bad_parameters_and_splits_are_one_sentence(make, message):
    with pytest.raises(ValueError, match=message):
        make()
