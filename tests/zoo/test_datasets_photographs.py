"""stl10, celeba, lsun: crops and sizes on small files in each set's own format, and every refusal."""

import hashlib
import io
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from ganbench import ImageSpec
from ganbench.testing import check_component
from ganbench_zoo import decoded, originals, rows
from ganbench_zoo.datasets import lsun, stl10
from ganbench_zoo.datasets.celeba import CelebA
from ganbench_zoo.datasets.lsun import Lsun
from ganbench_zoo.datasets.stl10 import Stl10
from ganbench_zoo.splits import ranked

RNG = np.random.default_rng(0)


@pytest.fixture
def offline(offline, monkeypatch):
    """Make every download fail as it does without a network, with the package gdown or without."""

    def refuse(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr("torchvision.datasets.celeba.download_file_from_google_drive", refuse)


def jpeg(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")  # known by its content, not by its name
    return file.getvalue()


def lanczos(array: np.ndarray, size: int) -> np.ndarray:
    return np.asarray(Image.fromarray(array).resize((size, size), Image.Resampling.LANCZOS)).transpose(2, 0, 1)


def write_stl10(monkeypatch, root: Path) -> dict[str, np.ndarray]:
    """Write a small STL-10 and return its images as (N, H, W, 3)."""
    (root / "stl10_binary").mkdir(parents=True)
    counts, written = {"train": 20, "test": 30, "unlabeled": 25}, {}
    for part, count in counts.items():
        written[part] = RNG.integers(0, 256, (count, 96, 96, 3), np.uint8)
        (root / "stl10_binary" / f"{part}_X.bin").write_bytes(written[part].transpose(0, 3, 2, 1).tobytes())
        (root / "stl10_binary" / f"{part}_y.bin").write_bytes(bytes(i % 10 + 1 for i in range(count)))
    (root / "stl10_binary" / "unlabeled_y.bin").unlink()
    monkeypatch.setattr(stl10, "COUNTS", counts)
    return written


@pytest.mark.parametrize("part", ["unlabeled", "train", "train+unlabeled"])
def test_stl10_parts(part, tmp_path, monkeypatch):
    written = write_stl10(monkeypatch, tmp_path)
    check_component(Stl10(part=part), root=tmp_path)
    data = Stl10(part=part, size=96)
    train = data.load(tmp_path, "train")
    expected = np.concatenate([written[name] for name in part.split("+")]).transpose(0, 3, 1, 2)
    assert (train.pixels.numpy() == expected).all()
    assert data.spec(tmp_path) == ImageSpec((3, 96, 96), classes=10 if part == "train" else None)
    labels = [i % 10 for i in range(30)] if part == "train" else None
    found = data.load(tmp_path, "test").labels
    assert (found if found is None else found.tolist()) == labels


@pytest.mark.parametrize("size", [32, 48, 64])
def test_stl10_is_shrunk_with_lanczos(size, tmp_path, monkeypatch):
    written = write_stl10(monkeypatch, tmp_path)
    pixels = Stl10(size=size).load(tmp_path, "train").pixels
    assert pixels.shape == (25, 3, size, size)
    assert (pixels[7].numpy() == lanczos(written["unlabeled"][7], size)).all()


def test_broken_stl10_files_are_named(tmp_path, monkeypatch, offline):
    write_stl10(monkeypatch, tmp_path)
    folder = tmp_path / "stl10_binary"
    (folder / "train_y.bin").write_bytes(bytes(20))
    with pytest.raises(ValueError, match=r"train_y.bin has labels from 0 to 0, not 1 to 10"):
        Stl10(part="train").load(tmp_path, "train")
    (folder / "unlabeled_X.bin").write_bytes(bytes(1000))
    with pytest.raises(ValueError, match=r"unlabeled_X.bin is broken \(1,000 bytes, not 691,200\), and downloading"):
        Stl10().load(tmp_path, "train")
    assert len(Stl10().load(tmp_path, "test")) == 30


def test_the_memory_is_looked_at_before_anything_is_read(tmp_path, monkeypatch):
    write_stl10(monkeypatch, tmp_path)
    monkeypatch.setattr(originals, "available_bytes", lambda: 1000)
    with pytest.raises(ValueError, match=r"stl10, part unlabeled needs .* set a smaller size or another part"):
        Stl10().load(tmp_path, "train")


def write_celeba(monkeypatch, root: Path, form: str = "folder", count: int = 12) -> list[np.ndarray]:
    """Write a CelebA of ``count`` images in three splits, and let torchvision's class take its lists as original."""
    folder = root / "celeba"
    folder.mkdir(parents=True)
    arrays = [RNG.integers(0, 256, (218, 178, 3), np.uint8) for _ in range(count)]
    names = [f"{i + 1:06}.jpg" for i in range(count)]
    (folder / "list_eval_partition.txt").write_text("".join(f"{name} {i % 3}\n" for i, name in enumerate(names)))
    attributes = "".join(f"{name}  {'1' if i % 2 else '-1'} -1\n" for i, name in enumerate(names))
    (folder / "list_attr_celeba.txt").write_text(f"{count}\nMale Smiling \n{attributes}")
    if form == "folder":
        (folder / "img_align_celeba").mkdir()
        for name, array in zip(names, arrays, strict=True):
            (folder / "img_align_celeba" / name).write_bytes(jpeg(array))
    else:
        with zipfile.ZipFile(folder / "img_align_celeba.zip", "w") as archive:
            for name, array in zip(names, arrays, strict=True):
                archive.writestr(f"img_align_celeba/{name}", jpeg(array))
    files = [("", hashlib.md5(path.read_bytes()).hexdigest(), path.name) for path in sorted(folder.glob("list*"))]
    monkeypatch.setattr(torchvision.datasets.CelebA, "file_list", files)
    return arrays


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_celeba_keeps_the_split_and_the_crop_of_its_authors(form, tmp_path, monkeypatch, offline):
    arrays = write_celeba(monkeypatch, tmp_path, form)
    check_component(CelebA(), root=tmp_path)
    for number, split in enumerate(("train", "val", "test")):
        images = CelebA(size=32).load(tmp_path, split)
        expected = [lanczos(array[20:198], 32) for array in arrays[number::3]]
        assert (images.pixels.numpy() == np.stack(expected)).all()
        assert images.labels is None
    assert CelebA().spec(tmp_path) == ImageSpec((3, 64, 64))


def test_celeba_can_be_cropped_as_dcgan_does(tmp_path, monkeypatch):
    arrays = write_celeba(monkeypatch, tmp_path)
    pixels = CelebA(crop=108).load(tmp_path, "test").pixels
    assert (pixels[1].numpy() == lanczos(arrays[5][55:163, 35:143], 64)).all()
    whole = CelebA(crop=108, size=108).load(tmp_path, "test").pixels
    assert (whole[1].numpy() == arrays[5][55:163, 35:143].transpose(2, 0, 1)).all()


def test_an_attribute_of_celeba_makes_two_classes(tmp_path, monkeypatch):
    write_celeba(monkeypatch, tmp_path)
    data = CelebA(size=8, attribute="Male")
    check_component(data, root=tmp_path)
    assert data.spec(tmp_path).classes == 2
    assert data.load(tmp_path, "train").labels.tolist() == [0, 1, 0, 1]
    assert CelebA(size=8, attribute="Smiling").load(tmp_path, "train").labels.tolist() == [0] * 4
    with pytest.raises(ValueError, match="celeba has no attribute 'Smilin'; did you mean 'Smiling'"):
        CelebA(attribute="Smilin").load(tmp_path, "train")


def test_celeba_is_streamed_as_it_is_loaded(tmp_path, monkeypatch):
    write_celeba(monkeypatch, tmp_path)
    data = CelebA(size=8)
    loaded = data.load(tmp_path, "train").pixels
    monkeypatch.setattr(rows, "SMALL", 0)
    stream = data.stream(tmp_path, "train")
    assert isinstance(stream.pixels, rows.ImageRows)
    assert torch.equal(stream.pixels[torch.tensor([3, 0])], loaded[[3, 0]])
    assert stream.pixels.fingerprint != CelebA(size=8, crop=100).stream(tmp_path, "train").pixels.fingerprint


def test_what_celeba_lacks_is_named(tmp_path, monkeypatch, offline):
    write_celeba(monkeypatch, tmp_path)
    folder = tmp_path / "celeba"
    (folder / "img_align_celeba" / "000004.jpg").unlink()
    with pytest.raises(ValueError, match=r"celeba: .* lacks 1 of 4 images: 000004.jpg"):
        CelebA().load(tmp_path, "train")
    (folder / "img_align_celeba" / "000007.jpg").write_bytes(jpeg(np.zeros((100, 100, 3), np.uint8)))
    (folder / "img_align_celeba" / "000004.jpg").write_bytes(jpeg(np.zeros((218, 178, 3), np.uint8)))
    with pytest.raises(ValueError, match=r"000007.jpg in .* is 100x100, too small to crop 178 pixels from it"):
        CelebA().load(tmp_path, "train")
    (folder / "list_attr_celeba.txt").write_text("changed")
    assert len(CelebA().load(tmp_path, "val")) == 4
    with pytest.raises(ValueError, match=r"list_attr_celeba.txt is broken .* downloading failed"):
        CelebA(attribute="Male").load(tmp_path, "val")


def pretend_lmdb(monkeypatch, databases: dict[Path, dict[bytes, bytes]]) -> None:
    """Stand in for the package lmdb: what Lsun asks of it, on dictionaries."""

    class Transaction:
        def __init__(self, content):
            self.content = content

        def __enter__(self):
            return self

        def __exit__(self, *args):
            return None

        def get(self, key):
            return self.content.get(key)

        def cursor(self):
            return self

        def iternext(self, keys, values):
            assert (keys, values) == (True, False)
            return iter(sorted(self.content))

    class Environment:
        def __init__(self, content):
            self.content = content

        def begin(self, write):
            assert not write
            return Transaction(self.content)

    class Error(Exception):
        pass

    def opened(path, readonly, lock, readahead, meminit):
        assert (readonly, lock) == (True, False)
        if Path(path) not in databases:
            raise Error("not a database")
        return Environment(databases[Path(path)])

    module = types.ModuleType("lmdb")
    module.open, module.Error = opened, Error
    monkeypatch.setitem(sys.modules, "lmdb", module)
    lsun._environment.cache_clear()


def write_lsun(monkeypatch, root: Path, train: int = 30, val: int = 3) -> dict[str, np.ndarray]:
    """Write databases of scenes, and return the images of the training one by key."""
    arrays, databases = {}, {}
    for part, count in (("train", train), ("val", val)):
        folder = root / "lsun" / f"bedroom_{part}_lmdb"
        folder.mkdir(parents=True)
        (folder / "data.mdb").write_bytes(b"")
        images = {hashlib.sha1(f"{part}{i}".encode()).hexdigest(): i for i in range(count)}
        images = {key: RNG.integers(0, 256, (40, 50 + i, 3), np.uint8) for key, i in images.items()}
        databases[folder.resolve()] = {key.encode(): jpeg(array) for key, array in images.items()}
        arrays |= images if part == "train" else {}
    pretend_lmdb(monkeypatch, databases)
    return arrays


def test_lsun_holds_out_a_part_of_its_training_database(tmp_path, monkeypatch):
    arrays = write_lsun(monkeypatch, tmp_path)
    check_component(Lsun(), root=tmp_path)
    order = ranked(sorted(arrays), "lsun")
    chosen = {"test": order[:6], "train": order[6:]}
    for split, keys in chosen.items():
        images = Lsun(size=16).load(tmp_path, split)
        squares = [arrays[key] for key in sorted(keys)]
        left = [(array.shape[1] - 40) // 2 for array in squares]
        expected = [lanczos(array[:, x : x + 40], 16) for array, x in zip(squares, left, strict=True)]
        assert (images.pixels.numpy() == np.stack(expected)).all()
        assert images.labels is None
    assert len(Lsun(size=16).load(tmp_path, "val")) == 3
    monkeypatch.setattr(lsun, "HELD_OUT", 2)
    assert len(Lsun(size=16).load(tmp_path, "test")) == 2


def test_a_limit_takes_the_first_of_a_fixed_order(tmp_path, monkeypatch):
    write_lsun(monkeypatch, tmp_path)
    few, more = (Lsun(size=8, limit=limit).load(tmp_path, "train").pixels for limit in (5, 9))
    assert (len(few), len(more)) == (5, 9)
    known = {row.numpy().tobytes() for row in more}
    assert all(row.numpy().tobytes() in known for row in few)
    assert len(Lsun(size=8, limit=5).load(tmp_path, "test")) == 6


def test_lsun_is_streamed_as_it_is_loaded(tmp_path, monkeypatch):
    write_lsun(monkeypatch, tmp_path)
    loaded = Lsun(size=8).load(tmp_path, "train").pixels
    monkeypatch.setattr(rows, "SMALL", 0)
    stream = Lsun(size=8).stream(tmp_path, "train")
    assert torch.equal(stream.pixels[torch.tensor([5, 1])], loaded[[5, 1]])
    assert len(stream.pixels.decoder.source.fingerprint()) == 64


def test_what_lsun_cannot_read_is_one_sentence(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"data.mdb was looked for in .*bedroom_train_lmdb and is not there; download"):
        Lsun().load(tmp_path, "train")
    write_lsun(monkeypatch, tmp_path)
    monkeypatch.setattr(originals, "available_bytes", lambda: 1000)
    with pytest.raises(ValueError, match=r"lsun, bedroom needs .* set limit"):
        Lsun().load(tmp_path, "train")
    monkeypatch.undo()
    pretend_lmdb(monkeypatch, {})
    with pytest.raises(ValueError, match=r"bedroom_train_lmdb is no database of images \(not a database\)"):
        Lsun().load(tmp_path, "train")
    monkeypatch.setitem(sys.modules, "lmdb", None)
    with pytest.raises(ValueError, match="needs the package lmdb; run 'pip install lmdb'"):
        Lsun().load(tmp_path, "train")


def test_lsun_reads_a_real_database(tmp_path):
    lmdb = pytest.importorskip("lmdb")
    lsun._environment.cache_clear()
    folder = tmp_path / "lsun" / "tower_train_lmdb"
    folder.mkdir(parents=True)
    with lmdb.open(str(folder), map_size=2**24) as environment, environment.begin(write=True) as transaction:
        for i in range(10):
            transaction.put(f"{i:040x}".encode(), jpeg(np.full((9, 8, 3), 20 * i, np.uint8)))
    check_component(Lsun(category="tower", size=8), root=tmp_path)
    train, test = (Lsun(category="tower", size=8).load(tmp_path, split).pixels for split in ("train", "test"))
    assert sorted([*train[:, 0, 0, 0].tolist(), *test[:, 0, 0, 0].tolist()]) == list(range(0, 200, 20))


@pytest.mark.parametrize(("data", "place"), [(Stl10(), "stl10_binary"), (CelebA(), "celeba")])
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
        (lambda: Stl10(size=28), "stl10: size is 28"),
        (lambda: Stl10(part="test"), "stl10: part is 'test', not one of unlabeled, train, train"),
        (lambda: Stl10().load(Path(), "unlabeled"), "stl10 has no split 'unlabeled'; it has: train, test"),
        (lambda: CelebA(size=0), "celeba: size is 0"),
        (lambda: CelebA(crop=200), "celeba: crop is 200, not between 1 and 178"),
        (lambda: CelebA().load(Path(), "valid"), "celeba has no split 'valid'; it has: train, val, test"),
        (lambda: Lsun(category="cat"), "lsun: category is 'cat', not one of bedroom"),
        (lambda: Lsun(size=1000), "lsun: size is 1000"),
        (lambda: Lsun(limit=0), "lsun: limit is 0"),
        (lambda: Lsun().load(Path(), "extra"), "lsun has no split 'extra'; it has: train, val, test"),
    ],
)
def test_bad_parameters_and_splits_are_one_sentence(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(("write", "data"), [(write_celeba, CelebA), (write_lsun, Lsun)])
def test_decoded_photographs_are_kept(write, data, tmp_path, monkeypatch):
    write(monkeypatch, tmp_path)
    monkeypatch.setenv("GANBENCH_CACHE", str(tmp_path / "cache"))
    expected = data(size=8).load(tmp_path, "train").pixels
    assert not (tmp_path / "cache").exists()
    monkeypatch.setattr(decoded, "WORTH", 1)
    data(size=8, cache=False).load(tmp_path, "train")
    assert not (tmp_path / "cache").exists()
    assert torch.equal(data(size=8).load(tmp_path, "train").pixels, expected)
    monkeypatch.setattr(rows, "decode_all", lambda *args: pytest.fail("decoded again"))
    assert torch.equal(data(size=8).load(tmp_path, "train").pixels, expected)
    stream = data(size=8).stream(tmp_path, "train").pixels
    assert isinstance(stream, decoded.Kept)
    assert torch.equal(stream[torch.tensor([2, 1])], expected[[2, 1]])
